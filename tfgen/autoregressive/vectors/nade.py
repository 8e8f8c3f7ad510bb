"""NADE: the neural autoregressive distribution estimator, and EoNADE, its order-agnostic, deep form."""

import functools

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.vectors.vector_model import VectorModel, Walk
from tfgen.layers.scan import scan

# The function and, from its value, its derivative.
_ACTIVATIONS = {
    "sigmoid": (tf.sigmoid, lambda h: h * (1.0 - h)),
    "relu": (tf.nn.relu, lambda h: tf.cast(h > 0.0, h.dtype)),
}


@keras.saving.register_keras_serializable("tfgen")
class NADE(VectorModel):
    """NADE (Larochelle & Murray 2011), EoNADE (Uria, Murray & Larochelle 2014).

    h_i = sigmoid(c + sum_{j<i} W_j x_j), logit_i = b_i + V_i h_i: a hidden layer for each entry, all with the
    same weights, so that the activations of one follow from those before by adding W_i x_i. The density and a
    sample cost O(entries hidden); the gradient takes the same recursion backwards (algorithm 1 of the paper),
    subtracting what was added, and keeps no hidden layer.

    With `agnostic` (EoNADE) one network answers for all orders, and may be deep: it reads x where it is known
    and which entries are known, h = f(c + sum_{known j} (W_j x_j + U_j)). It is trained on random sets of
    known entries, (D + 1) E[mean_{unknown i} -log p(x_i | x_known)] with a uniform number of them, 0 to D:
    this is the mean negative log-likelihood over all orders. Each entry costs the deep layers anew. Known
    entries of a completion come first in its orders, so that every other entry is drawn given all of them.

    Computed in float32 under every dtype policy.

    Args:
      event_shape: Shape of one x; an image's entries stand in raster order.
      hidden: Sizes of the hidden layers; more than one with `agnostic` only.
      activation: "sigmoid" or "relu".
      agnostic: Train one network for all orders (EoNADE).
      **kwargs: Passed on to `VectorModel`: `num_values`, `order`, `num_orders` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Larochelle & Murray, "The neural autoregressive distribution estimator", AISTATS 2011.
      Uria, Murray & Larochelle, "A deep and tractable density estimator", ICML 2014, arXiv:1310.1757.
      Uria, Cote, Gregor, Murray & Larochelle, "Neural autoregressive distribution estimation", JMLR 2016,
      arXiv:1605.02226.
    """

    def __init__(self, event_shape, hidden=(500,), activation="sigmoid", agnostic=False, **kwargs):
        super().__init__(event_shape, **kwargs)
        sizes = [checks.whole("hidden", size) for size in hidden]
        if not sizes or (len(sizes) > 1 and not agnostic):
            raise ValueError(f"hidden must be one size, or several with agnostic=True, got {tuple(hidden)}.")
        self.activation = checks.one_of("activation", activation, tuple(_ACTIVATIONS))
        self.agnostic = bool(agnostic)
        add = functools.partial(self.add_weight, autocast=False, initializer="glorot_uniform")
        self.kernel = add((self.entries, sizes[0]), name="kernel")
        self.hidden_bias = add((sizes[0],), initializer="zeros", name="hidden_bias")
        readout = keras.initializers.VarianceScaling(1.0, "fan_avg", "uniform")
        shape = (self.entries * self.law.size, sizes[-1])
        self.readout = add(shape, initializer=readout, name="readout")
        self.mask_kernel = add((self.entries, sizes[0]), name="mask_kernel") if agnostic else None
        self.deep = [
            (add((m, n), name=f"kernel_{i}"), add((n,), initializer="zeros", name=f"hidden_bias_{i}"))
            for i, (m, n) in enumerate(zip(sizes, sizes[1:], strict=False), 1)
        ]

    def last_hidden(self, a):
        """The last hidden layer `[..., hidden]` from the first one's activations."""
        f, _ = _ACTIVATIONS[self.activation]
        h = f(a)
        for kernel, bias in self.deep:
            h = f(tf.matmul(h, kernel.value) + bias.value)
        return h

    def _readout(self):
        return tf.reshape(self.readout.value, (self.entries, self.law.size, -1))

    def component_raw(self, x, component):
        """Raw outputs of all entries by the recursion, float32 `[batch, entries, size]`."""
        order, rank = tf.gather(self.orders, component), self.ranks(component)
        x = permuted(tf.transpose(self.encode(x)), order, rank)  # [entries, batch]
        kernel, readout = (permuted(w, order, rank) for w in (self.kernel.value, self._readout()))
        if self.agnostic:
            shifts = permuted(self.mask_kernel.value, order, rank)
            raw = self._agnostic_raw(x, kernel, shifts, readout)
        else:
            raw = recursion(x, kernel, readout, self.hidden_bias.value, self.activation)
        raw = permuted(raw, rank, order)  # [entries, batch, outputs]
        return tf.transpose(raw, (1, 0, 2)) + self.bias.value

    def _agnostic_raw(self, x, kernel, shifts, readout):
        def step(a, inputs):
            x, w, u, v = inputs
            return a + x[:, None] * w + u, tf.matmul(self.last_hidden(a), v, transpose_b=True)

        start = self.hidden_bias.value + tf.zeros([tf.shape(x)[1], 1])
        return scan(step, (x, kernel, shifts, readout), start, _spec(x, readout))[1]

    def objective(self, batch, seed, step):
        """Mean of -log p(x); with `agnostic` over all orders, estimated from random sets of known entries."""
        if not self.agnostic:
            return super().objective(batch, seed, step)
        x, (share, coins) = tf.reshape(batch["x"], (-1, self.entries)), random.split(seed)
        # Coins whose odds are uniform: the number of known entries is uniform too, from none to all.
        known = random.uniform(coins, tf.shape(x)) < random.uniform(share, [tf.shape(x)[0], 1])
        known = tf.cast(known, tf.float32)
        a = tf.matmul(self.encode(x) * known, self.kernel.value) + tf.matmul(known, self.mask_kernel.value)
        h = self.last_hidden(a + self.hidden_bias.value)
        raw = tf.reshape(
            tf.matmul(h, self.readout.value, transpose_b=True), (-1, self.entries, self.law.size)
        )
        nats = -self.law.log_prob(raw + self.bias.value, x) * (1.0 - known)
        unknown = self.entries - tf.reduce_sum(known, axis=1)
        weights = (self.entries + 1.0) / tf.maximum(unknown, 1.0)
        return tf.reduce_mean(weights * tf.reduce_sum(nats, axis=1)), {}

    def drawing_orders(self, component, mask):
        """Entries in the order they are drawn; with `agnostic` those that are known first."""
        if mask is None or not self.agnostic:
            return super().drawing_orders(component, mask)
        return tf.argsort(self.ranks(component) + self.entries * tf.cast(~mask, tf.int32), axis=1)

    def walk(self, num, component, order):
        """The state is the first hidden layer's activations so far, `[n, hidden]`."""
        kernel, readout, bias = self.kernel.value, self._readout(), self.bias.value
        shifts = self.mask_kernel.value if self.agnostic else None

        def conditional(a, entry):
            raw = tf.reduce_sum(self.last_hidden(a)[:, None] * tf.gather(readout, entry), axis=-1)
            return a, raw + tf.gather(bias, entry)

        def include(a, entry, value):
            a = a + value[:, None] * tf.gather(kernel, entry)
            return a if shifts is None else a + tf.gather(shifts, entry)

        start = self.hidden_bias.value + tf.zeros([num, 1])
        return Walk(start, tf.transpose(order), conditional, include)


