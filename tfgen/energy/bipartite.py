"""Machines of one visible and one hidden layer: Gibbs sampling, training, partition function."""

import abc

import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.energy.estimators import ESTIMATORS, SURROGATES, pseudo_likelihood
from tfgen.estimators.ais import annealed_importance_sampling
from tfgen.estimators.precision import full_float32
from tfgen.model import GenerativeModel, Signature, Update, View

_CHUNK_BITS = 12
# Examples that are reconstructed; chains that are shown, and after how many sweeps.
_RECONSTRUCTED, _CHAINS, _SWEEPS = 16, 8, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class BipartiteModel(GenerativeModel):
    """Energy-based model p(v) = exp(-F(v)) / Z with Gibbs sampling v -> h -> v.

    A subclass names its `num_visible` units, its `estimator` and, where it has some, its persistent `chains`
    and the weights `kernel`, `[num_visible, hidden]`, and implements the methods below on flat v
    `[..., num_visible]`. A path of densities from independent units (beta = 0) to the model (beta = 1) serves
    annealed importance sampling and parallel tempering.
    """

    density = "unnormalized"
    quantities = {  # noqa: RUF012
        "loss": "-log pseudo-likelihood [nats]",
        "pseudo_nats": None,
        "reconstruction_error": "mean squared reconstruction error",
    }
    jit_sampler = True
    chains = None
    kernel = None

    @abc.abstractmethod
    def start(self, seed, num):
        """Draws `num` flat v from the path's density at beta = 0; `seed` is [2], or [num, 2] for rows."""

    @abc.abstractmethod
    def gibbs(self, v, seed, beta=1.0, temperature=1.0):
        """A sweep v -> h -> v that leaves the path's density at `beta`, ^ 1 / temperature, invariant."""

    @abc.abstractmethod
    def log_unnormalized(self, v):
        """-F of flat v, `[...]`."""

    @abc.abstractmethod
    def log_ratio(self, v, beta, next_beta):
        """log f_{next_beta}(v) - log f_beta(v) of the path's unnormalized densities, beta <= next_beta."""

    @abc.abstractmethod
    def log_z0(self):
        """log Z of the path's density at beta = 0."""

    @abc.abstractmethod
    def exact_log_partition(self):
        """log Z by enumeration; raises ValueError where that is too much."""

    @abc.abstractmethod
    def encode(self, x):
        """Probability of 1 of each hidden unit given x: float32 `[batch, hidden]`."""

    @abc.abstractmethod
    def reconstruct(self, x):
        """Mean of v given the probabilities of the hidden units given x: float32, the shape of x."""

    def flat(self, x):
        """x `[batch, *event_shape]` as `[batch, num_visible]`."""
        return tf.reshape(x, [-1, self.num_visible])

    def score(self, x):
        """-F(x)."""
        with full_float32():
            return self.log_unnormalized(self.flat(x))

    def free_energy(self, v):
        """F(v) = -log sum_h exp(-E(v, h)), float32 `[batch]`, of v `[batch, *event_shape]`."""
        return -self.log_prob(v)

    def log_partition(self, method="exact", num_temperatures=10_000, num_chains=100, seed=0):
        """log Z.

        Args:
          method: "exact" (enumeration) or "ais" (annealed importance sampling).
          num_temperatures: Inverse temperatures of "ais", 0 and 1 included.
          num_chains: Chains of "ais".
          seed: Seed of "ais", Python int or int32 [2].

        Returns:
          float32 scalar; for "ais" `(estimate, low, high)`, the interval three standard errors to each side.

        Raises:
          ValueError: If the smaller layer is too large to enumerate, or an argument does not fit.
        """
        if checks.one_of("method", method, ("exact", "ais")) == "exact":
            return self.exact_log_partition()

        def transition(v, beta, seed):
            return self.gibbs(v, seed, beta)

        with full_float32():
            found = annealed_importance_sampling(
                self.start, self.log_ratio, transition, self.log_z0(), num_temperatures, num_chains, seed
            )
        return found.estimate, found.low, found.high

    def log_likelihood(self, x, log_z=None):
        """log p(x) = -F(x) - log Z in nats, float32 `[batch]`; `log_z=None` computes log Z exactly."""
        return self.log_prob(x) - (self.log_partition() if log_z is None else log_z)

    def updates(self):
        """One gradient step by the chosen estimator."""
        moved = list(self.trainable_variables)
        if self.chains is not None:
            moved.append(self.chains)
        surrogate = self.estimator in SURROGATES
        return [Update(self.estimator, self.objective, moved, surrogate=surrogate)]

    def objective(self, batch, seed, step):
        """Loss of the chosen estimator, whose gradient is that of -log p or estimates it; as `Update`."""
        del step
        return ESTIMATORS[self.estimator](self, self.flat(batch["x"]), seed)

    def validation_metrics(self, batch, seed):
        """Negative log pseudo-likelihood (it needs no Z), free energy, mean squared reconstruction error."""
        x = batch["x"]
        loss, scalars = pseudo_likelihood(self, self.flat(x), seed)
        error = tf.reduce_mean(tf.square(x - self.reconstruct(x)))
        return {"loss": loss, "pseudo_nats": loss} | scalars | {"reconstruction_error": error}

    def sample_rows(self, seeds, num_steps=1000, temperature=1.0, given=None, mask=None):
        """The last v of a Gibbs chain for each row, begun at the path's independent units.

        Args:
          seeds: int32 `[n, 2]`.
          num_steps: Sweeps.
          temperature: Divides the logits; 0 takes the likelier value of each unit in turn.
          given: float32 `[n, *event_shape]`, clamped where `mask` holds.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        num = tf.shape(seeds)[0]
        first, seeds = random.split(seeds)

        def clamp(v):
            if mask is not None:
                v = tf.where(self.flat(mask), self.flat(given), v)
            return tf.ensure_shape(v, [None, self.num_visible])

        def sweep(i, v):
            return i + 1, clamp(self.gibbs(v, random.fold_in(seeds, i), 1.0, temperature))

        state = (tf.constant(0), clamp(self.start(first, num)))
        v = tf.while_loop(lambda i, _: i < num_steps, sweep, state)[1]
        return tf.reshape(v, [num, *self.event_shape])

    def sample(self, num, condition=None, seed=None, num_steps=1000, **kwargs):
        """As in the base class, by Gibbs chains; known units are clamped.

        Args:
          num: Number of samples.
          condition: None.
          seed: Python int or int32 [2]; None draws a fresh one.
          num_steps: Sweeps of each chain; a sample's distribution approaches p(v) as it grows.
          **kwargs: `temperature`, `given` and `mask`; temperature 0 settles in a state where no layer's
            update changes it.

        Returns:
          float32 `[num, *event_shape]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        if not tf.is_tensor(num_steps):
            checks.whole("num_steps", num_steps)
        return super().sample(num, condition, seed, num_steps=tf.cast(num_steps, tf.int32), **kwargs)

    def complete(self, x, mask, seeds, **kwargs):
        """`sample_rows` with x, `[n, *event_shape]`, clamped where `mask`, of the same shape, is 1."""
        given, mask = self.space.check_known(x, mask)
        return self.sample_rows(seeds, given=given, mask=mask, **kwargs)

    def views(self, data, num, seed):
        """Chains of Gibbs sampling from their start on, filters of images, reconstructions of test examples.

        Args:
          data: A `tfgen.data.Data`, or None for what needs none.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        # Of the samples' first chains as many as the program that draws samples serves, too.
        drawn = [self.sample(num, seed=seed, num_steps=k)[:_CHAINS] for k in _SWEEPS]
        steps = tf.stack(drawn, axis=1)
        title = "chains of Gibbs sampling from independent units on, by sweep"
        shown = {"chains": View(steps, "rows", title=title, heads=[str(k) for k in _SWEEPS])}
        if self.kind == "image" and self.kernel is not None:
            shown["filters"] = _filters(self.kernel.value.numpy(), num, self.event_shape)
        if data is not None:
            x = self.space.from_data(data.test.x[: min(num, _RECONSTRUCTED)], data, seed)
            shown["reconstructions"] = View(
                tf.stack([x, self.reconstruct(x)]),
                "rows",
                ("data", "reconstructed"),
                "test examples and the means of v given the means of h",
            )
        return shown

    def signatures(self):
        """Adds `complete`, `encode` (probabilities of the hidden units) and `reconstruct`."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        mask = tf.TensorSpec([None, *self.event_shape], tf.float32, name="mask")
        seeds = tf.TensorSpec([None, 2], tf.int32, name="seeds")

        def complete(x, mask, seeds):
            return {"x": self.complete(x, mask, seeds)}

        return super().signatures() | {
            "complete": Signature(complete, {"x": x, "mask": mask, "seeds": seeds}),
            "encode": Signature(lambda x: {"hidden": self.encode(x)}, {"x": x}),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, {"x": x}),
        }


def _filters(kernel, num, event_shape):
    """Weights of the hidden units whose weights are largest, all in one scale, grey where they are 0."""
    largest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[:num]
    # The few weights that stand out take nothing away from the others.
    limit = max(float(np.quantile(np.abs(kernel), 0.995)), 1e-12)
    grey = np.rint(127.5 + 127.5 * np.clip(kernel[:, largest] / limit, -1.0, 1.0))
    title = f"weights of hidden units, black -{limit:.2g} to white {limit:.2g}"
    return View(grey.T.reshape(-1, *event_shape).astype(np.uint8), title=title)


def binary_states(first, count, num_units):
    """States `first` to `first + count` of binary units, lowest bit first: float64 `[count, units]`."""
    number = tf.cast(first, tf.int64) + tf.range(count, dtype=tf.int64)
    bits = tf.bitwise.right_shift(number[:, None], tf.range(num_units, dtype=tf.int64))
    return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(1, tf.int64)), tf.float64)


def bipartite_log_partition(kernel, bias, other_bias):
    """log sum_s sum_t exp(bias . s + other_bias . t + s K t) over binary s and t, enumerating s alone.

    = log sum_s exp(bias . s + sum_j softplus(other_bias_j + (s K)_j)), in float64.

    Args:
      kernel: `[s units, t units]`.
      bias: `[s units]`.
      other_bias: `[t units]`.

    Returns:
      float64 scalar.
    """
    kernel, bias, other_bias = (tf.cast(v, tf.float64) for v in (kernel, bias, other_bias))
    units = kernel.shape[0]
    bits = min(units, _CHUNK_BITS)

    def chunk(number):
        s = binary_states(number * (1 << bits), 1 << bits, units)
        rest = tf.reduce_sum(tf.nn.softplus(other_bias + s @ kernel), axis=-1)
        return tf.reduce_logsumexp(tf.linalg.matvec(s, bias) + rest)

    numbers = tf.range(1 << (units - bits), dtype=tf.int64)
    return tf.reduce_logsumexp(tf.map_fn(chunk, numbers, fn_output_signature=tf.float64))
