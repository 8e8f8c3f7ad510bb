"""Draws from TFP distributions by the random numbers of `tfgen.random`.

TFP's own `sample(seed=...)` gives other numbers inside XLA than outside, is slow there on CPU, and
takes one seed for a whole batch. `draw` takes the common distributions apart to their leaves and
draws those from Threefry: equal numbers everywhere, and a stream of its own for each row.
"""

from typing import Protocol, runtime_checkable

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random

tfd = tfp.distributions


@runtime_checkable
class DrawnFromUniforms(Protocol):
    """A distribution of our own whose draws are functions of uniform numbers.

    Attributes:
      uniforms: Shape of the uniform numbers of one draw.
    """

    uniforms: tuple

    def drawn(self, uniform, temperature):
        """The draws `[..., *event_shape]` of uniform numbers `[..., *uniforms]`, the noise multiplied."""


@runtime_checkable
class DrawsItself(Protocol):
    """A distribution of our own that draws from seeds in its own way: layers, steps, a nest of tensors."""

    def draw_by(self, seed, sample_shape, temperature):
        """Draws, a tensor or a nest, with the arguments of `draw`."""


def draw(distribution, seed, sample_shape=(), temperature=1.0):
    """Draws from any TFP distribution, differentiably where it is reparameterized.

    Distributions that `draws_are_ours` names are drawn from `tfgen.random`; others by their own
    `sample`, row by row where `seed` has rows.

    Args:
      distribution: A TFP distribution.
      seed: int32 `[2]`, or `[..., 2]` whose leading dimensions are the leading ones of the result:
        one stream for each.
      sample_shape: As in TFP: the result is `[*sample_shape, *batch_shape, *event_shape]`.
      temperature: Multiplies the noise of every leaf: standard deviations, and inverse log odds.
        0 is the location or mode.

    Returns:
      Tensor of the distribution's dtype.

    Raises:
      ValueError: If the draws are not ours and `temperature` is not 1, or `seed` has rows for more
        than the sample shape and one dimension of the batch.
    """
    if isinstance(distribution, DrawsItself):
        return distribution.draw_by(seed, sample_shape, temperature)
    if isinstance(distribution, DrawnFromUniforms):
        batch = distribution.batch_shape_tensor()
        uniform = _uniform(seed, _vector(sample_shape), batch, _vector(distribution.uniforms))
        x = distribution.drawn(uniform, temperature)
    elif draws_are_ours(distribution):
        x = _LEAVES[type(distribution)](distribution, seed, _vector(sample_shape), temperature)
    elif isinstance(temperature, (int, float)) and temperature == 1:
        x = _by_rows(distribution, seed, _vector(sample_shape))
    else:
        raise ValueError(
            f"temperature={temperature!r} needs a distribution that tfgen draws from, got "
            f"{type(distribution).__name__}: leave it at 1."
        )
    known = tf.get_static_value(_vector(sample_shape), partial=True)
    leading = tf.TensorShape([None] * _vector(sample_shape).shape[0] if known is None else known)
    return tf.ensure_shape(x, leading + distribution.batch_shape + distribution.event_shape)


def draw_and_log_prob(distribution, seed, sample_shape=()):
    """Draws and their log-probabilities, of transformed distributions without inverting the transformation.

    Args:
      distribution: As for `draw`.
      seed: As for `draw`.
      sample_shape: As for `draw`.

    Returns:
      Draws, and float `[*sample_shape, *batch_shape]`.
    """
    # To TFP a multivariate normal is transformed too.
    if _LEAVES.get(type(distribution)) is not _transformed or not draws_are_ours(distribution):
        x = draw(distribution, seed, sample_shape)
        return x, distribution.log_prob(x)
    base, log_p = draw_and_log_prob(distribution.distribution, seed, sample_shape)
    bijector, event = distribution.bijector, distribution.distribution.event_shape.rank
    return bijector.forward(base), log_p - bijector.forward_log_det_jacobian(base, event_ndims=event)


def draws_are_ours(distribution):
    """Whether `draw` uses `tfgen.random` for this distribution, which XLA compiles well.

    True for `DrawnFromUniforms`, `DrawsItself`, Normal, LogNormal, Logistic, Exponential, Uniform, Bernoulli,
    Categorical, OneHotCategorical and the relaxations of both, the multivariate normals over linear
    operators, and Independent, TransformedDistribution and (not reparameterized) MixtureSameFamily of such.
    """
    if isinstance(distribution, (DrawnFromUniforms, DrawsItself)):
        return True
    if type(distribution) not in _LEAVES or getattr(distribution, "_reparameterize", False):
        return False
    parts = ("distribution", "mixture_distribution", "components_distribution")
    if isinstance(distribution, tfd.MultivariateNormalLinearOperator):
        parts = ()
    return all(draws_are_ours(getattr(distribution, p)) for p in parts if hasattr(distribution, p))


def _vector(shape):
    return tf.convert_to_tensor(shape, tf.int32)


def _uniform(seed, *shapes):
    shape = tf.concat(shapes, axis=0)
    return random.uniform(seed, shape[seed.shape.rank - 1 :])


