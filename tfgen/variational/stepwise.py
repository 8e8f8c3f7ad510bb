"""Normal distribution of a sequence whose every step is conditioned on those before it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.draw import draw
from tfgen.layers.scan import scan

tfd = tfp.distributions


class Recurrence(NamedTuple):
    """What makes mu_t and sigma_t of z_1 ... z_(t-1), for a number of rows at once.

    Args:
      start: State before the first step, a nest of `[rows, ...]`.
      conditional: f(state) -> (state, mu, sigma) of the next step, each `[rows, size]`.
      advance: f(state, z) -> state behind a step.
    """

    start: object
    conditional: Callable
    advance: Callable


class Path(NamedTuple):
    """Sequences z with what led to them.

    Args:
      z: `[*sample_shape, batch, steps, size]`.
      factors: p(z_t | z_<t) of all steps, independent normals over `[steps, size]`.
      kept: What `StepwiseNormal` was told to keep of the state before each step, by name:
        `[*sample_shape, batch, steps, *shape]`.
      last: The state behind the last step, a nest of `[rows, ...]`, as `Recurrence` has it.
    """

    z: tf.Tensor
    factors: tfd.Distribution
    kept: dict
    last: object


class StepwiseNormal(tfd.Distribution):
    """p(z) = prod_t N(z_t; mu_t, diag sigma_t^2), where mu_t and sigma_t are functions of z_1 ... z_(t-1).

    z has the shape `[steps, size]`. A draw, its density and what a path meets on its way take one pass over
    the steps (`path`); so does the density of any z. Its mean has no closed form.

    Args:
      recurrence: f(copies) -> `Recurrence` over `copies * batch` rows, the batch repeated as a whole.
      batch: Number of distributions, an int32 scalar.
      steps: Number of steps.
      size: Size of a step.
      kept: {name: (shape, f(state) -> `[rows, *shape]`)}: what a `Path` keeps of the states.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.
    """

    def __init__(
        self,
        recurrence,
        batch,
        steps,
        size,
        kept=None,
        validate_args=False,
        allow_nan_stats=True,
        name="StepwiseNormal",
    ):
        parameters = dict(locals())
        self.recurrence, self.steps, self.size = recurrence, steps, size
        self.batch, self.kept = batch, kept or {}
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _batch_shape(self):
        return tf.TensorShape([tf.get_static_value(self.batch)])

    def _batch_shape_tensor(self):
        return tf.convert_to_tensor(self.batch, tf.int32)[None]

    def _event_shape(self):
        return tf.TensorShape([self.steps, self.size])

    def _event_shape_tensor(self):
        return tf.constant([self.steps, self.size], tf.int32)

    def _default_event_space_bijector(self):
        return None

    def path(self, seed, sample_shape=(), temperature=1.0):
        """A draw with what led to it, a `Path`.

        Args:
          seed: As for `tfgen.distributions.draw.draw`.
          sample_shape: As there.
          temperature: Multiplies the noise of every step; 0 follows the means, z_t = mu_t(z_<t).
        """
        shape = tf.concat([self.batch_shape_tensor(), self.event_shape_tensor()], axis=0)
        noise = draw(tfd.Normal(tf.zeros(shape), 1.0), seed, sample_shape, temperature)
        return self._walk(noise, lambda noise, loc, scale: loc + scale * noise)

    def path_through(self, z):
        """The `Path` of known z, `[*sample_shape, batch, steps, size]`."""
        return self._walk(tf.convert_to_tensor(z, tf.float32), lambda z, loc, scale: z)

    def draw_by(self, seed, sample_shape, temperature):
        """As `tfgen.distributions.draw.DrawsItself`: z of a `path`."""
        return self.path(seed, sample_shape, temperature).z

    def _log_prob(self, z):
        path = self.path_through(z)
        return path.factors.log_prob(path.z)

    def _walk(self, given, value):
        """The path of z_t = `value(given_t, mu_t, sigma_t)`, of `[*sample_shape, batch, steps, size]`.

        Rows are the samples of all distributions, those of one sample beside each other.
        """
        outer = given.shape[:-2]
        leading = tf.shape(given)[:-2]
        rows = tf.reshape(given, [-1, self.steps, self.size])
        known = math.prod(outer) if outer.is_fully_defined() else None
        rows = tf.ensure_shape(rows, [known, self.steps, self.size])
        copies = math.prod(outer[:-1]) if outer[:-1].is_fully_defined() else tf.reduce_prod(leading[:-1])
        start, conditional, advance = self.recurrence(copies)
        entry = tf.TensorSpec([known, self.size])
        out = {"z": entry, "loc": entry, "scale": entry}
        out |= {name: tf.TensorSpec([known, *shape]) for name, (shape, _) in self.kept.items()}

        def step(state, given):
            before = {name: read(state) for name, (_, read) in self.kept.items()}
            state, loc, scale = conditional(state)
            z = value(given, loc, scale)
            return advance(state, z), {"z": z, "loc": loc, "scale": scale} | before

        last, met = scan(step, tf.transpose(rows, (1, 0, 2)), start, out)
        met = {name: self._arranged(tensor, outer, leading) for name, tensor in met.items()}
        factors = tfd.Independent(tfd.Normal(met.pop("loc"), met.pop("scale")), 2)
        return Path(met.pop("z"), factors, met, last)

    def _arranged(self, tensor, outer, leading):
        """`[steps, rows, ...]` as `[*leading, steps, ...]`, whose static shape begins with `outer`."""
        tensor = tf.transpose(tensor, (1, 0, *range(2, tensor.shape.rank)))
        shape = tensor.shape[2:]
        tensor = tf.reshape(tensor, tf.concat([leading, [self.steps], shape], axis=0))
        return tf.ensure_shape(tensor, [*outer, self.steps, *shape])
