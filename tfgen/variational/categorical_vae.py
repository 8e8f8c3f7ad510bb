"""Variational autoencoder with categorical latent variables."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import draw
from tfgen.distributions.relaxed import relaxed
from tfgen.estimators.gradients import LearnedBaseline, score_function, straight_through
from tfgen.model import Update, View
from tfgen.networks.default import default_decoder, default_encoder
from tfgen.variational.distributions import make_likelihood, values_under
from tfgen.variational.latent_variable import LatentVariableModel

tfd = tfp.distributions

# Variables and categories of a picture of what they change.
_VARIABLES, _CATEGORIES = 10, 16


@keras.saving.register_keras_serializable("tfgen")
class CategoricalVAE(LatentVariableModel):
    """Variational autoencoder of categorical latent variables: z is one-hot vectors `[latents, categories]`.

    p(z) is uniform, q(z | x) = prod_n Categorical(z_n; softmax(f_n(x))), x ~ p(x | z) by a decoder. What is
    maximized is E_q log p(x | z) - KL(q(z | x) || p(z)), the KL in closed form; the gradient of the first
    term:

    estimator="gumbel": that of E log p(x | z~), z~ = softmax((f(x) + g) / t) with Gumbel noise g in the place
    of z. The gradient of another bound, that of relaxed codes, which comes to this one's as t falls, and
    varies more.
    estimator="straight_through": z forward, the gradient of z~ backward; biased at any t.
    estimator="score_function": log p(x | z) weighs grad log q(z | x), less a learned baseline of x; unbiased.

    The temperature at a step is max(min_temperature, start_temperature exp(-temperature_decay step)). Bounds,
    codes and samples are those of the categorical z.

    Args:
      event_shape: Shape of one x.
      num_latents: Number of categorical variables.
      num_categories: Categories of each.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder; () is affine.
      network: "mlp", or "conv" for images.
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      likelihood: p(x | z), as for `VAE`.
      num_values: Number of levels of the data; None takes the likelihood's own.
      estimator: "gumbel", "straight_through" or "score_function".
      start_temperature: Of the relaxation at the first step.
      min_temperature: Least temperature.
      temperature_decay: By how much the logarithm of the temperature falls in a step.
      num_samples: Samples of z for each x in training.
      beta: Weight of the KL term.
      beta_warmup: Steps over which beta rises linearly from 0.
      name: Keras name.
      dtype: Keras dtype policy.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", 2016, arXiv:1611.01144.
      Maddison, Mnih & Teh, "The concrete distribution", 2016, arXiv:1611.00712. Baseline: Mnih & Gregor,
      2014, arXiv:1402.0030.
    """

    def __init__(
        self,
        event_shape,
        num_latents=20,
        num_categories=10,
        hidden=(512,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        likelihood="bernoulli",
        num_values: int | None = None,
        estimator="gumbel",
        start_temperature=1.0,
        min_temperature=0.5,
        temperature_decay=3e-5,
        num_samples=1,
        beta=1.0,
        beta_warmup=0,
        name=None,
        dtype=None,
    ):
        super().__init__(
            event_shape,
            num_samples=num_samples,
            beta=beta,
            beta_warmup=beta_warmup,
            name=name,
            dtype=dtype,
        )
        self.latent_shape = (
            checks.whole("num_latents", num_latents),
            checks.whole("num_categories", num_categories, at_least=2),
        )
        self.estimator = checks.one_of(
            "estimator", estimator, ("gumbel", "straight_through", "score_function")
        )
        self.start_temperature = checks.number("start_temperature", start_temperature, above=0)
        self.min_temperature = checks.number("min_temperature", min_temperature, above=0)
        self.temperature_decay = checks.number("temperature_decay", temperature_decay, at_least=0)
        self._law, size, self.num_values = make_likelihood(likelihood, num_values)
        self.values = values_under(self._law, self.num_values)
        code = math.prod(self.latent_shape)
        options = (hidden, filters, activation, self.dtype_policy)
        self.encoder = default_encoder(network, self.event_shape, code, *options)
        self.decoder = default_decoder(network, code, (*self.event_shape, size), *options)
        self.baseline = None
        if estimator == "score_function":
            self.baseline = LearnedBaseline(math.prod(self.event_shape), name="baseline")
        self.jit_updates = network == "mlp"

    def prior(self, condition=None):
        """p(z), uniform over one-hot vectors `[latents, categories]`."""
        del condition
        return tfd.Independent(tfd.OneHotCategorical(tf.zeros(self.latent_shape), dtype=tf.float32), 1)

    def posterior(self, x, condition=None):
        """q(z | x), categorical variables that are independent given x."""
        del condition
        logits = tf.reshape(tf.cast(self.encoder(self.read(x)), tf.float32), [-1, *self.latent_shape])
        return tfd.Independent(tfd.OneHotCategorical(logits, dtype=tf.float32), 1)

    def likelihood(self, z, condition=None):
        """p(x | z), of one-hot or relaxed z `[..., latents, categories]`."""
        del condition
        z = tf.convert_to_tensor(z, tf.float32)
        raw = tf.cast(self.decoder(tf.reshape(z, [-1, math.prod(self.latent_shape)])), tf.float32)
        raw = tf.reshape(raw, tf.concat([tf.shape(z)[:-2], raw.shape[1:]], axis=0))
        distribution = self._law(tf.ensure_shape(raw, [*z.shape[:-2], *raw.shape[z.shape.rank - 2 :]]))
        return tfd.Independent(distribution, len(self.event_shape) - distribution.event_shape.rank)

    def read(self, x):
        """x as encoder and baseline read it, levels scaled to [-1, 1]."""
        x = tf.convert_to_tensor(x, tf.float32)
        return x * (2.0 / (self.num_values - 1)) - 1.0 if self.values == "levels" else x

    def temperature_at(self, step):
        """Temperature of the relaxation at a step."""
        fallen = self.start_temperature * tf.exp(-self.temperature_decay * tf.cast(step, tf.float32))
        return tf.maximum(fallen, self.min_temperature)

    def updates(self):
        """One gradient step by the chosen estimator."""
        if self.estimator == "score_function":
            moved = [*self.trainable_variables, *self.baseline.non_trainable_variables]
            return [Update("vae", self.by_score_function, moved, surrogate=True)]
        surrogate = self.estimator == "straight_through"
        return [Update("vae", self.by_relaxation, self.trainable_variables, surrogate=surrogate)]

    def by_relaxation(self, batch, seed, step):
        """Minus the bound at relaxed z, or at one-hot z with their gradient; as `Update`."""
        x, q, temperature = batch["x"], self.posterior(batch["x"]), self.temperature_at(step)
        z = draw(relaxed(q, temperature), seed, [self.num_samples])
        if self.estimator == "straight_through":
            z = straight_through(tf.one_hot(tf.argmax(z, axis=-1), self.latent_shape[-1]), z)
        reconstruction = -tf.reduce_mean(self.likelihood(z).log_prob(x))
        loss, terms = self._weighed(reconstruction, q, step)
        return loss, terms | {"temperature": temperature}

    def by_score_function(self, batch, seed, step):
        """Minus the bound, its first term by the score function with a learned baseline; as `Update`."""
        drawn = self.drawn(batch["x"], seed)
        inputs = tf.reshape(self.read(drawn.x), [-1, math.prod(self.event_shape)])
        signal, fit = self.baseline.centered(drawn.log_likelihood, inputs)
        reconstruction = score_function(drawn.log_likelihood, drawn.log_q, signal)
        loss, terms = self._weighed(reconstruction, drawn.posterior, step)
        return loss + fit, terms

    def _weighed(self, reconstruction, q, step):
        """The loss, its KL weighed, and its parts by name."""
        kl = tf.reduce_mean(tfd.kl_divergence(q, self.prior()))
        terms = {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        return reconstruction + self.beta_at(step) * kl, terms

    @property
    def quantities(self):
        """Quantities of the curves of a training; of relaxed z the loss is no bound of -log p(x)."""
        loss = "loss at relaxed z [nats]" if self.estimator == "gumbel" else "loss [nats]"
        return super().quantities | {"vae/loss": loss, "temperature": "temperature"}

    def views(self, data, num, seed):
        """Adds E(x | z) as each variable of a sample of z takes all its categories in turn."""
        shown = super().views(data, num, seed)
        if self.kind == "image":
            variables, categories = (
                min(size, most)
                for size, most in zip(self.latent_shape, (_VARIABLES, _CATEGORIES), strict=True)
            )
            z = self.draw_prior(random.rows(seed, 1))
            which = tf.one_hot(tf.range(variables), self.latent_shape[0])[:, None, :, None]
            value = tf.one_hot(tf.range(categories), self.latent_shape[1])[None, :, None, :]
            changed = z * (1.0 - which) + which * value  # [variables, categories, latents, categories]
            x = self.likelihood(changed).mean()
            words = [f"z[{i}]" for i in range(variables)]
            title = "means E(x | z): each variable of one z in all its categories"
            heads = [str(i) for i in range(categories)]
            shown["categories"] = View(x, "rows", words, title, heads)
        return shown
