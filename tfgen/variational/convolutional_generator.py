"""Convolutional generator: pictures from attributes by up-convolutions."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.draw import draw
from tfgen.model import Condition, GenerativeModel, Signature, Update, View
from tfgen.networks.default import convolutional_decoder, mlp
from tfgen.space import label_or_vector
from tfgen.variational.report import interpolate

tfd = tfp.distributions

# Share of the old in the moving average of the squared error, and the smallest standard deviation.
_DECAY, _LEAST = 0.99, 1e-4
# Examples that errors are measured on at once and at most; pictures shown, paths between them, their steps.
_BATCH, _MEASURED, _SHOWN, _PATHS, _STEPS = 250, 2000, 16, 8, 9


@keras.saving.register_keras_serializable("tfgen")
class ConvolutionalGenerator(GenerativeModel):
    """Convolutional generator: p(x | c) = N(x; m(c), s^2 I), the picture m(c) by up-convolutions.

    The parts of the attributes c (class, view, transform) each pass fully connected layers of their own, then
    all pass common ones; two streams of up-convolutions make of it the picture m(c) and its segmentation mask
    a(c). Trained is

      |x - m(c)|^2 + mask_weight |mask - a(c)|^2,

    x and mask as the data have them. s^2 is the squared error of an entry, a moving average over the
    training: with it the squared error is the negative log density, up to its factor and constant, and
    `log_prob` is the exact log p(x | c) in nats. `sample` draws from it; its mode, at temperature 0, is m(c).

    Args:
      event_shape: (rows, columns, channels) of one x.
      condition: "vector" or "label".
      num_classes: Number of labels, or a tuple of k numbers for k labels at once.
      condition_size: Length of the vector.
      parts: Sizes of the parts of the attributes, in their order, labels one-hot; () is one part of all.
      part_units: Units of both layers of a part.
      hidden: Sizes of the common fully connected layers.
      filters: Channels before each 4x4 up-convolution with stride 2.
      activation: Activation of all but the last layers.
      mask_weight: Weight of the mask's error; 0 for data without masks, and no stream of them.
      name: Keras name.
      dtype: Keras dtype policy.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Dosovitskiy, Springenberg & Brox, "Learning to generate chairs with convolutional neural networks",
      CVPR 2015; with Tatarchenko, 2014, arXiv:1411.5928 (the mask's error weighs a tenth).
    """

    density = "exact"
    values = "real"
    jit_updates = False

    def __init__(
        self,
        event_shape,
        condition="vector",
        num_classes: int | None = None,
        condition_size: int | None = None,
        parts=(),
        part_units=64,
        hidden=(256, 256),
        filters=(64, 32),
        activation="leaky_relu",
        mask_weight=0.1,
        name=None,
        dtype=None,
    ):
        super().__init__(checks.image_shape(event_shape), name=name, dtype=dtype)
        self.condition = label_or_vector(condition, num_classes, condition_size)
        if self.condition is None:
            raise ValueError(
                "condition must be 'label' or 'vector', got 'none': pictures are drawn from attributes, the "
                "labels or the field 'vector' of the data."
            )
        self.parts = checks.sizes("parts", parts) or (self.condition.width,)
        if sum(self.parts) != self.condition.width:
            raise ValueError(
                f"parts={self.parts} have {sum(self.parts)} attributes in all, the condition has "
                f"{self.condition.width}: give the sizes of its parts."
            )
        hidden, filters = checks.sizes("hidden", hidden), checks.sizes("filters", filters)
        if not hidden or not filters:
            raise ValueError(f"hidden={hidden} and filters={filters} must each name one layer or more.")
        self.mask_weight = checks.number("mask_weight", mask_weight, at_least=0)
        units, self.activation = checks.whole("part_units", part_units), keras.activations.get(activation)
        options = {"activation": activation, "dtype": self.dtype_policy}
        self.streams_of_parts = [
            mlp((size,), (units,), (units,), **options, name=f"part_{i}") for i, size in enumerate(self.parts)
        ]
        joined = units * len(self.parts)
        self.common = mlp((joined,), hidden[:-1], hidden[-1:], **options, name="common")
        options |= {"input_size": hidden[-1], "hidden": (), "filters": filters}
        self.picture = convolutional_decoder(output_shape=self.event_shape, **options, name="picture")
        self.mask = None
        if mask_weight:
            shape = (*self.event_shape[:2], 1)
            self.mask = convolutional_decoder(output_shape=shape, **options, name="mask")
            self.optional_fields = {"mask": Condition("image", shape)}
        self.variance = self.add_weight((), "ones", trainable=False, name="variance")

    def generate(self, condition):
        """The picture m(c), float32 `[batch, *event_shape]`.

        Args:
          condition: `[batch, *condition.shape]`.
        """
        return self.pictures(self.condition.features(self.check_condition(condition)))[0]

    def pictures(self, features):
        """m and a of attributes that may lie between those of labels, as on a path from one to another.

        Args:
          features: float32 `[batch, width]`, labels one-hot.

        Returns:
          Pictures `[batch, *event_shape]` and masks `[batch, height, width, 1]`, None without.
        """
        parts = tf.split(features, self.parts, axis=-1)
        each = [stream(part) for stream, part in zip(self.streams_of_parts, parts, strict=True)]
        both = self.activation(self.common(self.activation(tf.concat(each, axis=-1))))
        picture = tf.cast(self.picture(both), tf.float32)
        return picture, None if self.mask is None else tf.cast(self.mask(both), tf.float32)

    def distribution(self, condition):
        """p(x | c), a TFP distribution of batch_shape `[batch]`."""
        picture, _ = self.pictures(self.condition.features(condition))
        deviation = tf.maximum(tf.sqrt(tf.convert_to_tensor(self.variance.value)), _LEAST)
        return tfd.Independent(tfd.Normal(picture, deviation), len(self.event_shape))

    def score(self, x, condition, mask=None):
        """log p(x | c), float32 `[batch]`; a mask says nothing of x."""
        del mask
        return self.distribution(condition).log_prob(x)

    def sample_rows(self, seeds, temperature=1.0, condition=None):
        """Draws from p(x | c); the temperature multiplies s.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: 0 is m(c).
          condition: `[num, *condition.shape]`.
        """
        return draw(self.distribution(condition), seeds, temperature=temperature)

    def updates(self):
        """One gradient step on the squared errors, which also moves s^2."""
        return [Update("generator", self.objective, [*self.trainable_variables, self.variance])]

    def objective(self, batch, seed, step):
        """Squared error of picture and mask, the latter weighed, means over the batch; as `Update`."""
        del seed, step
        loss, terms = self.errors(batch)
        if self.mask is not None and "mask" not in batch:
            raise ValueError(
                f"{type(self).__name__} learns a mask of each example: give mask, or take mask_weight=0."
            )
        self.variance.assign(_DECAY * self.variance + (1.0 - _DECAY) * terms["squared_error"])
        return loss, terms

    def errors(self, batch):
        """The loss, and the mean squared errors of an entry of pictures and, if there are any, masks.

        Args:
          batch: Dict with "x", "condition" and maybe "mask".
        """
        picture, mask = self.pictures(self.condition.features(batch["condition"]))
        error = _squared(batch["x"] - picture)
        loss, terms = error, {"squared_error": error / math.prod(self.event_shape)}
        if mask is not None and "mask" in batch:
            error = _squared(batch["mask"] - mask)
            loss += self.mask_weight * error
            terms["mask_error"] = error / math.prod(mask.shape[1:])
        return loss, terms

    def validation_metrics(self, batch, seed):
        """The loss, the errors and the nats."""
        del seed
        loss, terms = self.errors(batch)
        return {"loss": loss, "nats": -tf.reduce_mean(self.score(batch["x"], batch["condition"]))} | terms

    def check_data(self, data):
        """As the base; and that there are masks to learn.

        Args:
          data: A `tfgen.data.Data`.
        """
        super().check_data(data)
        if self.mask is not None and data.train.field("mask") is None:
            raise ValueError(
                f"{type(self).__name__} learns a mask of each example, but {data.name} has none: take "
                "mask_weight=0 (--mask_weight=0)."
            )

    @property
    def quantities(self):
        """Quantities of the curves of a training."""
        return {
            "loss": "squared error of picture and mask, weighed",
            "squared_error": "squared error of an entry",
            "mask_error": "squared error of an entry",
        }

    def test_metrics(self, data, seed):
        """Mean squared errors of an entry on training and test examples, and the latter over the former."""
        errors = {name: self._error(getattr(data, name), data, seed) for name in ("train", "test")}
        kind = "mean squared error of an entry, values as the model has them"
        return {
            "squared_error": {"value": errors["test"], "kind": f"{kind}, test split"},
            "training_error": {"value": errors["train"], "kind": f"{kind}, training split"},
            "error_ratio": {"value": errors["test"] / errors["train"], "kind": "test error / training error"},
        }

    def _error(self, split, data, seed):
        fields, total = self.fields(split), 0.0
        measure = tf.function(
            lambda x, told: tf.reduce_sum(tf.reduce_mean(tf.square(x - self.generate(told)), axis=(1, 2, 3))),
            autograph=False,
            reduce_retracing=True,
        )
        count = min(len(split), _MEASURED)
        for start in range(0, count, _BATCH):
            rows = slice(start, min(start + _BATCH, count))
            x = self.space.from_data(fields["x"][rows], data, seed)
            total += float(measure(x, tf.constant(fields["condition"][rows])))
        return total / count

    def views(self, data, num, seed):
        """Test examples beside m(c) and a(c), and paths between the attributes of test examples."""
        if data is None:
            return {}
        fields = self.fields(data.test)
        x = self.space.from_data(fields["x"][: min(num, _SHOWN)], data, seed)
        told = self.condition.features(self.check_condition(fields["condition"][: len(x)]))
        picture, mask = self.pictures(told)
        rows, names = [x, picture], ["data", "generated"]
        if mask is not None:
            rows, names = [*rows, tf.broadcast_to(mask, tf.shape(x))], [*names, "mask"]
        title = "test examples, and the pictures of their attributes"
        shown = {"generated": View(tf.stack(rows), "rows", names, title)}
        paths = min(_PATHS, len(x) // 2)
        if paths:
            between = interpolate(told[:paths], told[paths : 2 * paths], _STEPS)
            along = self.pictures(tf.reshape(between, [-1, told.shape[-1]]))[0]
            along = tf.reshape(along, [paths, _STEPS, *self.event_shape])
            along = tf.concat([x[:paths, None], along, x[paths : 2 * paths, None]], axis=1)
            heads = ["data", *(f"{i / (_STEPS - 1):.2f}" for i in range(_STEPS)), "data"]
            title = "from one test example to another, in even steps of their attributes"
            shown["interpolations"] = View(along, "rows", title=title, heads=heads)
        return shown

    def signatures(self):
        """Adds `generate`: the picture of attributes and, where it is learned, its mask."""

        def generate(condition):
            picture, mask = self.pictures(self.condition.features(self.check_condition(condition)))
            return {"x": picture} | ({} if mask is None else {"mask": mask})

        return super().signatures() | {"generate": Signature(generate, self.condition_spec())}


def _squared(difference):
    """Sum of squares of each row, mean over rows."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=tf.range(1, tf.rank(difference))))
