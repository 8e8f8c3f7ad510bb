"""DRAW: pictures drawn step by step onto a canvas, by recurrent networks with attention."""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import draw
from tfgen.layers.recurrent import RecurrentLayer
from tfgen.layers.scan import scan
from tfgen.media.pictures import outlined
from tfgen.model import View
from tfgen.networks.attention import Reader, Writer
from tfgen.variational.distributions import make_likelihood, values_under
from tfgen.variational.latent_variable import Drawn, LatentVariableModel

tfd = tfp.distributions

_GRID = 8
# Pictures in a view of the steps, and canvases of one of them.
_PICTURES, _CANVASES = 8, 12


class CanvasModel(LatentVariableModel):
    """p(x | z_1 ... z_T) by a canvas to which each z_t adds a patch, q(z | x) by what is missing on it.

      h_t = LSTM(h_(t-1), [z_t, s_t]),  c_t = c_(t-1) + write(h_t),  x ~ p(x | c_T)
      e_t = x - E(x | c_(t-1)),  r_t = read(x, e_t, h_(t-1)),  k_t = LSTM(k_(t-1), [r_t, h_(t-1)]),
      q(z_t | x, z_<t) = N(mu(k_t), diag exp(2 l(k_t)))

    s_t is what a condition says at a step, nothing without one. Reading and writing go through grids of
    Gaussian filters, which h lays (`tfgen.networks.attention`). A subclass adds p(z). z has the shape
    `[num_steps, latent_size]`.

    Args:
      event_shape: (height, width, channels).
      condition: `Condition`, or None.
      heard: Size of s_t.
      num_steps: Steps T.
      latent_size: Latent variables of a step.
      units: Units of each LSTM.
      attention: Whether there are grids; False reads and writes whole pictures.
      read_size: Side of the grid that reads; None for 8, or for the shorter side of a smaller picture.
      write_size: Side of the grid that writes; None as for `read_size`.
      likelihood: p(x | c_T), of each entry for itself: "bernoulli", "continuous_bernoulli", "gaussian",
        "discretized_logistic" or a registered function of the canvas `[..., *event_shape, likelihood_size]`
        to a TFP distribution with a mean.
      num_values: Number of levels of the data; None takes 2 for Bernoulli, else 256.
      likelihood_size: Numbers of the canvas for each entry of x, for a likelihood of one's own.
      **kwargs: Arguments of `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        event_shape,
        condition=None,
        heard=0,
        /,
        num_steps=8,
        latent_size=10,
        units=128,
        attention=True,
        read_size: int | None = None,
        write_size: int | None = None,
        likelihood="bernoulli",
        num_values: int | None = None,
        likelihood_size: int | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        if len(self.event_shape) != 3:
            raise ValueError(f"event_shape must be (height, width, channels), got {event_shape}.")
        self.condition = condition
        self.latent_shape = (checks.whole("num_steps", num_steps), checks.whole("latent_size", latent_size))
        self.units = checks.whole("units", units)
        self._law, size, self.num_values = make_likelihood(likelihood, num_values, likelihood_size)
        self._log_odds = likelihood == "bernoulli"
        self.values = values_under(self._law, self.num_values)
        self._raw_shape = (*self.event_shape, size)
        height, width, channels = self.event_shape
        sides = {"read_size": read_size, "write_size": write_size}
        read, write = (_grid(name, side, height, width, attention) for name, side in sides.items())
        self.planes = math.prod(self._raw_shape) // (height * width)
        policy = {"dtype": self.dtype_policy}
        self.reader = Reader(height, width, read, **policy, name="reader")
        self.encoder = RecurrentLayer("lstm", units, **policy, name="encoder")
        self.code = keras.layers.Dense(2 * latent_size, **policy, name="code")
        self.decoder = RecurrentLayer("lstm", units, **policy, name="decoder")
        self.writer = Writer(height, width, self.planes, write, **policy, name="writer")
        self.reader.build((None, units))
        self.encoder.build((None, self.reader.size(channels) + units))
        self.code.build((None, units))
        self.decoder.build((None, latent_size + heard))
        self.writer.build((None, units))
        # c_0, k_0 and h_0, which are the same for all x.
        self.canvas = self.add_weight((height, self.planes * width), "zeros", name="canvas")
        self.begun_encoder = self.add_weight((units,), "zeros", name="begun_encoder")
        self.begun_decoder = self.add_weight((units,), "zeros", name="begun_decoder")
        try:
            self.picture(self.canvas.value[None]).mean()
        except NotImplementedError:
            raise ValueError(
                f"likelihood={likelihood!r} has no mean that the canvas could be seen by: take 'bernoulli', "
                "'gaussian' or 'discretized_logistic'."
            ) from None

    def begin(self, batch, seed):
        """Starts the canvas c_0 at the mean picture, where its numbers are log odds of 1."""
        del seed
        if self._log_odds:
            x = np.asarray(batch["x"], np.float64)
            ones = np.transpose(x.sum(0), (0, 2, 1)).reshape(self.canvas.shape)
            self.canvas.assign(np.log(ones + 1.0) - np.log(len(x) - ones + 1.0))

    def listen(self, condition, copies=1):
        """What `hear` needs of the conditions, repeated so many times; nothing without one."""
        del condition, copies
        return None

    def hear(self, h, told):
        """s_t by the decoder's last output h `[rows, units]`: `[rows, heard]`, or None."""
        del h, told
        return None

    def start(self, rows):
        """Canvas and decoder before the first step."""
        canvas = tf.broadcast_to(self.canvas.value, [rows, *self.canvas.shape])
        return {"canvas": canvas, "decoder": self._begun(self.begun_decoder, rows)}

    def _begun(self, first, rows):
        h = tf.broadcast_to(tf.cast(first.value, tf.float32), [rows, self.units])
        return h, tf.zeros_like(h)

    def advance(self, state, z, told=None):
        """Canvas and decoder behind a step, z `[rows, latent_size]`; `told` is of `listen`."""
        heard = self.hear(state["decoder"][0], told)
        inputs = z if heard is None else tf.concat([z, heard], axis=-1)
        decoder, h = self.decoder.step(state["decoder"], inputs)
        return state | {"decoder": decoder, "canvas": state["canvas"] + self.writer(h)}

    def look(self, state, x):
        """The state behind the encoder's look, and mu and sigma of q(z_t | x, z_<t).

        Args:
          state: Of a step.
          x: Pictures, their planes side by side: `[rows, height, channels * width]`.
        """
        h = state["decoder"][0]
        error = x - self._planes_of(self.picture(state["canvas"]).mean())
        glimpse = self.reader(h, x, error)
        encoder, k = self.encoder.step(state["encoder"], tf.concat([glimpse, h], axis=-1))
        loc, log_scale = tf.split(tf.cast(self.code(k), tf.float32), 2, axis=-1)
        return state | {"encoder": encoder}, loc, tf.exp(log_scale)

    def _planes_of(self, x):
        """x in [0, 1] or real as planes side by side: `[rows, height, channels * width]`."""
        height, width, channels = self.event_shape
        if self.values == "levels":
            x = x / (self.num_values - 1.0)
        return tf.reshape(tf.transpose(x, (0, 1, 3, 2)), [-1, height, channels * width])

    def posterior(self, x, condition=None):
        """q(z | x), a `StepwiseNormal` over `[num_steps, latent_size]`."""
        x = self._planes_of(tf.convert_to_tensor(x, tf.float32))
        batch = x.shape[0] or tf.shape(x)[0]

        def recurrence(copies):
            seen, told = tf.tile(x, [copies, 1, 1]), self.listen(condition, copies)
            state = self.start(copies * batch)
            state["encoder"] = self._begun(self.begun_encoder, copies * batch)
            return Recurrence(
                state, lambda state: self.look(state, seen), lambda state, z: self.advance(state, z, told)
            )

        # The prior of a step may be a function of the decoder.
        kept = {"h": ((self.units,), lambda state: state["decoder"][0])}
        return StepwiseNormal(recurrence, batch, *self.latent_shape, kept)

    def prior_along(self, path):
        """p(z_t | z_<t) of every step of a `Path`; p(z) where the steps are independent."""
        del path
        return self.prior()

    def likelihood(self, z, condition=None):
        """p(x | z) for z `[..., num_steps, latent_size]`: `picture` of the last canvas."""
        z = tf.convert_to_tensor(z, tf.float32)
        rows = tf.shape(z)[:-2]
        return self.picture(self._written(z, condition)["canvas"], rows)

    def picture(self, canvas, rows=None):
        """p(x | c), a TFP distribution over x.

        Args:
          canvas: `[n, height, planes * width]`.
          rows: Batch shape, as many as there are canvases; None for `[n]`.
        """
        height, width, _ = self.event_shape
        raw = tf.transpose(tf.reshape(canvas, [-1, height, self.planes, width]), (0, 1, 3, 2))
        rows = tf.shape(raw)[:1] if rows is None else rows
        distribution = self._law(tf.reshape(raw, tf.concat([rows, self._raw_shape], axis=0)))
        apart = len(self.event_shape) - distribution.event_shape.rank
        return tfd.Independent(distribution, apart) if apart else distribution

    def _written(self, z, condition, out=(), read=lambda state: ()):
        """The state behind all steps of z `[..., T, latent_size]`, or what is read of it behind each."""
        steps = tf.transpose(tf.reshape(z, [-1, *self.latent_shape]), (1, 0, 2))
        rows = tf.shape(steps)[1]
        batch = 1 if condition is None else tf.shape(condition)[0]
        told = self.listen(condition, rows // batch)

        def step(state, z):
            state = self.advance(state, z, told)
            return state, read(state)

        last, found = scan(step, steps, self.start(rows), out)
        return found if out else last

    def drawn(self, x, seed, condition=None, num_samples=None):
        """`Drawn` of one pass over the steps, in which the path of z makes the canvas too."""
        size = self.num_samples * self.num_groups if num_samples is None else num_samples
        return self._drawn_along(self.posterior(x, condition).path(seed, [size]), x)

    def weigh(self, posterior, x, seeds, condition=None):
        """As the base's, in one pass over the steps."""
        del condition
        return self._drawn_along(posterior.path(seeds, tf.shape(seeds)[:1]), x).log_weights

    def _drawn_along(self, path, x):
        likelihood = self.picture(path.last["canvas"], tf.shape(path.z)[:-2])
        log_q = path.factors.log_prob(path.z)
        return Drawn(x, path.z, self.prior_along(path), path.factors, likelihood, log_q)

    def encode(self, x, condition=None):
        """mu_t and sigma_t of q(z_t | x, z_<t) on the path of means, z_s = mu_s for s < t.

        Returns:
          Each float32 `[batch, num_steps, latent_size]`.
        """
        x, told = self._checked(x, condition)
        path = self.posterior(x, **told).path(random.as_seed(0), temperature=0.0)
        return path.factors.mean(), path.factors.stddev()

    def canvases(self, z, condition=None):
        """E(x | c_t) behind every step, and where each was written.

        Args:
          z: `[num, num_steps, latent_size]`.
          condition: As everywhere.

        Returns:
          Means `[num_steps, num, *event_shape]`, and the box `[num_steps, num, 4]` of the grid (lowest and
          highest row, lowest and highest column, pixels counted from 1) with its filters' deviation
          `[num_steps, num]`; None for both without a grid.
        """
        rows = z.shape[0]

        def read(state):
            mean = self.picture(state["canvas"]).mean()
            if self.writer.grid is None:
                return (mean,)
            window = self.writer.window(state["decoder"][0])
            return mean, window.box, window.deviation

        shapes = [(rows, *self.event_shape), (rows, 4), (rows,)]
        out = tuple(tf.TensorSpec(shape) for shape in shapes[: 1 if self.writer.grid is None else 3])
        found = self._written(z, condition, out, read)
        return found if len(found) == 3 else (found[0], None, None)

    def views(self, data, num, seed):
        """Beside the base's, the canvas of a few samples: "canvas" (frames, its boxes in red) and "steps".

        Args:
          data: As everywhere.
          num: How many pictures.
          seed: int32 [2].
        """
        shown = super().views(data, num, seed)
        seeds = random.rows(seed, min(num, _PICTURES))
        told, captions = self.view_conditions(data, len(seeds))
        z = self.draw_prior(random.split(seeds)[0], **told)
        means, boxes, deviations = (None if t is None else t.numpy() for t in self.canvases(z, **told))
        frames = means if boxes is None else outlined(self._shares(means), boxes, deviations)
        heads = [f"step {t + 1} of {len(means)}" for t in range(len(means))]
        shown["canvas"] = View(frames, "frames", captions, "canvas", heads)
        which = np.unique(np.linspace(0, len(means) - 1, _CANVASES).astype(int))
        names = captions or [str(row + 1) for row in range(means.shape[1])]
        title = "E(x | c_t): what is on the canvas behind a step"
        columns = [str(t + 1) for t in which]
        shown["steps"] = View(np.swapaxes(means[which], 0, 1), "rows", names, title, columns)
        return shown

    def view_conditions(self, data, num):
        """Keyword arguments of conditions for pictures, and a caption for each; nothing without one."""
        del data, num
        return {}, None

    def _shares(self, x):
        """x as shares of white, in [0, 1]."""
        low, high = self.space.value_range
        low, high = (low, high) if np.isfinite(high) else (0.0, 1.0)
        return np.clip((x - low) / (high - low), 0.0, 1.0)


@keras.saving.register_keras_serializable("tfgen")
class DRAW(CanvasModel):
    """Deep recurrent attentive writer: a variational autoencoder whose x is drawn in T steps.

      z_t ~ N(0, I),  h_t = LSTM(h_(t-1), z_t),  c_t = c_(t-1) + write(h_t),  x ~ p(x | c_T)

    q(z | x) = prod_t q(z_t | x, z_<t), by an LSTM that reads x and the error of the canvas so far where
    h_(t-1) looks (`CanvasModel`, equations 3 to 8). The loss is -log p(x | c_T) plus the sum over t of
    KL(q(z_t | x, z_<t) || N(0, I)), each in closed form along the path that was drawn (equations 9 to 12).

    Args:
      event_shape: (height, width, channels).
      **kwargs: Arguments of `CanvasModel` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: a recurrent neural network for image generation",
      2015, arXiv:1502.04623.
    """

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.check_objective(self.prior(), self.posterior(tf.zeros([1, *self.event_shape])))

    def prior(self, condition=None):
        """p(z), standard normal over `[num_steps, latent_size]`."""
        del condition
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_shape), 1.0), 2)


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


def _grid(name, side, height, width, attention):
    """Side of a grid of filters, None without."""
    least = min(height, width)
    if not attention:
        if side is not None:
            raise ValueError(f"attention=False has no grid, got {name}={side}: leave it out.")
        return None
    if side is None:
        return min(_GRID, least)
    if checks.whole(name, side) > least:
        raise ValueError(
            f"{name}={side} is a grid of filters larger than the picture, {height}x{width}: take {least} or "
            "less."
        )
    return side
