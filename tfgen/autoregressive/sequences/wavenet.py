"""WaveNet: sound, sample by sample, from dilated causal convolutions."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.distributions.laws import Levels
from tfgen.keras_model import Layer
from tfgen.layers.causal import CausalConv1D
from tfgen.media.sounds import MuLaw
from tfgen.model import Signature
from tfgen.space import label_or_vector


@keras.saving.register_keras_serializable("tfgen")
class WaveNet(SequenceModel):
    """WaveNet (van den Oord et al. 2016), p(x | c) = prod_t p(x_t | x_<t, c) over mu-law levels of a sound.

    A causal convolution reads the levels before a step. Layer l of a stack has dilation d = 2^l and is, with
    * causal convolution by k taps d steps apart and gate(a, b) = tanh(a) sigmoid(b),

      z = gate(W * h + V c),      h <- h + R z,      skip <- skip + S z

    and softmax(A relu(B relu(skip))) is the distribution of the step. So the past that a step reads doubles
    with each layer.

    Drawing keeps, for each layer, a ring of its last (k - 1) d inputs: a step costs one column of each layer
    instead of the whole receptive field.

    Args:
      event_shape: (None,): mu-law levels as floats, any number of them.
      filters: Features h of the residual stream, and z of the gates.
      num_layers: Layers in a stack, whose dilations double from 1 on.
      num_stacks: Number of stacks, one after the other.
      kernel_size: Taps k of each causal convolution.
      head: Features of the skip connections and of the hidden layer before the logits.
      num_values: Number of mu-law levels.
      one_hot: Read each level as a one-hot vector instead of a number.
      rate: Samples a second.
      length: How many samples are drawn, unless `sample` is told.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Dieleman, Zen, Simonyan, Vinyals, Graves, Kalchbrenner, Senior & Kavukcuoglu, "WaveNet: a
      generative model for raw audio", 2016, arXiv:1609.03499. Le Paine et al., "Fast WaveNet generation
      algorithm", 2016, arXiv:1611.09482 (the rings).
    """

    def __init__(
        self,
        event_shape=(None,),
        filters=32,
        num_layers=10,
        num_stacks=1,
        kernel_size=2,
        head=64,
        num_values=256,
        one_hot=True,
        rate=8000,
        length=8000,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        **kwargs,
    ):
        told = label_or_vector(condition, num_classes, condition_size)
        codec = MuLaw(num_values, checks.whole("rate", rate))
        super().__init__(event_shape, Levels(num_values, one_hot), length, codec, told, **kwargs)
        checks.whole("num_layers", num_layers)
        checks.whole("num_stacks", num_stacks)
        checks.whole("kernel_size", kernel_size, at_least=2)
        checks.whole("head", head)
        self.rate = rate
        width = 0 if told is None else told.width
        policy = self.dtype_policy
        self.first = CausalConv1D(filters, kernel_size, dtype=policy)
        self.first.build((None, None, self.law.features()))
        self.stack = []
        count = num_layers * num_stacks
        for i in range(count):
            dilation, last = 2 ** (i % num_layers), i == count - 1
            layer = DilatedLayer(filters, head, kernel_size, dilation, width, last, dtype=policy)
            layer.build((None, None, filters))
            self.stack.append(layer)
        self.head = CausalConv1D(head, 1, dtype=policy)
        self.head.build((None, None, head))
        self.last = CausalConv1D(self.law.size, 1, dtype=policy)
        self.last.build((None, None, head))
        # Where each layer's ring begins among all their slots.
        self._rings = np.cumsum([0, *(layer.conv.reach for layer in self.stack)]).astype(np.int32)

    @property
    def receptive_field(self):
        """How many steps before it a step's distribution reads."""
        return self.first.kernel_size + int(self._rings[-1])

    def read(self, x):
        """Levels `[...]` as the network reads them: `[..., features]`, zeros for -1, no level at all."""
        there = tf.cast(x >= 0.0, tf.float32)[..., None]
        return self.law.read(x[..., None]) * there

    def raw(self, x, condition=None, seed=None):
        """Logits of all steps of x `[batch, T]`, as `Levels` reads them: float32 `[batch, T, law.size]`."""
        del seed
        told = None if condition is None else self.condition.features(condition)
        before = tf.pad(x, [[0, 0], [1, 0]], constant_values=-1.0)[:, : tf.shape(x)[1]]
        h, skip = self.first(self.read(before)), 0.0  # [batch, T, filters]
        for layer in self.stack:
            h, more = layer(h, told)  # [batch, T, filters], [batch, T, head]
            skip += more
        return self._outputs(skip)

    def _outputs(self, skip):
        hidden = tf.nn.relu(self.head.combine(tf.nn.relu(skip)))
        return tf.cast(self.last.combine(hidden), tf.float32)

    def start(self, num, condition=None):
        """State of the sampler: the number of the step, the last levels, all layers' rings, the shifts.

        The rings are `[slots, num, filters]`, layer after layer; the shifts are what each layer's gate adds
        for the condition, `[layers, num, 2 filters]`, zeros `[layers]` without one.
        """
        recent = tf.fill((num, self.first.kernel_size), -1.0)
        rings = tf.zeros((int(self._rings[-1]), num, self.first.filters), self.compute_dtype)
        shifts = tf.zeros(len(self.stack), self.compute_dtype)
        if condition is not None:
            told = self.condition.features(condition)
            shifts = tf.stack([layer.told(told) for layer in self.stack])
        return 0, recent, rings, shifts

    def advance(self, state, before):
        """The state after a step, and the logits of the next one, float32 `[n, law.size]`.

        A ring has as many slots as its convolution reaches back: step t stands in slot t mod (k - 1) d, where
        what is furthest back stood before.
        """
        number, recent, rings, shifts = state
        recent = tf.concat([recent[:, 1:], before[:, None]], axis=1)
        h, skip, kept = self.first.combine(self._side_by_side(self.read(recent))), 0.0, []
        slots = self._slots(number)  # [layers, kernel_size - 1]
        past = tf.unstack(tf.gather(rings, slots))
        for layer, taps, shift in zip(self.stack, past, tf.unstack(shifts), strict=True):
            kept.append(h)
            h, more = layer.step(tf.unstack(taps), h, shift)
            skip += more
        rings = tf.tensor_scatter_nd_update(rings, slots[:, :1], tf.stack(kept))
        return (number + 1, recent, rings, shifts), self._outputs(skip)

    def _side_by_side(self, taps):
        return tf.reshape(taps, (-1, taps.shape[1] * taps.shape[2]))

    def _slots(self, number):
        """Where each layer's taps but the newest stand in step `number`, the one furthest back first."""
        taps = np.arange(self.first.kernel_size - 1, dtype=np.int32)
        dilations = np.array([layer.conv.dilation for layer in self.stack], np.int32)
        steps = number + taps * dilations[:, None]
        return self._rings[:-1, None] + steps % np.diff(self._rings)[:, None]

    def signatures(self):
        """`sample` gives the sounds too, "audio" in [-1, 1]."""
        served = super().signatures()
        return served | {"sample": Signature(self._serve_audio, served["sample"].inputs)}

    def _serve_audio(self, **inputs):
        x = self._serve_sample(**inputs)["x"]
        return {"x": x, "audio": self.codec.decode_graph(x)}


