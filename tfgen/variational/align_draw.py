"""AlignDRAW: pictures drawn step by step after a caption, listening to its words."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.layers.text_encoder import TextEncoder
from tfgen.media.text import Vocabulary
from tfgen.model import Condition, View
from tfgen.networks.attention import WordAttention
from tfgen.variational.draw import CanvasModel, Recurrence, StepwiseNormal

tfd = tfp.distributions

# Captions in a view, and pictures of each.
_CAPTIONS, _OF_EACH = 10, 8


@keras.saving.register_keras_serializable("tfgen")
class AlignDRAW(CanvasModel):
    """Pictures from captions y: DRAW with attention over words and a prior that moves with the drawing.

      k_1 ... k_U: the words of y by a bidirectional LSTM,  s_t = align(h_(t-1), k)
      p(z_t | z_<t, y) = N(tanh(W h_(t-1)), diag exp(2 tanh(V h_(t-1)))),  of the first step N(0, I)
      h_t = LSTM(h_(t-1), [z_t, s_t]),  c_t = c_(t-1) + write(h_t),  x ~ p(x | c_T)

    q(z_t | x, y, z_<t) is DRAW's (`CanvasModel`), and so is the loss, the KL of each step being that of
    q(z_t | x, y, z_<t) and p(z_t | z_<t, y). A caption is a string, or its tokens.

    Args:
      event_shape: (height, width, channels).
      vocabulary: The words of captions; the first stands for no word.
      unit: What a token of a caption is, "word" or "character".
      embedding: Size of the vector that stands for a word.
      language_units: Units of each direction of the captions' LSTM.
      align_units: Size of what compares words with h.
      **kwargs: Arguments of `CanvasModel` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Mansimov, Parisotto, Ba & Salakhutdinov, "Generating images from captions with attention", 2015,
      arXiv:1511.02793; without its sharpening of samples by a second network.
    """

    def __init__(
        self,
        event_shape,
        vocabulary,
        unit="word",
        embedding=16,
        language_units=32,
        align_units=32,
        **kwargs,
    ):
        if vocabulary is None or len(vocabulary) < 2:
            raise ValueError(
                f"vocabulary must have 2 words or more, the first for no word, got {vocabulary!r}."
            )
        words = Vocabulary(tuple(vocabulary), checks.one_of("unit", unit, ("word", "character")))
        told = Condition("text", (None,), len(words), words)
        super().__init__(event_shape, told, 2 * checks.whole("language_units", language_units), **kwargs)
        # Kept, so that an export brings it along.
        self.table_of_conditions = words.table
        policy = {"dtype": self.dtype_policy}
        self.language = TextEncoder(len(words), embedding, language_units, **policy, name="language")
        self.align = WordAttention(checks.whole("align_units", align_units), **policy, name="align")
        self.next_code = keras.layers.Dense(2 * self.latent_shape[1], **policy, name="next_code")
        self.language.build()
        self.align.build([(None, None, 2 * language_units), (None, self.units)])
        self.next_code.build((None, self.units))
        x, y = tf.zeros([1, *self.event_shape]), tf.ones([1, 1], tf.int32)
        self.check_objective(self.prior(y), self.posterior(x, y))

    def listen(self, condition, copies=1):
        """Words k with what `align` compares them by, and where there are any, repeated so many times."""
        words, inside = self.language(condition)
        told = {"words": words, "keys": self.align.keys(words), "inside": inside}
        return {
            name: tf.tile(tensor, [copies] + [1] * (tensor.shape.rank - 1)) for name, tensor in told.items()
        }

    def hear(self, h, told):
        """s_t = align(h_(t-1), k), `[rows, 2 language_units]`."""
        return self.align(h, **told)

    def next_step(self, h, begun):
        """p(z_t | z_<t, y), a normal over each latent variable of a step.

        Args:
          h: h_(t-1), `[..., units]`.
          begun: 0 for the first step, 1 for others; broadcasts against `[..., latent_size]`.
        """
        loc, log_scale = tf.split(begun * tf.tanh(tf.cast(self.next_code(h), tf.float32)), 2, axis=-1)
        return tfd.Normal(loc, tf.exp(log_scale))

    def prior(self, condition):
        """p(z | y), a `StepwiseNormal` over `[num_steps, latent_size]`, for captions' tokens `[batch, U]`."""
        batch = condition.shape[0] or tf.shape(condition)[0]

        def recurrence(copies):
            told = self.listen(condition, copies)

            def conditional(state):
                step = self.next_step(state["decoder"][0], state["begun"])
                return state | {"begun": tf.ones([])}, step.loc, step.scale

            start = self.start(copies * batch) | {"begun": tf.zeros([])}
            return Recurrence(start, conditional, lambda state, z: self.advance(state, z, told))

        return StepwiseNormal(recurrence, batch, *self.latent_shape)

    def prior_along(self, path):
        """p(z_t | z_<t, y) of every step of a path."""
        begun = tf.minimum(tf.range(self.latent_shape[0], dtype=tf.float32), 1.0)[:, None]
        return tfd.Independent(self.next_step(path.kept["h"], begun), 2)

    def view_conditions(self, data, num):
        """The shortest captions of test examples, each another one; without data one of known words."""
        if data is None:
            texts = [self.example_text()] * num
        else:
            every = self.condition.decode(data.test.extra["text"])
            texts = sorted(dict.fromkeys(every), key=len)[:num]
            texts += [texts[i % len(texts)] for i in range(num - len(texts))]
        return {"condition": self.check_condition(texts)}, texts

    def views(self, data, num, seed):
        """Beside the base's, "by_caption": a row of means E(x | z, y) for each of a few test captions.

        Args:
          data: As everywhere.
          num: How many pictures.
          seed: int32 [2].
        """
        shown = super().views(data, num, seed)
        told, texts = self.view_conditions(data, _CAPTIONS)
        many = tf.repeat(told["condition"], _OF_EACH, axis=0)
        means = self.mean_rows(random.rows(seed, len(many)), condition=many)
        means = np.reshape(means, (len(texts), _OF_EACH, *self.event_shape))
        shown["by_caption"] = View(means, "rows", texts, "means E(x | z, caption)")
        return shown
