"""Laws: from a network's raw outputs to the distribution of one entry of x, and to a draw of it.

A law says how many raw outputs an entry needs, how values are read back by a network, and draws entries from
uniform numbers made before any loop starts, at a temperature and with known values kept. An entry is a number
(`Levels`), a pixel with all its channels (`LogisticMixture`) or a step of a pen (`Strokes`).
"""

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions import continuous_bernoulli
from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.stroke_mixture import StrokeMixture

tfd = tfp.distributions

# Temperature 0 stands for this: it leaves the mode, and no difference of logits overflows.
_COLDEST = 1e-20
_UNIT = math.log(math.e - 1.0)  # softplus(_UNIT) = 1: a network that puts out 0 starts at scale 1.
_SMALLEST = 1e-4  # A scale of 0 would make a density infinite.
_LOG_RANGE = 7.0
# Components of a pen thinner than this would follow the rounding of the data.
_THINNEST = 0.01
_STRAIGHTEST = 0.99


def positive_scale(raw):
    """softplus(raw + log(e - 1)) + 1e-4: positive, 1 at 0."""
    return tf.math.softplus(raw + _UNIT) + _SMALLEST


def _uniform(seeds, shape):
    """Uniform floats `[n, *shape]` from seeds `[n, 2]`, or from seeds for the first axes of `shape` too."""
    return random.uniform(seeds, shape[seeds.shape.rank - 2 :])


class Draws(NamedTuple):
    """Random numbers for all entries of some x, and the function that turns an entry's part into its value.

    Args:
      noise: Dict of `[*positions, n, ...]`, positions being the axes of x that count its entries.
      entry: `f(raw, noise) -> values`, of one entry's raw outputs `[n, size]` and its part of the noise,
        `[n, ...]` each: `[n, *entry]`.
    """

    noise: dict
    entry: Callable


class Law(abc.ABC):
    """Distribution of an entry of x given a network's raw outputs.

    Attributes:
      size: Number of raw outputs of an entry.
      entry: Shape of an entry: () for a number, (channels,) for a pixel, (3,) for a step of a pen.
      values: What a model's `values` are under this law: "levels" or "real".
      num_values: Number of levels, None for real values.
    """

    entry = ()
    values = "levels"
    num_values = None

    @abc.abstractmethod
    def __call__(self, raw):
        """TFP distribution of batch shape `[...]` and event shape `entry`, of raw `[..., size]`."""

    def log_prob(self, raw, x):
        """log p of each entry, float32 `[...]`, in nats, of raw `[..., size]` and x `[..., *entry]`."""
        return self(raw).log_prob(x)

    @abc.abstractmethod
    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """Everything random about some x, before their entries are drawn one after the other.

        Args:
          seeds: int32 `[n, 2]`, one for each x; or `[n, T, 2]`, one for each of the first positions, so that
            what is drawn there does not depend on how many there are.
          event_shape: Shape of one x, without None.
          temperature: Below 1 less varied; 0 for the mode of each entry.
          given: Values to keep, `[n, *event_shape]`, or None.
          mask: bool `[n, *event_shape]`, True where `given` is kept; None with `given`.

        Returns:
          `Draws`.
        """

    def positions(self, event_shape):
        """The axes of x that count its entries."""
        return tuple(event_shape[: len(event_shape) - len(self.entry)])

    def _entries_first(self, event_shape, tensors):
        """`[n, *positions, ...]` as `[*positions, n, ...]`."""
        count = len(self.positions(event_shape))
        return {
            name: tf.transpose(t, (*range(1, count + 1), 0, *range(count + 1, t.shape.rank)))
            for name, t in tensors.items()
        }


