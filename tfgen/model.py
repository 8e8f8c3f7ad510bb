"""The contract that every model meets: `GenerativeModel`.

A model is a Keras model that names its distributions, the updates that train it and the signatures that
serve it. Everything that trains, evaluates, samples or exports a model knows this file only.
"""

import abc
import collections
import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfgen import checks, progress, random, stored
from tfgen.keras_model import UpdatedModel
from tfgen.space import Condition, Space, default_kind
from tfgen.update import Stage, Update, assign_replica_rows, compiled, few_sizes, replica_rows

__all__ = [
    "Condition",
    "GenerativeModel",
    "Signature",
    "Space",
    "Stage",
    "Update",
    "View",
    "assign_replica_rows",
    "compiled",
    "few_sizes",
    "replica_rows",
]

_EVALUATED_ROWS, _EVALUATED_STEPS = 250, 1 << 17
# Most rows of a compiled sampler, and how many times larger or smaller a number may be that it still serves.
_LARGEST_PROGRAM = 1024
_REACH = 4
# Names of x in the features of TFDS.
_NAMES_OF_X = ("image", "video", "audio")
# Name under which an export serves `log_prob`, and its sign.
_SERVED = {
    "exact": ("log_prob", 1.0),
    "lower_bound": ("elbo", 1.0),
    "unnormalized": ("free_energy", -1.0),
    "unnormalized_bound": ("free_energy_bound", -1.0),
}


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


@dataclasses.dataclass(frozen=True)
class View:
    """A picture of a trained model beyond its samples: reconstructions, filters, a chain, a canvas.

    Args:
      array: What is shown, floats in the model's values or uint8: `[num, *event_shape]` for "grid",
        `[rows, columns, *event_shape]` for "rows", `[frames, num, *event_shape]` for "frames" (a GIF),
        `[num, points, *event_shape]` for "curves": lines through x, drawn over the data where x are points
        of a plane, with an axis of frames before for a GIF of them. `[num, 2]` for "plane": points of any
        plane, as of two latent variables. Strings for "text".
      layout: "grid", "rows", "frames", "curves", "plane" or "text".
      captions: A string under each x of a grid, before each row, at each curve, or the class of each point of
        a plane, which has its color; None without.
      title: A line above.
      heads: A string above each column of rows, for each frame, after the title, or the names of the two axes
        of a plane; None without.
    """

    array: object
    layout: str = "grid"
    captions: Sequence[str] | None = None
    title: str | None = None
    heads: Sequence[str] | None = None


