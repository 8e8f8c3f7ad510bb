"""WaveNet: sound, sample by sample, from dilated causal convolutions."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.conditioned import Conditioned
from tfgen.autoregressive.levels import features_read, outputs_per_entry, read_levels, shape_logits
from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.layers.causal import CausalConv1D
from tfgen.layers.conditioning import condition_bias
from tfgen.layers.gated import gated
from tfgen.media import sounds
from tfgen.model import Signature


@keras.saving.register_keras_serializable("tfgen")
class WaveNet(Conditioned, SequenceModel):
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
      **kwargs: Passed on to `SequenceModel`: `condition` and others.

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
        **kwargs,
    ):
        super().__init__(event_shape, num_values=num_values, length=length, **kwargs)
        self.kind = "audio"
        if self.event_shape != (None,):
            raise ValueError(f"event_shape must be (None,), one level a step, got {event_shape!r}.")
        sizes = {"num_layers": num_layers, "num_stacks": num_stacks, "rate": rate, "head": head}
        for name, value in sizes.items():
            checks.whole(name, value)
        checks.whole("kernel_size", kernel_size, at_least=2)
        self.one_hot, self.rate = bool(one_hot), rate
        policy, count = self.dtype_policy, num_layers * num_stacks
        self.first = CausalConv1D(filters, kernel_size, dtype=policy)
        self.stack = [
            GatedLayer(filters, head, kernel_size, 2 ** (i % num_layers), last=i == count - 1, dtype=policy)
            for i in range(count)
        ]
        self.head = CausalConv1D(head, 1, dtype=policy)
        self.last = CausalConv1D(outputs_per_entry(self.num_values), 1, dtype=policy)
        self.first.build((None, None, features_read(1, self.num_values, one_hot)))
        for layer in self.stack:
            layer.build((None, None, filters))
        for layer in (self.head, self.last):
            layer.build((None, None, head))
        self.biases = []
        if self.condition is not None:
            self.biases = [condition_bias(2 * filters, self.condition, dtype=policy) for _ in self.stack]
        # Where each layer's ring begins among all their slots.
        self._rings = np.cumsum([0, *(layer.conv.reach for layer in self.stack)]).astype(np.int32)

    @property
    def receptive_field(self):
        """How many steps before it a step's distribution reads."""
        return self.first.kernel_size + int(self._rings[-1])

    def encode(self, x):
        """What the network reads of levels `[...]`: `[..., features]`, zeros for -1, no level at all."""
        there = tf.cast(x >= 0.0, tf.float32)[..., None]
        return read_levels(x[..., None], self.num_values, self.one_hot) * there

    def condition_shifts(self, condition):
        """What is added in each gate: `[n, 2 filters]` for each layer."""
        return [bias(condition) for bias in self.biases]

    def logits(self, x, condition=None):
        """Logits of all steps of x `[batch, T]`, each given those before it.

        Returns:
          float32 `[batch, T, num_values]`; `[batch, T]` for two levels.
        """
        shifts = self.shifts(condition) or [None] * len(self.stack)
        before = tf.pad(x, [[0, 0], [1, 0]], constant_values=-1.0)[:, : tf.shape(x)[1]]
        h, skip = self.first(self.encode(before)), 0.0  # [batch, T, filters]
        for layer, shift in zip(self.stack, shifts, strict=True):
            h, more = layer(h, shift)  # [batch, T, filters], [batch, T, head]
            skip += more
        return shape_logits(self._outputs(skip), (None,), self.num_values)

    def _outputs(self, skip):
        return self.last.combine(tf.nn.relu(self.head.combine(tf.nn.relu(skip))))

    def start(self, num, condition=None):
        """What the sampler carries: the number of the step, the last levels, all layers' rings, the shifts.

        The rings are `[slots, num, filters]`, layer after layer; the shifts are `[layers, num, 2 filters]`,
        zeros `[layers]` without a condition.
        """
        recent = tf.fill((num, self.first.kernel_size), -1.0)
        rings = tf.zeros((int(self._rings[-1]), num, self.first.filters), self.compute_dtype)
        shifts = self.shifts(condition)
        shifts = tf.zeros(len(self.stack), self.compute_dtype) if shifts is None else tf.stack(shifts)
        return 0, recent, rings, shifts

    def advance(self, state, before):
        """The state after a step, and the logits of the next one, `[n, num_values]` or `[n]`.

        A ring has as many slots as its convolution reaches back: step t stands in slot t mod (k - 1) d, where
        what is furthest back stood before.
        """
        number, recent, rings, shifts = state
        recent = tf.concat([recent[:, 1:], before[:, None]], axis=1)
        h, skip, kept = self.first.combine(self._side_by_side(self.encode(recent))), 0.0, []
        slots = self._slots(number)  # [layers, kernel_size - 1]
        past = tf.unstack(tf.gather(rings, slots))
        for layer, taps, shift in zip(self.stack, past, tf.unstack(shifts), strict=True):
            kept.append(h)
            h, more = layer.step(tf.unstack(taps), h, shift)
            skip += more
        rings = tf.tensor_scatter_nd_update(rings, slots[:, :1], tf.stack(kept))
        logits = tf.cast(self._outputs(skip), tf.float32)
        return (number + 1, recent, rings, shifts), logits[:, 0] if self.num_values == 2 else logits

    def _side_by_side(self, taps):
        return tf.reshape(taps, (-1, taps.shape[1] * taps.shape[2]))

    def _slots(self, number):
        """Where each layer's taps but the newest stand in step `number`, the one furthest back first."""
        taps = np.arange(self.first.kernel_size - 1, dtype=np.int32)
        dilations = np.array([layer.conv.dilation for layer in self.stack], np.int32)
        steps = number + taps * dilations[:, None]
        return self._rings[:-1, None] + steps % np.diff(self._rings)[:, None]

    def decode(self, x):
        """The sounds of levels `[num, T]`, float32 in [-1, 1]."""
        return sounds.decode(x, self.num_values)

    def encode_prompt(self, prompt):
        """Levels of a recording, given as the path of a WAV file of the model's rate; arrays pass through.

        Raises:
          ValueError: If it cannot be read, or has another rate.
        """
        if not isinstance(prompt, str):
            return super().encode_prompt(prompt)
        sound, rate = sounds.read(prompt)
        if rate != self.rate:
            raise ValueError(
                f"prompt {prompt} has {rate} samples a second, the model {self.rate}: resample it."
            )
        return sounds.encode(sound, self.num_values).astype(np.float32)

    def signatures(self):
        """`sample` gives the sounds too, "audio" in [-1, 1]."""
        served = super().signatures()
        return served | {"sample": Signature(self._serve_audio, served["sample"].inputs)}

    def _serve_audio(self, **inputs):
        x = self._serve_sample(**inputs)["x"]
        waves = tf.constant(self.decode(np.arange(self.num_values)))
        return {"x": x, "audio": tf.gather(waves, tf.cast(x, tf.int32))}


