"""Vectors entry by entry, in any order: `VectorModel`, its `Walk` and the loop that draws."""

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.autoregressive_model import AutoregressiveModel, sum_entries
from tfgen.distributions.laws import Levels
from tfgen.layers.scan import scan


class Walk(NamedTuple):
    """A network computed one entry at a time.

    Args:
      state: Nest of tensors that the first entry finds.
      inputs: Nest of `[entries, ...]`: what each entry is given, in the order of drawing.
      conditional: `f(state, inputs) -> (state, raw)`, raw `[n, size]` being an entry's raw outputs.
      include: `f(state, inputs, value) -> state`, which adds the entry's encoded value `[n]`.
    """

    state: object
    inputs: object
    conditional: Callable
    include: Callable


class VectorModel(AutoregressiveModel):
    """p(x) = (1/K) sum_k prod_t p_k(x_o(t) | x_o(<t)), o = o_k, over K orders of the entries of x.

    Images are vectors too: their entries in raster order. With one order, K = 1, this is the usual product of
    conditionals; with several it is the exact density of a mixture, and a sample draws its order first. Each
    training batch takes one of the K components, drawn from its seed. The output biases start at the entries'
    own log odds. Known entries are kept whatever the order; the others are drawn from their conditionals
    given what stands before them in it.

    A subclass gives `component_raw` and `walk`.

    Args:
      event_shape: Shape of one x.
      num_values: Number of levels of an entry; 2 for binary x.
      order: Order in which entries are generated, "raster" or "random".
      order_seed: Seed of the random orders.
      num_orders: Number of random orders, whose mixture is the model.
      **kwargs: Passed on to `GenerativeModel`.

    Attributes:
      orders: int array `[K, entries]`: the entries in the order of their generation.
      bias: The output biases, `[entries, law.size]`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, event_shape, num_values=2, order="raster", order_seed=0, num_orders=1, **kwargs):
        super().__init__(event_shape, Levels(num_values), **kwargs)
        if None in self.event_shape:
            raise ValueError(f"event_shape must hold fixed sizes, got {event_shape!r}.")
        checks.one_of("order", order, ("raster", "random"))
        self.order_seed = checks.whole("order_seed", order_seed, at_least=0)
        checks.whole("num_orders", num_orders)
        if order == "raster" and num_orders > 1:
            raise ValueError(f"num_orders must be 1 unless order='random', got {num_orders}.")
        self.entries = math.prod(self.event_shape)
        self.orders = np.arange(self.entries, dtype=np.int32)[None]
        if order == "random":
            rng = np.random.default_rng(order_seed)
            self.orders = np.stack([rng.permutation(self.orders[0]) for _ in range(num_orders)])
        self.bias = self.add_weight((self.entries, self.law.size), "zeros", autocast=False, name="bias")

    @abc.abstractmethod
    def component_raw(self, x, component):
        """Raw outputs of all entries of `x`, each given those before it in the component's order.

        Args:
          x: Levels `[batch, entries]`.
          component: int or int32 scalar.

        Returns:
          float32 `[batch, entries, law.size]`, in the order of x.
        """

    @abc.abstractmethod
    def walk(self, num, component, order):
        """The network one entry at a time: a `Walk`.

        Args:
          num: Number of samples, an int where it is known.
          component: int32 `[r]`, r being 1 where all samples share it, else `num`.
          order: int32 `[r, entries]`, r being 1 or `num`.
        """

    def encode(self, x):
        """Levels as a network reads them: numbers in [0, 1]."""
        return x / (self.num_values - 1.0)

    def begin(self, batch, seed):
        """Starts the output biases at each entry's log odds, or log frequencies, in the data."""
        x = np.asarray(batch["x"])
        x = x.reshape(len(x), -1)
        logs = np.log(np.stack([(x == v).sum(0) for v in range(self.num_values)], axis=1) + 1.0)
        self.bias.assign(self.law.from_log_probs(logs) - (np.log(len(x)) if self.law.size > 1 else 0.0))

    def ranks(self, component):
        """When each entry is drawn in a component's order, int32 `[entries]`."""
        return tf.gather(np.argsort(self.orders, axis=1).astype(np.int32), component)

    def earlier(self, component):
        """float32 `[entries, entries]`: 1 where the first entry is drawn before the second."""
        rank = self.ranks(component)
        return tf.cast(rank[:, None] < rank[None, :], tf.float32)

    def raw(self, x, condition=None, seed=None, component=0):
        """Raw outputs of each entry of `x` given those before it in a component's order.

        Args:
          x: Levels `[batch, *event_shape]`.
          condition: None.
          seed: Not read: there is no dropout.
          component: Which of the K components.

        Returns:
          float32 `[batch, *event_shape, law.size]`.
        """
        del condition, seed
        raw = self.component_raw(tf.reshape(x, (-1, self.entries)), component)
        return tf.reshape(raw, (-1, *self.event_shape, self.law.size))

    def component_score(self, x, component):
        """log p_k(x) of levels `[batch, *event_shape]`: float32 `[batch]`, in nats."""
        return sum_entries(self.law.log_prob(self.raw(x, component=component), x))

    def score(self, x):
        """log p(x) of unchecked levels `x` `[batch, *event_shape]`: float32 `[batch]`, in nats."""
        if len(self.orders) == 1:
            return self.component_score(x, 0)
        out = tf.TensorSpec(x.shape[:1], tf.float32)
        numbers = tf.range(len(self.orders))
        _, each = scan(lambda state, k: (state, self.component_score(x, k)), numbers, (), out)  # [K, batch]
        return tf.reduce_logsumexp(each, axis=0) - math.log(len(self.orders))

    def draw_component(self, seeds):
        """Uniform component for each of seeds `[..., 2]`, int32 `[...]`."""
        return tf.cast(random.uniform(seeds, ()) * len(self.orders), tf.int32)

    def objective(self, batch, seed, step):
        """Mean of -log p_k(x) of one component k, drawn for the batch; as `Update`."""
        del step
        component = 0 if len(self.orders) == 1 else self.draw_component(seed)
        return -tf.reduce_mean(self.component_score(batch["x"], component)), {}

    def drawing_orders(self, component, mask):
        """Entries in the order they are drawn, int32 `[r, entries]`.

        Args:
          component: int32 `[r]`.
          mask: bool `[n, entries]`, True where an entry is known, or None.
        """
        del mask
        return tf.gather(self.orders, component)

    def scan(
        self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None, with_raw=False
    ):
        """As in `AutoregressiveModel`, entry by entry in each row's own order."""
        del condition, length
        num = seeds.shape[0] or tf.shape(seeds)[0]
        component = tf.zeros(1, tf.int32)
        if len(self.orders) > 1:
            choice, seeds = random.split(seeds)
            component = self.draw_component(choice)
        if given is not None:
            given, mask = tf.reshape(given, (-1, self.entries)), tf.reshape(mask, (-1, self.entries))
        order = self.drawing_orders(component, mask)
        if given is not None:
            given, mask = take(given, order), take(mask, order)
        draws = self.law.draws(seeds, (self.entries,), temperature, given, mask)
        drawn = draw_entries(self.walk(num, component, order), draws, self.encode, seeds.shape[0], with_raw)
        rank = tf.argsort(order, axis=1)
        rows = {k: take(tf.transpose(v, (1, 0, *range(2, v.shape.rank))), rank) for k, v in drawn.items()}
        return {k: tf.reshape(v, [num, *self.event_shape, *v.shape[2:]]) for k, v in rows.items()}

    @property
    def drawing_order(self):
        """When each pixel of an image is drawn, all its channels included: ints `[rows, columns]`.

        None where samples are drawn in different orders, or are no images.
        """
        if len(np.unique(self.orders, axis=0)) > 1 or len(self.event_shape) != 3:
            return None
        return np.argsort(self.orders[0]).reshape(self.event_shape).max(axis=-1)