class GenerativeModel(UpdatedModel, abc.ABC):
    """A model of p(x), or of p(x | condition).

    A subclass sets the class attributes, builds all its weights in its constructor (calling
    `super().__init__(event_shape, **kwargs)` first) and implements `updates`, `sample_rows` and, where its
    density allows, `score`.

    Attributes:
      density: What `log_prob` returns: "exact" log p(x), a "lower_bound" of it, an "unnormalized" log p(x)
        (-free energy), an "unnormalized_bound" of that, or "none".
      samples: Whether it draws samples.
      values: What one entry of x is: "levels" (the integers 0 to num_values - 1 as floats), "unit" ([0, 1]),
        "symmetric" ([-1, 1]), "real", or "counts" (whole numbers from 0 on).
      kind: What an x is shown as: "image", "video", "points", "text", "strokes", "audio", "counts" or
        "numbers"; the constructor takes it from `event_shape`, and a model of something else sets it after.
      length: For sequences, whose event_shape begins with None: how many steps a sample has unless it is
        said.
      rate: For sounds, samples a second.
      chain_steps: For models whose samples are the ends of Markov chains, how many steps these take unless it
        is said.
      num_values: Number of levels, for values "levels".
      missing: Whether NaN stands for an entry of x that is not known, for values "real".
      condition: `Condition`, or None.
      text: `Vocabulary` of the tokens of x, or of the words that counts are of; None without.
      drawing_order: For images drawn pixel by pixel, when each pixel is drawn: ints `[rows, columns]`, equal
        where it is at the same time; None where there is no one order.
      quantities: {column of the history, or scalar: what it measures, with its unit}, for the curves of a
        training: columns that measure the same are drawn in one panel, None is not drawn.
      extra_fields: {name: `Condition`}: what else it reads of an example, passed on by name.
      optional_fields: {name: `Condition`}: what the examples of its streams must hold beside, and what it
        is shown of other examples where there is one, as the labels that a validation counts errors by.
      streams: Names of the further streams of examples (`tfgen.data.Split.streams`) that its objectives read:
        `batch[name]` is a dict as the batch itself, of as many examples.
      reads_means: Whether batches, and those of its streams, hold "x_mean" beside "x": the probabilities of a
        one where x is drawn anew each time it is seen (dynamic binarization), elsewhere x itself.
      main_figures: Which of the scalars of its updates and of validation the training's line shows;
        `metrics.csv` has all.
      step: int64 weight, the training's steps so far.
      stage: int64 weight [3]: the number of the stage that is, or was last, trained, its first step, and the
        step at which it ends.
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
    samples = True
    values = "levels"
    num_values = 2
    missing = False
    condition = None
    text = None
    drawing_order = None
    quantities = {}  # noqa: RUF012
    extra_fields = {}  # noqa: RUF012
    optional_fields = {}  # noqa: RUF012
    streams = ()
    reads_means = False
    main_figures = ("loss",)
    length = None
    rate = None
    chain_steps = None
    jit_updates = True
    jit_sampler = False

    def __init__(self, event_shape, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        if self.dtype_policy.compute_dtype == "float16":
            raise ValueError(
                f"{type(self).__name__}: dtype={self.dtype_policy.name!r} needs scaled gradients, which "
                "training does not have: use dtype='mixed_bfloat16'."
            )
        self.event_shape = checks.shape("event_shape", event_shape, open_steps=True)
        self.kind = default_kind(self.event_shape)
        self.step = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="step"
        )
        self.stage = self.add_weight(
            shape=(3,), dtype="int64", initializer="zeros", trainable=False, name="stage"
        )
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: the constructor made every weight."""

    @abc.abstractmethod
    def updates(self):
        """The sequence of `Update` that makes one training step."""

    def begin(self, batch, seed):
        """Sets starting weights that depend on the data, once before the first step; by default none do.

        Args:
          batch: Training examples as objectives take them, all of them or the first 10,000: a dict with "x"
            float32 `[examples, *event_shape]` and, as the data allow, "condition", "lengths" and more.
          seed: int32 [2].
        """

    def stages(self):
        """The sequence of `Stage` that makes a whole training, by default one."""
        return [Stage("main", 1.0, tuple(self.updates()))]

    def progress(self, step):
        """Fraction of the current stage that is done at a step, for what fades in while a stage lasts.

        It is (step - first) / (end - first), at least 0 and at most 1. The bounds are weights of the model,
        so an objective at its `step` and a sampler at `self.step` see the same, in training as in an export.
        A stage of unknown length counts as done: a model never trained, or `fit` on data without a length.

        Args:
          step: int64 scalar, a tensor or a weight.

        Returns:
          float32 scalar in [0, 1].
        """
        _, first, end = tf.unstack(tf.convert_to_tensor(self.stage.value))
        step = tf.cast(tf.convert_to_tensor(step), tf.int64)
        done = tf.cast(step - first, tf.float32) / tf.cast(tf.maximum(end - first, 1), tf.float32)
        return tf.where(end > first, tf.clip_by_value(done, 0.0, 1.0), 1.0)

    def sample_rows(self, seeds, **kwargs):
        """Draws one x for each row of seeds; the graph behind `sample` and the served signature.

        Args:
          seeds: int32 `[num, 2]`.
          **kwargs: The model's own arguments, batch first.

        Returns:
          float32 `[num, *event_shape]`.
        """
        raise ValueError(f"{type(self).__name__} does not sample: it has log_prob and its own methods.")

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
          x: `[batch, *event_shape]`, values as `values` says; any dtype, and a last axis of size 1 may be
            missing. Or a dict of the fields, as `named_fields` takes it.
          condition: As `condition` describes.
          lengths: For sequences, int `[batch]`: how many steps of each x count; None for all.
          **kwargs: The model's own arguments, e.g. how tight a bound is.

        Returns:
          float32 `[batch]`, in nats.

        Raises:
          ValueError: If the shape or the values of `x` or `condition` do not fit.
        """
        fields = {"x": x, "condition": condition, "lengths": lengths}
        fields |= {name: kwargs.pop(name) for name in self.extra_fields if name in kwargs}
        return self.score(**self.check_fields(fields), **kwargs)

    def sample(
        self,
        num,
        condition=None,
        seed=None,
        temperature=1.0,
        given=None,
        mask=None,
        length=None,
        num_steps=None,
        **kwargs,
    ):
        """Draws `num` samples, row i from the seed `fold_in(seed, i)` whatever `num` is.

        Args:
          num: Number of samples.
          condition: One condition, or `num` of them; None for a model without.
          seed: Python int or int32 [2]; None draws a fresh one.
          temperature: Below 1 less varied, 0 the mode, in the model's own sense.
          given: Known entries to complete, `event_shape` or `[num, *event_shape]`.
          mask: 1 where `given` is known, 0 where not, of the shape of `given`; its last axis may be 1.
          length: For sequences, how many steps, an int; None for the model's `length`.
          num_steps: For models sampled by Markov chains, how many steps of each: the more, the nearer its end
            is to a draw from the model; None for the model's `chain_steps`.
          **kwargs: The model's own arguments.

        Returns:
          float32 `[num, *event_shape]`.

        Raises:
          ValueError: If an argument does not fit, or the model does not take it.
        """
        if not self.samples:
            return self.sample_rows(None)
        if tf.is_tensor(num) and tf.executing_eagerly():
            num = int(num)
        if not tf.is_tensor(num) and (isinstance(num, bool) or int(num) != num or num < 1):
            raise ValueError(f"num must be a positive integer, got {num!r}.")
        if tf.is_tensor(temperature) or temperature != 1.0:
            kwargs["temperature"] = checks.temperature(temperature)
        if length is not None and not self.space.sequence:
            raise ValueError(f"{type(self).__name__} samples without length: leave it out.")
        if length is not None or self.length is not None:
            kwargs["length"] = checks.whole("length", self.length if length is None else length)
        if self.chain_steps is not None:
            steps = self.chain_steps if num_steps is None else num_steps
            steps = steps if tf.is_tensor(steps) else checks.whole("num_steps", steps)
            kwargs["num_steps"] = tf.cast(steps, tf.int32)
        elif num_steps is not None:
            raise ValueError(f"{type(self).__name__} samples without num_steps: leave it out.")
        if given is not None or mask is not None:
            known = checks.known_entries(given, mask, num, self.space.shape_of(kwargs.get("length")))
            kwargs["given"], kwargs["mask"] = self.space.check_known(*known)
        if condition is not None or self.condition is not None:
            kwargs["condition"] = self._broadcast_condition(condition, num)
        for name in kwargs.keys() - inspect.signature(self.sample_rows).parameters.keys():
            raise ValueError(f"{type(self).__name__} samples without {name}: leave it out.")
        return self._draw(random.rows(random.as_seed(seed), num), num, kwargs)

    def fields(self, split):
        """Arrays of a `tfgen.data.Split` that this model reads, by name: "x" and as needed more."""
        found = {"x": split.x}
        if self.condition is not None:
            field = split.field(self.condition.kind)
            found["condition"] = None if field is None else self.condition.reshape(field)
        if self.space.sequence and "lengths" in split.extra:
            found["lengths"] = split.extra["lengths"]
        found |= {name: split.field(name) for name in self.extra_fields}
        optional = {name: split.field(name) for name in self.optional_fields}
        return found | {name: field for name, field in optional.items() if field is not None}

    def stream_fields(self, split):
        """Arrays of a stream that this model reads: those of its data, as far as the stream has them."""
        return {name: field for name, field in self.fields(split).items() if field is not None}

    def rows_at_once(self, split):
        """How many examples of a `tfgen.data.Split` are evaluated together; of long sequences fewer fit."""
        steps = split.x.shape[1] if self.space.sequence else 1
        return max(1, min(_EVALUATED_ROWS, _EVALUATED_STEPS // steps))

    @functools.cached_property
    def _sampler(self):
        # Under XLA every size is a program of its own (see `_draw`), without it one trace serves all.
        jit = self.jit_sampler or None
        return tf.function(self.sample_rows, jit_compile=jit, autograph=False, reduce_retracing=not jit)

    @functools.cached_property
    def _compiled_rows(self):
        """Numbers of rows for which XLA has compiled the sampler, by what else the call was given."""
        return collections.defaultdict(set)

    @functools.cached_property
    def _compiled_steps(self):
        """Lengths for which XLA has compiled the sampler."""
        return set()

    def _draw(self, seeds, num, kwargs):
        """`sample_rows`; under XLA by programs of a few sizes, so that another size is no other program.

        A program for more steps than are asked for is told to stop early, texts are filled up with zeros.
        """
        if not self.jit_sampler or tf.is_tensor(num):
            with progress.doing("drawing samples"):
                return self._sampler(seeds, **kwargs)
        by_row = {"seeds": seeds} | {k: v for k, v in kwargs.items() if k in ("condition", "given", "mask")}
        shared = {k: v for k, v in kwargs.items() if k not in by_row}
        length = shared.get("length")
        if length is not None:
            shared["length"] = _steps_of_program(length, self.length, self._compiled_steps)
            self._compiled_steps.add(shared["length"])
            shared["steps"] = tf.constant(length)
            for name in by_row.keys() & {"given", "mask"}:
                by_row[name] = _filled_up(by_row[name], shared["length"])
        if "condition" in by_row and self.condition.kind == "text":
            by_row["condition"] = _filled_up(by_row["condition"], _power_of_two(by_row["condition"].shape[1]))
        told = {k: v.shape[1:] for k, v in by_row.items()}
        told |= {k: v.shape if tf.is_tensor(v) else v for k, v in shared.items()}
        sizes = self._compiled_rows[repr(sorted(told.items()))]
        size = _rows_of_program(num, sizes)
        sizes.add(size)
        parts = []
        for start in progress.through(range(0, num, size), "drawing samples"):
            # The last rows are drawn again to fill the program up, and dropped.
            rows = tf.minimum(tf.range(start, start + size), num - 1)
            parts.append(self._sampler(**{k: tf.gather(v, rows) for k, v in by_row.items()}, **shared))
        x = tf.concat(parts, axis=0)[:num]
        return x if length is None else x[:, :length]

    def validation_metrics(self, batch, seed):
        """Named scalars on held-out data, averages over the batch; "loss" chooses the best checkpoint.

        Args:
          batch: Dict with "x" and, as the data allow, "condition", "lengths" and the model's streams.
          seed: int32 [2].
        """
        del seed
        nats = -tf.reduce_mean(self.score(**{k: v for k, v in batch.items() if k not in self.streams}))
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

    def views(self, data, num, seed):
        """Pictures of a trained model beyond its samples, by name; by default none.

        Args:
          data: A `tfgen.data.Data`, or None where there is none at hand.
          num: How many x to show.
          seed: int32 [2].

        Returns:
          Dict of `View` by name.
        """
        del data, num, seed
        return {}

    def signatures(self):
        """Name -> `Signature`: what an export serves; every input and output is batch first."""
        served, text = {}, self.example_text()
        if self.samples:
            seeds = {"seeds": tf.TensorSpec([None, 2], tf.int32)} | self.condition_spec()
            served["sample"] = served["serving_default"] = Signature(self._serve_sample, seeds, text)
        if self.density != "none":
            key, sign = _SERVED[self.density]
            inputs = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)} | self.condition_spec()
            if self.space.sequence:
                inputs["lengths"] = tf.TensorSpec([None], tf.int32)
            inputs |= {name: field.spec for name, field in self.extra_fields.items()}
            served[key] = Signature(lambda **given: {key: sign * self.log_prob(**given)}, inputs, text)
            served["serving_default"] = served[key]
        return served

    def condition_spec(self):
        """{"condition": TensorSpec} of a signature's input; empty for a model without."""
        if self.condition is None:
            return {}
        return {"condition": self.condition.spec}

    def example_text(self):
        """A string that every input of a signature takes that is a text."""
        if self.condition is None or self.condition.vocabulary is None:
            return "the"
        return self.condition.vocabulary.example(self.condition.max_length or 3)

    def _serve_sample(self, seeds, condition=None):
        given = {} if condition is None else {"condition": self.check_condition(condition)}
        return {"x": self.sample_rows(seeds, **given)}

    def call(self, x, condition=None, lengths=None, training=None, **fields):
        """Value of `model(x)` and of `predict` for Keras: `log_prob` where there is a density.

        Args:
          x: As for `log_prob`; so are the arguments not listed here.
          condition: As there.
          lengths: As there.
          training: For layers that Keras' callers tell; a density is the same in both.
          **fields: The model's `extra_fields`.
        """
        del training
        return self.log_prob(x, condition, lengths, **fields)

    @property
    def space(self):
        """The `Space` of x: its shape, values and checks."""
        return Space(
            type(self).__name__,
            self.event_shape,
            self.values,
            self.num_values,
            self.kind,
            self.rate,
            self.missing,
        )

    def check_fields(self, fields):
        """A batch as objectives take it, every field cast and checked: the one gate of data.

        Args:
          fields: Dict with "x" and, as the model needs, "condition", "lengths", its `extra_fields` and a dict
            for each of its streams. Where there is no "x", `named_fields` tells what is meant.

        Returns:
          Dict of tensors, x float32.

        Raises:
          ValueError: If a field is missing or unknown, or its shape, number of rows or values do not fit; in
            a graph, InvalidArgumentError for values when it runs.
        """
        fields = self.named_fields(fields)
        streams = {name: fields.pop(name) for name in self.streams if fields.get(name) is not None}
        # Few of the examples may be labelled, and these come as a stream.
        checked = self._check_example(fields, whole=not streams)
        for name, stream in streams.items():
            checked[name] = self._check_example(self.named_fields(stream), whole=False)
        return checked

    def named_fields(self, fields):
        """A dict as users have it, with the names that this model knows.

        Args:
          fields: Dict with "x", which may be such a dict itself; or, as TFDS has it, with "image", "video" or
            "audio", and maybe "label", "text" or "vector". Of the latter the model takes what it reads.

        Raises:
          ValueError: If none of it is x.
        """
        inner = fields.get("x")
        if isinstance(inner, Mapping):
            given = {key: field for key, field in fields.items() if key != "x" and field is not None}
            return self.named_fields(dict(inner)) | given
        if inner is not None:
            return dict(fields)
        name = type(self).__name__
        of_x = [key for key in dict.fromkeys((self.kind, *_NAMES_OF_X)) if fields.get(key) is not None]
        if not of_x:
            given = ", ".join(repr(key) for key, field in fields.items() if field is not None)
            raise ValueError(f"{name} reads x, got {given or 'nothing'}: name it 'x'.")
        named = {"x": fields[of_x[0]]}
        known = [*self.extra_fields, *self.optional_fields, *self.streams, "condition", "lengths"]
        named |= {key: fields[key] for key in known if fields.get(key) is not None}
        if self.condition is not None and self.condition.kind not in (of_x[0], *known):
            named.setdefault("condition", fields.get(self.condition.kind))
        return named

    def _check_example(self, fields, whole=True):
        """The fields of examples, checked; where they need not be `whole`, those that there are."""
        name = type(self).__name__
        x = self.space.check(fields["x"])
        checked = {"x": x}
        if whole or fields.get("condition") is not None:
            condition = self.check_condition(fields.get("condition"))
            checked |= {} if condition is None else {"condition": condition}
        for key, field in (self.extra_fields | self.optional_fields).items():
            if fields.get(key) is not None:
                checked[key] = field.check(fields[key], name, key)
            elif whole and key in self.extra_fields:
                raise ValueError(f"{name} reads {key} ({field.kind}) of each example: give {key}=.")
        if fields.get("lengths") is not None:
            checked["lengths"] = self.space.check_lengths(fields["lengths"], x)
        if self.reads_means and fields.get("x_mean") is not None:
            checked["x_mean"] = self.space.of_means.check(fields["x_mean"], "x_mean")
        for key in fields.keys() - checked.keys():
            if fields[key] is not None:
                raise ValueError(f"{name} reads no {key}: leave it out.")
        for key, field in checked.items():
            if not field.shape[:1].is_compatible_with(x.shape[:1]):
                raise ValueError(
                    f"{name}: {key} holds {field.shape[0]} rows for {x.shape[0]} of x: give one for each."
                )
            if None in (field.shape[0], x.shape[0]) and key != "x":
                rows = tf.stack([tf.shape(field)[0], tf.shape(x)[0]])
                message = f"{name}: {key} must hold as many rows as x"
                with tf.control_dependencies(
                    [checks.require(rows[0] == rows[1], rows, message, "give one for each")]
                ):
                    checked[key] = tf.identity(field)
        return checked

    def check_data(self, data):
        """Checks that this model takes these data: what they are said to be, and every value they hold.

        Args:
          data: A `tfgen.data.Data`.

        Raises:
          ValueError: If shape, values, conditions or further fields do not fit; of values, names the split
            and its first row that does not.
        """
        name = type(self).__name__
        self.space.check_data(data)
        for key, field in {"condition": self.condition, **self.extra_fields}.items():
            if field is None:
                continue
            found = data.train.field(field.kind if key == "condition" else key)
            if found is None:
                need = f"needs a condition ({field.kind})" if key == "condition" else f"reads {key}"
                raise ValueError(f"{name} {need}, but {data.name} has none: give each example its own.")
            if field.max_length is not None and found.shape[1] > field.max_length:
                raise ValueError(
                    f"{data.name} has texts of up to {found.shape[1]} tokens, {name} takes "
                    f"{field.max_length}: raise --memory, or lower --window."
                )
        for stream in self.streams:
            if stream not in data.train.streams:
                remedy = f"give its training split streams={{{stream!r}: Split(...)}}"
                if stream == "labelled":
                    remedy = "load it with num_labels (--num_labels)"
                raise ValueError(
                    f"{name} reads the stream {stream!r} beside its examples, but {data.name} has none: "
                    f"{remedy}."
                )
            for key in self.optional_fields:
                if data.train.streams[stream].field(key) is None:
                    raise ValueError(
                        f"{name} reads {key} of the stream {stream!r}, but that of {data.name} has none: "
                        "give each of its examples its own."
                    )
        for part, split in (("training", data.train), ("validation", data.validation), ("test", data.test)):
            self._check_stored(split, data, f"the {part} split of {data.name}")
            for stream in self.streams:
                if stream in split.streams:
                    where = f"the stream {stream} of the {part} split of {data.name}"
                    self._check_stored(split.streams[stream], data, where)

    def _check_stored(self, split, data, where):
        name = type(self).__name__
        self.space.check_stored(split.x, data, where)
        fields = self.stream_fields(split)
        for key, field in {"condition": self.condition, **self.extra_fields, **self.optional_fields}.items():
            if field is not None and key in fields:
                field.check_stored(fields[key], name, key, where)
        if "lengths" in fields:
            row = stored.first_bad_row(fields["lengths"], 0, split.x.shape[1], True)
            if row is not None:
                message = f"{name}: lengths must be 0 to the steps of x"
                raise ValueError(stored.told_of_row(message, fields["lengths"], row, "count them", where))

    def check_condition(self, condition):
        """The condition in its dtype, checked as x is; None for a model without.

        Raises:
          ValueError: If it does not fit, is missing, or is given to a model without.
        """
        kind, name = self.condition, type(self).__name__
        if kind is None and condition is not None:
            raise ValueError(
                f"{name} takes no condition, got condition={checks.shown(condition)}: leave it out."
            )
        if kind is not None and condition is None:
            raise ValueError(
                f"{name} needs a condition ({kind.kind}), got condition=None: give condition=, y in Keras' "
                f"methods, or {kind.kind!r} in a dict."
            )
        return None if kind is None else kind.check(condition, name)

    def _broadcast_condition(self, condition, num):
        if self.condition is not None and condition is not None:
            condition = self.condition.encode(condition, f"{type(self).__name__}: condition")
            if condition.shape.rank == len(self.condition.shape):
                condition = tf.repeat(condition[None], num, axis=0)
            if not tf.is_tensor(num) and condition.shape[0] not in (None, num):
                raise ValueError(
                    f"{type(self).__name__}: condition holds {condition.shape[0]} rows for {num} samples: "
                    "give one for all, or one for each."
                )
        return self.check_condition(condition)


def _rows_of_program(num, compiled):
    """Rows of the program that draws `num` samples: one of those compiled where its size is near enough."""
    wanted = min(_power_of_two(num), _LARGEST_PROGRAM)
    near = [size for size in compiled if size <= _REACH * num and num <= _REACH * size]
    if wanted in compiled or not near:
        return wanted
    return min(near, key=lambda size: -(-num // size) * size)


def _steps_of_program(length, usual, compiled):
    """Steps of the program that draws so many: one compiled, at most twice as long, else a power of two."""
    near = [steps for steps in compiled if length <= steps <= 2 * length]
    if near:
        return min(near)
    return length if length == usual else _power_of_two(length)


def _power_of_two(size):
    """The smallest power of two that is at least `size`."""
    return 1 << (size - 1).bit_length()


def _filled_up(tensor, size):
    """`[n, m, ...]` with zeros, or False, after its m: `[n, size, ...]`."""
    return tf.pad(tensor, [[0, 0], [0, size - tensor.shape[1]]] + [[0, 0]] * (tensor.shape.rank - 2))