class Bernoulli(tfd.Bernoulli):
    """Bernoulli with floats as values and one softplus in its log_prob, where TFP's has two.

    P(x = 1) = sigmoid(logits), x a float 0. or 1.

    log p(x) = x logits - softplus(logits).

    Args:
      logits: Log odds of a one, any shape.
      dtype: Type of samples.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.
    """

    uniforms = ()

    def __init__(
        self,
        logits,
        dtype=tf.float32,
        validate_args=False,
        allow_nan_stats=True,
        name="Bernoulli",
    ):
        parameters = dict(locals())
        super().__init__(
            logits=logits,
            dtype=dtype,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            name=name,
        )
        self._parameters = {k: v for k, v in parameters.items() if k not in ("self", "__class__")}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        inherited = super()._parameter_properties(dtype, num_classes)
        return {"logits": inherited["logits"]}

    def _log_prob(self, x):
        logits = tf.convert_to_tensor(self.logits)
        return tf.cast(x, logits.dtype) * logits - tf.math.softplus(logits)

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`: 1 where the log odds exceed `temperature` times logistic noise."""
        noise = tf.math.log(uniform) - tf.math.log1p(-uniform)
        return tf.cast(self.logits > temperature * noise, self.dtype)


class Categorical(tfd.Categorical):
    """Categorical over the integers 0 to K - 1 as floats, with a mean: sum_k k p_k.

    Args:
      logits: Log weights, `[..., K]`.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.
    """

    def __init__(self, logits, validate_args=False, allow_nan_stats=True, name="Categorical"):
        parameters = dict(locals())
        super().__init__(
            logits=logits,
            dtype=tf.float32,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            name=name,
        )
        self._parameters = {k: v for k, v in parameters.items() if k not in ("self", "__class__")}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        inherited = super()._parameter_properties(dtype, num_classes)
        return {"logits": inherited["logits"]}

    def _mean(self):
        p = tf.nn.softmax(self.logits)
        return tf.linalg.matvec(p, tf.range(p.shape[-1], dtype=p.dtype))

    @property
    def uniforms(self):
        """Shape of the uniform numbers of one draw."""
        return (self.logits.shape[-1],)

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`: the largest of the logits and `temperature` times Gumbel noise."""
        gumbel = -tf.math.log(-tf.math.log(uniform))
        return tf.cast(tf.argmax(self.logits + temperature * gumbel, axis=-1), self.dtype)


class ContinuousBernoulli(Law):
    """Continuous Bernoulli of a number in [0, 1]: p(x) = C(l) exp(l x), with natural parameter l.

    What is trained as a Bernoulli of grey values without the constant C is no density; this is one.

    References:
      Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
      autoencoders", 2019, arXiv:1907.06845.
    """

    size = 1
    values = "unit"

    def __call__(self, raw):
        """`continuous_bernoulli.ContinuousBernoulli` of raw `[..., 1]`: l."""
        return continuous_bernoulli.ContinuousBernoulli(raw[..., 0])

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` of the quantile at a uniform number, l divided by the temperature."""
        noise = {"uniform": _uniform(seeds, event_shape)}
        if given is not None:
            noise |= {"given": given, "mask": mask}

        def entry(raw, noise):
            x = self(raw).drawn(noise["uniform"], temperature)
            return tf.where(noise["mask"], noise["given"], x) if "mask" in noise else x

        return Draws(self._entries_first(event_shape, noise), entry)


