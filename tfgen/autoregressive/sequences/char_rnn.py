"""CharRNN: a language model of characters or words."""

import keras

from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN
from tfgen.distributions.laws import Levels
from tfgen.media.text import tokens_of


@keras.saving.register_keras_serializable("tfgen")
class CharRNN(SequenceModel):
    """Recurrent language model (Mikolov 2010; Graves 2013).

    p(x_t | x_<t) = softmax(V h_t + b), h_t = cell(h_{t-1}, E x_{t-1}), over the tokens of a vocabulary:
    characters, or words.

    Args:
      event_shape: (None,): tokens as floats, any number of them.
      cell: "lstm" or "gru".
      units: Size of each layer's state.
      layers: Number of recurrent layers.
      embedding: Features that a token is read as.
      dropout: Share of the embeddings' and the outputs' features that training sets to zero.
      length: How many tokens a sample has, unless `sample` is told.
      vocabulary: The symbols, or None for bare numbers.
      unit: What a token is: "character" or "word".
      num_values: Number of tokens; None for the vocabulary's, or for 2 without one.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Mikolov et al., "Recurrent neural network based language model", Interspeech 2010. Graves, "Generating
      sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    def __init__(
        self,
        event_shape=(None,),
        cell="lstm",
        units=256,
        layers=1,
        embedding=64,
        dropout=0.0,
        length=100,
        vocabulary=None,
        unit="character",
        num_values=None,
        **kwargs,
    ):
        codec, num_values = tokens_of(vocabulary, unit, num_values)
        super().__init__(event_shape, Levels(num_values), length, codec, **kwargs)
        self.network = TokenRNN(num_values, cell, units, layers, embedding, dropout, dtype=self.dtype_policy)
        self.network.build()

    def raw(self, x, condition=None, seed=None):
        """Logits of all steps of x `[batch, T]`, as `Levels` reads them: float32 `[batch, T, law.size]`."""
        del condition
        return self.network(x, seed)

    def start(self, num, condition=None):
        """The layers' zero states."""
        del condition
        return self.network.start(num)

    def advance(self, state, before):
        """The states after the token `before`, and the logits of the next one."""
        return self.network.advance(state, before)
