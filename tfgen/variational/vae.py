"""Variational autoencoder."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import draw, draws_are_ours
from tfgen.estimators.importance import importance_bound, seeds_of
from tfgen.model import GenerativeModel, Signature, Update, View
from tfgen.networks.default import default_decoder, default_encoder
from tfgen.variational.distributions import (
    checked_distributions,
    make_likelihood,
    make_posterior,
    make_prior,
)
from tfgen.variational.report import count_varying, manifold_view, report_terms, report_views

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class VAE(GenerativeModel):
    """Variational autoencoder: p(x) = E over p(z) of p(x | z), trained on a bound of log p(x) by q(z | x).

    objective="elbo": E_q log p(x | z) - beta KL(q(z | x) || p(z)), KL in closed form where TFP has
    it (built-in posteriors against the normal prior), otherwise from the samples of z.
    objective="iwae": log (1/K) sum_k p(x, z_k) / q(z_k | x), K = num_samples.

    Where a distribution or network of the user's own takes part, XLA is left off by default.

    Args:
      event_shape: Shape of one x.
      latent_size: Number of latent variables.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder; () is affine.
      network: "mlp", or "conv" for images.
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      likelihood: p(x | z): "bernoulli", "gaussian" (a learned variance for each entry),
        "discretized_logistic", or a registered function of the decoder's output `[...,
        *event_shape, likelihood_size]` to a TFP distribution.
      num_values: Number of levels of the data; None takes 2 for Bernoulli and 256 for discretized logistic.
        For a likelihood of one's own None makes x real; Gaussian takes any data as real values.
      likelihood_size: Outputs of the decoder for each entry of x, for a likelihood of one's own.
      prior: p(z): "normal", "mixture" (10 learned Gaussians), "flow" (4 affine couplings), a
        registered function of latent_size to a TFP distribution, or a Keras layer, built on
        `(None, latent_size)`, whose `distribution()` returns one.
      posterior: q(z | x): "diagonal" or "full" covariance, or a registered function of the
        encoder's output `[..., posterior_size]` to a reparameterized TFP distribution.
      posterior_size: Size of the encoder's output, for a posterior of one's own.
      objective: "elbo" or "iwae".
      num_samples: Samples of z for each x in training.
      beta: Weight of the KL term.
      beta_warmup: Steps over which beta rises linearly from 0.
      free_bits: Nats of KL that each latent variable may use free of charge, on the batch's
        average; for posterior "diagonal" and prior "normal".
      encoder: A Keras layer from x, levels scaled to [-1, 1], to the posterior's raw parameters.
      decoder: A Keras layer from z to the likelihood's raw parameters.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kingma & Welling, "Auto-encoding variational Bayes", 2013, arXiv:1312.6114. Rezende, Mohamed
      & Wierstra, 2014, arXiv:1401.4082. IWAE and active units: Burda, Grosse & Salakhutdinov,
      2015, arXiv:1509.00519. beta: Higgins et al., 2017. Warm-up: Bowman et al., 2015,
      arXiv:1511.06349. Free bits: Kingma et al., 2016, arXiv:1606.04934.
    """

    density = "lower_bound"

    def __init__(
        self,
        event_shape,
        latent_size=16,
        hidden=(512,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        likelihood="bernoulli",
        num_values: int | None = None,
        likelihood_size: int | None = None,
        prior="normal",
        posterior="diagonal",
        posterior_size: int | None = None,
        objective="elbo",
        num_samples=1,
        beta=1.0,
        beta_warmup=0,
        free_bits=0.0,
        encoder: keras.layers.Layer | None = None,
        decoder: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.latent_size = checks.whole("latent_size", latent_size)
        self.num_samples = checks.whole("num_samples", num_samples)
        self.bound = checks.one_of("objective", objective, ("elbo", "iwae"))
        self.beta = checks.number("beta", beta, at_least=0)
        self.beta_warmup = checks.whole("beta_warmup", beta_warmup, at_least=0)
        self.free_bits = checks.number("free_bits", free_bits, at_least=0)
        if self.free_bits and (posterior, prior) != ("diagonal", "normal"):
            raise ValueError(
                f"free_bits={free_bits} needs posterior='diagonal' and prior='normal', where the KL is a sum "
                "over latent variables: leave it at 0."
            )
        if self.bound == "iwae" and (beta, beta_warmup, free_bits) != (1, 0, 0):
            raise ValueError(
                f"objective='iwae' has no KL term to weigh, got beta={beta}, beta_warmup={beta_warmup} and "
                f"free_bits={free_bits}: leave them at 1, 0 and 0."
            )
        self._law, size, self.num_values = make_likelihood(likelihood, num_values, likelihood_size)
        self.values = "real" if self.num_values is None else "levels"
        self._posterior, code = make_posterior(posterior, self.latent_size, posterior_size)
        self._prior = make_prior(prior, self.latent_size)
        options = (hidden, filters, activation, self.dtype_policy)
        self.encoder = encoder or default_encoder(network, self.event_shape, code, *options)
        outputs = (*self.event_shape, size)
        self.decoder = decoder or default_decoder(network, self.latent_size, outputs, *options)
        ours = all(draws_are_ours(distribution) for distribution in checked_distributions(self))
        self.jit_updates = ours and network == "mlp" and encoder is decoder is None

    def prior(self):
        """p(z), a TFP distribution over `[latent_size]`."""
        if isinstance(self._prior, keras.layers.Layer):
            return self._prior.distribution()
        return self._prior(self.latent_size)

    def posterior(self, x):
        """q(z | x), a TFP distribution over z for each x of `[batch, *event_shape]`."""
        x = tf.convert_to_tensor(x, tf.float32)
        if self.values == "levels":
            x = x * (2.0 / (self.num_values - 1)) - 1.0
        return self._posterior(tf.cast(self.encoder(x), tf.float32))

    def likelihood(self, z):
        """p(x | z), a TFP distribution over x for each z of `[..., latent_size]`."""
        z = tf.convert_to_tensor(z, tf.float32)
        raw = tf.cast(self.decoder(tf.reshape(z, [-1, self.latent_size])), tf.float32)
        size = math.prod(raw.shape[1:]) // math.prod(self.event_shape)
        entries = [*self.event_shape, size]
        distribution = self._law(tf.reshape(raw, tf.concat([tf.shape(z)[:-1], entries], axis=0)))
        apart = len(self.event_shape) - distribution.event_shape.rank
        return tfd.Independent(distribution, apart) if apart else distribution

    @property
    def quantities(self):
        """Quantities of the curves of a training; a weighed KL makes the loss no bound of -log p(x)."""
        measured = {
            "reconstruction": "reconstruction -log p(x | z) [nats]",
            "kl": "KL(q(z | x) || p(z)) [nats]",
        }
        weighed = (self.beta, self.beta_warmup, self.free_bits) != (1, 0, 0)
        return measured | ({"vae/loss": "weighed loss [nats]"} if weighed else {})

    def updates(self):
        """One gradient step on the negative bound."""
        return [Update("vae", self.objective, self.trainable_variables)]

    def beta_at(self, step):
        """Weight of the KL term at a step: beta min(1, step / beta_warmup)."""
        rise = tf.cast(step, tf.float32) / self.beta_warmup if self.beta_warmup else 1.0
        return self.beta * tf.minimum(1.0, rise)

    def objective(self, batch, seed, step):
        """The negative of the bound that is trained; as `Update`.

        "elbo": -E_q log p(x | z) + beta KL(q(z | x) || p(z)), with free bits sum_j max(free_bits, KL_j).
        "iwae": -log (1/K) sum_k p(x, z_k) / q(z_k | x).
        """
        q, terms = self._posterior_and_terms(batch["x"], seed)
        if self.bound == "iwae":
            return terms["loss"], terms
        beta = self.beta_at(step)
        charged = free_bits_kl(q, self.free_bits) if self.free_bits else terms["kl"]
        loss = terms["reconstruction"] + beta * charged
        terms = terms | {"loss": loss}
        return loss, terms | {"beta": beta} if self.beta_warmup else terms

    def terms(self, x, seed):
        """Minus the bound, the ELBO and its parts: averages over the batch in nats, by name.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          seed: int32 `[2]`, of `num_samples` samples of z for each x.
        """
        return self._posterior_and_terms(x, seed)[1]

    def _posterior_and_terms(self, x, seed):
        q = self.posterior(x)
        p = self.prior()
        z = draw(q, seed, [self.num_samples])  # [K, B, latent_size]
        likelihood = self.likelihood(z)
        reconstruction = -tf.reduce_mean(likelihood.log_prob(x))
        if self.bound == "iwae":
            log_w = log_weights(x, z, q, p, likelihood)  # [K, B]
            bounds = tf.reduce_logsumexp(log_w, axis=0) - math.log(self.num_samples)
            loss = -tf.reduce_mean(bounds)
            elbo = tf.reduce_mean(log_w)
            divergence = -elbo - reconstruction
        else:
            divergence = tf.reduce_mean(kl(q, p, z))
            loss = reconstruction + divergence
            elbo = -loss
        return q, {"loss": loss, "elbo": elbo, "reconstruction": reconstruction, "kl": divergence}

    def validation_metrics(self, batch, seed):
        """Minus the bound that is trained (beta and free bits left out), the ELBO and its parts.

        Args:
          batch: Dict with "x".
          seed: int32 `[2]`.
        """
        return self.terms(batch["x"], seed)

    def test_metrics(self, data, seed):
        """The ELBO's parts and the active units on a data set's test split."""
        return report_terms(self, data, seed)

    def score(self, x, num_samples=1, seed=0):
        """A lower bound of log p(x): the log of the mean of `num_samples` importance weights.

        In expectation it rises with `num_samples` towards log p(x); with one it is the ELBO. The
        noise is derived from `seed` and from the values of each x, so that the bound of an x is
        the same in any batch.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          num_samples: Importance samples for each x.
          seed: Python int or int32 `[2]`.

        Returns:
          float32 `[batch]`, in nats.
        """
        return self._importance_bound(x, num_samples, seed).bound

    def importance_bound(self, x, num_samples=1, seed=0):
        """`log_prob` with its Monte Carlo standard error and effective sample size."""
        return self._importance_bound(self.space.check(x), num_samples, seed)

    def _importance_bound(self, x, num_samples, seed):
        q = self.posterior(x)
        p = self.prior()

        def log_w(seeds):
            z = draw(q, seeds, tf.shape(seeds)[:1])
            return log_weights(x, z, q, p, self.likelihood(z))

        # 128 x of this size and one chunk of samples: some 64 MB for a layer as large as x.
        chunk = min(128, max(1, 2**17 // math.prod(self.event_shape)))
        return importance_bound(log_w, seeds_of(x, random.as_seed(seed)), num_samples, chunk)

    def active_units(self, x, threshold=0.01):
        """How many latent variables' posterior means vary over x by more than `threshold`.

        Args:
          x: `[num, *event_shape]`, enough of the data for a variance.
          threshold: Of the variance.

        Returns:
          int32 scalar.
        """
        return count_varying(self.encode(x)[0], threshold)

    def encode(self, x):
        """Mean and standard deviation of q(z | x), each float32 `[batch, latent_size]`."""
        q = self.posterior(self.space.check(x))
        return q.mean(), q.stddev()

    def decode(self, z):
        """Mean of p(x | z), float32 `[batch, *event_shape]`, for z `[batch, latent_size]`.

        Raises:
          ValueError: If the shape of z does not fit.
        """
        z = tf.cast(tf.convert_to_tensor(z), tf.float32)
        if z.shape.rank != 2 or not z.shape[1:].is_compatible_with([self.latent_size]):
            raise ValueError(f"z must have shape [batch, {self.latent_size}], got {z.shape}.")
        return self.likelihood(z).mean()

    def reconstruct(self, x):
        """`decode` of the mean of q(z | x), float32 `[batch, *event_shape]`."""
        return self.decode(self.encode(x)[0])

    def sample_rows(self, seeds, temperature=1.0):
        """Draws z from the prior and x from its likelihood.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Multiplies the noise of both draws: the prior's standard deviation, the
            inverse log odds of Bernoullis. 0 is the mode of p(x | z) at the prior's center.

        Returns:
          float32 `[num, *event_shape]`.
        """
        latent, observed = random.split(seeds)
        z = draw(self.prior(), latent, tf.shape(seeds)[:1], temperature)
        x = draw(self.likelihood(z), observed, temperature=temperature)
        return tf.cast(x, tf.float32)

    def mean_rows(self, seeds, temperature=1.0):
        """E(x | z) for the z behind `sample_rows(seeds)`: what pictures of VAEs show.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Multiplies the noise of z.

        Returns:
          float32 `[num, *event_shape]`.
        """
        latent, _ = random.split(seeds)
        return self.decode(draw(self.prior(), latent, tf.shape(seeds)[:1], temperature))

    def views(self, data, num, seed):
        """Means behind samples, reconstructions, interpolations; of two latent variables their plane.

        "mean" are those behind samples of the same seed. "reconstructions" and "interpolations" are of test
        examples: a path goes by even steps from the posterior mean of one to that of another. Of two latent
        variables "manifold" is E(x | z) on a lattice of quantiles of a standard normal, and "latent" the
        posterior means by class.

        Args:
          data: A `tfgen.data.Data`, or None for the means and the manifold alone.
          num: How many means.
          seed: int32 [2].
        """
        mean = self.mean_rows(random.rows(seed, num))
        shown = {"mean": View(mean, title="means E(x | z) behind the samples")}
        if data is not None:
            shown |= report_views(self, data, num, seed)
        if self.latent_size == 2 and self.kind == "image":
            shown["manifold"] = manifold_view(self)
        return shown

    def signatures(self):
        """The base's (sample, elbo, serving_default), encode, decode and reconstruct."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        z = tf.TensorSpec([None, self.latent_size], tf.float32, name="z")

        def encode(x):
            return dict(zip(("mean", "stddev"), self.encode(x), strict=True))

        return super().signatures() | {
            "encode": Signature(encode, {"x": x}),
            "decode": Signature(lambda z: {"x": self.decode(z)}, {"z": z}),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, {"x": x}),
        }


def log_weights(x, z, posterior, prior, likelihood):
    """log p(x | z) + log p(z) - log q(z | x), whose mean is the ELBO and whose log-mean-exp IWAE's.

    Args:
      x: `[batch, *event_shape]`.
      z: `[K, batch, latent_size]`.
      posterior: q(z | x), batch_shape `[batch]`.
      prior: p(z), batch_shape `[]` or `[batch]`.
      likelihood: p(x | z), batch_shape `[K, batch]`.

    Returns:
      float32 `[K, batch]`, in nats.
    """
    return likelihood.log_prob(x) + prior.log_prob(z) - posterior.log_prob(z)


def kl(posterior, prior, z):
    """KL(q(z | x) || p(z)): in closed form where TFP has it, else the average over the samples z.

    Args:
      posterior: q(z | x), batch_shape `[batch]`.
      prior: p(z), batch_shape `[]` or `[batch]`.
      z: Samples of q, `[K, batch, latent_size]`.

    Returns:
      float32 `[batch]`, in nats.
    """
    try:
        return tfp.distributions.kl_divergence(posterior, prior)
    except NotImplementedError:
        return tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z), axis=0)


def free_bits_kl(posterior, free):
    """sum_j max(free, mean over the batch of KL(q(z_j | x) || N(0, 1))), a scalar.

    Args:
      posterior: A normal distribution with independent entries, batch_shape `[batch]`.
      free: Nats that each latent variable may use free of charge.

    References:
      Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016,
      arXiv:1606.04934, equation 15.
    """
    normal = tfp.distributions.Normal
    each = tfp.distributions.kl_divergence(normal(posterior.mean(), posterior.stddev()), normal(0.0, 1.0))
    return tf.reduce_sum(tf.maximum(free, tf.reduce_mean(each, axis=0)))