class Levels(Law):
    """Categorical over the integers 0 to num_values - 1, by logits; with two levels a Bernoulli, by log odds.

    A network reads levels scaled to [-1, 1], so that 0 differs from the zeros outside of an image or before a
    sequence, or as one-hot vectors where levels have no order.

    Args:
      num_values: Number of levels, at least 2.
      one_hot: Read each level as a one-hot vector instead of a number.

    Raises:
      ValueError: If `num_values` does not fit.
    """

    def __init__(self, num_values=2, one_hot=False):
        self.num_values = checks.whole("num_values", num_values, at_least=2)
        self.one_hot = bool(one_hot)
        self.size = 1 if self.num_values == 2 else self.num_values

    def __call__(self, raw):
        """`Bernoulli` or `Categorical`."""
        if self.size == 1:
            return Bernoulli(raw[..., 0])
        return Categorical(raw)

    def log_prob(self, raw, x):
        """log p of levels x `[...]`, float32, in nats."""
        if self.size == 1:
            return -tf.nn.sigmoid_cross_entropy_with_logits(x, raw[..., 0])
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(x, tf.int32), raw)

    def log_probs(self, raw):
        """log p of every level, float32 `[..., num_values]`, in nats."""
        if self.size == 1:
            raw = tf.concat([tf.zeros_like(raw), raw], axis=-1)
        return tf.nn.log_softmax(raw)

    def from_log_probs(self, log_probs):
        """Raw outputs of log p of every level `[..., num_values]`: `log_probs` undone."""
        return log_probs[..., 1:] - log_probs[..., :1] if self.size == 1 else log_probs

    def features(self, channels=1):
        """Number of features that `read` gives of so many entries."""
        return channels * (self.num_values if self.one_hot else 1)

    def read(self, x):
        """Levels `[..., channels]` as a network reads them, `[..., features(channels)]`."""
        if self.one_hot:
            x = tf.one_hot(tf.cast(x, tf.int32), self.num_values)
            return tf.concat(tf.unstack(x, axis=-2), axis=-1)
        return x * (2.0 / (self.num_values - 1)) - 1.0

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` by one uniform number u an entry.

        Two levels: 1 where log odds > temperature log(u / (1 - u)), which has probability sigmoid(log odds /
        temperature). More: the inverse of the distribution function of softmax(logits / temperature).
        """
        temperature = tf.cast(temperature, tf.float32)
        uniform = _uniform(seeds, event_shape)
        if self.size == 1:
            threshold = temperature * (tf.math.log(uniform) - tf.math.log1p(-uniform))
            if given is not None:
                # A known entry is drawn from a threshold that only its own value passes.
                forced = tf.where(given > 0.5, -float("inf"), float("inf"))
                threshold = tf.where(mask, forced, threshold)
            noise = {"threshold": threshold}
        else:
            noise = {"uniform": tf.where(temperature > 0.0, uniform, 0.5)}
            if given is not None:
                noise["known"] = tf.where(mask, given, -1.0)

        def entry(raw, noise):
            if self.size == 1:
                return tf.cast(raw[..., 0] > noise["threshold"], tf.float32)
            highest = tf.reduce_max(raw, axis=-1, keepdims=True)
            tempered = (raw - highest) / tf.maximum(temperature, _COLDEST)
            level = tf.cast(random.pick(noise["uniform"], tf.exp(tempered)), tf.float32)
            return tf.where(noise["known"] < 0.0, level, noise["known"]) if "known" in noise else level

        return Draws(self._entries_first(event_shape, noise), entry)


class Logistic(Law):
    """Levels that have an order: a logistic distribution rounded to the integers 0 to num_values - 1.

    Args:
      num_values: Number of levels, at least 2.

    Raises:
      ValueError: If `num_values` does not fit.
    """

    size = 2

    def __init__(self, num_values=256):
        self.num_values = checks.whole("num_values", num_values, at_least=2)

    def __call__(self, raw):
        """`DiscretizedLogistic` of raw `[..., 2]`: locations and log scales, as if levels filled [-1, 1].

        Log scales are kept within 7 of 0.
        """
        half = (self.num_values - 1) / 2.0
        log_scale = tf.clip_by_value(raw[..., 1], -_LOG_RANGE, _LOG_RANGE)
        return DiscretizedLogistic(half * (raw[..., 0] + 1.0), half * tf.exp(log_scale), self.num_values)

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` of the level at a uniform quantile, the scale multiplied by the temperature."""
        noise = {"uniform": _uniform(seeds, event_shape)}
        if given is not None:
            noise["known"] = tf.where(mask, given, -1.0)

        def entry(raw, noise):
            level = self(raw).quantile_of(noise["uniform"], temperature)
            return tf.where(noise["known"] < 0.0, level, noise["known"]) if "known" in noise else level

        return Draws(self._entries_first(event_shape, noise), entry)


class Gaussian(Law):
    """Normal distribution of a real number, with a standard deviation of its own."""

    size = 2
    values = "real"

    def __call__(self, raw):
        """`tfd.Normal` of raw `[..., 2]`: locations and raw scales (`positive_scale`)."""
        return tfd.Normal(raw[..., 0], positive_scale(raw[..., 1]))

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` by one standard normal number an entry, multiplied by the temperature."""
        noise = {"normal": temperature * tf.math.ndtri(_uniform(seeds, event_shape))}
        if given is not None:
            noise |= {"given": given, "mask": mask}

        def entry(raw, noise):
            normal = self(raw)
            x = normal.loc + normal.scale * noise["normal"]
            return tf.where(noise["mask"], noise["given"], x) if "mask" in noise else x

        return Draws(self._entries_first(event_shape, noise), entry)


