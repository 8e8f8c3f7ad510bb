"""The contract that every model meets: `GenerativeModel`.

A model is a Keras model that names its distributions, the updates that train it and the signatures that
serve it. Everything that trains, evaluates, samples or exports a model knows this file only.
"""

import abc
import dataclasses
import functools
import inspect
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.update import Stage, Step, Update, assign_replica_rows, replica_rows

__all__ = [
    "Condition",
    "GenerativeModel",
    "Signature",
    "Stage",
    "Update",
    "assign_replica_rows",
    "constructor_parameters",
    "replica_rows",
]

_RANGES = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0), "real": (-math.inf, math.inf)}


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a model may be conditioned on.

    Args:
      kind: "label" (int32 `[batch]` below `num_classes`), "vector", "image" or "text".
      shape: Shape of one condition; () for a label.
      num_classes: Number of labels, for kind "label".
    """

    kind: str
    shape: tuple = ()
    num_classes: int | None = None

    @property
    def dtype(self):
        """int32 for labels and text, float32 otherwise."""
        return tf.int32 if self.kind in ("label", "text") else tf.float32


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function that an export serves.

    Args:
      function: Called with the inputs by keyword; returns a dict of tensors, batch first.
      inputs: TensorSpec by input name, batch first.
    """

    function: Callable
    inputs: dict


def constructor_parameters(cls):
    """All parameters of a model's constructor, those that `**kwargs` hands to base classes included.

    Returns:
      Dict of `inspect.Parameter` by name, without `self`.
    """
    parameters = {}
    for base in cls.__mro__:
        if base is keras.Model:
            break
        if "__init__" not in base.__dict__:
            continue
        own = inspect.signature(base.__init__).parameters.values()
        named = [p for p in own if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)][1:]
        parameters = parameters | {p.name: p for p in named if p.name not in parameters}
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return parameters


