"""Rows of toys: what the contract allows and no model of the catalogue uses yet, each in a few lines."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tests.conformance.cases import Case
from tfgen import random
from tfgen.model import Condition, GenerativeModel, Stage, Update, View

registered = keras.saving.register_keras_serializable("conformance")


def bits(event_shape):
    """All binary x of a shape, float32 `[events, *event_shape]`."""
    listed = list(itertools.product((0.0, 1.0), repeat=int(np.prod(event_shape))))
    return np.array(listed, np.float32).reshape(-1, *event_shape)


def log_bernoulli(x, logits):
    """Log-probability of independent bits, summed over all axes but the first."""
    each = -tf.nn.sigmoid_cross_entropy_with_logits(x, tf.zeros_like(x) + logits)
    return tf.reduce_sum(each, axis=list(range(1, len(x.shape))))


def drawn_from(seeds, values, log_weights):
    """One of `values` for each row of seeds, with probabilities proportional to exp(log_weights)."""
    below = tf.cumsum(tf.nn.softmax(log_weights))
    index = tf.searchsorted(below, random.uniform(seeds, []))
    return tf.gather(values, tf.minimum(index, values.shape[0] - 1))


@registered
class Bits(GenerativeModel):
    """Independent bits.

    Args:
      event_shape: Shape of one x.
    """

    density = "exact"

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.logits = self.add_weight(shape=self.event_shape, initializer="zeros", name="logits")

    def score(self, x):
        return log_bernoulli(x, self.logits.value)

    def nll(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def updates(self):
        return [Update("fit", self.nll, [self.logits])]

    def sample_rows(self, seeds):
        return random.bernoulli(seeds, tf.broadcast_to(tf.sigmoid(self.logits.value), self._rows(seeds)))

    def _rows(self, seeds):
        return [tf.shape(seeds)[0], *self.event_shape]


@registered
class FadedBits(GenerativeModel):
    """Independent bits in two stages: the logits, then a factor of theirs that fades in.

    Args:
      event_shape: Shape of one x.
    """

    density = "exact"

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.logits = self.add_weight(shape=self.event_shape, initializer="zeros", name="logits")
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")
        self.seen = self.add_weight(shape=self.event_shape, trainable=False, name="seen")

    def _faded(self, step):
        fade = tf.where(self.stage.value[0] == 1, self.progress(step), 0.0)
        return self.logits.value * (1.0 + fade * (self.factor.value - 1.0))

    def score(self, x):
        return log_bernoulli(x, self._faded(self.step.value))

    def nll(self, batch, seed, step):
        noisy = self._faded(step) + 0.1 * random.normal(seed, self.event_shape)
        return -tf.reduce_mean(log_bernoulli(batch["x"], noisy)), {}

    def enter(self, batch, seed):
        self.seen.assign(tf.reduce_mean(batch["x"], axis=0) + 0.1 * random.normal(seed, self.event_shape))
        self.logits.assign_add(0.1 * self.seen.value)
        self.factor.assign(0.5)

    def updates(self):
        return self.stages()[-1].updates

    def stages(self):
        return [
            Stage("logits", 1.0, [Update("fit", self.nll, [self.logits])]),
            Stage("factor", 2.0, [Update("fit", self.nll, [self.factor])], self.enter),
        ]

    def sample_rows(self, seeds):
        shape = [tf.shape(seeds)[0], *self.event_shape]
        return random.bernoulli(seeds, tf.broadcast_to(tf.sigmoid(self._faded(self.step.value)), shape))


@registered
class FewLabels(GenerativeModel):
    """Bits by class, learned from all x and from the labels of a stream alone.

    Args:
      event_shape: Shape of one x.
    """

    density = "exact"
    condition = Condition("label", num_classes=2)
    streams = ("labelled",)

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.logits = self.add_weight(shape=(2, *self.event_shape), name="logits")
        self.prior = self.add_weight(shape=(2,), initializer="zeros", name="prior")
        self.counted = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="counted")

    def score(self, x, condition):
        return log_bernoulli(x, tf.gather(self.logits.value, condition))

    def objective(self, batch, seed, step):
        log_prior = tf.nn.log_softmax(self.prior.value)
        x, labelled = batch["x"], batch["labelled"]
        each = [log_bernoulli(x, self.logits.value[label]) + log_prior[label] for label in range(2)]
        known = self.score(**labelled) + tf.gather(log_prior, labelled["condition"])
        return -tf.reduce_mean(tf.reduce_logsumexp(each, axis=0)) - tf.reduce_mean(known), {}

    def count(self, batch, seed, step):
        return tf.reduce_sum(tf.one_hot(batch["labelled"]["condition"], 2), axis=0)

    def add(self, counts):
        self.counted.assign_add(counts)
        return {"labels": tf.reduce_sum(counts)}

    def updates(self):
        return [
            Update("fit", self.objective, [self.logits, self.prior]),
            Update(
                "count", variables=[self.counted], statistics=self.count, apply=self.add, share_batch=True
            ),
        ]

    def sample_rows(self, seeds, condition):
        return random.bernoulli(seeds, tf.sigmoid(tf.gather(self.logits.value, condition)))


@registered
class Tilted(GenerativeModel):
    """Another run's model p(x), tilted: p(x) exp(w x) / Z, with Z by enumeration; only w is learned.

    Args:
      event_shape: Shape of one x.
      base: The other model, of bits; None makes `Bits` of even odds.
    """

    density = "exact"

    def __init__(self, event_shape=(3,), base: GenerativeModel | None = None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.base = Bits(event_shape, name="base") if base is None else base
        self.tilt = self.add_weight(shape=self.event_shape, name="tilt")

    def _unnormalized(self, x):
        axes = list(range(1, len(x.shape)))
        return self.base.score(x) + tf.reduce_sum(x * self.tilt.value, axis=axes)

    def score(self, x):
        return self._unnormalized(x) - tf.reduce_logsumexp(self._unnormalized(bits(self.event_shape)))

    def nll(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def updates(self):
        return [Update("fit", self.nll, [self.tilt])]

    def sample_rows(self, seeds):
        events = tf.constant(bits(self.event_shape))
        return drawn_from(seeds, events, self._unnormalized(events))


@registered
class Chain(GenerativeModel):
    """Bits of a picture that go together by pairs: a free energy, sampled by sweeps, shown as frames.

    Args:
      event_shape: Shape of one x.
      sweeps: Sweeps of a sample.
    """

    density = "unnormalized"

    def __init__(self, event_shape=(2, 2, 1), sweeps=5, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.sweeps, self.size = sweeps, int(np.prod(self.event_shape))
        self.bias = self.add_weight(shape=(self.size,), name="bias")
        self.pairs = self.add_weight(shape=(self.size, self.size), name="pairs")

    def _coupling(self):
        return tf.linalg.band_part(self.pairs.value, 0, -1) - tf.linalg.band_part(self.pairs.value, 0, 0)

    def score(self, x):
        x = tf.reshape(x, [-1, self.size])
        return tf.linalg.matvec(x, self.bias.value) + tf.einsum("bi,ij,bj->b", x, self._coupling(), x)

    def log_partition(self):
        return tf.reduce_logsumexp(self.score(bits(self.event_shape)))

    def _fields(self, x):
        return self.bias.value + x @ (self._coupling() + tf.transpose(self._coupling()))

    def pseudo_likelihood(self, batch, seed, step):
        x = tf.reshape(batch["x"], [-1, self.size])
        return -tf.reduce_mean(log_bernoulli(x, self._fields(x))), {}

    def validation_metrics(self, batch, seed):
        return {"loss": self.pseudo_likelihood(batch, seed, 0)[0]}

    def updates(self):
        return [Update("fit", self.pseudo_likelihood, [self.bias, self.pairs])]

    def _swept(self, x, uniform):
        for i in range(self.size):
            on = tf.cast(uniform[:, i] < tf.sigmoid(self._fields(x)[:, i]), tf.float32)
            x = tf.concat([x[:, :i], on[:, None], x[:, i + 1 :]], axis=1)
        return x

    def frames(self, seeds):
        """Chain of each row: float32 `[sweeps, num, *event_shape]`."""
        uniform = random.uniform(seeds, [self.sweeps, self.size])
        x, shown = tf.zeros_like(uniform[:, 0]), []
        for sweep in range(self.sweeps):
            x = self._swept(x, uniform[:, sweep])
            shown.append(tf.reshape(x, [-1, *self.event_shape]))
        return tf.stack(shown)

    def sample_rows(self, seeds):
        return self.frames(seeds)[-1]

    def views(self, data, num, seed):
        return {"chain": View(self.frames(random.rows(seed, num)), "frames")}


@registered
class Bounded(GenerativeModel):
    """Bits with one hidden bit, of which only a bound is computed, since its posterior is taken as fixed.

    log p*(x) = log sum_h exp(b x + h (c + w x)) >= b x + q (c + w x) + H(q) for any q. It does not sample.

    Args:
      event_shape: Shape of one x.
    """

    density = "unnormalized_bound"
    samples = False

    def __init__(self, event_shape=(4,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.bias = self.add_weight(shape=self.event_shape, name="bias")
        self.kernel = self.add_weight(shape=self.event_shape, name="kernel")
        self.hidden_bias = self.add_weight(shape=(), initializer="ones", name="hidden_bias")

    def _terms(self, x):
        axes = list(range(1, len(x.shape)))
        above = self.hidden_bias.value + tf.reduce_sum(x * self.kernel.value, axis=axes)
        return tf.reduce_sum(x * self.bias.value, axis=axes), above

    def score(self, x):
        visible, above = self._terms(x)
        logit = self.hidden_bias.value
        entropy = tf.nn.softplus(logit) - logit * tf.sigmoid(logit)
        return visible + tf.sigmoid(logit) * above + entropy

    def log_partition(self):
        visible, above = self._terms(bits(self.event_shape))
        return tf.reduce_logsumexp(visible + tf.nn.softplus(above))

    def nll(self, batch, seed, step):
        return self.log_partition() - tf.reduce_mean(self.score(batch["x"])), {}

    def updates(self):
        return [Update("fit", self.nll, [self.bias, self.kernel, self.hidden_bias])]


@registered
class Copied(GenerativeModel):
    """Bits of a picture that resembles another picture, its condition.

    Args:
      event_shape: Shape of one x, and of the condition.
    """

    density = "exact"

    def __init__(self, event_shape=(2, 2, 1), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.condition = Condition("image", self.event_shape)
        self.gain = self.add_weight(shape=self.event_shape, name="gain")
        self.offset = self.add_weight(shape=self.event_shape, name="offset")

    def _logits(self, condition):
        return self.gain.value * condition + self.offset.value

    def score(self, x, condition):
        return log_bernoulli(x, self._logits(condition))

    def nll(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"], batch["condition"])), {}

    def updates(self):
        return [Update("fit", self.nll, [self.gain, self.offset])]

    def sample_rows(self, seeds, condition):
        return random.bernoulli(seeds, tf.sigmoid(self._logits(condition)))


@registered
class Rewarded(GenerativeModel):
    """Bits that depend on an action and a reward of each example. It does not sample.

    Args:
      event_shape: Shape of one x.
    """

    density = "exact"
    samples = False
    extra_fields = {  # noqa: RUF012
        "action": Condition("label", num_classes=3),
        "reward": Condition("vector", (2,)),
    }

    def __init__(self, event_shape=(4,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.by_action = self.add_weight(shape=(3, *self.event_shape), name="by_action")
        self.by_reward = self.add_weight(shape=(2, *self.event_shape), name="by_reward")

    def score(self, x, action, reward):
        logits = tf.gather(self.by_action.value, action)
        return log_bernoulli(x, logits + tf.tensordot(reward, self.by_reward.value, 1))

    def nll(self, batch, seed, step):
        return -tf.reduce_mean(self.score(**batch)), {}

    def updates(self):
        return [Update("fit", self.nll, [self.by_action, self.by_reward])]


@registered
class Poissons(GenerativeModel):
    """Independent counts.

    Args:
      event_shape: Shape of one x.
      most: Larger counts are not drawn.
    """

    density, values = "exact", "counts"

    def __init__(self, event_shape=(2,), most=40, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.kind, self.most = "counts", most
        self.log_rate = self.add_weight(shape=self.event_shape, initializer="zeros", name="log_rate")

    def _log_p(self, x):
        return x * self.log_rate.value - tf.exp(self.log_rate.value) - tf.math.lgamma(x + 1.0)

    def score(self, x):
        return tf.reduce_sum(self._log_p(x), axis=list(range(1, len(x.shape))))

    def nll(self, batch, seed, step):
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def updates(self):
        return [Update("fit", self.nll, [self.log_rate])]

    def sample_rows(self, seeds):
        counts = tf.range(self.most + 1.0)
        table = tf.reshape(counts, [-1] + [1] * len(self.event_shape))
        below = tf.cumsum(tf.exp(self._log_p(table)), axis=0)
        uniform = random.uniform(seeds, self.event_shape)
        return tf.reduce_sum(tf.cast(uniform[:, None] > below[None, :-1], tf.float32), axis=1)


def trained_base():
    """Arguments of `Tilted`: a model as another run left it."""
    base = Bits((3,), name="base")
    base.logits.assign([0.5, -1.0, 2.0])
    return {"base": base}


TOYS = {
    "two stages with an optimizer each and a fade": Case(
        FadedBits,
        {"event_shape": (4,)},
        shapes=((2, 1, 3),),
        enumerable=True,
        optimizer={"logits": {"name": "sgd", "learning_rate": 0.5}, "factor": "adam"},
    ),
    "few labels by a stream": Case(FewLabels, {"event_shape": (3,)}, shapes=((2, 2),), enumerable=True),
    "a model that holds another": Case(Tilted, trained_base, enumerable=True),
    "a chain that shows frames": Case(Chain, {"sweeps": 3}, shapes=((1, 3, 1),), enumerable=True, jit=True),
    "no samples and a bound of a free energy": Case(Bounded, {}, shapes=((2, 1),), enumerable=True),
    "a picture as the condition": Case(Copied, {"event_shape": (3, 1, 1)}, enumerable=True),
    "further fields": Case(Rewarded, {"event_shape": (2, 1)}, shapes=((3,),), enumerable=True),
    "counts": Case(Poissons, {}, shapes=((3, 1),), enumerable=True, jit=True),
}
