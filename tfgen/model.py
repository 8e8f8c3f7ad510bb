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

import tensorflow as tf

from tfgen import checks, random
from tfgen.keras_model import UpdatedModel
from tfgen.update import Stage, Update, assign_replica_rows, replica_rows

__all__ = [
    "Condition",
    "GenerativeModel",
    "Signature",
    "Stage",
    "Update",
    "assign_replica_rows",
    "replica_rows",
]

_EVALUATED_ROWS, _EVALUATED_STEPS = 250, 1 << 17
_RANGES = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0), "real": (-math.inf, math.inf)}


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a model may be conditioned on.

    Args:
      kind: "label" (int32 below `num_classes`), "vector", "image" or "text" (int32 tokens below
        `num_classes`, filled up with zeros).
      shape: Shape of one condition: () for a label, (k,) for k labels, (None,) for a text.
      num_classes: Number of labels or tokens; for k labels a tuple of k.
    """

    kind: str
    shape: tuple = ()
    num_classes: int | tuple | None = None

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
      text: A string that it answers, where inputs are strings.
    """

    function: Callable
    inputs: dict
    text: str = "the"


class GenerativeModel(UpdatedModel, abc.ABC):
    """A model of p(x), or of p(x | condition).

    A subclass sets the class attributes, builds all its weights in its constructor (calling
    `super().__init__(event_shape, **kwargs)` first) and implements `updates`, `sample_rows` and, where its
    density allows, `score`.

    Attributes:
      density: What `log_prob` returns: "exact" log p(x), a "lower_bound" of it, an "unnormalized" log p(x)
        (-free energy), or "none".
      values: What one entry of x is: "levels" (the integers 0 to num_values - 1 as floats), "unit" ([0, 1]),
        "symmetric" ([-1, 1]) or "real".
      length: For sequences, whose event_shape begins with None: how many steps a sample has unless it is
        said.
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
    length = None
    jit_updates = True
    jit_sampler = False

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

    def log_prob(self, x, condition=None, lengths=None, **kwargs):
        """log p(x) in nats, or what `density` says stands in its place.

        Args:
          x: `[batch, *event_shape]`, values as `values` says.
          condition: As `condition` describes.
          lengths: For sequences, int `[batch]`: how many steps of each x count; None for all.
          **kwargs: The model's own arguments, e.g. how tight a bound is.

        Returns:
          float32 `[batch]`, in nats.

        Raises:
          ValueError: If the shape or the values of `x` or `condition` do not fit.
        """
        x, condition = self.check_x(x), self.check_condition(condition)
        kwargs |= {} if condition is None else {"condition": condition}
        kwargs |= {} if lengths is None else {"lengths": self.check_lengths(lengths, x)}
        return self.score(x, **kwargs)

    def sample(
        self, num, condition=None, seed=None, temperature=1.0, given=None, mask=None, length=None, **kwargs
    ):  # fmt: skip
        """Draws `num` samples, row i from the seed `fold_in(seed, i)` whatever `num` is.

        Args:
          num: Number of samples.
          condition: One condition, or `num` of them; None for a model without.
          seed: Python int or int32 [2]; None draws a fresh one.
          temperature: Below 1 less varied, 0 the mode, in the model's own sense.
          given: Known entries to complete, `event_shape` or `[num, *event_shape]`.
          mask: 1 where `given` is known, 0 where not, of the shape of `given`; its last axis may be 1.
          length: For sequences, how many steps, an int; None for the model's `length`.
          **kwargs: The model's own arguments.

        Returns:
          float32 `[num, *event_shape]`.

        Raises:
          ValueError: If an argument does not fit, or the model does not take it.
        """
        if not tf.is_tensor(num) and (isinstance(num, bool) or int(num) != num or num < 1):
            raise ValueError(f"num must be a positive integer, got {num!r}.")
        if tf.is_tensor(temperature) or temperature != 1.0:
            kwargs["temperature"] = checks.temperature(temperature)
        if length is not None or self.length is not None:
            kwargs["length"] = checks.whole("length", self.length if length is None else length)
        if given is not None or mask is not None:
            known = checks.known_entries(given, mask, num, self.shape_of(kwargs.get("length")))
            kwargs["given"], kwargs["mask"] = self.check_known(*known)
        if condition is not None or self.condition is not None:
            kwargs["condition"] = self._broadcast_condition(condition, num)
        for name in kwargs.keys() - inspect.signature(self.sample_rows).parameters.keys():
            raise ValueError(f"{type(self).__name__} samples without {name}: leave it out.")
        return self._sampler(random.rows(random.as_seed(seed), num), **kwargs)

    def shape_of(self, length):
        """Shape of one x of so many steps; `event_shape` where it is fixed."""
        return tuple(length if size is None else size for size in self.event_shape)

    def fields(self, split):
        """What this model reads of a `tfgen.data.Split`: arrays by name, "x" and as needed more."""
        found = {"x": split.x}
        if self.condition is not None:
            found["condition"] = split.field(self.condition.kind)
        if self.event_shape[0] is None and "lengths" in split.extra:
            found["lengths"] = split.extra["lengths"]
        return found

    def rows_at_once(self, split):
        """How many examples of a `tfgen.data.Split` are evaluated together; of long sequences fewer fit."""
        steps = split.x.shape[1] if self.event_shape[0] is None else 1
        return max(1, min(_EVALUATED_ROWS, _EVALUATED_STEPS // steps))

    @functools.cached_property
    def _sampler(self):
        return tf.function(self.sample_rows, jit_compile=self.jit_sampler or None, autograph=False)

    def validation_metrics(self, batch, seed):
        """Named scalars on held-out data, averages over the batch; "loss" chooses the best checkpoint.

        Args:
          batch: Dict with "x" and, as the data allow, "condition" and "lengths".
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
        seeds = {"seeds": tf.TensorSpec([None, 2], tf.int32)} | self.condition_spec()
        served = {"sample": Signature(self._serve_sample, seeds)}
        if self.density != "none":
            key = {"exact": "log_prob", "lower_bound": "elbo", "unnormalized": "free_energy"}[self.density]
            sign = -1.0 if key == "free_energy" else 1.0
            inputs = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)} | self.condition_spec()
            if self.event_shape[0] is None:
                inputs["lengths"] = tf.TensorSpec([None], tf.int32)
            served[key] = Signature(lambda **given: {key: sign * self.log_prob(**given)}, inputs)
        served["serving_default"] = served[key if self.density != "none" else "sample"]
        return served

    def condition_spec(self):
        """{"condition": TensorSpec} of a signature's input; empty for a model without."""
        if self.condition is None:
            return {}
        return {"condition": tf.TensorSpec([None, *self.condition.shape], self.condition.dtype)}

    def _serve_sample(self, seeds, condition=None):
        given = {} if condition is None else {"condition": self.check_condition(condition)}
        return {"x": self.sample_rows(seeds, **given)}

    def call(self, x, condition=None):
        """What a Keras user gets from `model(x)`: `log_prob(x)` where there is a density."""
        return self.log_prob(x, condition)

    @property
    def kind(self):
        """What an x is shown as: "image", "points", or "numbers"; a model of something else says so."""
        if len(self.event_shape) == 3 and self.event_shape[-1] in (1, 3):
            return "image"
        return "points" if self.event_shape == (2,) else "numbers"

    @property
    def value_range(self):
        """(lowest, highest) value of an entry of x."""
        return (0.0, self.num_values - 1.0) if self.values == "levels" else _RANGES[self.values]

    def check_x(self, x, name="x"):
        """`x` as float32, its shape checked now and its values now (eager) or in the graph.

        Raises:
          ValueError: If they do not fit; in a graph, InvalidArgumentError when it runs.
        """
        x = checks.as_float(x, name)
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
        return checks.require(valid, x, f"{type(self).__name__}: {name} must hold {what}")

    def check_lengths(self, lengths, x):
        """`lengths` as int32, checked as `check_x` does.

        Raises:
          ValueError: If x is no sequence, or a length is negative or beyond it.
        """
        name = type(self).__name__
        if self.event_shape[0] is not None:
            raise ValueError(f"{name} has event_shape {self.event_shape}, no sequence: leave lengths out.")
        lengths = tf.convert_to_tensor(lengths)
        if not lengths.dtype.is_integer or lengths.shape.rank != 1:
            raise ValueError(
                f"{name}: lengths must be ints [batch], got {lengths.dtype.name} {lengths.shape}."
            )
        lengths = tf.cast(lengths, tf.int32)
        valid = tf.reduce_all((lengths >= 0) & (lengths <= tf.shape(x)[1]))
        return checks.require(valid, lengths, f"{name}: lengths must be 0 to the steps of x")

    def check_known(self, given, mask):
        """`given` with zeros where it is unknown, and `mask` as bool, checked as `check_x` does.

        Args:
          given: `[batch, *event_shape]`.
          mask: 1 where `given` is known, 0 where not.

        Raises:
          ValueError: If known values or the mask do not fit; in a graph, InvalidArgumentError.
        """
        mask = checks.as_float(mask, "mask")
        binary = tf.reduce_all((mask == 0.0) | (mask == 1.0))
        mask = checks.require(binary, mask, f"{type(self).__name__}: mask must hold 0 and 1") > 0.5
        return self.check_x(tf.where(mask, checks.as_float(given, "given"), 0.0), "given"), mask

    def check_data(self, data):
        """Checks that this model takes these data.

        Raises:
          ValueError: If shape, number of levels or labels do not fit.
        """
        name = type(self).__name__
        if not tf.TensorShape(data.event_shape).is_compatible_with(self.event_shape):
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
        if self.condition is not None and data.train.field(self.condition.kind) is None:
            raise ValueError(f"{name} is conditioned on {self.condition.kind}s, which {data.name} has not.")

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
        condition = self.encode_condition(condition)
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
        several = isinstance(kind.num_classes, tuple)
        highest = tuple(n - 1 for n in kind.num_classes) if several else kind.num_classes - 1
        return checks.require(valid, condition, f"{name}: condition must hold 0 to {highest}")

    def encode_condition(self, condition):
        """What a user gives as a condition, as a tensor; a model whose condition is a text takes strings."""
        return tf.convert_to_tensor(condition)

    def _broadcast_condition(self, condition, num):
        if self.condition is not None and condition is not None:
            condition = self.encode_condition(condition)
            if condition.shape.rank == len(self.condition.shape):
                condition = tf.repeat(condition[None], num, axis=0)
        return self.check_condition(condition)
