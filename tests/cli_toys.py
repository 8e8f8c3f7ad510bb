"""Models and data for tests of the command line: each takes seconds to train and shows one thing."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data import Data, Split, registry
from tfgen.media.text import Vocabulary
from tfgen.model import Condition, GenerativeModel, Update, View

WORDS = ("ape", "bee", "cat", "dog", "elk", "fox")


@keras.saving.register_keras_serializable("cli_toys")
class Pixels(GenerativeModel):
    """Independent bits in any shape.

    Args:
      event_shape: Shape of one x.
      scale: Multiplies the logits. More is said here.
      num_examples: Size of the training set.
    """

    density = "exact"

    def __init__(self, event_shape, scale=1.0, num_examples: int | None = None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.scale, self.num_examples = scale, num_examples
        self.logits = self.add_weight(shape=self.event_shape, initializer="zeros", name="logits")

    def all_logits(self):
        """Logits of all entries."""
        return self.scale * self.logits.value

    def score(self, x):
        nats = tf.nn.sigmoid_cross_entropy_with_logits(x, tf.zeros_like(x) + self.all_logits())
        return -tf.reduce_sum(nats, axis=list(range(1, len(self.event_shape) + 1)))

    def updates(self):
        return [Update("fit", self.objective, [self.logits])]

    def objective(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def sample_rows(self, seeds):
        shape = [tf.shape(seeds)[0], *self.event_shape]
        return random.bernoulli(seeds, tf.broadcast_to(tf.sigmoid(self.all_logits()), shape))


@keras.saving.register_keras_serializable("cli_toys")
class Student(GenerativeModel):
    """Bits whose logits are a trained model's plus its own.

    Args:
      event_shape: Shape of one x.
      teacher: A trained model of the same x.
    """

    density = "exact"

    def __init__(self, event_shape, teacher: GenerativeModel | None = None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.teacher = teacher
        self.own = self.add_weight(shape=self.event_shape, initializer="zeros", name="own")

    def all_logits(self):
        """Logits of all entries."""
        return self.own.value + (0.0 if self.teacher is None else self.teacher.all_logits())

    score, objective, sample_rows = Pixels.score, Pixels.objective, Pixels.sample_rows

    def updates(self):
        return [Update("fit", self.objective, [self.own])]


class Idle(Pixels):
    """Bits whose objective forgets them, which shows once training begins."""

    def objective(self, batch, seed, step):
        return tf.reduce_mean(batch["x"]), {}


class Labelled(Pixels):
    """Two pictures: label 0 is black, label 1 is white, as far as `honest` says so."""

    def __init__(self, event_shape, num_classes=2, honest=True, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.condition = Condition("label", (), num_classes)
        self.honest = honest

    def score(self, x, condition=None):
        return super().score(x)

    def objective(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def sample_rows(self, seeds, condition=None):
        white = tf.cast(condition if self.honest else tf.zeros_like(condition), tf.float32)
        return tf.zeros([tf.shape(seeds)[0], *self.event_shape]) + white[:, None, None, None]


class Counts(GenerativeModel):
    """Independent Poisson counts.

    Args:
      event_shape: (number of things counted,).
      vocabulary: Their names, or None.
    """

    density, values = "exact", "counts"

    def __init__(self, event_shape, vocabulary=None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.kind = "counts"
        self.text = None if vocabulary is None else Vocabulary(tuple(vocabulary), "word")
        self.log_rate = self.add_weight(shape=self.event_shape, initializer="zeros", name="log_rate")

    def score(self, x):
        return tf.reduce_sum(x * self.log_rate - tf.exp(self.log_rate) - tf.math.lgamma(x + 1.0), axis=-1)

    def updates(self):
        return [Update("fit", self.objective, [self.log_rate])]

    def objective(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def sample_rows(self, seeds):
        # 20 coins each: a binomial count of the same mean.
        u = random.uniform(seeds, (20, *self.event_shape))
        return tf.reduce_sum(tf.cast(u < tf.exp(self.log_rate) / 20.0, tf.float32), axis=1)


class Scorer(GenerativeModel):
    """A number for each x, and no samples; shows its weights, and how they are revealed."""

    samples = False

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.weights_shown = self.add_weight(shape=self.event_shape, initializer="zeros", name="shown")

    def updates(self):
        return [Update("fit", self.objective, [self.weights_shown])]

    def objective(self, batch, seed, step):
        return tf.reduce_mean((batch["x"] - self.weights_shown.value) ** 2), {}

    def validation_metrics(self, batch, seed):
        return {"loss": self.objective(batch, seed, 0)[0]}

    def test_metrics(self, data, seed):
        return {"answer": {"value": 42.0, "kind": "known"}}

    def signatures(self):
        from tfgen.model import Signature

        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        score = Signature(lambda x: {"s": tf.reduce_sum(x * self.weights_shown.value, [1, 2, 3])}, x)
        return {"score": score, "serving_default": score}

    def views(self, data, num, seed):
        x = tf.repeat(self.weights_shown.value[None], 2, axis=0)
        return {
            "filters": View(np.full((3, 5, 5, 1), 128, np.uint8), captions=("a", "b", "c")),
            "chain": View(tf.stack([x * 0.0, x * 0.5, x]), "frames"),
        }


def count_data(vocabulary=WORDS):
    """Counts of six words, of rates 0 to 5."""
    x = np.random.default_rng(0).poisson(np.arange(6.0), (60, 6)).astype(np.float32)
    parts = [Split(x[:40]), Split(x[40:50]), Split(x[50:])]
    return Data("toy", "counts", (6,), None, None, None, None, *parts, vocabulary=vocabulary, unit="word")


def video_data():
    """Three frames of a dot that moves down."""
    x = np.zeros((30, 3, 4, 5, 1), np.uint8)
    for t in range(3):
        x[:, t, t, np.arange(30) % 5] = 1
    parts = [Split(x), Split(x[:10]), Split(x[10:20])]
    return Data("toy", "video", (3, 4, 5, 1), 2, 2, None, None, *parts)


def label_data():
    """Black and white pictures with noise, by label."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 3 // 2
    x = (rng.random((60, 4, 4, 1)) < np.where(label, 0.9, 0.1)[:, None, None, None]).astype(np.uint8)
    parts = [Split(x, label), Split(x[:10], label[:10]), Split(x[30:], label[30:])]
    return Data("toy", "image", (4, 4, 1), 2, 2, 2, ("black", "white"), *parts)


@contextlib.contextmanager
def data_set(data, name="toy"):
    """Within it `load(name)` gives these data."""
    registry.EMBEDDED[name] = ("of a test", lambda request: data)
    try:
        yield name
    finally:
        del registry.EMBEDDED[name]
