"""Convolutional restricted Boltzmann machine with probabilistic max-pooling, and stacks of it."""

import dataclasses
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.estimators import pseudo_likelihood
from tfgen.energy.joint import Coupling, Joint
from tfgen.energy.layerwise import greedy_stages
from tfgen.energy.units import Binary, Blocks, Gaussian, Shared
from tfgen.model import View

# Gibbs sweeps of a lower machine whose pooled units are known.
_SWEEPS_BELOW = 50


@keras.saving.register_keras_serializable("tfgen")
class ConvolutionalRBM(EnergyModel):
    """Convolutional restricted Boltzmann machine: filters that all places of an image share.

    -E(v, h) = sum_k h^k . (w^k * v + c_k) + b . sum v, w^k * v the correlation of filter k with the image at
    every place where it lies within. Detection units h^k lie in blocks of `pooling` x `pooling`, and of a
    block at most one is 1; the pooled unit p^k is 1 where one is (probabilistic max-pooling):

      p(h_i = 1 | v) = exp(a_i) / (1 + sum over its block of exp(a_j)).

    Real v are Gaussian of a learned variance, as in `GaussianBernoulliRBM`. With centring, filters see
    v - m and h - 1 / (pooling^2 + 1), m the data's mean of each channel.

    With several `filters` it is a stack, a convolutional deep belief net: each machine is trained on samples
    of the pooled units of the one below. p(v) = sum_p p_above(p) p(v | p), where p(v | p) is this machine's
    with its pooled units known. A stack draws samples; it has no density, since a pooled unit does not say
    which of its block is 1, and summing that out has no closed form or bound.

    Args:
      event_shape: `(height, width, channels)`.
      filters: Number of filters, one for each machine of the stack.
      kernel_size: Height and width of filters, one for all machines or one for each; at most the image's.
      pooling: Height and width of blocks, one for all but the last machine, or one for each. It must divide
        the detection units, height - kernel_size + 1 and so on. Of one number the last machine has 1.
      values: "levels" for binary v, "real" for Gaussian ones.
      centring: Whether filters couple deviations of v and h from their offsets, in all machines.
      **kwargs: Arguments of `EnergyModel`, of all machines.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Lee, Grosse, Ranganath & Ng, "Convolutional deep belief networks for scalable unsupervised learning of
      hierarchical representations", ICML 2009.
    """

    # XLA convolves more slowly on CPU than TensorFlow itself.
    jit_updates = False
    jit_sampler = False

    def __init__(
        self,
        event_shape,
        filters=(24,),
        kernel_size=(3,),
        pooling=(2,),
        values="levels",
        centring=False,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.values = checks.one_of("values", values, ("levels", "real"))
        filters, kernel_size, pooling = (
            checks.sizes(name, sizes)
            for name, sizes in (("filters", filters), ("kernel_size", kernel_size), ("pooling", pooling))
        )
        if not filters:
            raise ValueError(f"filters={filters} must hold one machine or more.")
        if len(self.event_shape) != 3:
            raise ValueError(
                f"event_shape={self.event_shape} must be (height, width, channels), as images have."
            )
        sizes, pools = _for_each(filters, kernel_size, pooling)
        self.pooling, shape = pools[0], _detection_shape(self.event_shape, filters[0], sizes[0], pools[0])
        self.detection_shape = shape
        self.pooled_shape = (shape[0] // self.pooling, shape[1] // self.pooling, shape[2])
        channels = self.event_shape[2]
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((sizes[0], sizes[0], channels, filters[0]), small, name="kernel")
        self.visible_bias = add((channels,), "zeros", name="visible_bias")
        self.hidden_bias = add((filters[0],), "zeros", name="hidden_bias")
        places = math.prod(self.event_shape[:2])
        bias, visible_offset, self.hidden_offset = Shared(self.visible_bias, places), None, None
        if centring:
            none = keras.initializers.Constant(1.0 / (self.pooling**2 + 1))
            self.visible_offset = add((channels,), "zeros", trainable=False, name="visible_offset")
            self.hidden_offset = add((filters[0],), none, trainable=False, name="hidden_offset")
            visible_offset = Shared(self.visible_offset, places)
        # The independent units that chains and annealing start from.
        self.base = add((self.num_visible,), "zeros", trainable=False, name="base")
        if self.values == "levels":
            visible = Binary(bias, self.base, visible_offset)
        else:
            self.log_variance = add((channels,), "zeros", name="log_variance")
            self.base_log_variance = add(
                (self.num_visible,), "zeros", trainable=False, name="base_log_variance"
            )
            variance = Shared(self.log_variance, places)
            visible = Gaussian(bias, variance, (self.base, self.base_log_variance), visible_offset)
        units = {"v": visible, "h": Blocks(self.hidden_bias, shape, self.pooling, self.hidden_offset)}
        self.couple(Joint(units, [Correlation("v", "h", self.kernel, self.event_shape, shape)]))
        # In a stack each machine holds the one above it.
        self.above = None
        if len(filters) > 1:
            given = {k: v for k, v in self.get_config().items() if k not in ("event_shape", "name", "values")}
            given |= {"filters": filters[1:], "kernel_size": sizes[1:], "pooling": pools[1:]}
            self.above = ConvolutionalRBM(self.pooled_shape, name=f"above_{len(filters) - 1}", **given)
            self.density = "none"

    def machines(self):
        """The machines of the stack, this one first."""
        return [self] if self.above is None else [self, *self.above.machines()]

    def stages(self):
        """A stage for each machine."""
        return greedy_stages(self.machines(), self.inputs, lambda k: None, transposed=False)

    def inputs(self, k, x, seed):
        """What machine k learns: x, or a sample of the pooled units below it, flat."""
        h = self.flat(x)
        for number, machine in enumerate(self.machines()[:k]):
            field = machine.joint.field("h", {"v": h})
            detected = machine.joint.units["h"].draw(random.fold_in(seed, number), field)
            h = machine.joint.units["h"].pooled(detected)
        return tf.stop_gradient(h)

    def updates(self):
        """One gradient step of this machine, without those above it."""
        (update,) = super().updates()
        others = [] if self.above is None else [id(v) for v in self.above.variables]
        own = [v for v in update.variables if id(v) not in others]
        return [dataclasses.replace(update, variables=own)]

    def score(self, x):
        """-F(x), of a machine by itself."""
        if self.above is not None:
            raise ValueError(f"{type(self).__name__} of several machines has no density: it can be sampled.")
        return super().score(x)

    def validation_metrics(self, batch, seed):
        """Of the machine that learns: -log pseudo-likelihood of what it learns, or for real v the error.

        The error is the mean square of v minus its mean given the means of h.
        """
        if self.above is None:
            return super().validation_metrics(batch, seed)
        below, flips = random.split(seed)

        def of_machine(k):
            machine, x = self.machines()[k], self.inputs(k, batch["x"], below)
            error = tf.reduce_mean(tf.square(x - machine.flat(machine.back(x))))
            if machine.values == "real":
                return error, error
            return pseudo_likelihood(machine, x, flips)[0], error

        learning = tf.cast(tf.minimum(self.stage.value[0], len(self.machines()) - 1), tf.int32)
        branches = [functools.partial(of_machine, k) for k in range(len(self.machines()))]
        loss, error = tf.switch_case(learning, branches)
        return {"loss": loss, "reconstruction_error": error}

    def back(self, x):
        """Mean of v given the means of h given flat v, the shape of an image."""
        h = self.joint.units["h"].mean(self.joint.field("h", {"v": x}))
        mean = self.joint.units["v"].mean(self.joint.field("v", {"h": h}))
        return tf.reshape(mean, [-1, *self.event_shape])

    def encode(self, x):
        """p(h = 1) of the highest machine's detection units, float32 `[batch, units]`.

        In a stack probabilities of pooled units stand for their states.
        """
        h = self.flat(self.space.check(x))
        for machine in self.machines():
            units = machine.joint.units["h"]
            means = units.mean(machine.joint.field("h", {"v": h}))
            h = units.pooled(means)
        return means

    def sample_rows(self, seeds, num_steps=None, temperature=1.0, given=None, mask=None):
        """As `EnergyModel`; in a stack by a chain of the highest machine, and Gibbs sweeps of those below.

        Args:
          seeds: int32 `[n, 2]`.
          num_steps: Sweeps of the highest machine; of those below, given their pooled units, 50.
          temperature: Divides the logits.
          given: float32 `[n, *event_shape]`, clamped where `mask` holds; of a machine by itself.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        if self.above is None:
            return super().sample_rows(
                seeds, num_steps=num_steps, temperature=temperature, given=given, mask=mask
            )
        if mask is not None:
            raise ValueError(f"{type(self).__name__} of several machines completes nothing: leave given out.")
        above, first, chain = random.split(seeds, 3)
        x = self.above.sample_rows(above, num_steps=num_steps, temperature=temperature)
        pooled = tf.reshape(x, [-1, math.prod(self.pooled_shape)])
        joint, units = self.joint, self.joint.units["h"]

        def sweep(i, v):
            own = random.fold_in(chain, i)
            return i + 1, self.given_pooled(v, pooled, own, temperature)

        h = units.draw_within(first, tf.zeros([tf.shape(seeds)[0], units.size]), pooled)
        v = joint.draw(("v",), {"h": h}, [random.fold_in(first, 1)], temperature=temperature)["v"]
        state = (tf.constant(0), tf.ensure_shape(v, [None, self.num_visible]))
        v = tf.while_loop(lambda i, _: i < _SWEEPS_BELOW, sweep, state, maximum_iterations=_SWEEPS_BELOW)[1]
        return tf.reshape(v, [-1, *self.event_shape])

    def given_pooled(self, v, pooled, seed, temperature=1.0):
        """A Gibbs sweep v -> h -> v of p(v, h | p), which it leaves invariant: flat v `[batch, visible]`.

        Args:
          v: Flat, `[batch, visible]`.
          pooled: p, `[batch, blocks]`.
          seed: int32 `[2]`, or one for each row.
          temperature: Divides the logits.
        """
        hidden, visible = random.split(seed)
        field = self.joint.field("h", {"v": v})
        h = self.joint.units["h"].draw_within(hidden, field, pooled, temperature)
        return self.joint.draw(("v",), {"h": h}, [visible], temperature=temperature)["v"]

    def test_metrics(self, data, seed):
        """As `EnergyModel`; none of a stack, whose log Z is not that of its first machine."""
        return super().test_metrics(data, seed) if self.above is None else {}

    def views(self, data, num, seed):
        """Filters of each machine; of one machine by itself also what `EnergyModel` shows.

        Those of a machine above the first are what they stand for in x by the filters below, a pooled unit
        standing for each of its block alike.

        Args:
          data: A `tfgen.data.Data`, or None for what needs none.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        shown = super().views(data, num, seed) if self.above is None else {}
        filters = np.moveaxis(self.kernel.numpy(), 3, 0)[:num]
        shown["filters"] = View(_grey(filters), title="filters")
        for k in range(1, len(self.machines())):
            title = f"filters of machine {k + 1}, as those below make them of x"
            shown[f"filters_{k + 1}"] = View(_grey(self.seen_below(k, num)), title=title)
        if self.above is not None and data is not None:
            x = self.space.from_data(data.test.x[: min(num, 16)], data, seed)
            title = "test examples and the means of v given the means of the first machine's h"
            both = tf.stack([x, self.back(self.flat(x))])
            shown["reconstructions"] = View(both, "rows", ("data", "reconstructed"), title)
        return shown

    def seen_below(self, k, num):
        """The first `num` filters of machine k, each at the middle of its image, as images of x."""
        machine = self.machines()[k]
        rows, columns, filters = machine.detection_shape
        middle = np.zeros([min(num, filters), *machine.detection_shape], np.float32)
        for i, image in enumerate(middle):
            image[rows // 2, columns // 2, i] = 1.0
        seen = tf.constant(middle.reshape(len(middle), -1))
        for machine in self.machines()[k::-1]:
            (coupling,) = machine.joint.couplings
            if machine is not self.machines()[k]:
                units = machine.joint.units["h"]
                alike = tf.tile(seen[..., None], [1, 1, units.pooling**2]) / units.pooling**2
                seen = units.from_blocks(alike)
            seen = coupling.to_first(seen)
        return seen.numpy().reshape(-1, *self.event_shape)

    def signatures(self):
        """As `EnergyModel`; a stack draws samples, encodes and reconstructs."""
        served = super().signatures()
        if self.above is not None:
            served = {k: v for k, v in served.items() if k not in ("complete", "gibbs")}
        return served


def _grey(images):
    """Weights as pictures of three channels, all in one scale, grey where they are 0."""
    limit = max(float(np.quantile(np.abs(images), 0.995)), 1e-12)
    grey = np.rint(127.5 + 127.5 * np.clip(images / limit, -1.0, 1.0)).astype(np.uint8)
    return np.repeat(grey, 3, axis=-1) if grey.shape[-1] == 1 else grey


def _for_each(filters, kernel_size, pooling):
    """Sizes of filters and blocks of each machine."""
    several = len(filters)
    if len(kernel_size) not in (1, several):
        raise ValueError(f"kernel_size={kernel_size} must be one number, or {several} as filters={filters}.")
    if len(pooling) not in (1, several):
        raise ValueError(f"pooling={pooling} must be one number, or {several} as filters={filters}.")
    sizes = kernel_size * several if len(kernel_size) == 1 else kernel_size
    last = pooling if several == 1 else (1,)
    return sizes, pooling * (several - 1) + last if len(pooling) == 1 else pooling


def _detection_shape(image, filters, size, pool):
    shape = (image[0] - size + 1, image[1] - size + 1, filters)
    if min(shape) < 1:
        raise ValueError(
            f"kernel_size={size} is larger than the image of {image[0]} x {image[1]}: make it at most that."
        )
    if shape[0] % pool or shape[1] % pool:
        raise ValueError(
            f"pooling={pool} does not divide the {shape[0]} x {shape[1]} detection units of filters of "
            f"{size} on {image[0]} x {image[1]}: change kernel_size or pooling."
        )
    return shape


class Correlation(Coupling):
    """Coupling of an image and detection units by filters that all places share.

    Args:
      first: Name of the image's group.
      second: Name of the detection units' group.
      kernel: `[size, size, channels, filters]`.
      image: `(height, width, channels)`.
      detection: `(height - size + 1, width - size + 1, filters)`.
    """

    def __init__(self, first, second, kernel, image, detection):
        super().__init__(first, second)
        self.kernel, self.image, self.detection = kernel, tuple(image), tuple(detection)

    def to_second(self, t):
        """w * t: flat images `[..., height * width * channels]` to detection units, `[..., size]`."""
        kernel = tf.cast(self.kernel.value, t.dtype)
        images = tf.reshape(t, [-1, *self.image])
        return self._flat(tf.nn.conv2d(images, kernel, 1, "VALID"), t, self.detection)

    def to_first(self, t):
        """The transposed map: flat detection units to images."""
        kernel = tf.cast(self.kernel.value, t.dtype)
        units = tf.reshape(t, [-1, *self.detection])
        shape = tf.concat([tf.shape(units)[:1], self.image], axis=0)
        return self._flat(tf.nn.conv2d_transpose(units, kernel, shape, 1, "VALID"), t, self.image)

    @staticmethod
    def _flat(images, like, shape):
        size = math.prod(shape)
        found = tf.reshape(images, tf.concat([tf.shape(like)[:-1], [size]], axis=0))
        return tf.ensure_shape(found, [*like.shape[:-1], size])

    def penalty(self):
        """Half the sum of squares of the filters."""
        return 0.5 * tf.reduce_sum(tf.square(self.kernel.value))

    def rows(self, name, index):
        """What single units bring to the other group per t = 1: `[..., size of the other]`."""
        shape, brings = (
            (self.image, self.to_second) if name == self.first else (self.detection, self.to_first)
        )
        return brings(tf.one_hot(index, math.prod(shape)))