class LogisticMixture(Law):
    """Mixture of discretized logistics over the channels of a pixel (PixelCNN++), which share the component.

    Args:
      channels: Number of color channels.
      num_components: Number of components.
      num_values: Number of levels of a channel.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Salimans, Karpathy, Chen & Kingma, "PixelCNN++", ICLR 2017, arXiv:1701.05517.
    """

    def __init__(self, channels, num_components, num_values=256):
        self.num_values = checks.whole("num_values", num_values, at_least=2)
        self.num_components = checks.whole("num_components", num_components)
        self.channels = checks.whole("channels", channels)
        self.entry = (self.channels,)
        self.outputs = 1 + 2 * channels + channels * (channels - 1) // 2
        self.size = self.num_components * self.outputs

    def __call__(self, raw):
        """`DiscretizedLogisticMixture` of raw `[..., outputs * K]`, one group of K after the other.

        The groups are logits; for each channel a location, then for each a log scale, both as in `Logistic`;
        for each pair of channels the coefficient, before tanh, by which the location of the one follows the
        level of the other.
        """
        channels = self.channels
        half = (self.num_values - 1) / 2.0
        raw = tf.reshape(raw, tf.concat([tf.shape(raw)[:-1], [self.outputs, self.num_components]], 0))
        loc = raw[..., 1 : channels + 1, :]
        log_scale = raw[..., channels + 1 : 2 * channels + 1, :]
        scale = half * tf.exp(tf.clip_by_value(log_scale, -_LOG_RANGE, _LOG_RANGE))
        coefficients = tf.tanh(raw[..., 2 * channels + 1 :, :]) if channels > 1 else None
        return DiscretizedLogisticMixture(
            raw[..., 0, :], half * (loc + 1.0), scale, coefficients, self.num_values
        )

    def features(self, channels=1):
        """Number of features that `read` gives of a pixel."""
        return channels + 1

    def read(self, x):
        """Levels `[..., channels]` in [-1, 1], and a one that tells them from what is outside the image."""
        return tf.concat([x * (2.0 / (self.num_values - 1)) - 1.0, tf.ones_like(x[..., :1])], axis=-1)

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` of each channel from its exact conditional given those before it, drawn or known."""
        noise = {"uniform": _uniform(seeds, (*event_shape, 2))}
        if given is not None:
            noise["known"] = tf.where(mask, given, -1.0)

        def entry(raw, noise):
            mixture = self(raw).tempered(temperature)
            return mixture.from_uniform(noise["uniform"], noise.get("known"))

        return Draws(self._entries_first(event_shape, noise), entry)


class Strokes(Law):
    """Step of a pen (dx, dy, pen): a mixture of correlated Gaussians and a bit (`StrokeMixture`).

    Args:
      num_components: Number of Gaussians.
      bias: Graves' probability bias: 0 draws from the density, more is neater.

    Raises:
      ValueError: If `num_components` does not fit.

    References:
      Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    entry = (3,)
    values = "real"

    def __init__(self, num_components, bias=0.0):
        self.num_components = checks.whole("num_components", num_components)
        self.bias = bias
        self.size = 6 * self.num_components + 1

    def __call__(self, raw):
        """`StrokeMixture` of raw `[..., 6 K + 1]`, one group of K after the other, with Graves' bias b.

        The groups are pi, the locations of dx and of dy, s of dx and of dy, r; then the pen's log odds.
        Weights are softmax(pi (1 + b)), standard deviations exp(s - b) + 0.01, correlations 0.99 tanh(r):
        bounded, so that no component becomes a line or a point.
        """
        groups = tf.concat([tf.shape(raw)[:-1], [6, self.num_components]], 0)
        components = tf.reshape(raw[..., :-1], groups)
        return StrokeMixture(
            components[..., 0, :] * (1.0 + self.bias),
            components[..., 1:3, :],
            tf.exp(components[..., 3:5, :] - self.bias) + _THINNEST,
            _STRAIGHTEST * tf.tanh(components[..., 5, :]),
            raw[..., -1],
        )

    def draws(self, seeds, event_shape, temperature=1.0, given=None, mask=None):
        """`Draws` by four uniform numbers a step."""
        noise = {"uniform": _uniform(seeds, (*self.positions(event_shape), 4))}
        if given is not None:
            noise |= {"given": given, "mask": mask}

        def entry(raw, noise):
            x = self(raw).tempered(temperature).from_uniform(noise["uniform"])
            return tf.where(noise["mask"], noise["given"], x) if "mask" in noise else x

        return Draws(self._entries_first(event_shape, noise), entry)
