"""CharRNN: a language model of characters or words."""

import keras

from tfgen.autoregressive.sequences.text_model import TextModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN


@keras.saving.register_keras_serializable("tfgen")
class CharRNN(TextModel):
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
      **kwargs: Passed on to `TextModel`: `length`, `vocabulary` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Mikolov et al., "Recurrent neural network based language model", Interspeech 2010. Graves, "Generating
      sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    def __init__(
        self, event_shape=(None,), cell="lstm", units=256, layers=1, embedding=64, dropout=0.0, **kwargs
    ):  # fmt: skip
        super().__init__(event_shape, **kwargs)
        sizes = (self.num_values, cell, units, layers, embedding, dropout)
        self.network = TokenRNN(*sizes, dtype=self.dtype_policy)
        self.network.build()
        self.dropout = dropout

    def logits(self, x, condition=None, seed=None):
        """Logits of all steps of x `[batch, T]`; with a seed, of a network with features dropped out."""
        return self.network(x, seed)

    def start(self, num, condition=None):
        """The layers' zero states."""
        return self.network.start(num)

    def advance(self, state, before):
        """The states after the token `before`, and the logits of the next one."""
        return self.network.advance(state, before)