@keras.saving.register_keras_serializable("tfgen")
class GatedLayer(keras.layers.Layer):
    """One layer: a dilated causal convolution, a gate, residual and skip connection (figure 4 of the paper).

    Args:
      filters: Features that go in, of the gates, and that go out.
      head: Features of the skip connection.
      kernel_size: Taps of the convolution.
      dilation: Steps between them.
      last: Nothing follows but the skip connection.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, filters, head, kernel_size, dilation, last=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.head_size, self.last = filters, head, last
        self.conv = CausalConv1D(2 * filters, kernel_size, dilation, dtype=self.dtype_policy)
        # Both 1x1 convolutions as one, the skip connection's features first.
        self.out = CausalConv1D(head if last else head + filters, 1, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates both convolutions' weights."""
        self.conv.build(input_shape)
        self.out.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, h, shift=None):
        """The residual stream after the layer, None after the last; and the skip connection.

        Args:
          h: `[B, T, filters]`.
          shift: What a condition adds in the gate, `[B, 2 filters]`; or None.
        """
        features = self.conv(h)
        return self._through(h, features if shift is None else features + shift[:, None])

    def step(self, taps, h, shift):
        """The same of one step: `taps` are the inputs further back, `h` this step's, each `[n, filters]`."""
        return self._through(h, self.conv.combine(tf.concat([*taps, h], axis=-1)) + shift)

    def _through(self, h, features):
        out = self.out.combine(gated(features))
        return None if self.last else h + out[..., self.head_size :], out[..., : self.head_size]

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters, "head": self.head_size, "kernel_size": self.conv.kernel_size,
            "dilation": self.conv.dilation, "last": self.last,
        }  # fmt: skip
