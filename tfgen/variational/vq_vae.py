"""VQ-VAE: an autoencoder whose code is discrete, and an autoregressive prior of the codes."""

import keras

from tfgen import checks
from tfgen.autoregressive.pixels.gated_pixel_cnn import GatedPixelCNN
from tfgen.layers.vector_quantizer import VectorQuantizer
from tfgen.networks.residual import default_halvings, residual_decoder, residual_encoder
from tfgen.variational.code_model import CodeModel, quantized


@keras.saving.register_keras_serializable("tfgen")
class VQVAE(CodeModel):
    """VQ-VAE (van den Oord, Vinyals & Kavukcuoglu 2017): p(x) = sum_k p(k) p(x | k), k a map of codes.

    A residual network takes x to a map of vectors z, each of which becomes the nearest of K codes e_k;
    another one makes of these the likelihood p(x | k). A GatedPixelCNN over the map is the prior p(k | c).

    First the autoencoder learns -log p(x | k(x)) + commitment |z - sg(e)|^2, gradients going straight through
    from e to z, and the codes follow the means of their z; then the prior learns -log p(k(x) | c).
    `log_prob` is the bound log p(k(x) | c) + log p(x | k(x)) <= log p(x | c).

    Args:
      event_shape: (rows, columns, channels).
      num_codes: Number of codes K.
      code_size: Size of a code's vector.
      halvings: How often rows and columns are halved on the way to the codes; None takes up to 2.
      filters: Features of encoder and decoder.
      num_blocks: Number of residual blocks of each of them.
      hidden: Features inside a block.
      codebook: How codes learn: "ema", following averages of z, or "gradient", by |sg(z) - e|^2.
      decay: Of the averages.
      revive: A code that is used less than so many times the average code moves to a z of the data; 0 for
        never.
      commitment: Weight of |z - sg(e)|^2.
      likelihood: p(x | k): as VAE's.
      num_values: Number of levels of the data, as VAE's.
      likelihood_size: Outputs of the decoder for each entry of x, for a likelihood of one's own.
      prior_filters: Features of the prior's stacks and of its last hidden layer.
      prior_layers: Number of the prior's layers.
      prior_share: Steps of the prior's training, for each step of the autoencoder's.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", NIPS 2017,
      arXiv:1711.00937.
    """

    def __init__(
        self,
        event_shape,
        num_codes=64,
        code_size=16,
        halvings: int | None = None,
        filters=64,
        num_blocks=2,
        hidden=32,
        codebook="ema",
        decay=0.99,
        revive=0.1,
        commitment=0.25,
        likelihood="bernoulli",
        num_values: int | None = None,
        likelihood_size: int | None = None,
        prior_filters=32,
        prior_layers=4,
        prior_share=1.0,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        **kwargs,
    ):
        condition = (condition, num_classes, condition_size)
        law = (likelihood, num_values, likelihood_size)
        super().__init__(event_shape, law, condition, commitment, prior_share, **kwargs)
        checks.whole("code_size", code_size)
        rows, columns, channels = self.event_shape
        halvings = default_halvings(rows, columns) if halvings is None else halvings
        sizes, policy = (filters, halvings, num_blocks, hidden), self.dtype_policy
        self.encoder = residual_encoder(self.event_shape, *sizes, code_size, policy, "encoder")
        map_shape = self.encoder.output_shape[1:]
        self.quantizer = VectorQuantizer(num_codes, codebook, decay, revive, name="quantizer")
        self.quantizer.build((None, *map_shape))
        self.decoder = residual_decoder(map_shape, *sizes, channels * self.outputs, policy, "decoder")
        self.code_prior = GatedPixelCNN(
            (*map_shape[:2], 1),
            filters=checks.whole("prior_filters", prior_filters),
            num_layers=checks.whole("prior_layers", prior_layers, at_least=2),
            head=prior_filters,
            first_kernel_size=5,
            num_values=num_codes,
            one_hot=True,
            condition=condition[0],
            num_classes=num_classes,
            condition_size=condition_size,
            dtype=policy,
            name="prior",
        )
        self.quantizers, self.priors, self.contexts = (self.quantizer,), (self.code_prior,), (None,)

    def levels_of(self, x, quantized=quantized):
        """The one level of codes of x."""
        return [quantized(self.quantizer, self.encoder(self.read(x)))]

    def raw(self, vectors):
        """The decoder."""
        return self.decoder(vectors)

    def told(self, level, earlier, condition):
        """c itself."""
        del level, earlier
        return condition
