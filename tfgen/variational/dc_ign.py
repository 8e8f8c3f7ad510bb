"""Deep convolutional inverse graphics network: a VAE whose latent variables stand for known factors."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.draw import draw_and_log_prob
from tfgen.model import Condition, Update, View
from tfgen.variational.distributions import posterior_of
from tfgen.variational.encoder_decoder import EncoderDecoder
from tfgen.variational.latent_variable import Drawn

tfd = tfp.distributions

# Most groups that may be told apart; a label's bound.
_GROUPS = 2**31 - 1
# Columns of a picture of traversals, and how many deviations of the posterior means it goes to either side.
_STEPS, _DEVIATIONS = 9, 1.5
# Examples whose latent variables are moved, examples that the regressors are fitted to, and their kernel.
_MOVED, _FITTED, _RIDGE = 50, 3000, {"kernel": "rbf", "gamma": 0.1, "alpha": 1e-2}


@keras.saving.register_keras_serializable("tfgen")
class DCIGN(EncoderDecoder):
    """Deep convolutional inverse graphics network (DC-IGN): a latent variable each for one known factor.

    A variational autoencoder, z ~ N(0, I), x ~ p(x | z) by up-convolutions, q(z | x) a Gaussian by
    convolutions, whose z_k stands for the k-th factor and whose further z are intrinsic: what a thing is,
    however it is seen. It learns from the stream "clamped": groups of pictures in which one factor varies
    and all others are the same, or in which what is shown varies. With r_i what the encoder says of the i-th
    picture of a group (location and raw scale of each z), m the mean of r over the group, and the active
    entries those of what varies,

      forward:   what decoder and KL are given is r_i where active and m elsewhere;
      backward:  the gradient of each picture's -ELBO where active and invariance (r_i - m) elsewhere.

    The latter is the gradient of invariance / 2 |r_i - m|^2 over the inactive entries, and no other reaches
    them: all but the active z are told to say the same of the whole group. A batch has several groups, each
    clamped for itself; to Keras' `fit` give whole groups, not shuffled, for a picture alone is its own mean.
    `log_prob` bounds log p(x) by the posterior of each picture alone, nothing clamped.

    Args:
      event_shape: Shape of one x.
      factors: Names of the factors, in the order of the stream's "varied".
      intrinsic_size: Number of further latent variables.
      invariance: Weight of the difference from the mean, beside the gradient of the bound.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder.
      network: "conv" for images, or "mlp".
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      likelihood: p(x | z): "normal", a Gaussian of a fixed deviation around each entry's mean, levels of data
        as shares of the highest; or as for `VAE`.
      deviation: Standard deviation of "normal".
      num_values: Number of levels of the data; None takes the likelihood's own.
      name: Keras name.
      dtype: Keras dtype policy.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kulkarni, Whitney, Kohli & Tenenbaum, "Deep convolutional inverse graphics network", 2015,
      arXiv:1503.03167: section 3.1 (clamping; a factor's batches to the intrinsic ones as 1 to 10) and 3.2
      (invariance, 1/100). As in the authors' programs, what is clamped are both outputs of the encoder.
    """

    streams = ("clamped",)

    def __init__(
        self,
        event_shape,
        factors=("x", "y", "angle", "size", "shade"),
        intrinsic_size=4,
        invariance=0.01,
        hidden=(128,),
        network="conv",
        filters=(16, 32),
        activation="relu",
        likelihood="normal",
        deviation=0.03,
        num_values: int | None = None,
        name=None,
        dtype=None,
    ):
        if not factors:
            raise ValueError(f"factors must name at least one factor, got {factors!r}: without, it is a VAE.")
        deviation = checks.number("deviation", deviation, above=0)
        fixed = likelihood == "normal"
        super().__init__(
            event_shape,
            "diagonal",
            latent_size=len(factors) + checks.whole("intrinsic_size", intrinsic_size),
            hidden=hidden,
            network=network,
            filters=filters,
            activation=activation,
            likelihood=(lambda raw: tfd.Normal(raw[..., 0], deviation)) if fixed else likelihood,
            likelihood_size=1 if fixed else None,
            num_values=None if fixed else num_values,
            name=name,
            dtype=dtype,
        )
        self.factors = tuple(checks.distinct("factors", factors))
        self.invariance = checks.number("invariance", invariance, at_least=0)
        varied = Condition("label", num_classes=len(self.factors) + 1)
        self.optional_fields = {"varied": varied, "group": Condition("label", num_classes=_GROUPS)}

    def active(self, varied):
        """Which latent variables may differ where this varies, bool `[batch, latent_size]`.

        Args:
          varied: int32 `[batch]`: the number of a factor, or after the last one that of what is shown.
        """
        stands_for = tf.minimum(tf.range(self.latent_size), len(self.factors))
        return stands_for == varied[:, None]

    def clamped_posterior(self, x, varied, group):
        """q(z | x) whose inactive latent variables are those of the group's mean, which has no gradient.

        Args:
          x: `[batch, *event_shape]`.
          varied: int32 `[batch]`, as `active` takes it.
          group: int32 `[batch]`, equal for pictures of one group.

        Returns:
          A TFP distribution of batch_shape `[batch]`, and 1/2 |r - m|^2 over the inactive entries, `[batch]`.
        """
        raw = tf.cast(self.encoder(self.read(x)), tf.float32)
        active = tf.tile(self.active(varied), [1, 2])  # Location and raw scale.
        mean = group_mean(raw, group)
        spread = tf.reduce_sum(tf.where(active, 0.0, tf.square(raw - mean)), axis=-1) / 2.0
        return posterior_of(self._posterior, tf.where(active, raw, tf.stop_gradient(mean))), spread

    def updates(self):
        """One gradient step on clamped groups; with the replaced gradient it is that of no loss."""
        return [Update("dc_ign", self.clamped, self.trainable_variables, surrogate=True)]

    def clamped(self, batch, seed, step):
        """-ELBO of the clamped posteriors + invariance 1/2 |r - m|^2, means over the batch; as `Update`."""
        del step
        x, varied, group = (batch["clamped"][name] for name in ("x", "varied", "group"))
        q, spread = self.clamped_posterior(x, varied, group)
        z, log_q = draw_and_log_prob(q, seed, [1])
        terms = self.terms_of(Drawn(x, z, self.prior(), q, self.likelihood(z), log_q))
        spread = tf.reduce_mean(spread)
        return terms["loss"] + self.invariance * spread, terms | {"spread": spread}

    @property
    def quantities(self):
        """Quantities of the curves of a training."""
        return super().quantities | {
            "dc_ign/loss": "loss of clamped groups",
            "spread": "half the squared difference from the group's mean",
        }

    def traverse(self, x, num=_STEPS, reach=_DEVIATIONS, around=None):
        """E(x | z) along each factor's latent variable, all others being those of x.

        A variable goes by even steps from `reach` standard deviations below the mean, of its posterior means
        over `around`, to as many above it.

        Args:
          x: `[batch, *event_shape]`.
          num: Number of steps.
          reach: How far, in standard deviations.
          around: x whose posterior means tell mean and deviation; None for those of the prior, 0 and 1.

        Returns:
          float32 `[batch, factors, num, *event_shape]`.
        """
        z = self.encode(x)[0]
        center, deviation = tf.zeros([self.latent_size]), tf.ones([self.latent_size])
        if around is not None:
            means = self.encode(around)[0]
            center, deviation = tf.reduce_mean(means, axis=0), tf.math.reduce_std(means, axis=0)
        at = center[:, None] + deviation[:, None] * tf.linspace(-reach, reach, num)  # [latent_size, num]
        moved = tf.eye(len(self.factors), self.latent_size)[:, None]  # [factors, 1, latent_size]
        paths = z[:, None, None] * (1.0 - moved) + tf.transpose(at) * moved
        means = self.decode(tf.reshape(paths, [-1, self.latent_size]))
        return tf.reshape(means, [len(x), len(self.factors), num, *self.event_shape])

    def test_metrics(self, data, seed):
        """The base's and, of several factors that the data hold, the `changes` by their latent variables."""
        found = super().test_metrics(data, seed)
        factors, several = data.test.field("factors"), len(self.factors) > 1 and len(data.validation)
        if factors is None or factors.shape[1:] != (len(self.factors),) or not several:
            return found
        changed, fit = self.changes(data)
        kind = "change of the factor by its latent variable / mean change of the others, by kernel regressors"
        for k, name in enumerate(self.factors):
            ratio = changed[k, k] / np.mean(np.delete(changed[k], k))
            found[f"{name}_ratio"] = {"value": float(ratio), "kind": f"{kind} (R^2 {fit[k]:.2f})"}
        return found

    def changes(self, data):
        """How much each factor changes as each factor's latent variable is moved.

        Regressors from pictures to factors, fitted to training and test examples (kernel ridge regression),
        read the factors off traversals of test examples. A change is the standard deviation of what is read
        along a traversal, its mean over the examples, in standard deviations of the factor over the data.

        Args:
          data: A `tfgen.data.Data` whose examples have the field "factors", `[N, factors]`.

        Returns:
          float `[factors, factors]`: the k-th row is of moving the k-th latent variable; and R^2 of the
          regressors on the validation examples, `[factors]`.
        """
        from sklearn.kernel_ridge import KernelRidge
        from sklearn.metrics import r2_score

        def rows(x):
            return np.reshape(x, [len(x), -1])

        def floats(split):
            return self.space.from_data(split.x, data, tf.constant([0, 0])).numpy()

        x = np.concatenate([floats(data.train), floats(data.test)])
        factors = np.concatenate([data.train.field("factors"), data.test.field("factors")])
        kept = np.linspace(0, len(x) - 1, min(len(x), _FITTED)).astype(int)
        low, high = x.min(), x.max()
        regressor = KernelRidge(**_RIDGE).fit((rows(x[kept]) - low) / (high - low), factors[kept])

        def read(x):
            return regressor.predict((rows(x) - low) / (high - low))

        fit = r2_score(
            data.validation.field("factors"), read(floats(data.validation)), multioutput="raw_values"
        )
        test = floats(data.test)
        paths = self.traverse(test[:_MOVED], around=test).numpy()
        found = read(paths.reshape(-1, *self.event_shape)).reshape(*paths.shape[:3], -1)
        return found.std(axis=2).mean(axis=0) / factors.std(axis=0), fit

    def views(self, data, num, seed):
        """Adds "traversals": a test example, and what moving each factor's latent variable makes of it."""
        shown = super().views(data, num, seed)
        if data is None or self.kind != "image":
            return shown
        x = self.space.from_data(data.test.x[:1000], data, seed)
        paths = self.traverse(x[:1], around=x)[0]
        first = tf.repeat(x[:1][None], len(self.factors), axis=0)
        steps = np.linspace(-_DEVIATIONS, _DEVIATIONS, _STEPS)
        title = "a test example, and E(x | z) as one z moves"
        heads = ["data", *(f"{step:.1f}" for step in steps)]
        shown["traversals"] = View(tf.concat([first, paths], axis=1), "rows", self.factors, title, heads)
        return shown


def group_mean(values, group):
    """Mean over the rows of each row's group, `[batch, n]`.

    Args:
      values: float32 `[batch, n]`.
      group: int32 `[batch]`, equal for rows of one group.
    """
    same = tf.cast(group[:, None] == group, tf.float32)
    return same @ values / tf.reduce_sum(same, axis=1, keepdims=True)
