"""Condition networks: any Keras classifier, SavedModel or model that serves `classify`, as log p(y | x)."""

from pathlib import Path

import keras
import tensorflow as tf

from tfgen.keras_model import Layer
from tfgen.model import GenerativeModel

OUTPUTS = ("logits", "probabilities")
# Signatures that are asked, the first there is.
_ENDPOINTS = ("classify", "serving_default", "serve")
_LEAST = 1e-30  # Its logarithm is finite, and so is the gradient.


@keras.saving.register_keras_serializable("tfgen")
class SavedClassifier(Layer):
    """SavedModel of any origin as a layer, from x to what its signature answers.

    Of a signature `classify`, which tfgen's exports have, the answer is "probabilities"; of another one, with
    one input, its only output. The file is read again whenever the layer is made.

    Args:
      path: The SavedModel's directory.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If no signature fits.
    """

    def __init__(self, path, **kwargs):
        super().__init__(**kwargs)
        self.loaded = tf.saved_model.load(path)
        served = self.loaded.signatures
        name = next((name for name in _ENDPOINTS if name in served), None)
        if name is None:
            raise ValueError(f"classifier_path={path} serves {', '.join(served)}, not classify: export one.")
        self.function = served[name]
        self.classifies = name == "classify"
        outputs = list(self.function.structured_outputs)
        inputs = list(self.function.structured_input_signature[1])
        self.output_name = "probabilities" if "probabilities" in outputs else outputs[0]
        if len(inputs) != 1 or (self.output_name != "probabilities" and len(outputs) != 1):
            raise ValueError(
                f"classifier_path={path}: {name} maps {', '.join(inputs)} to {', '.join(outputs)}; it must "
                "map one input to one output, or to probabilities."
            )
        self.input_name = inputs[0]

    def call(self, x):
        """What the signature answers for x."""
        return self.function(**{self.input_name: x})[self.output_name]


def load_classifier(path):
    """A Keras layer from a file: `.keras`, or the directory of a SavedModel.

    Args:
      path: Where it lies; of a tfgen export the version's directory.

    Raises:
      ValueError: If there is none.
    """
    if Path(path).is_dir() and Path(path, "saved_model.pb").is_file():
        return SavedClassifier(str(path))
    if str(path).endswith(".keras") and Path(path).is_file():
        return keras.saving.load_model(path, compile=False)
    raise ValueError(
        f"classifier_path={path} is neither a .keras file nor the directory of a SavedModel: name one."
    )


class ClassLogProbs:
    """log p(y | x) of all classes by a classifier, differentiable in x.

    A model or an export that serves `classify` is asked for x of its own space: levels are rounded, and the
    gradient passes the rounding straight through. Any other Keras layer or SavedModel reads levels divided by
    the largest, and other values as they are.

    Args:
      classifier: `GenerativeModel` or Keras layer.
      space: `Space` of x.
      num_classes: Number of classes.
      outputs: What a Keras layer or another SavedModel gives: "logits" or "probabilities".

    Raises:
      ValueError: If it serves no `classify` of x alone, or tells another number of classes.
    """

    def __init__(self, classifier, space, num_classes, outputs="logits"):
        self.space = space
        self.in_levels = isinstance(classifier, GenerativeModel)
        self.logits = outputs == "logits" and not self.in_levels
        if self.in_levels:
            served = classifier.signatures().get("classify")
            read = (classifier.event_shape, classifier.values, classifier.num_values)
            wanted = (space.event_shape, space.values, space.num_values)
            if served is None or set(served.inputs) != {"x"} or read != wanted:
                raise ValueError(
                    f"classifier must be a model that serves classify of x alone, {_told(*wanted)}, got "
                    f"{type(classifier).__name__} of {_told(*read)}: give a run of one, or a Keras layer."
                )
            self.answer = lambda x: served.function(x=x).get("probabilities")
        elif isinstance(classifier, keras.layers.Layer):
            self.answer = lambda x: classifier(x, training=False)
            if isinstance(classifier, SavedClassifier):
                self.answer = classifier
                self.in_levels = classifier.classifies
                self.logits = self.logits and classifier.output_name != "probabilities"
        else:
            raise ValueError(f"classifier must be a Keras layer or a GenerativeModel, got {classifier!r}.")
        found = self.answer(tf.zeros([1, *space.event_shape]))
        told = None if found is None else tuple(found.shape)
        if told != (1, num_classes):
            raise ValueError(
                f"classifier must tell {num_classes} classes, a row for each x, it gives {told} for one x: "
                "take a classifier of as many classes as the data have."
            )

    def __call__(self, x):
        """float32 `[batch, classes]`, in nats, of x `[batch, *event_shape]` that need not be whole levels."""
        if self.space.values == "levels":
            x = x + tf.stop_gradient(round_levels(x, self.space) - x) if self.in_levels else self.read(x)
        answer = tf.cast(self.answer(x), tf.float32)
        return tf.nn.log_softmax(answer) if self.logits else tf.math.log(tf.maximum(answer, _LEAST))

    def read(self, x):
        """x as Keras classifiers read it: levels divided by the largest."""
        return x / (self.space.num_values - 1.0) if self.space.values == "levels" else x


def round_levels(x, space):
    """The nearest x of a space: levels are whole numbers, other values as they are."""
    if space.values != "levels":
        return x
    return tf.clip_by_value(tf.round(x), 0.0, space.num_values - 1.0)


def _told(shape, values, num_values):
    """What x are, for errors."""
    return f"{shape} {f'in {num_values} levels' if values == 'levels' else values}"