class GenerativeModel(keras.Model, abc.ABC):
    """A model of p(x), or of p(x | condition).

    A subclass sets the class attributes, builds all its weights in its constructor (calling
    `super().__init__(event_shape, **kwargs)` first) and implements `updates`, `sample_rows` and, where its
    density allows, `score`.

    Attributes:
      density: What `log_prob` returns: "exact" log p(x), a "lower_bound" of it, an "unnormalized" log p(x)
        (-free energy), or "none".
      values: What one entry of x is: "levels" (the integers 0 to num_values - 1 as floats), "unit" ([0, 1]),
        "symmetric" ([-1, 1]) or "real".
      num_values: Number of levels, for values "levels".
      condition: `Condition`, or None.
      jit_updates: XLA compiles the updates faster than it would run them uncompiled, as measured.
      jit_sampler: The same of the sampler.

    Args:
      event_shape: Shape of one x.
      name: Keras name.
      dtype: Keras dtype policy, e.g. "mixed_bfloat16".

    Raises:
      ValueError: If a dimension is not positive.
    """

    density = "none"
    values = "levels"
    num_values = 2
    condition = None
    jit_updates = True
    jit_sampler = False

    def __new__(cls, *args, **kwargs):
        """Remembers the constructor's arguments, which `get_config` returns."""
        instance = super().__new__(cls, *args, **kwargs)
        names = constructor_parameters(cls)
        given = dict(zip(names, args, strict=False)) | kwargs
        defaults = {k: p.default for k, p in names.items() if p.default is not p.empty}
        # Keras' files bring tuples back as lists.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in (defaults | given).items()}
        instance.__dict__["_arguments"] = {k: values[k] for k in names if k in values}
        return instance

    def __init__(self, event_shape, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        if isinstance(event_shape, int):
            event_shape = (event_shape,)
        self.event_shape = tuple(None if d is None else int(d) for d in event_shape)
        if not self.event_shape or any(d is not None and d < 1 for d in self.event_shape):
            raise ValueError(f"event_shape must hold positive sizes, got {tuple(event_shape)}.")
        self.step = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="step"
        )
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: the constructor made every weight."""

    @abc.abstractmethod
    def updates(self):
        """The sequence of `Update` that makes one training step."""

    def begin(self, x, seed):
        """Sets starting weights that depend on the data, once before the first step; by default none do.

        Args:
          x: Training examples, float32 `[examples, *event_shape]`: all of them or the first 10,000.
          seed: int32 [2].
        """

    def stages(self):
        """The sequence of `Stage` that makes a whole training, by default one."""
        return [Stage("main", 1.0, tuple(self.updates()))]

    @abc.abstractmethod
    def sample_rows(self, seeds, **kwargs):
        """Draws one x for each row of seeds; the graph behind `sample` and the served signature.

        Args:
          seeds: int32 `[num, 2]`.
          **kwargs: The model's own arguments, batch first.

        Returns:
          float32 `[num, *event_shape]`.
        """

    def score(self, x, condition=None, **kwargs):
        """`log_prob` of a checked float32 x: what a subclass implements.

        Args:
          x: float32 `[batch, *event_shape]`.
          condition: As `condition` describes.
          **kwargs: The model's own arguments.

        Returns:
          float32 `[batch]`, in nats.
        """
        raise ValueError(f"{type(self).__name__} has no density: it can be sampled, not evaluated.")

    def log_prob(self, x, condition=None, **kwargs):
        """log p(x) in nats, or what `density` says stands in its place.

        Args:
          x: `[batch, *event_shape]`, values as `values` says.
          condition: As `condition` describes.
          **kwargs: The model's own arguments, e.g. how tight a bound is.

        Returns:
          float32 `[batch]`, in nats.

        Raises:
          ValueError: If the shape or the values of `x` or `condition` do not fit.
        """
        x, condition = self.check_x(x), self.check_condition(condition)
        return self.score(x, **({} if condition is None else {"condition": condition}), **kwargs)

    def sample(self, num, condition=None, seed=None, **kwargs):
        """Draws `num` samples, row i from the seed `fold_in(seed, i)` whatever `num` is.

        Args:
          num: Number of samples.
          condition: One condition, or `num` of them; None for a model without.
          seed: Python int or int32 [2]; None draws a fresh one.
          **kwargs: The model's own arguments, e.g. `temperature`, or `given` and `mask` to complete.

        Returns:
          float32 `[num, *event_shape]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        if not tf.is_tensor(num) and (isinstance(num, bool) or int(num) != num or num < 1):
            raise ValueError(f"num must be a positive integer, got {num!r}.")
        seeds = random.rows(random.as_seed(seed), num)
        if condition is not None or self.condition is not None:
            kwargs["condition"] = self._broadcast_condition(condition, num)
        return self._sampler(seeds, **kwargs)

    @functools.cached_property
    def _sampler(self):
        return tf.function(self.sample_rows, jit_compile=self.jit_sampler or None, autograph=False)

    def validation_metrics(self, batch, seed):
        """Named scalars on held-out data, averages over the batch; "loss" chooses the best checkpoint.

        Args:
          batch: Dict with "x" and, as the data allow, "condition".
          seed: int32 [2].
        """
        del seed
        nats = -tf.reduce_mean(self.score(**batch))
        return {"loss": nats, "nats": nats}

    def test_metrics(self, data, seed):
        """Measures of a trained model beyond its density, on a data set's test split; by default none.

        Args:
          data: A `tfgen.data.Data`.
          seed: int32 [2].

        Returns:
          Dict by name of {"value", "kind"} and, where uncertain, {"low", "high"}.
        """
        del data, seed
        return {}

    def signatures(self):
        """Name -> `Signature`: what an export serves; every input and output is batch first."""
        seeds = tf.TensorSpec([None, 2], tf.int32, name="seeds")
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        served = {"sample": Signature(lambda seeds: {"x": self.sample_rows(seeds)}, {"seeds": seeds})}
        if self.density != "none":
            key = {"exact": "log_prob", "lower_bound": "elbo", "unnormalized": "free_energy"}[self.density]
            sign = -1.0 if key == "free_energy" else 1.0
            served[key] = Signature(lambda x: {key: sign * self.log_prob(x)}, {"x": x})
        served["serving_default"] = served[key if self.density != "none" else "sample"]
        return served

    def call(self, x):
        """What a Keras user gets from `model(x)`: `log_prob(x)` where there is a density."""
        return self.log_prob(x)

    @property
    def value_range(self):
        """(lowest, highest) value of an entry of x."""
        return (0.0, self.num_values - 1.0) if self.values == "levels" else _RANGES[self.values]

    def check_x(self, x, name="x"):
        """`x` as float32, its shape checked now and its values now (eager) or in the graph.

        Raises:
          ValueError: If they do not fit; in a graph, InvalidArgumentError when it runs.
        """
        x = _as_float(x, name)
        if not x.shape[1:].is_compatible_with(self.event_shape) or x.shape.rank != len(self.event_shape) + 1:
            raise ValueError(
                f"{name} must have shape [batch, {', '.join(map(str, self.event_shape))}], got {x.shape}."
            )
        low, high = self.value_range
        valid = tf.reduce_all((x >= low) & (x <= high) & tf.math.is_finite(x))
        what = f"values in [{low:g}, {high:g}]" if self.values != "real" else "finite values"
        if self.values == "levels":
            valid &= tf.reduce_all(tf.round(x) == x)
            what = f"integer values 0 to {self.num_values - 1}"
        return _require(valid, x, f"{type(self).__name__}: {name} must hold {what}")

    def check_data(self, data):
        """Checks that this model takes these data.

        Raises:
          ValueError: If shape, number of levels or labels do not fit.
        """
        name = type(self).__name__
        if tuple(data.event_shape) != self.event_shape:
            raise ValueError(
                f"{name} has event_shape {self.event_shape}, {data.name} has {data.event_shape}."
            )
        if self.values == "levels" and data.num_values != self.num_values:
            have = "real values" if data.num_values is None else f"{data.num_values} levels"
            raise ValueError(
                f"{name} takes {self.num_values} levels, {data.name} has {have}; use --binarize=threshold, "
                "or a model of that many levels."
            )
        if self.values in ("unit", "symmetric") and data.num_values is None:
            raise ValueError(f"{name} takes {self.values} values, {data.name} has real ones.")
        if self.condition is not None and data.train.label is None:
            raise ValueError(f"{name} is conditioned on labels, which {data.name} does not have.")

    def from_data(self, x, data, seed):
        """Stored examples as the floats this model takes.

        Args:
          x: `[batch, *event_shape]`, levels (uint8) or reals.
          data: The data set they are from: its `levels`, `num_values` and `binarize` are read.
          seed: int32 [2], drawn from for dynamic binarization only.

        Returns:
          float32 `[batch, *event_shape]`.
        """
        x = tf.cast(x, tf.float32)
        if data.num_values is None:
            return x
        if data.binarize == "dynamic":
            x = random.bernoulli(seed, x / (data.levels - 1))
        if self.values == "levels":
            return x
        x = x / (data.num_values - 1)
        return 2 * x - 1 if self.values == "symmetric" else x

    def check_condition(self, condition):
        """The condition in its dtype, checked as `check_x` does; None for a model without.

        Raises:
          ValueError: If it does not fit, is missing, or is given to a model without.
        """
        kind, name = self.condition, type(self).__name__
        if kind is None or condition is None:
            if kind is not None or condition is not None:
                need = "takes no condition" if kind is None else f"needs a condition ({kind.kind})"
                raise ValueError(f"{name} {need}, got condition={condition!r}.")
            return None
        condition = tf.convert_to_tensor(condition)
        if condition.dtype.is_floating != kind.dtype.is_floating:
            raise ValueError(f"{name}: condition must be {kind.dtype.name}, got {condition.dtype.name}.")
        if not condition.shape[1:].is_compatible_with(kind.shape):
            raise ValueError(
                f"{name}: condition must have shape [batch, *{kind.shape}], got {condition.shape}."
            )
        condition = tf.cast(condition, kind.dtype)
        if kind.num_classes is None:
            return condition
        valid = tf.reduce_all((condition >= 0) & (condition < kind.num_classes))
        return _require(valid, condition, f"{name}: condition must hold 0 to {kind.num_classes - 1}")

    def _broadcast_condition(self, condition, num):
        if self.condition is not None and condition is not None:
            condition = tf.convert_to_tensor(condition)
            if condition.shape.rank == len(self.condition.shape):
                condition = tf.repeat(condition[None], num, axis=0)
        return self.check_condition(condition)

    def get_config(self):
        """Every constructor argument, as given.

        Raises:
          ValueError: If an argument is a function that is not registered with Keras.
        """
        for name, value in self._arguments.items():
            if (
                callable(value)
                and not isinstance(value, keras.layers.Layer)
                and keras.saving.get_registered_name(value) == getattr(value, "__name__", None)
            ):
                raise ValueError(
                    f"{type(self).__name__}: argument {name}={value!r} cannot be saved; register it with "
                    "@keras.saving.register_keras_serializable() or pass a Keras layer."
                )
        return dict(self._arguments)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that `get_config` describes."""
        # Only what Keras serialized (layers, functions, tuples) is a dict; the rest is as it was given.
        restore = keras.saving.deserialize_keras_object
        return cls(**{k: restore(v, custom_objects) if isinstance(v, dict) else v for k, v in config.items()})

    def compile(self, optimizer="adam", seed=0, clip_norm=None, jit_compile="auto", **kwargs):
        """Prepares `fit`.

        Args:
          optimizer: One Keras optimizer or its name, cloned for each gradient update, or a dict of them by
            update name.
          seed: Seed of all random numbers of the training.
          clip_norm: Clip each update's gradients to this global norm.
          jit_compile: True, False, or "auto" for what was measured to be faster for this model.
          **kwargs: Passed on to `keras.Model.compile`, e.g. `steps_per_execution`.

        Raises:
          ValueError: If the optimizers do not fit the updates, or the model trains in several stages.
        """
        stages = self.stages()
        if len(stages) != 1:
            raise ValueError(f"{type(self).__name__} has {len(stages)} stages: use tfgen.training.train.")
        if kwargs.get("loss") is not None:
            raise ValueError(f"{type(self).__name__} brings its own objective: leave loss out.")
        optimizers = optimizers_by_update(stages[0].updates, optimizer)
        super().compile(optimizer=next(iter(optimizers.values()), "sgd"), jit_compile=False, **kwargs)
        self._compile_arguments = {
            "optimizer": dict(optimizers), "seed": seed, "clip_norm": clip_norm, "jit_compile": jit_compile
        } | kwargs  # fmt: skip
        self.seed, self.optimizers, self._means = random.as_seed(seed), optimizers, {}
        jit = self.jit_updates if jit_compile == "auto" else bool(jit_compile)
        self._engine = Step(stages[0].updates, optimizers, jit, clip_norm)

    def get_compile_config(self):
        """What `compile` was given, for `.keras` files."""
        if not getattr(self, "_compile_arguments", None):
            return None
        return keras.saving.serialize_keras_object(dict(self._compile_arguments))

    def compile_from_config(self, config):
        """Compiles as the saved model was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on x, (x, condition) or dicts; all updates of a step share its batch."""
        callbacks = list(callbacks or []) + [keras.callbacks.LambdaCallback(on_epoch_end=self._finish_epoch)]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def _finish_epoch(self, epoch, logs=None):
        if self._engine.over_epoch:
            (logs if logs is not None else {}).update(
                {k: float(v) for k, v in self._engine.finish_epoch().items()}
            )

    def train_step(self, data):
        """One step of all updates, for `fit`."""
        batch = as_batch(data)
        with tf.init_scope():
            self._engine.prepare(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), batch))
        scalars = self._engine(lambda i, seed: batch, self.seed, self.step.value)
        self.step.assign_add(1)
        # Keras wants a figure, and updates over an epoch have none before it ends.
        return self._mean(scalars or {"step": tf.cast(self.step.value, tf.float32)}, "")

    def test_step(self, data):
        """The validation metrics, for `evaluate`."""
        return self._mean(self.validation_metrics(as_batch(data), self.seed), "validation/")

    def _mean(self, scalars, prefix):
        with tf.init_scope():
            for name in scalars:
                if prefix + name not in self._means:
                    self._means[prefix + name] = keras.metrics.Mean(name=name)
        for name, value in scalars.items():
            self._means[prefix + name].update_state(value)
        return {name: self._means[prefix + name].result() for name in scalars}

    @property
    def metrics(self):
        """The running means that Keras resets at each epoch."""
        return list(getattr(self, "_means", {}).values())


def optimizers_by_update(updates, optimizer):
    """One Keras optimizer for each update with an objective.

    Args:
      updates: The updates.
      optimizer: A Keras optimizer, its name, or a dict of them by update name.

    Raises:
      ValueError: If a dict's keys are not the names of these updates.
    """
    names = [u.name for u in updates if u.objective]
    if not isinstance(optimizer, dict):
        optimizer = dict.fromkeys(names, optimizer)
    if set(optimizer) != set(names):
        raise ValueError(f"optimizer must name the updates {sorted(names)}, got {sorted(optimizer)}.")
    optimizers = {k: keras.optimizers.get(v) for k, v in optimizer.items()}
    return {k: type(v).from_config(v.get_config()) for k, v in optimizers.items()}


def as_batch(data):
    """Keras' x, (x,), (x, condition) or dict as the dict that objectives take."""
    if isinstance(data, dict):
        return dict(data)
    if not isinstance(data, (tuple, list)):
        return {"x": data}
    return {"x": data[0]} | ({"condition": data[1]} if len(data) > 1 and data[1] is not None else {})


def _as_float(x, name):
    try:
        x = tf.convert_to_tensor(x)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be numeric, got {type(x).__name__}.") from error
    if not (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool):
        raise ValueError(f"{name} must be numeric, got dtype {x.dtype.name}.")
    return tf.cast(x, tf.float32)


def _require(valid, tensor, message):
    """`tensor` if `valid` holds: raised at once where values are known, asserted in the graph elsewhere."""
    if tf.executing_eagerly():
        if not bool(valid):
            shown = np.asarray(tensor, np.float64)
            bounds = f"{shown.min():g} to {shown.max():g}" if shown.size else "none"
            raise ValueError(f"{message}; the values given range from {bounds}.")
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(valid, [message], name="valid")]):
        return tf.identity(tensor)
