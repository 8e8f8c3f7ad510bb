"""Generative stochastic network.

References:
  Bengio, Thibodeau-Laufer, Alain & Yosinski, "Deep generative stochastic networks trainable by backprop",
  2014, arXiv:1306.1091. Walk-back: Bengio, Yao, Alain & Vincent, "Generalized denoising auto-encoders as
  generative models", 2013, arXiv:1305.6663.
"""

import functools
import itertools
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.denoising.chain import ChainModel
from tfgen.denoising.report import report_parzen
from tfgen.distributions.draw import draw
from tfgen.distributions.laws import Levels
from tfgen.model import Signature, Update, View

tfd = tfp.distributions

# Test examples that are reconstructed and completed.
_RECONSTRUCTED = 16


@keras.saving.register_keras_serializable("tfgen")
class GenerativeStochasticNetwork(ChainModel):
    """Generative stochastic network (GSN): layers of a deep denoising auto-encoder as a Markov chain.

    A step corrupts x, updates the odd, then the even hidden layers, each from its two neighbours, and draws x
    given the first:

      x~ = x, each entry with probability `corruption` replaced by a level drawn uniformly (salt and pepper)
      h_i = tanh(b_i + h_(i-1) W_(i-1) + h_(i+1) W_i' + s e) + s e',  e and e' ~ N(0, 1), h_0 = x~
      x ~ p(x | h_1), independent entries of log odds b_0 + h_1 W_0'

    Training walks back: from an example and hidden layers of zeros the chain makes `num_walkback` steps, and
    -log p(example | h_1) is minimized after each of them, so that the chain comes back from where it strays.
    Where p(x | x~) is learned exactly, its stationary distribution is that of the data.

    The draws within the walk pass no gradient: it is that of the loss with these draws held fixed. All is
    float32 under every dtype policy.

    Args:
      event_shape: Shape of one x.
      hidden: Sizes of the hidden layers, from x on.
      num_walkback: Steps of the walk in training, the paper's 4; at least 1 + layers // 2.
      corruption: Probability that an entry of x is replaced, the paper's 0.4.
      noise: Standard deviation s of the noise before and after each activation.
      first_noise: The same of the first hidden layer, 0 in the paper's experiments.
      activation: Keras activation of the hidden layers.
      visible: "levels", or "intensity" for grey values in [0, 1] that the network reads and is compared with
        as if they were probabilities of 1, as the paper has it: the chain then draws 0 or 1, shows means.
      num_values: Number of levels of the data; more than two are told apart one-hot, without an order.
      num_steps: Steps of a sample's chain, which begins at independent entries, each as often as in the data.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    jit_sampler = True
    quantities = {"loss": "-log p(x | h) along the walk [nats]"}  # noqa: RUF012

    def __init__(
        self,
        event_shape,
        hidden=(200, 200),
        num_walkback=4,
        corruption=0.4,
        noise=2.0,
        first_noise=0.0,
        activation="tanh",
        visible="levels",
        num_values=2,
        num_steps=100,
        **kwargs,
    ):
        super().__init__(event_shape, num_steps, **kwargs)
        self.hidden = checks.sizes("hidden", hidden)
        if not self.hidden:
            raise ValueError("hidden must hold a size or more, got (): give each hidden layer one.")
        self.num_walkback = checks.whole("num_walkback", num_walkback)
        if self.num_walkback < (needed := len(self.hidden) // 2 + 1):
            raise ValueError(
                f"num_walkback={num_walkback} ends before the last of {len(self.hidden)} hidden layers has "
                f"reached x: take {needed} or more."
            )
        self.corruption = checks.number("corruption", corruption, at_least=0, at_most=1)
        # By layer, x first.
        first = checks.number("first_noise", first_noise, at_least=0)
        others = [checks.number("noise", noise, at_least=0)] * (len(self.hidden) - 1)
        self.scales = [0.0, first, *others]
        self.activation = keras.activations.get(activation)
        checks.one_of("visible", visible, ("levels", "intensity"))
        checks.whole("num_values", num_values, at_least=2)
        self.values = "levels" if visible == "levels" else "unit"
        self.num_values = num_values
        self.law = Levels(num_values if visible == "levels" else 2)
        self.num_visible = math.prod(self.event_shape)
        sizes = (self.num_visible * self.law.size, *self.hidden)
        add = functools.partial(self.add_weight, autocast=False)
        shape = (self.num_visible, self.law.num_values)
        uniform = keras.initializers.Constant(1.0 / self.law.num_values)
        self.base_rates = add(shape, uniform, trainable=False, name="base_rates")
        self.biases = [add((n,), "zeros", name=f"bias_{i}") for i, n in enumerate(sizes)]
        self.kernels = [
            add(pair, "glorot_uniform", name=f"kernel_{i}")
            for i, pair in enumerate(itertools.pairwise(sizes))
        ]

    def begin(self, batch, seed):
        """Sets how often each level is that of each entry in the data, where chains begin."""
        del seed
        x, levels = np.reshape(batch["x"], [-1, self.num_visible]), self.law.num_values
        ones = [x.sum(0)] if levels == 2 else [(x == level).sum(0) for level in range(1, levels)]
        counts = np.stack([len(x) - sum(ones), *ones], axis=-1)
        self.base_rates.assign((counts + 1.0) / (len(x) + levels))

    def likelihood(self, h):
        """p(x | h_1), a TFP distribution over flat x `[entries]` for each h_1 `[batch, units]`."""
        raw = self.biases[0].value + tf.matmul(h, self.kernels[0].value, transpose_b=True)
        return tfd.Independent(self.law(tf.reshape(raw, [-1, self.num_visible, self.law.size])), 1)

    def noise_of_step(self, seeds, x):
        """Random numbers of a step from flat x `[batch, entries]`, all of one draw.

        Args:
          seeds: int32 `[2]`, or `[batch, 2]`.
          x: Flat x.

        Returns:
          Uniform numbers of the shape of x for the corruption, and by layer with noise two tensors
          `[batch, units]` of standard normal ones, for before and after its activation.
        """
        noisy = [i for i, scale in enumerate(self.scales) if scale > 0.0]
        sizes = [self.num_visible, *(2 * self.hidden[i - 1] for i in noisy)]
        shape = [tf.shape(x)[0], sum(sizes)][seeds.shape.rank - 1 :]
        corrupt, *rest = tf.split(random.uniform(seeds, shape), sizes, axis=-1)
        normal = [tf.split(tf.math.ndtri(u), 2, axis=-1) for u in rest]
        return corrupt, dict(zip(noisy, normal, strict=True))

    def corrupted(self, x, uniform, mask=None):
        """Salt and pepper: each entry of flat x `[batch, entries]` with probability `corruption` any level.

        Args:
          x: Flat x.
          uniform: Uniform numbers of the shape of x; those below `corruption` tell the level, too.
          mask: bool, of the shape of x: entries that stay as they are; None for none.
        """
        replaced = uniform < self.corruption
        if mask is not None:
            replaced &= ~mask
        level = tf.floor(uniform * (self.law.num_values / max(self.corruption, 1e-6)))
        return tf.where(replaced, tf.minimum(level, self.law.num_values - 1.0), x)

    def read(self, x):
        """Flat x `[batch, entries]` as the network reads it: as it is, or more than two levels one-hot."""
        if self.law.size == 1:
            return x
        return tf.reshape(tf.one_hot(tf.cast(x, tf.int32), self.num_values), [-1, self.kernels[0].shape[0]])

    def update_layers(self, layers, noise=None, temperature=1.0):
        """Updates the odd, then the even hidden layers, each from its neighbours.

        Args:
          layers: [what is read of x, h_1, ..., h_K], each `[batch, units]`.
          noise: By layer, standard normal numbers before and after its activation; None for no noise.
          temperature: Multiplies the noise.

        Returns:
          The list with new hidden layers.
        """
        layers = list(layers)
        for i in (*range(1, len(layers), 2), *range(2, len(layers), 2)):
            total = self.biases[i].value + tf.matmul(layers[i - 1], self.kernels[i - 1].value)
            if i + 1 < len(layers):
                total += tf.matmul(layers[i + 1], self.kernels[i].value, transpose_b=True)
            before, after = (noise or {}).get(i, (0.0, 0.0))
            scale = temperature * self.scales[i]
            layers[i] = self.activation(total + scale * before) + scale * after
        return layers

    def blank(self, x):
        """Hidden layers of zeros for flat x `[batch, entries]`."""
        return [tf.zeros([tf.shape(x)[0], n]) for n in self.hidden]

    def step_of(self, x, hidden, seeds, temperature=1.0, mask=None):
        """A step of the chain: p(x' | h_1) and the hidden layers, from flat x and hidden layers."""
        corrupt, noise = self.noise_of_step(seeds, x)
        read = self.read(self.corrupted(x, corrupt, mask))
        _, *hidden = self.update_layers([read, *hidden], noise, temperature)
        return self.likelihood(hidden[0]), hidden

    def updates(self):
        """One gradient step on the walk's loss."""
        return [Update("gsn", self.objective, self.trainable_variables, surrogate=True)]

    def objective(self, batch, seed, step):
        """Walk-back: -log p(x | h_1), mean over the batch and the steps of a walk from x; as `Update`."""
        del step
        x = tf.reshape(batch["x"], [-1, self.num_visible])
        walking, hidden, losses = x, self.blank(x), []
        for k in range(self.num_walkback):
            noise, value = random.split(random.fold_in(seed, k))
            distribution, hidden = self.step_of(walking, hidden, noise)
            losses.append(-tf.reduce_mean(distribution.log_prob(x)))
            walking = tf.stop_gradient(draw(distribution, value))
        return tf.add_n(losses) / self.num_walkback, {"first": losses[0], "last": losses[-1]}

    def validation_metrics(self, batch, seed):
        """The walk's loss, and the mean squared error of `reconstruct`."""
        loss, scalars = self.objective(batch, seed, 0)
        error = tf.reduce_mean(tf.square(batch["x"] - self._reconstructed(batch["x"])))
        return {"loss": loss} | scalars | {"reconstruction_error": error}

    def start(self, seeds, temperature=1.0, given=None, mask=None):
        """Independent entries at the data's rates, hidden layers of zeros; known entries as they are."""
        del temperature
        uniform = random.uniform(seeds, [self.num_visible])
        x = tf.cast(random.pick(uniform, self.base_rates.value), tf.float32)
        return self.state_at(_kept(x, given, mask))

    def state_at(self, x):
        """The state at flat x with hidden layers of zeros."""
        return State(x, x, self.blank(x))

    def advance(self, state, seeds, temperature=1.0, given=None, mask=None):
        """One step; at temperature 0 without noise and to the mode of p(x | h_1), but from a corrupted x."""
        noise, value = random.split(seeds)
        distribution, hidden = self.step_of(state.x, state.hidden, noise, temperature, mask)
        x, mean = draw(distribution, value, temperature=temperature), self.mean_of(distribution)
        return State(_kept(x, given, mask), _kept(mean, given, mask), hidden)

    def shown(self, state):
        """x as drawn, of intensities the mean that it was drawn from."""
        return tf.reshape(state.x if self.values == "levels" else state.mean, [-1, *self.event_shape])

    def mean_of(self, distribution):
        """Mean of p(x | h_1), flat."""
        if self.law.size == 1:
            return distribution.mean()
        probabilities = distribution.distribution.probs_parameter()
        return tf.linalg.matvec(probabilities, tf.range(float(self.num_values)))

    def film_of_means(self, seeds, num):
        """Means that x is drawn from along chains, float32 `[num + 1, n, entries]`, as `frames`."""
        return self.frames(seeds, num, shown=lambda state: state.mean)

    def sample_rows(self, seeds, num_steps=None, temperature=1.0, given=None, mask=None):
        """x at the end of a chain for each row; known entries are clamped, and never corrupted.

        Args:
          seeds: int32 `[n, 2]`.
          num_steps: Steps; None for the model's own number.
          temperature: Multiplies the noise of the layers and divides log odds; 0 takes modes.
          given: float32 `[n, *event_shape]`, clamped where `mask` holds.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        return self.drawn(seeds, num_steps, temperature=temperature, **self.flat_known(given, mask))

    def flat_known(self, given, mask):
        """Known entries as `start` and `advance` take them, flat."""
        if mask is None:
            return {}
        return {
            "given": tf.reshape(given, [-1, self.num_visible]),
            "mask": tf.reshape(mask, [-1, self.num_visible]),
        }

    def complete(self, x, mask, seeds, **kwargs):
        """`sample_rows` with x, `[n, *event_shape]`, clamped where `mask`, of the same shape, is 1."""
        given, mask = self.space.check_known(x, mask)
        return self.sample_rows(seeds, given=given, mask=mask, **kwargs)

    def chain(self, x, seeds, steps):
        """x some steps later, of chains that begin at x with hidden layers of zeros.

        Args:
          x: `[n, *event_shape]`.
          seeds: int32 `[n, 2]`.
          steps: int32 `[n]`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        x = tf.reshape(self.space.check(x), [-1, self.num_visible])
        return self.shown(self.run(self.state_at(x), seeds, self.check_steps(steps)))

    def settled(self, x):
        """Hidden layers of x `[batch, *event_shape]`, unchecked: `num_walkback` updates without any noise."""
        x = tf.reshape(x, [-1, self.num_visible])
        layers = [self.read(x), *self.blank(x)]
        for _ in range(self.num_walkback):
            layers = self.update_layers(layers)
        return layers[1:]

    def encode(self, x):
        """Hidden layers of x without noise, one after the other: float32 `[batch, units]`."""
        return tf.concat(self.settled(self.space.check(x)), axis=-1)

    def reconstruct(self, x):
        """Mean of x given its hidden layers without noise: float32, the shape of x."""
        return self._reconstructed(self.space.check(x))

    def _reconstructed(self, x):
        return tf.reshape(self.mean_of(self.likelihood(self.settled(x)[0])), [-1, *self.event_shape])

    def call(self, x, training=None):
        """`reconstruct`: what `model(x)` and `predict` give."""
        del training
        return self.reconstruct(x)

    def test_metrics(self, data, seed):
        """Parzen figure of the samples and, as its warning, of training examples (`report_parzen`)."""
        return report_parzen(self, data, seed)

    def views(self, data, num, seed):
        """Chains; of test examples what is corrupted and comes back, and completions of covered halves.

        Args:
          data: A `tfgen.data.Data`, or None for chains alone.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        shown = self.chain_views(random.rows(seed, num), "chains from independent entries on")
        if data is not None:
            x = self.space.from_data(data.test.x[: min(num, _RECONSTRUCTED)], data, seed)
            shown |= self._views_of(x, random.rows(random.fold_in(seed, 1), len(x)))
        return shown

    def _views_of(self, x, seeds):
        flat = tf.reshape(x, [-1, self.num_visible])
        corrupted = self.corrupted(flat, self.noise_of_step(seeds, flat)[0])
        distribution, _ = self.step_of(flat, self.blank(flat), seeds)
        back = tf.reshape(tf.stack([corrupted, self.mean_of(distribution)]), [2, *x.shape])
        known = np.zeros(x.shape[1:], bool)
        known[: (len(known) + 1) // 2] = True
        known = tf.broadcast_to(known, x.shape)
        covered = tf.where(known, x, self.space.value_range[0])
        drawn = [self.complete(x, tf.cast(known, tf.float32), s) for s in random.split(seeds)]
        told = f"first halves known, {self.chain_steps} steps of chains with these clamped"
        return {
            "reconstructions": View(
                tf.concat([x[None], back], axis=0),
                "rows",
                ("data", "corrupted", "one step"),
                "test examples, corrupted, and the means of x one step later",
            ),
            "completions": View(
                tf.stack([x, covered, *drawn]), "rows", ("data", "known", "completed", "again"), told
            ),
        }

    def signatures(self):
        """Adds `chain` (steps from x on), `complete`, `encode` (hidden layers) and `reconstruct`."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        seeds = tf.TensorSpec([None, 2], tf.int32, name="seeds")
        steps = tf.TensorSpec([None], tf.int32, name="steps")

        def chain(x, seeds, steps):
            return {"x": self.chain(x, seeds, steps)}

        def complete(x, mask, seeds):
            return {"x": self.complete(x, mask, seeds)}

        return super().signatures() | {
            "chain": Signature(chain, {"x": x, "seeds": seeds, "steps": steps}),
            "complete": Signature(complete, {"x": x, "mask": x, "seeds": seeds}),
            "encode": Signature(lambda x: {"hidden": self.encode(x)}, {"x": x}),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, {"x": x}),
        }


class State(NamedTuple):
    """State of the chain.

    Args:
      x: Flat x as drawn, `[n, entries]`.
      mean: Mean that it was drawn from, flat.
      hidden: Hidden layers, `[n, units]` each.
    """

    x: tf.Tensor
    mean: tf.Tensor
    hidden: list


def _kept(x, given, mask):
    """Flat x with the entries that are given."""
    return x if mask is None else tf.where(mask, given, x)