def _logistic_noise(seed, *shapes):
    u = _uniform(seed, *shapes)
    return tf.math.log(u) - tf.math.log1p(-u)


def _normal(d, seed, shape, temperature):
    noise = tf.math.ndtri(_uniform(seed, shape, d.batch_shape_tensor()))
    return d.loc + temperature * d.scale * noise


def _logistic(d, seed, shape, temperature):
    noise = _logistic_noise(seed, shape, d.batch_shape_tensor())
    return d.loc + temperature * d.scale * noise


def _exponential(d, seed, shape, temperature):
    return -temperature * tf.math.log(_uniform(seed, shape, d.batch_shape_tensor())) / d.rate


def _uniform_interval(d, seed, shape, temperature):
    noise = _uniform(seed, shape, d.batch_shape_tensor()) - 0.5
    return (d.low + d.high) / 2.0 + temperature * (d.high - d.low) * noise


def _bernoulli(d, seed, shape, temperature):
    noise = _logistic_noise(seed, shape, d.batch_shape_tensor())
    return tf.cast(d.logits_parameter() > temperature * noise, d.dtype)


def _gumbels(d, seed, shape, temperature):
    logits = d.logits_parameter()
    uniform = _uniform(seed, shape, d.batch_shape_tensor(), tf.shape(logits)[-1:])
    return logits - temperature * tf.math.log(-tf.math.log(uniform))


def _categorical(d, seed, shape, temperature):
    return tf.cast(tf.argmax(_gumbels(d, seed, shape, temperature), axis=-1), d.dtype)


def _one_hot(d, seed, shape, temperature):
    noisy = _gumbels(d, seed, shape, temperature)
    return tf.one_hot(tf.argmax(noisy, axis=-1), noisy.shape[-1], dtype=d.dtype)


def _log_simplex(d, seed, shape, temperature):
    return tf.nn.log_softmax(_gumbels(d, seed, shape, temperature) / d.temperature)


def _relaxed_bernoulli(d, seed, shape, temperature):
    noise = _logistic_noise(seed, shape, d.batch_shape_tensor())
    return tf.sigmoid((d.logits_parameter() + temperature * noise) / d.temperature)


def _multivariate_normal(d, seed, shape, temperature):
    noise = tf.math.ndtri(_uniform(seed, shape, d.batch_shape_tensor(), d.event_shape_tensor()))
    x = temperature * d.scale.matvec(noise)
    return x if d.loc is None else d.loc + x


def _independent(d, seed, shape, temperature):
    return draw(d.distribution, seed, shape, temperature)


def _transformed(d, seed, shape, temperature):
    return d.bijector.forward(draw(d.distribution, seed, shape, temperature))


def _mixture(d, seed, shape, temperature):
    which, component = random.split(seed)
    chosen = tf.cast(draw(d.mixture_distribution, which, shape, temperature), tf.int32)
    chosen = tf.broadcast_to(chosen, tf.concat([shape, d.batch_shape_tensor()], axis=0))
    x = draw(d.components_distribution, component, shape, temperature)
    axis = x.shape.rank - 1 - d.event_shape.rank  # the components' axis, last of the batch's
    return tf.gather(x, chosen, axis=axis, batch_dims=axis)


_LEAVES = {
    tfd.Normal: _normal,
    tfd.Logistic: _logistic,
    tfd.Exponential: _exponential,
    tfd.Uniform: _uniform_interval,
    tfd.Bernoulli: _bernoulli,
    tfd.Categorical: _categorical,
    tfd.OneHotCategorical: _one_hot,
    tfd.RelaxedBernoulli: _relaxed_bernoulli,
    tfd.ExpRelaxedOneHotCategorical: _log_simplex,
    tfd.RelaxedOneHotCategorical: _transformed,
    tfd.MultivariateNormalDiag: _multivariate_normal,
    tfd.MultivariateNormalTriL: _multivariate_normal,
    tfd.MultivariateNormalLinearOperator: _multivariate_normal,
    tfd.Independent: _independent,
    tfd.TransformedDistribution: _transformed,
    tfd.TransformedDistribution.__base__: _transformed,  # its class without composite tensors
    tfd.LogNormal: _transformed,
    tfd.Independent.__base__: _independent,
    tfd.MixtureSameFamily: _mixture,
    tfd.MixtureSameFamily.__base__: _mixture,
}


def _by_rows(distribution, seed, shape):
    if seed.shape.rank == 1:
        return distribution.sample(shape, seed=seed)
    if shape.shape[0]:
        rows = tf.TensorSpec(None, distribution.dtype)
        return tf.map_fn(lambda s: _by_rows(distribution, s, shape[1:]), seed, fn_output_signature=rows)
    if seed.shape.rank > 2:
        raise ValueError(
            f"seed has shape {seed.shape}, and {type(distribution).__name__} can be drawn for one "
            "batch dimension of seeds: give it fewer leading dimensions."
        )
    return tf.map_fn(
        lambda i: distribution[i : i + 1].sample(seed=seed[i])[0],
        tf.range(tf.shape(seed)[0]),
        fn_output_signature=distribution.dtype,
    )
