"""Models small enough to be computed by hand."""

import dataclasses
import os
import signal

import keras
import numpy as np
import tensorflow as tf

from tests.planted import dataset
from tfgen import data, random
from tfgen.data.stream import Stream
from tfgen.model import Condition, GenerativeModel, Stage, Update


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
    """First the logits are fitted, then a scale that fades in, with noise; entering rounds the logits.

    Its validation loss is what `val_losses` says of the step, where it says anything.
    """

    def __init__(self, event_shape=(3,), val_losses=(), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.val_losses = val_losses
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.entered = self.add_weight(shape=(), initializer="zeros", trainable=False, name="entered")
        self.seen = self.add_weight(shape=(3,), initializer="zeros", trainable=False, name="seen")

    def enter(self, batch, seed):
        self.logits.assign(tf.round(self.logits * 64) / 64)
        self.scale.assign(0.5)
        self.seen.assign(tf.reduce_mean(batch["x"], axis=0) + random.uniform(seed, []))
        self.entered.assign_add(1)

    def sharpen(self, batch, seed, step):
        noise = random.normal(seed, tf.shape(batch["x"]))
        shown = (1.0 + self.progress(step)) * self.scale.value * self.logits.value
        loss = tf.reduce_mean((shown - batch["x"] + 0.1 * noise) ** 2)
        return loss, {"progress": self.progress(step)}

    def validation_metrics(self, batch, seed):
        if not self.val_losses:
            return super().validation_metrics(batch, seed)
        return {"loss": tf.constant(self.val_losses)[self.step.value]}

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


class MomentsBesideGradients(Moments):
    """The mean by sums over a pass, while a gradient follows it batch by batch."""

    def __init__(self, event_shape=(2,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.follower = self.add_weight(shape=self.event_shape, initializer="zeros", name="follower")

    def distance(self, batch, seed, step):
        return tf.reduce_mean((batch["x"] - self.follower.value) ** 2), {}

    def updates(self):
        return [Update("follow", self.distance, [self.follower]), *super().updates()]


class FewLabels(Bits):
    """Bits that learn from all examples, and class frequencies from the labelled stream alone.

    It counts how often each labelled example comes, by the number that its bits write.
    """

    streams = ("labelled",)
    condition = Condition("label", (), 2)

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.label_logit = self.add_weight(shape=(), initializer="zeros", name="label_logit")
        self.came = self.add_weight(shape=(8,), initializer="zeros", trainable=False, name="came")

    def score(self, x, condition=None):
        return super().score(x)

    def joint(self, batch, seed, step):
        loss, scalars = self.nll({"x": batch["x"]}, seed, step)
        label = tf.cast(batch["labelled"]["condition"], tf.float32)
        logits = tf.zeros_like(label) + self.label_logit.value
        return loss + tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label, logits)), scalars

    def tally(self, batch, seed, step):
        numbers = tf.tensordot(batch["labelled"]["x"], [4.0, 2.0, 1.0], 1)
        return tf.reduce_sum(tf.one_hot(tf.cast(numbers, tf.int32), 8), axis=0)

    def add(self, tally):
        self.came.assign_add(tally)

    def updates(self):
        return [
            Update("fit", self.joint, [self.logits, self.label_logit]),
            Update("count", variables=[self.came], statistics=self.tally, apply=self.add, share_batch=True),
        ]

    def sample_rows(self, seeds, condition=None):
        return super().sample_rows(seeds)


def fitting(model, num=40):
    """A data set for a toy."""
    return dataset(model, num)


def streamed(examples):
    """The same data set, each x of it a stream."""

    def part(split):
        streams = {name: part(stream) for name, stream in split.streams.items()}
        return dataclasses.replace(split, x=Stream.of(split.x), streams=streams)

    return dataclasses.replace(
        examples, **{p: part(getattr(examples, p)) for p in ("train", "validation", "test")}
    )


def with_stream(model, num=40, num_labelled=5):
    """A data set for `FewLabels`: labelled example i writes i in bits, odd ones are of class 1."""
    whole = fitting(model, num)
    numbers = np.arange(num_labelled)
    x = (numbers[:, None] // np.array([4, 2, 1]) % 2).astype(np.uint8)
    train = dataclasses.replace(whole.train, streams={"labelled": data.Split(x, numbers % 2)})
    return dataclasses.replace(whole, train=train)


def sgd(rate=0.1, **keywords):
    return keras.optimizers.SGD(rate, **keywords)


class StopAt(keras.callbacks.Callback):
    """Presses Ctrl-C once, at that step or the next moment the loop looks."""

    def __init__(self, step):
        super().__init__()
        self.at = step

    def on_train_batch_end(self, batch, logs=None):
        if self.at and batch >= self.at:
            self.at = None
            os.kill(os.getpid(), signal.SIGINT)
