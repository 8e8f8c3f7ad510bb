"""MADE: the masked autoencoder for distribution estimation."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.vectors.vector_model import VectorModel, Walk, take
from tfgen.layers.masked_dense import MaskedDense


@keras.saving.register_keras_serializable("tfgen")
class MADE(VectorModel):
    """MADE (Germain, Gregor, Murray & Larochelle 2015).

    An autoencoder whose weights are masked so that output i depends on the entries before i only. Each hidden
    unit has a degree m, the number of entries, in order, that it may know: it reads units of degree at most m
    (of the first layer: entries of rank below m), and is read by units of degree at least m and by outputs of
    rank at least m. Degrees are uniform, from the lowest of the layer below to entries - 1.

    Every order has `num_masks` sets of degrees. Training draws one order and mask for each batch
    (order-agnostic and connectivity-agnostic training); the density is the exact mixture over all of them.

    A unit of degree m is final once m entries are drawn. So a sample computes each unit once, at that step,
    layer by layer, from units that are final: in all the work of one pass instead of one pass for each entry.
    It is computed in float32 under every dtype policy.

    Args:
      event_shape: Shape of one x; an image's entries stand in raster order.
      hidden: Sizes of the hidden layers.
      num_masks: Number of masks for each order.
      direct: Connect each output to the entries before it directly too.
      **kwargs: Passed on to `VectorModel`: `num_values`, `order`, `num_orders` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", ICML 2015,
      arXiv:1502.03509.
    """

    def __init__(self, event_shape, hidden=(500, 500), num_masks=1, direct=False, **kwargs):
        super().__init__(event_shape, **kwargs)
        sizes = [checks.whole("hidden", size) for size in hidden]
        if not sizes:
            raise ValueError(f"hidden must hold at least one size, got {tuple(hidden)}.")
        checks.whole("num_masks", num_masks)
        self.orders = np.repeat(self.orders, num_masks, axis=0)
        rng = np.random.default_rng([self.order_seed, 1])
        each = [draw_degrees(rng, self.entries, sizes) for _ in self.orders]
        self.degrees = tuple(np.stack(layer) for layer in zip(*each, strict=True))  # each [K, size]
        outputs = self.entries * self.law.size
        self.hidden = [MaskedDense(size, dtype=self.dtype_policy) for size in sizes]
        self.last = MaskedDense(outputs, use_bias=False, dtype=self.dtype_policy)
        for layer, size in zip((*self.hidden, self.last), (self.entries, *sizes), strict=True):
            layer.build((None, size))
        self.direct = MaskedDense(outputs, use_bias=False, dtype=self.dtype_policy) if direct else None
        if direct:
            self.direct.build((None, self.entries))

    def masks(self, component):
        """The masks of the hidden layers and of the outputs, each float32 `[in, out]`."""
        rank, degrees = self.ranks(component), [tf.gather(d, component) for d in self.degrees]
        known = [rank + 1, *degrees]
        pairs = zip(known, [*degrees, tf.repeat(rank, self.law.size)], strict=True)
        return [tf.cast(a[:, None] <= b[None, :], tf.float32) for a, b in pairs]

    def component_raw(self, x, component):
        """Raw outputs of all entries by one pass, float32 `[batch, entries, size]`."""
        *masks, last = self.masks(component)
        h = encoded = tf.cast(self.encode(x), self.compute_dtype)
        for layer, mask in zip(self.hidden, masks, strict=True):
            h = tf.nn.relu(layer(h, mask))
        raw = tf.cast(self.last(h, last), tf.float32)
        if self.direct is not None:
            mask = tf.repeat(self.earlier(component), self.law.size, axis=1)
            raw += tf.cast(self.direct(encoded, mask), tf.float32)
        return tf.reshape(raw, (-1, self.entries, self.law.size)) + self.bias.value

    def walk(self, num, component, order):
        """The state is the first layer's activations, the final units (zeros elsewhere), and x so far.

        No mask is needed: what a unit must not see is not there yet.
        """
        kernels = [tf.transpose(layer.kernel.value) for layer in self.hidden]  # [out, in]
        biases = [layer.bias.value for layer in self.hidden]
        first, bias = self.hidden[0].kernel.value, self.bias.value
        readouts = [self._by_entry(layer) for layer in (self.last, self.direct) if layer is not None]
        tables = [units_by_degree(degrees, self.entries) for degrees in self.degrees]

        def conditional(state, place):
            (a, x, *final), (entry, units) = state, place
            pre = take(a, units[0][0])
            for i, (unit, real) in enumerate(units):
                if i:
                    pre = tf.reduce_sum(final[i - 1][:, None] * tf.gather(kernels[i], unit), axis=-1)
                    pre += tf.gather(biases[i], unit)
                final[i] = _put(final[i], unit, tf.nn.relu(pre) * real)
            read = zip((final[-1], x), readouts, strict=False)
            raw = [tf.reduce_sum(h[:, None] * tf.gather(v, entry), axis=-1) for h, v in read]
            return (a, x, *final), tf.add_n(raw) + tf.gather(bias, entry)

        def include(state, place, value):
            (a, x, *final), (entry, _), value = state, place, value[:, None]
            x += value * tf.one_hot(entry, self.entries)
            return a + value * tf.gather(first, entry), x, *final

        state = biases[0] + tf.zeros([num, 1]), tf.zeros([num, self.entries])
        state += tuple(tf.zeros([num, b.shape[0]]) for b in biases)
        return Walk(state, (tf.transpose(order), self._turns(tables, component)), conditional, include)

    def _by_entry(self, layer):
        """A readout's weights as `[entries, size, in]`."""
        return tf.reshape(tf.transpose(layer.kernel.value), (self.entries, self.law.size, -1))

    def _turns(self, tables, component):
        """For each layer the units of each step, and 1 where they are: two of `[entries, r, width]`."""
        return [[tf.transpose(tf.gather(t, component), (1, 0, 2)) for t in table] for table in tables]


def draw_degrees(rng, entries, sizes):
    """Degrees of the hidden units of one mask: a list of int32 `[size]`."""
    degrees, lowest = [], min(1, entries - 1)
    for size in sizes:
        degrees.append(rng.integers(lowest, max(entries, 1), size).astype(np.int32))
        lowest = degrees[-1].min()
    return degrees


def units_by_degree(degrees, entries):
    """Which units have each degree.

    Args:
      degrees: int array `[K, size]`.
      entries: Number of degrees.

    Returns:
      int32 and float32 `[K, entries, width]`: the units, filled up with unit 0, and 1 where they are real.
    """
    counts = np.stack([np.bincount(d, minlength=entries) for d in degrees])  # [K, entries]
    units = np.zeros((*counts.shape, counts.max()), np.int32)
    real = np.arange(counts.max()) < counts[:, :, None]
    # Row by row, both sides run through the degrees in order.
    units[real] = np.argsort(degrees, axis=1, kind="stable").ravel()
    return units, real.astype(np.float32)


def _put(h, units, values):
    """`h` `[n, size]` with `values` `[n, k]` added at `units` `[r, k]`."""
    units = tf.broadcast_to(units, tf.shape(values))
    rows = tf.broadcast_to(tf.range(tf.shape(values)[0])[:, None], tf.shape(values))
    return tf.tensor_scatter_nd_add(h, tf.stack([rows, units], axis=-1), values)
