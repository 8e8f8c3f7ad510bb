"""Latent variable models: p(x, z) and q(z | x) as TFP distributions, and all that follows from the two.

An objective is a function of p(x, z) and q(z | x) at samples of z (`Drawn`). How it is differentiated is the
matter of an estimator: by reparameterization here, by `tfgen.estimators` where z is discrete.
"""

import abc
import dataclasses
import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import DrawsItself, draw, draw_and_log_prob
from tfgen.estimators.aggregate import decompose_kl, mmd
from tfgen.estimators.importance import importance_bound, seeds_of
from tfgen.estimators.path_gradient import ScaledGradient, doubly_reparameterized_factor, path_log_prob
from tfgen.model import GenerativeModel, Signature, Update, View
from tfgen.variational.report import count_varying, label_view, manifold_view, report_terms, report_views

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Drawn:
    """p(x, z) and q(z | x) at samples of z: what an objective is a function of.

    Args:
      x: `[batch, *event_shape]`.
      z: Samples of q, `[samples, batch, ...]`, or a nest of such.
      prior: p(z), batch_shape `[]` or `[batch]`.
      posterior: q(z | x), batch_shape `[batch]`. Where z is drawn step by step, prior and posterior are the
        products of p(z_t | z_<t) and of q(z_t | x, z_<t) along each sample's path: `[samples, batch]`.
      likelihood: p(x | z), batch_shape `[samples, batch]`.
      log_q: log q(z | x), `[samples, batch]`.
      log_share: Log of the share of each sample in an expectation, `[samples, batch]`, of samples that were
        taken from each component of a mixture; None where all count alike.
    """

    x: tf.Tensor
    z: object
    prior: tfd.Distribution
    posterior: tfd.Distribution
    likelihood: tfd.Distribution
    log_q: tf.Tensor
    log_share: tf.Tensor | None = None

    @functools.cached_property
    def log_likelihood(self):
        """log p(x | z), `[samples, batch]`."""
        return self.likelihood.log_prob(self.x)

    @functools.cached_property
    def log_prior(self):
        """log p(z), `[samples, batch]`."""
        return self.prior.log_prob(self.z)

    @property
    def log_weights(self):
        """log p(x | z) + log p(z) - log q(z | x): its mean is the ELBO, its log-mean-exp IWAE's bound."""
        return self.log_likelihood + self.log_prior - self.log_q

    def mean(self, values):
        """Expectation over q of `[samples, batch]`: `[batch]`."""
        if self.log_share is None:
            return tf.reduce_mean(values, axis=0)
        return tf.reduce_sum(tf.exp(self.log_share) * values, axis=0)

    def log_mean_exp(self, values, groups=1):
        """log of the expectation over q of exp(values) `[samples, batch]`, by groups: `[groups, batch]`."""
        samples = values.shape[0] // groups
        values = values if self.log_share is None else values + self.log_share
        sums = tf.reduce_logsumexp(tf.reshape(values, [groups, samples, -1]), axis=1)
        return sums - math.log(samples) if self.log_share is None else sums + math.log(groups)

    @functools.cached_property
    def kl(self):
        """KL(q(z | x) || p(z)), `[batch]`: in closed form where TFP has it, else by the samples.

        Along paths it is the mean over them of the sum of each step's, in closed form.
        """
        try:
            each = tfd.kl_divergence(self.posterior, self.prior)
        except NotImplementedError:
            return self.mean(self.log_q - self.log_prior)
        return self.mean(each) if each.shape.rank == 2 else each