def draw_entries(walk, draws, encode, num=None, with_raw=False):
    """Draws all entries, one after the other.

    Args:
      walk: `Walk`.
      draws: `Draws` of the entries in the order of drawing.
      encode: From an entry's levels `[n]` to what `walk.include` takes.
      num: Number of samples n where it is known.
      with_raw: Return the raw outputs too.

    Returns:
      {"x": `[entries, n]`}, and {"raw": `[entries, n, size]`} where asked.
    """

    def step(state, inputs):
        noise, place = inputs
        state, raw = walk.conditional(state, place)  # [n, size]
        level = draws.entry(raw, noise)
        return walk.include(state, place, encode(level)), {"x": level, "raw": raw} if with_raw else {
            "x": level
        }

    specs = {"x": tf.TensorSpec([num], tf.float32)}
    if with_raw:
        specs["raw"] = tf.TensorSpec([num, None], tf.float32)
    return scan(step, (draws.noise, walk.inputs), walk.state, specs)[1]


def take(values, index):
    """`values[n, index[n]]`: `[n, k, ...]` of `[n, m, ...]` at `[r, k]`, r being n, or 1 for all rows."""
    if index.shape[0] == 1:
        return tf.gather(values, index[0], axis=1)
    return tf.gather(values, index, axis=1, batch_dims=1)