@tf.custom_gradient
def permuted(rows, order, inverse):
    """Rows in another order; the gradient is a gather too, by the inverse, instead of a scatter."""
    return tf.gather(rows, order), lambda d: (tf.gather(d, inverse), None, None)


def _spec(x, readout):
    return tf.TensorSpec((x.shape[1], readout.shape[1]), tf.float32)


@functools.partial(tf.function, autograph=False)
def recursion(x, kernel, readout, bias, activation):
    """V_i h_i with h_i = f(bias + sum_{j<i} W_j x_j) for all i, in O(entries hidden).

    Args:
      x: `[entries, batch]`, entries in the order of their generation, as the weights.
      kernel: W, `[entries, hidden]`.
      readout: V, `[entries, outputs, hidden]`.
      bias: c, `[hidden]`.
      activation: Name of f.

    Returns:
      `[entries, batch, outputs]`.
    """
    f, slope = _ACTIVATIONS[activation]

    def forward(a, inputs):
        x, w, v = inputs
        return a + x[:, None] * w, tf.matmul(f(a), v, transpose_b=True)

    def backward(state, inputs):
        (a, da), (x, w, v, d) = state, inputs
        a = a - x[:, None] * w
        h = f(a)
        out = (
            tf.linalg.matvec(da, w),
            tf.linalg.matvec(da, x, transpose_a=True),
            tf.matmul(d, h, transpose_a=True),
        )
        return (a, da + slope(h) * tf.matmul(d, v)), out

    @tf.custom_gradient
    def logits(x, kernel, readout, bias):
        start = bias + tf.zeros([tf.shape(x)[1], 1])
        last, out = scan(forward, (x, kernel, readout), start, _spec(x, readout))

        def gradient(d):
            read = (x, kernel, readout)
            specs = tuple(tf.TensorSpec(t.shape[1:], tf.float32) for t in read)
            begin = last, tf.zeros_like(last)
            (_, da), grads = scan(backward, (*read, d), begin, specs, reverse=True)
            return *grads, tf.reduce_sum(da, axis=0)

        return out, gradient

    return logits(x, kernel, readout, bias)