class LatentVariableModel(GenerativeModel):
    """Latent variable model p(x) = E over p(z) of p(x | z), with an approximate posterior q(z | x).

    A subclass names the three distributions; objectives, bounds, codes, samples, pictures and signatures
    follow. z is whatever they agree on: a vector, bits, a nest of tensors. With a condition c they are
    p(z | c), q(z | x, c) and p(x | z, c), and take `condition=`.

    Attributes:
      latent_shape: Shape of z where it is one tensor, else None: codes that are read or returned, and paths
        between them, need one.

    Args:
      event_shape: Shape of one x.
      objective: What is minimized. "elbo": -E_q log p(x | z) + beta KL(q(z | x) || p(z)), KL in closed form
        where TFP has it, otherwise from the samples of z. "iwae": -log (1/K) sum_k p(x, z_k) / q(z_k | x).
        "dreg": the same, its gradient for q doubly reparameterized, whose noise does not drown it as K grows.
        "tc": the KL taken apart into information, total correlation (weighed by beta) and marginals. "mmd":
        "elbo" and the distance between q(z), averaged over x, and p(z).
      num_samples: Samples of z for each x in training, K.
      num_groups: Averages so many bounds of K samples each (MIWAE); for "iwae" and "dreg".
      elbo_share: Weight of the ELBO beside the bound of K samples (CIWAE); for "iwae" and "dreg".
      beta: Weight of the KL term; for "tc" of the total correlation.
      beta_warmup: Steps over which beta rises linearly from 0.
      beta_cycle: Steps after which the warm-up begins again; 0 warms up once.
      capacity: Nats C of KL that are asked for, |KL - C| instead of KL; 0 asks for none.
      capacity_warmup: Steps over which C rises linearly from 0.
      free_bits: Nats of KL that each latent variable may use free of charge, on the batch's average; for
        posterior and prior of independent entries.
      information_weight: Weight of I(x; z), for "tc".
      marginal_weight: Weight of sum_j KL(q(z_j) || p(z_j)), for "tc".
      mmd_weight: Weight of the distance, for "mmd".
      mmd_kernel: "imq" (inverse multiquadratics) or "rbf" (Gaussian), for "mmd".
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If arguments do not go together.

    References:
      IWAE and active units: Burda, Grosse & Salakhutdinov, 2015, arXiv:1509.00519. MIWAE and CIWAE: Rainforth
      et al., 2018, arXiv:1802.04537. DReG: Tucker, Lawson, Gu & Maddison, 2018, arXiv:1810.04152. beta:
      Higgins et al., 2017. Capacity: Burgess et al., 2018, arXiv:1804.03599. Warm-up: Bowman et al., 2015,
      arXiv:1511.06349; cyclical: Fu et al., 2019, arXiv:1903.10145. Free bits: Kingma et al., 2016,
      arXiv:1606.04934. Total correlation: Chen, Li, Grosse & Duvenaud, 2018, arXiv:1802.04942. MMD: Zhao,
      Song & Ermon, 2017, arXiv:1706.02262 (InfoVAE); Tolstikhin et al., 2017, arXiv:1711.01558 (WAE).
    """

    density = "lower_bound"
    latent_shape = None

    def __init__(
        self,
        event_shape,
        objective="elbo",
        num_samples=1,
        num_groups=1,
        elbo_share=0.0,
        beta=1.0,
        beta_warmup=0,
        beta_cycle=0,
        capacity=0.0,
        capacity_warmup=0,
        free_bits=0.0,
        information_weight=1.0,
        marginal_weight=1.0,
        mmd_weight=10.0,
        mmd_kernel="imq",
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.bound = checks.one_of("objective", objective, tuple(OBJECTIVES))
        self.num_samples = checks.whole("num_samples", num_samples)
        self.num_groups = checks.whole("num_groups", num_groups)
        self.elbo_share = checks.number("elbo_share", elbo_share, at_least=0, at_most=1)
        self.beta = checks.number("beta", beta, at_least=0)
        self.beta_warmup = checks.whole("beta_warmup", beta_warmup, at_least=0)
        self.beta_cycle = checks.whole("beta_cycle", beta_cycle, at_least=0)
        self.capacity = checks.number("capacity", capacity, at_least=0)
        self.capacity_warmup = checks.whole("capacity_warmup", capacity_warmup, at_least=0)
        self.free_bits = checks.number("free_bits", free_bits, at_least=0)
        self.information_weight = checks.number("information_weight", information_weight, at_least=0)
        self.marginal_weight = checks.number("marginal_weight", marginal_weight, at_least=0)
        self.mmd_weight = checks.number("mmd_weight", mmd_weight, at_least=0)
        self.mmd_kernel = checks.one_of("mmd_kernel", mmd_kernel, ("imq", "rbf"))
        if self.weighted_by_importance and (beta, beta_warmup, free_bits, capacity) != (1, 0, 0, 0):
            raise ValueError(
                f"objective={objective!r} has no KL term to weigh, got beta={beta}, "
                f"beta_warmup={beta_warmup}, free_bits={free_bits} and capacity={capacity}: leave them at "
                "1, 0, 0 and 0."
            )
        if not self.weighted_by_importance and (num_groups, elbo_share) != (1, 0):
            raise ValueError(
                f"objective={objective!r} has no bound of K samples, got num_groups={num_groups} and "
                f"elbo_share={elbo_share}: take objective='iwae', or leave them at 1 and 0."
            )
        for name, of, default in (
            ("information_weight", "tc", 1.0),
            ("marginal_weight", "tc", 1.0),
            ("mmd_weight", "mmd", 10.0),
        ):
            if getattr(self, name) != default and self.bound != of:
                raise ValueError(
                    f"{name}={getattr(self, name)} is of objective={of!r}, got objective={objective!r}: "
                    f"leave it at {default}."
                )
        if self.beta_cycle and not 0 < self.beta_warmup <= self.beta_cycle:
            raise ValueError(
                f"beta_cycle={beta_cycle} repeats a warm-up of 1 to {beta_cycle} steps, got "
                f"beta_warmup={beta_warmup}: set it, half the cycle say."
            )
        if self.bound not in ("elbo", "mmd") and (capacity or free_bits):
            raise ValueError(
                f"objective={objective!r} has no KL to leave free, got capacity={capacity} and "
                f"free_bits={free_bits}: leave them at 0, or take objective='elbo'."
            )
        if capacity and free_bits:
            raise ValueError(
                f"capacity={capacity} and free_bits={free_bits} say two things of the KL: give one."
            )

    def check_objective(self, prior, posterior):
        """Checks that the objective can be had of these distributions; subclasses call it when both are made.

        Raises:
          ValueError: If it needs independent entries of z, or a gradient through z alone, and has them not.
        """
        apart = entries_of(posterior) is not None and entries_of(prior) is not None
        if self.free_bits and not apart:
            raise ValueError(
                f"free_bits={self.free_bits} needs posterior='diagonal' and prior='normal', or others of "
                "independent entries, where the KL is a sum over latent variables: leave it at 0."
            )
        if self.bound == "tc" and not apart:
            raise ValueError(
                "objective='tc' needs posterior='diagonal' and prior='normal', or others of independent "
                "entries: take one of them, or objective='elbo'."
            )
        if self.bound in ("dreg", "mmd") and isinstance(posterior, DrawsItself):
            raise ValueError(
                f"objective={self.bound!r} needs a posterior whose z is drawn at once, not in steps: take "
                "objective='elbo' or 'iwae'."
            )
        if self.bound == "dreg" and isinstance(posterior, tfd.MixtureSameFamily):
            raise ValueError(
                "objective='dreg' needs a posterior that is reparameterized as a whole, no mixture: take "
                "objective='iwae', which takes samples of each component."
            )
        if self.bound == "dreg" and not _known_everywhere(posterior):
            raise ValueError(
                f"objective='dreg' needs the density of {posterior.name} at any z, which it does not have: "
                "take objective='iwae'."
            )

    @property
    def weighted_by_importance(self):
        """Whether the objective is a bound of K importance samples."""
        return self.bound in ("iwae", "dreg")

    @abc.abstractmethod
    def prior(self, condition=None):
        """p(z), a TFP distribution of batch_shape `[]`, or `[batch]` where it depends on the condition."""

    @abc.abstractmethod
    def posterior(self, x, condition=None):
        """q(z | x), a TFP distribution over z for each x of `[batch, *event_shape]`."""

    @abc.abstractmethod
    def likelihood(self, z, condition=None):
        """p(x | z), a TFP distribution over x of batch_shape `[..., batch]`, for z `[..., batch, ...]`."""

    def refined_posterior(self, x, seeds, condition=None):
        """q(z | x) as bounds and codes use it: `posterior`, or what a model makes of it by noise.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          seeds: int32 `[batch, 2]`, or `[2]` for all.
          condition: As everywhere.
        """
        del seeds
        return self.posterior(x, **_told(condition))

    def drawn(self, x, seed, condition=None, num_samples=None):
        """`Drawn` samples of q(z | x): what objectives and gradient estimators read.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          seed: int32 `[2]`.
          condition: As everywhere.
          num_samples: Of z for each x; None for those of training.
        """
        told = _told(condition)
        q = self.refined_posterior(x, seed, **told)
        size = self.num_samples * self.num_groups if num_samples is None else num_samples
        z, log_q, log_share = draw_strata(q, seed, size)
        return Drawn(x, z, self.prior(**told), q, self.likelihood(z, **told), log_q, log_share)

    @property
    def quantities(self):
        """Quantities of the curves of a training; a weighed KL makes the loss no bound of -log p(x)."""
        measured = {
            "reconstruction": "reconstruction -log p(x | z) [nats]",
            "kl": "KL(q(z | x) || p(z)) [nats]",
            "information": "parts of the KL [nats]",
            "total_correlation": "parts of the KL [nats]",
            "marginals": "parts of the KL [nats]",
            "mmd": "squared MMD of q(z) and p(z)",
        }
        weighed = (self.beta, self.beta_warmup, self.free_bits, self.capacity) != (1, 0, 0, 0)
        weighed |= self.bound in ("tc", "mmd") or self.elbo_share > 0
        return measured | ({"vae/loss": "weighed loss [nats]"} if weighed else {})

    def updates(self):
        """One gradient step on the negative bound."""
        surrogate = self.bound == "dreg"
        return [Update("vae", self.objective, self.trainable_variables, surrogate=surrogate)]

    def beta_at(self, step):
        """Weight of the KL term at a step: beta min(1, step / beta_warmup), `step` modulo `beta_cycle`."""
        step = tf.cast(step % self.beta_cycle if self.beta_cycle else step, tf.float32)
        return self.beta * tf.minimum(1.0, step / self.beta_warmup if self.beta_warmup else 1.0)

    def capacity_at(self, step):
        """Nats of KL asked for at a step: capacity min(1, step / capacity_warmup)."""
        rise = tf.cast(step, tf.float32) / self.capacity_warmup if self.capacity_warmup else 1.0
        return self.capacity * tf.minimum(1.0, rise)

    def objective(self, batch, seed, step):
        """What is minimized, a weighed bound of -log p(x) averaged over the batch; as `Update`."""
        return OBJECTIVES[self.bound](self, batch, seed, step)

    def terms_of(self, drawn):
        """Minus the bound, the ELBO and its parts: averages over the batch in nats, by name.

        Args:
          drawn: `Drawn`.
        """
        reconstruction = -tf.reduce_mean(drawn.mean(drawn.log_likelihood))
        if self.weighted_by_importance:
            elbo = tf.reduce_mean(drawn.mean(drawn.log_weights))
            loss = -tf.reduce_mean(self.importance_weighted(drawn))
            divergence = -elbo - reconstruction
        else:
            divergence = tf.reduce_mean(drawn.kl)
            loss = reconstruction + divergence
            elbo = -loss
        return {"loss": loss, "elbo": elbo, "reconstruction": reconstruction, "kl": divergence}

    def importance_weighted(self, drawn):
        """(1 - elbo_share) (mean over groups of log (1/K) sum_k w_k) + elbo_share ELBO, float32 `[batch]`."""
        log_w = drawn.log_weights
        bound = tf.reduce_mean(drawn.log_mean_exp(log_w, self.num_groups), axis=0)
        if self.elbo_share:
            bound += self.elbo_share * (drawn.mean(log_w) - bound)
        return bound

    def validation_metrics(self, batch, seed):
        """Minus the bound that is trained, all weights left out, the ELBO and its parts.

        Args:
          batch: Dict with "x" and, for a conditional model, "condition".
          seed: int32 `[2]`.
        """
        return self.terms(batch["x"], seed, batch.get("condition"))

    def terms(self, x, seed, condition=None):
        """Minus the bound, the ELBO and its parts: averages over the batch in nats, by name.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          seed: int32 `[2]`, of the samples of z for each x.
          condition: As everywhere.
        """
        return self.terms_of(self.drawn(x, seed, condition))

    def test_metrics(self, data, seed):
        """The ELBO's parts and the active units on a data set's test split."""
        return report_terms(self, data, seed)

    def score(self, x, condition=None, num_samples=1, seed=0):
        """A lower bound of log p(x): the log of the mean of `num_samples` importance weights.

        In expectation it rises with `num_samples` towards log p(x); with one it is the ELBO. The
        noise is derived from `seed` and from the values of each x, so that the bound of an x is
        the same in any batch.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          condition: As everywhere.
          num_samples: Importance samples for each x.
          seed: Python int or int32 `[2]`.

        Returns:
          float32 `[batch]`, in nats.
        """
        return self._importance_bound(x, condition, num_samples, seed).bound

    def importance_bound(self, x, condition=None, num_samples=1, seed=0):
        """`log_prob` with its Monte Carlo standard error and effective sample size."""
        x, told = self._checked(x, condition)
        return self._importance_bound(x, told.get("condition"), num_samples, seed)

    def _importance_bound(self, x, condition, num_samples, seed):
        told = _told(condition)
        seeds = seeds_of(x, random.as_seed(seed))
        q = self.refined_posterior(x, seeds, **told)

        def log_w(seeds):
            return self.weigh(q, x, seeds, condition)

        # 128 x of this size and one chunk of samples: some 64 MB for a layer as large as x.
        chunk = min(128, max(1, 2**17 // math.prod(self.event_shape)))
        return importance_bound(log_w, seeds, num_samples, chunk)

    def weigh(self, posterior, x, seeds, condition=None):
        """log p(x, z) - log q(z | x) at a sample of z for each seed, float32 `[samples, batch]`.

        Args:
          posterior: q(z | x), as `refined_posterior` makes it.
          x: `[batch, *event_shape]`, unchecked.
          seeds: int32 `[samples, batch, 2]`.
          condition: As everywhere.
        """
        told = _told(condition)
        z, log_q = draw_and_log_prob(posterior, seeds, tf.shape(seeds)[:1])
        p = self.prior(**told)
        return self.likelihood(z, **told).log_prob(x) + p.log_prob(z) - log_q

    def _checked(self, x, condition):
        """x, and the condition as keyword arguments, checked."""
        fields = self.check_fields({"x": x, "condition": condition})
        return fields["x"], _told(fields.get("condition"))

    def active_units(self, x, condition=None, threshold=0.01):
        """How many latent variables' posterior means vary over x by more than `threshold`.

        Args:
          x: `[num, *event_shape]`, enough of the data for a variance.
          condition: As everywhere.
          threshold: Of the variance.

        Returns:
          int32 scalar.
        """
        return count_varying(self.encode(x, condition)[0], threshold)

    def encode(self, x, condition=None):
        """Mean and standard deviation of q(z | x), each float32 `[batch, *latent_shape]`.

        Where TFP has no closed form they are of 100 samples.
        """
        x, told = self._checked(x, condition)
        seeds = seeds_of(x, random.as_seed(0))
        return mean_and_stddev(self.refined_posterior(x, seeds, **told), seeds)

    def decode(self, z, condition=None):
        """Mean of p(x | z), as `center` has it, float32 `[batch, *event_shape]`; z `[batch, *latent_shape]`.

        Raises:
          ValueError: If the shape of z does not fit.
        """
        z = tf.cast(tf.convert_to_tensor(z), tf.float32)
        shape = self.latent_shape
        if z.shape.rank != len(shape) + 1 or not z.shape[1:].is_compatible_with(shape):
            wanted = ", ".join(["batch", *map(str, shape)])
            raise ValueError(f"z must have shape [{wanted}], got {z.shape}.")
        return center(self.likelihood(z, **_told(self.check_condition(condition))))

    def reconstruct(self, x, condition=None):
        """`decode` of the mean of q(z | x), float32 `[batch, *event_shape]`."""
        return self.decode(self.encode(x, condition)[0], condition)

    def draw_prior(self, seeds, temperature=1.0, condition=None):
        """One z for each seed, from p(z): what `sample_rows` decodes.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Multiplies the noise.
          condition: As everywhere.
        """
        p = self.prior(**_told(condition))
        rows = tf.shape(seeds)[:1] if p.batch_shape.rank == 0 else ()
        return draw(p, seeds, rows, temperature)

    def sample_rows(self, seeds, temperature=1.0, condition=None):
        """Draws z from the prior and x from its likelihood.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Multiplies the noise of both draws: the prior's standard deviation, the
            inverse log odds of Bernoullis. 0 is the mode of p(x | z) at the prior's center.
          condition: As everywhere.

        Returns:
          float32 `[num, *event_shape]`.
        """
        latent, observed = random.split(seeds)
        z = self.draw_prior(latent, temperature, condition)
        x = draw(self.likelihood(z, **_told(condition)), observed, temperature=temperature)
        return tf.cast(x, tf.float32)

    def mean_rows(self, seeds, temperature=1.0, condition=None):
        """E(x | z) for the z behind `sample_rows(seeds)`: what pictures of VAEs show.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Multiplies the noise of z.
          condition: As everywhere.

        Returns:
          float32 `[num, *event_shape]`.
        """
        latent, _ = random.split(seeds)
        z = self.draw_prior(latent, temperature, condition)
        return center(self.likelihood(z, **_told(condition)))

    def views(self, data, num, seed):
        """Means behind samples, reconstructions, interpolations; of two latent variables their plane.

        "mean" are those behind samples of the same seed. "reconstructions" and "interpolations" are of test
        examples: a path goes by even steps from the posterior mean of one to that of another. Of two latent
        variables "manifold" is E(x | z) on a lattice of quantiles of a standard normal, and "latent" the
        posterior means by class. Of pictures by label "by_label" are means of the same z under every label.

        Args:
          data: A `tfgen.data.Data`, or None for the means and the manifold alone.
          num: How many means.
          seed: int32 [2].
        """
        shown = {}
        if self.condition is None:
            mean = self.mean_rows(random.rows(seed, num))
            shown["mean"] = View(mean, title="means E(x | z) behind the samples")
        elif self.condition.kind == "label" and self.condition.shape == () and self.kind == "image":
            shown["by_label"] = label_view(self, data, num, seed)
        if data is not None:
            shown |= report_views(self, data, num, seed)
        if self.latent_shape == (2,) and self.kind == "image" and self.condition is None:
            shown["manifold"] = manifold_view(self)
        return shown

    def signatures(self):
        """The base's (sample, elbo, serving_default), encode, reconstruct and, for one tensor z, decode."""
        told = self.condition_spec()
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")} | told

        def encode(**given):
            return dict(zip(("mean", "stddev"), self.encode(**given), strict=True))

        served = super().signatures()
        if self.latent_shape is None:
            return served
        z = {"z": tf.TensorSpec([None, *self.latent_shape], tf.float32, name="z")} | told
        text = self.example_text()
        return served | {
            "encode": Signature(encode, x, text),
            "decode": Signature(lambda **given: {"x": self.decode(**given)}, z, text),
            "reconstruct": Signature(lambda **given: {"x": self.reconstruct(**given)}, x, text),
        }


def _told(condition):
    """Keyword arguments of the three distributions."""
    return {} if condition is None else {"condition": condition}


def draw_strata(posterior, seed, num_samples):
    """Samples of q(z | x), of a mixture so many from each component.

    E_q f(z) = sum_c pi_c E_{q_c} f(z): without a draw of the component every sample has a gradient by
    reparameterization, and the weights pi_c get theirs from the sum.

    Args:
      posterior: q(z | x), batch_shape `[batch]`.
      seed: int32 `[2]`.
      num_samples: An int.

    Returns:
      z `[samples, batch, ...]`, log q(z | x) `[samples, batch]`, and the log of each sample's share,
      `[samples, batch]`, None where all count alike.

    References:
      Morningstar, Vikram, Ham, Gallagher & Dillon, "Automatic differentiation variational inference with
      mixture posteriors", 2020, arXiv:2003.01687.
    """
    if not isinstance(posterior, tfd.MixtureSameFamily):
        return (*draw_and_log_prob(posterior, seed, [num_samples]), None)
    z = draw(posterior.components_distribution, seed, [num_samples])  # [K, batch, components, ...]
    log_share = tf.nn.log_softmax(posterior.mixture_distribution.logits_parameter()) - math.log(num_samples)
    z = tf.transpose(z, (0, 2, 1, *range(3, z.shape.rank)))
    z = tf.reshape(z, tf.concat([[-1], tf.shape(z)[2:]], axis=0))
    size = num_samples * posterior.mixture_distribution.logits_parameter().shape[-1]
    z = tf.ensure_shape(z, [size, *posterior.batch_shape, *posterior.event_shape])
    return z, posterior.log_prob(z), tf.tile(tf.transpose(log_share), [num_samples, 1])


def _known_everywhere(posterior):
    """Whether the density of q(z | x), of batch_shape `[1]`, is known at every z, not at its draws alone."""
    try:
        posterior.log_prob(tf.ones([1, *posterior.event_shape]))
    except NotImplementedError:
        return False
    return True


def entries_of(distribution):
    """The distribution of each entry of z, where they are independent, else None.

    Args:
      distribution: A TFP distribution.
    """
    if isinstance(distribution, tfd.MultivariateNormalDiag):
        return tfd.Normal(distribution.mean(), distribution.stddev())
    return distribution.distribution if isinstance(distribution, tfd.Independent) else None


def center(likelihood):
    """Mean of p(x | z); without a closed form, as of an autoregressive one, each entry's mode in turn.

    Args:
      likelihood: A TFP distribution.
    """
    try:
        return likelihood.mean()
    except NotImplementedError:
        return draw(likelihood, random.as_seed(0), temperature=0.0)


def mean_and_stddev(distribution, seeds, num_samples=100):
    """Mean and standard deviation, in closed form where TFP has both, else of samples.

    Args:
      distribution: A TFP distribution of batch_shape `[batch]`.
      seeds: int32 `[batch, 2]`.
      num_samples: How many samples.
    """
    try:
        return distribution.mean(), distribution.stddev()
    except NotImplementedError:
        rows = random.fold_in(seeds[None], tf.range(num_samples)[:, None])
        z = draw(distribution, rows, [num_samples])
        return tf.reduce_mean(z, axis=0), tf.math.reduce_std(z, axis=0)


def negative_elbo(model, batch, seed, step):
    """-E_q log p(x | z) + beta KL(q(z | x) || p(z)); the KL as `charged_kl` counts it.

    Args:
      model: A `LatentVariableModel`.
      batch: Dict with "x" and, for a conditional model, "condition".
      seed: int32 `[2]`.
      step: int64 scalar.

    Returns:
      Scalar and {name: scalar}, averages over the batch; as `Update`. So do all objectives.
    """
    drawn = model.drawn(batch["x"], seed, batch.get("condition"))
    terms, beta = model.terms_of(drawn), model.beta_at(step)
    loss = terms["reconstruction"] + beta * charged_kl(model, drawn, step)
    terms = terms | {"loss": loss}
    return loss, terms | {"beta": beta} if model.beta_warmup else terms


def charged_kl(model, drawn, step):
    """The KL that the objective counts: with a capacity C |KL - C|, with free bits sum_j max(free, KL_j).

    KL_j is the batch's average of KL(q(z_j | x) || p(z_j)).

    Args:
      model: A `LatentVariableModel`.
      drawn: `Drawn`.
      step: int64 scalar.
    """
    if model.capacity:
        return tf.reduce_mean(tf.abs(drawn.kl - model.capacity_at(step)))
    if model.free_bits:
        each = tfd.kl_divergence(*(entries_of(d) for d in (drawn.posterior, drawn.prior)))
        return tf.reduce_sum(tf.maximum(model.free_bits, tf.reduce_mean(each, axis=0)))
    return tf.reduce_mean(drawn.kl)


def negative_iwae(model, batch, seed, step):
    """-log (1/K) sum_k p(x, z_k) / q(z_k | x), as `LatentVariableModel.importance_weighted` has it."""
    del step
    terms = model.terms_of(model.drawn(batch["x"], seed, batch.get("condition")))
    return terms["loss"], terms


def negative_dreg(model, batch, seed, step):
    """The value of `negative_iwae`; its gradient for q by the samples' paths, each weighed twice."""
    del step
    told = _told(batch.get("condition"))
    q, scaled = model.refined_posterior(batch["x"], seed, **told), ScaledGradient()
    z = scaled(draw(q, seed, [model.num_samples * model.num_groups]))
    likelihood = model.likelihood(z, **told)
    drawn = Drawn(batch["x"], z, model.prior(**told), q, likelihood, path_log_prob(q, z))
    factor = doubly_reparameterized_factor(drawn.log_weights, model.num_groups, model.elbo_share)
    scaled.factor = tf.reshape(factor, tf.concat([tf.shape(factor), [1] * (z.shape.rank - 2)], axis=0))
    terms = model.terms_of(drawn)
    return terms["loss"], terms


def total_correlation_loss(model, batch, seed, step):
    """-E_q log p(x | z) + alpha I(x; z) + beta KL(q(z) || prod_j q(z_j)) + gamma sum_j KL(q(z_j) || p(z_j)).

    alpha is `information_weight`, gamma `marginal_weight`; with all three 1 it is -ELBO.
    """
    drawn = model.drawn(batch["x"], seed, batch.get("condition"))
    terms, beta = model.terms_of(drawn), model.beta_at(step)
    parts = decompose_kl(entries_of(drawn.posterior), drawn.z, drawn.log_prior)
    loss = terms["reconstruction"] + beta * parts.total_correlation
    loss += model.information_weight * parts.information + model.marginal_weight * parts.marginals
    terms = terms | parts._asdict() | {"loss": loss}
    return loss, terms | {"beta": beta} if model.beta_warmup else terms


def discrepancy_loss(model, batch, seed, step):
    """`negative_elbo` + mmd_weight MMD^2(q(z), p(z)), q(z) being the batch's average of q(z | x)."""
    condition = batch.get("condition")
    drawn = model.drawn(batch["x"], seed, condition)
    terms, beta = model.terms_of(drawn), model.beta_at(step)
    num = tf.shape(batch["x"])[0]
    rows = [random.rows(random.fold_in(seed, 1 + k), num) for k in range(drawn.z.shape[0])]
    others = tf.concat([model.draw_prior(each, condition=condition) for each in rows], axis=0)
    z = tf.reshape(drawn.z, [-1, *model.latent_shape])
    distance = mmd(z, others, model.mmd_kernel)
    loss = terms["reconstruction"] + beta * charged_kl(model, drawn, step) + model.mmd_weight * distance
    terms = terms | {"mmd": distance, "loss": loss}
    return loss, terms | {"beta": beta} if model.beta_warmup else terms


OBJECTIVES = {
    "elbo": negative_elbo,
    "iwae": negative_iwae,
    "dreg": negative_dreg,
    "tc": total_correlation_loss,
    "mmd": discrepancy_loss,
}
