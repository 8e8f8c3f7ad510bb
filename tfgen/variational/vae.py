"""Variational autoencoder."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random
from tfgen.distributions.draw import draw, draws_are_ours
from tfgen.distributions.heads import likelihood_head, posterior_head
from tfgen.estimators.importance import importance_bound, seeds_of
from tfgen.model import GenerativeModel, Signature, Update
from tfgen.networks.default import default_decoder, default_encoder
from tfgen.variational.bounds import free_bits_kl, kl, log_weights
from tfgen.variational.priors import make_prior

tfd = tfp.distributions
_TEST_BATCH = 250


@keras.saving.register_keras_serializable("tfgen")
class VAE(GenerativeModel):
    """p(x) = E over p(z) of p(x | z), trained with an encoder q(z | x) on a bound of log p(x).

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
        self.latent_size, self.num_samples, self.objective = latent_size, num_samples, objective
        self.beta, self.beta_warmup, self.free_bits = beta, beta_warmup, free_bits
        self._check(posterior, prior)
        self._likelihood, size, levels = likelihood_head(likelihood, num_values, likelihood_size)
        self.values, self.num_values = ("real" if levels is None else "levels"), levels
        self._posterior, code = posterior_head(posterior, latent_size, posterior_size)
        self._prior = make_prior(prior, latent_size)
        options = (hidden, filters, activation, self.dtype_policy)
        self.encoder = encoder or default_encoder(network, self.event_shape, code, *options)
        outputs = (*self.event_shape, size)
        self.decoder = decoder or default_decoder(network, latent_size, outputs, *options)
        self.jit_updates = self._draws_are_ours() and network == "mlp" and encoder is decoder is None

    def _check(self, posterior, prior):
        weights = {name: getattr(self, name) for name in ("beta", "beta_warmup", "free_bits")}
        for name, value in {"latent_size": self.latent_size, "num_samples": self.num_samples}.items():
            if value < 1:
                raise ValueError(f"{name} must be positive, got {value}.")
        for name, value in weights.items():
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, got {value}.")
        if self.objective not in ("elbo", "iwae"):
            raise ValueError(f"objective must be 'elbo' or 'iwae', got {self.objective!r}.")
        if self.free_bits and (posterior, prior) != ("diagonal", "normal"):
            raise ValueError(
                f"free_bits={self.free_bits} needs posterior='diagonal' and prior='normal', where the KL is "
                "a sum over latent variables: leave it at 0."
            )
        if self.objective == "iwae" and tuple(weights.values()) != (1, 0, 0):
            raise ValueError(
                f"objective='iwae' has no KL term to weigh, got {weights}: leave them at 1, 0, 0."
            )

    def _draws_are_ours(self):
        """Whether no distribution needs TFP's own sampler; raises if the parts do not fit."""
        x, z = tf.zeros([1, *self.event_shape]), tf.zeros([1, self.latent_size])
        parts = {
            "prior": (self.prior(), (), (self.latent_size,)),
            "posterior": (self.posterior(x), (1,), (self.latent_size,)),
            "likelihood": (self.likelihood(z), (1,), self.event_shape),
        }
        for name, (found, batch, event) in parts.items():
            if (found.batch_shape, found.event_shape) != (batch, event):
                raise ValueError(
                    f"{name} must have batch_shape {batch} and event_shape {event} for one x, got "
                    f"{found.batch_shape} and {found.event_shape}."
                )
        if parts["posterior"][0].reparameterization_type != tfd.FULLY_REPARAMETERIZED:
            raise ValueError(
                f"posterior must be reparameterized, got {parts['posterior'][0].name}: gradients "
                "through its samples would be wrong."
            )
        return all(draws_are_ours(found) for found, _, _ in parts.values())

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
        distribution = self._likelihood(tf.reshape(raw, tf.concat([tf.shape(z)[:-1], entries], axis=0)))
        apart = len(self.event_shape) - distribution.event_shape.rank
        return tfd.Independent(distribution, apart) if apart else distribution

    def updates(self):
        """One gradient step on the negative bound."""
        return [Update("vae", self._objective, self.trainable_variables)]

    def beta_at(self, step):
        """Weight of the KL term at a step: beta min(1, step / beta_warmup)."""
        rise = tf.cast(step, tf.float32) / self.beta_warmup if self.beta_warmup else 1.0
        return self.beta * tf.minimum(1.0, rise)

    def _objective(self, batch, seed, step):
        q, terms = self._terms(batch["x"], seed)
        if self.objective == "iwae":
            return terms["loss"], terms
        beta = self.beta_at(step)
        charged = free_bits_kl(q, self.free_bits) if self.free_bits else terms["kl"]
        loss = terms["reconstruction"] + beta * charged
        return loss, terms | {"loss": loss} | ({"beta": beta} if self.beta_warmup else {})

    def _terms(self, x, seed):
        """q(z | x), and batch averages in nats from `num_samples` samples of z for each x."""
        q, p = self.posterior(x), self.prior()
        z = draw(q, seed, [self.num_samples])  # [K, B, latent_size]
        likelihood = self.likelihood(z)
        reconstruction = -tf.reduce_mean(likelihood.log_prob(x))
        if self.objective == "iwae":
            log_w = log_weights(x, z, q, p, likelihood)  # [K, B]
            bounds = tf.reduce_logsumexp(log_w, axis=0) - math.log(self.num_samples)
            loss, elbo = -tf.reduce_mean(bounds), tf.reduce_mean(log_w)
            divergence = -elbo - reconstruction
        else:
            divergence = tf.reduce_mean(kl(q, p, z))
            loss = reconstruction + divergence
            elbo = -loss
        terms = {"loss": loss, "elbo": elbo, "reconstruction": reconstruction, "kl": divergence}
        return q, terms

    def validation_metrics(self, batch, seed):
        """Minus the bound that is trained (beta and free bits left out), the ELBO and its parts.

        Args:
          batch: Dict with "x".
          seed: int32 `[2]`.
        """
        return self._terms(batch["x"], seed)[1]

    def test_metrics(self, data, seed):
        """The ELBO's parts and the active units on a data set's test split."""

        def measure(x, seed):
            return self._terms(x, seed)[1], self.encode(x)[0]

        measure, size = tf.function(measure, autograph=False, reduce_retracing=True), len(data.test.x)
        totals, means = dict.fromkeys(("elbo", "reconstruction", "kl"), 0.0), []
        for start in range(0, size, _TEST_BATCH):
            rows = data.test.x[start : start + _TEST_BATCH]
            for_data, for_z = random.split(random.fold_in(seed, start))
            terms, mean = measure(self.space.from_data(rows, data, for_data), for_z)
            totals = {k: t + float(terms[k]) * len(rows) / size for k, t in totals.items()}
            means.append(mean)
        kind = f"nats, {self.num_samples} samples of z for each x, mean over the test split"
        active = int(_count_varying(tf.concat(means, axis=0)))
        units = {"value": active, "kind": "latent variables whose posterior mean has a variance over 0.01"}
        return {k: {"value": v, "kind": kind} for k, v in totals.items()} | {"active_units": units}

    def log_prob(self, x, condition=None, num_samples=1, seed=0):
        """A lower bound of log p(x): the log of the mean of `num_samples` importance weights.

        In expectation it rises with `num_samples` towards log p(x); with one it is the ELBO. The
        noise is derived from `seed` and from the values of each x, so that the bound of an x is
        the same in any batch.

        Args:
          x: `[batch, *event_shape]`.
          condition: None.
          num_samples: Importance samples for each x.
          seed: Python int or int32 `[2]`.

        Returns:
          float32 `[batch]`, in nats.

        Raises:
          ValueError: If an argument does not fit.
        """
        return super().log_prob(x, condition, num_samples=num_samples, seed=seed)

    def score(self, x, num_samples=1, seed=0):
        """`log_prob` of a checked x."""
        return self._importance_bound(x, num_samples, seed).bound

    def importance_bound(self, x, num_samples=1, seed=0):
        """`log_prob` with its Monte Carlo standard error and effective sample size."""
        return self._importance_bound(self.space.check(x), num_samples, seed)

    def _importance_bound(self, x, num_samples, seed):
        q, p = self.posterior(x), self.prior()

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
        return _count_varying(self.encode(x)[0], threshold)

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


def _count_varying(means, threshold=0.01):
    return tf.reduce_sum(tf.cast(tf.math.reduce_variance(means, axis=0) > threshold, tf.int32))