@keras.saving.register_keras_serializable("tfgen")
class DilatedLayer(Layer):
    """Gated dilated causal convolution with residual and skip connection (figure 4 of the paper).

    z = tanh(a) sigmoid(b), (a, b) = W * h + V c, and h + R z and S z come out.

    Args:
      filters: Features that go in, of the gates, and that go out.
      head: Features of the skip connection.
      kernel_size: Taps of the convolution.
      dilation: Steps between them.
      condition_width: Features of the condition; 0 without one.
      last: Nothing follows but the skip connection.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, filters, head, kernel_size, dilation, condition_width=0, last=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.head_size = filters, head
        self.condition_width, self.last = condition_width, last
        self.conv = CausalConv1D(2 * filters, kernel_size, dilation, dtype=self.dtype_policy)
        # Both 1x1 convolutions as one, the skip connection's features first.
        self.out = CausalConv1D(head if last else head + filters, 1, dtype=self.dtype_policy)
        self.told = None
        if condition_width:
            self.told = keras.layers.Dense(2 * filters, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates the weights of the convolutions and of what a condition adds."""
        self.conv.build(input_shape)
        self.out.build((*input_shape[:-1], self.filters))
        if self.told is not None:
            self.told.build((None, self.condition_width))
        self.built = True

    def call(self, h, condition=None):
        """The residual stream after the layer, None after the last; and the skip connection.

        Args:
          h: `[B, T, filters]`.
          condition: `[B, condition_width]`; None without one.
        """
        features = self.conv(h)
        if condition is not None:
            features += self.told(condition)[:, None]
        return self._through(h, features)

    def step(self, taps, h, shift):
        """The same of one step.

        Args:
          taps: The convolution's inputs further back, each `[n, filters]`.
          h: This step's input, `[n, filters]`.
          shift: What the condition adds, `told` of it: `[n, 2 filters]`, 0 without one.
        """
        return self._through(h, self.conv.combine(tf.concat([*taps, h], axis=-1)) + shift)

    def _through(self, h, features):
        a, b = tf.split(features, 2, axis=-1)
        out = self.out.combine(tf.tanh(a) * tf.sigmoid(b))
        return None if self.last else h + out[..., self.head_size :], out[..., : self.head_size]
