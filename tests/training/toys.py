"""Models small enough to be computed by hand."""

import keras
import tensorflow as tf

from tests.planted import dataset
from tfgen import random
from tfgen.model import GenerativeModel, Stage, Update


class Bits(GenerativeModel):
    """Independent bits: log p(x) = sum_i x_i log sigmoid(l_i) + (1 - x_i) log sigmoid(-l_i)."""

    density = "exact"

    def __init__(self, event_shape=(3,), explode_at=-1, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.explode_at = explode_at
        self.logits = self.add_weight(shape=self.event_shape, initializer="zeros", name="logits")

    def score(self, x):
        return -tf.reduce_sum(
            tf.nn.sigmoid_cross_entropy_with_logits(x, tf.zeros_like(x) + self.logits.value), axis=-1
        )

    def nll(self, batch, seed, step):
        loss = -tf.reduce_mean(self.score(batch["x"]))
        loss += tf.where(step == self.explode_at, float("inf"), 0.0)
        return loss, {"noise": random.uniform(seed, [])}

    def updates(self):
        return [Update("fit", self.nll, [self.logits])]

    def sample_rows(self, seeds):
        return random.bernoulli(seeds, tf.sigmoid(tf.zeros([tf.shape(seeds)[0], 1]) + self.logits.value))


class TwoStages(Bits):
    """First the logits are fitted, then a scale, with noise; entering stage two rounds the logits."""

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.entered = self.add_weight(shape=(), initializer="zeros", trainable=False, name="entered")

    def enter(self):
        self.logits.assign(tf.round(self.logits * 64) / 64)
        self.entered.assign_add(1)

    def sharpen(self, batch, seed, step):
        noise = random.normal(seed, tf.shape(batch["x"]))
        loss = tf.reduce_mean((self.scale.value * self.logits.value - batch["x"] + 0.1 * noise) ** 2)
        return loss, {}

    def stages(self):
        return [
            Stage("fit", 1.0, self.updates()),
            Stage("sharpen", 2.0, [Update("sharpen", self.sharpen, [self.scale])], self.enter),
        ]


class Moments(GenerativeModel):
    """A Gaussian of unit variance whose mean is computed, by sums over a whole pass."""

    density, values = "exact", "real"

    def __init__(self, event_shape=(2,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.loc = self.add_weight(shape=self.event_shape, initializer="zeros", trainable=False, name="loc")

    def score(self, x):
        return -0.5 * tf.reduce_sum((x - self.loc.value) ** 2, axis=-1)

    def sums(self, batch, seed, step):
        return {"count": tf.cast(tf.shape(batch["x"])[0], tf.float32), "sum": tf.reduce_sum(batch["x"], 0)}

    def assign(self, sums):
        self.loc.assign(sums["sum"] / sums["count"])
        return {"count": sums["count"]}

    def updates(self):
        return [Update("mean", variables=[self.loc], statistics=self.sums, apply=self.assign, over="epoch")]

    def sample_rows(self, seeds):
        return random.normal(seeds, self.event_shape) + self.loc.value


def fitting(model, num=40):
    """A data set for a toy."""
    return dataset(model, num)


def sgd(rate=0.1, **keywords):
    return keras.optimizers.SGD(rate, **keywords)
