"""Models that are small and have every kind of signature, some of them with one fault."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.model import Condition, GenerativeModel, Signature

LOGITS = (0.3, -1.2, 2.0, 0.1)


class Toy(GenerativeModel):
    """Independent bits with a logit of their own, plus one for the label of a row."""

    density = "exact"
    jit_sampler = True
    condition = Condition("label", num_classes=3)

    def __init__(self, event_shape=(4,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.logits = self.add_weight(shape=self.event_shape, name="logits")
        self.logits.assign(LOGITS)
        self.by_label = self.add_weight(shape=(3, 1), name="by_label")
        self.by_label.assign([[0.0], [1.0], [-2.0]])
        self.norm = keras.layers.BatchNormalization()
        self.norm.build((None, *self.event_shape))
        words = tf.lookup.KeyValueTensorInitializer(["the", "sum"], [5, 6])
        self.words = tf.lookup.StaticHashTable(words, -1)

    def updates(self):
        return []

    def _logits(self, condition):
        return self.logits.value + tf.gather(self.by_label.value, condition)

    def score(self, x, condition):
        logits = self._logits(condition)
        return tf.reduce_sum(x * logits - tf.math.softplus(logits), axis=-1)

    def sample_rows(self, seeds, condition):
        return random.bernoulli(seeds, tf.sigmoid(self._logits(condition)))

    def complete(self, x, mask, seeds):
        drawn = self.sample_rows(seeds, tf.zeros_like(seeds[:, 0]))
        return {"x": tf.where(mask, self.space.check(x), drawn), "length": self._length(x)}

    def _length(self, x):
        def longer(i, length):
            return i + 1, length + tf.cast(x[:, i] > 0, tf.int64)

        start = (tf.constant(0), tf.zeros_like(x[:, 0], tf.int64))
        return tf.while_loop(lambda i, _: i < 4, longer, start)[1]

    def signatures(self):
        x = tf.TensorSpec([None, 4], tf.float32)
        seeds, label = tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None], tf.int32)
        mask, words = tf.TensorSpec([None, 4], tf.bool), tf.TensorSpec([None, None], tf.string)
        densities = Signature(self._log_prob, {"x": x, "condition": label})
        return {
            "sample": Signature(self._sample, {"seeds": seeds, "condition": label}),
            "log_prob": densities,
            "serving_default": densities,
            "complete": Signature(self.complete, {"x": x, "mask": mask, "seeds": seeds}),
            "normalize": Signature(lambda x: {"x": self.norm(x)}, {"x": x}),
            "look_up": Signature(lambda text: {"ids": self.words.lookup(text)}, {"text": words}),
            "bytes": Signature(
                lambda image: {"image": 255 - image},
                {"image": tf.TensorSpec([None, 5, 5, 1], tf.uint8)},
            ),
        }

    def _log_prob(self, x, condition):
        return {"log_prob": self.log_prob(x, condition)}

    def _sample(self, seeds, condition):
        return {"x": self.sample_rows(seeds, self.check_condition(condition))}


class Plain(Toy):
    """A toy that is exported fast: it only draws."""

    def signatures(self):
        return {"sample": super().signatures()["sample"]}


class Faulty(Plain):
    """A toy with one more signature, `faulty`, given as a function of x."""

    def __init__(self, function, spec=None, **kwargs):
        super().__init__((4,), **kwargs)
        self.function, self.spec = function, spec
        self.counter = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def signatures(self):
        spec = self.spec if self.spec is not None else tf.TensorSpec([None, 4], tf.float32)
        faulty = Signature(lambda x: self.function(self, x), {"x": spec})
        return super().signatures() | {"faulty": faulty}


def in_python(model, x):
    return {"y": tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), [None, 4])}


def unseeded(model, x):
    return {"y": x + tf.random.uniform(tf.shape(x))}


def writing(model, x):
    model.counter.assign_add(1.0)
    return {"y": x}


def compiled(model, x):
    return {"y": tf.function(tf.sin, jit_compile=True)(x)}


def infinite(model, x):
    return {"y": x / tf.reduce_min(x)}


def summed(model, x):
    return {"y": tf.reduce_sum(x)}


def doubled(model, x):
    return {"y": tf.concat([x, x], axis=0)}


def bare(model, x):
    return x


def half(model, x):
    return {"y": tf.cast(x, tf.bfloat16)}


def same(model, x):
    return {"y": tf.identity(x)}
