"""VQ-VAE-2: two levels of discrete codes, the coarse one for what is global, and priors of both."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.pixels.gated_pixel_cnn import GatedPixelCNN
from tfgen.layers.vector_quantizer import VectorQuantizer
from tfgen.model import View
from tfgen.networks.residual import default_halvings, residual_decoder, residual_encoder
from tfgen.variational.code_model import CodeModel, quantized

# Cycles a pixel below which a frequency is low: half of the highest that pixels have.
_LOW = 0.25
# Examples whose bottom codes are drawn anew.
_REDRAWN = 500


@keras.saving.register_keras_serializable("tfgen")
class VQVAE2(CodeModel):
    """VQ-VAE-2 (Razavi, van den Oord & Vinyals 2019): p(x | c) = sum_tb p(t | c) p(b | t, c) p(x | t, b).

    The bottom encoder makes features of x, the top encoder of these, at half the resolution, the vectors
    whose nearest codes are t. Features and what a top decoder makes of t together give the vectors whose
    codes are b; the decoder of both gives p(x | t, b). p(t | c) is a GatedPixelCNN, p(b | t, c) another, each
    pixel of which is told what a residual network makes of t and c there.

    The autoencoder learns as VQVAE's, both levels at once; then both priors do.
    `log_prob` is the bound log p(t | c) + log p(b | t, c) + log p(x | t, b) <= log p(x | c), t and b of x.

    Args:
      event_shape: (rows, columns, channels).
      num_codes: Number of top codes, and of bottom codes unless they are said.
      bottom_codes: Number of bottom codes. The fewer there are, the more is left to the top.
      code_size: Size of a code's vector.
      halvings: How often rows and columns are halved on the way to the bottom codes, top codes once more;
        None takes up to 2.
      filters: Features of encoders and decoders.
      num_blocks: Number of residual blocks of each of them, and of the bottom prior's network of t.
      hidden: Features inside a block.
      codebook: How codes learn: "ema", following averages of z, or "gradient", by |sg(z) - e|^2.
      decay: Of the averages.
      revive: A code that is used less than so many times the average code moves to a z of the data; 0 for
        never.
      commitment: Weight of |z - sg(e)|^2.
      likelihood: p(x | t, b): as VAE's.
      num_values: Number of levels of the data, as VAE's.
      likelihood_size: Outputs of the decoder for each entry of x, for a likelihood of one's own.
      prior_filters: Features of the priors' stacks and of their last hidden layers.
      top_layers: Number of layers of the top's prior.
      bottom_layers: Number of layers of the bottom's.
      attention_heads: Heads of the top prior's causal self-attention, which sees as far as the map reaches,
        where convolutions do not; 0 for none.
      prior_share: Steps of the priors' training, for each step of the autoencoder's.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Razavi, van den Oord & Vinyals, "Generating diverse high-fidelity images with VQ-VAE-2", NeurIPS 2019,
      arXiv:1906.00446.
    """

    levels = {"top": "top_vectors", "bottom": "bottom_vectors"}  # noqa: RUF012

    def __init__(
        self,
        event_shape,
        num_codes=64,
        bottom_codes: int | None = None,
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
        top_layers=4,
        bottom_layers=4,
        attention_heads=0,
        prior_share=1.0,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        **kwargs,
    ):
        law = (likelihood, num_values, likelihood_size)
        told = (condition, num_classes, condition_size)
        super().__init__(event_shape, law, told, commitment, prior_share, **kwargs)
        checks.whole("code_size", code_size)
        checks.whole("prior_filters", prior_filters)
        rows, columns, channels = self.event_shape
        halvings = default_halvings(rows, columns, even=True) if halvings is None else halvings
        policy, blocks = self.dtype_policy, (num_blocks, hidden)
        self.bottom_encoder = residual_encoder(
            self.event_shape, filters, halvings, *blocks, filters, policy, "bottom_encoder", further=1
        )
        features = self.bottom_encoder.output_shape[1:]
        self.top_encoder = residual_encoder(features, filters, 1, *blocks, code_size, policy, "top_encoder")
        top = self.top_encoder.output_shape[1:]
        self.top_decoder = residual_decoder(top, filters, 1, *blocks, code_size, policy, "top_decoder")
        self.to_bottom = keras.layers.Conv2D(code_size, 1, dtype=policy, name="to_bottom")
        self.to_bottom.build((None, *features[:2], code_size + features[2]))
        bottom = (*features[:2], code_size)
        self.upsample = keras.layers.Conv2DTranspose(code_size, 4, 2, "same", dtype=policy, name="upsample")
        self.upsample.build((None, *top))
        both, outputs = (*bottom[:2], 2 * code_size), channels * self.outputs
        self.decoder = residual_decoder(both, filters, halvings, *blocks, outputs, policy, "decoder")
        bottom_codes = num_codes if bottom_codes is None else checks.whole("bottom_codes", bottom_codes, 2)
        quantizers = [
            VectorQuantizer(num, codebook, decay, revive, name=name)
            for num, name in zip((num_codes, bottom_codes), self.levels, strict=True)
        ]
        for quantizer in quantizers:
            quantizer.build((None, code_size))
        width = 0 if self.condition is None else self.condition.width
        context = residual_decoder(
            (*top[:2], num_codes + width), prior_filters, 1, *blocks, prior_filters, policy, "context"
        )
        common = {
            "filters": prior_filters,
            "head": prior_filters,
            "first_kernel_size": 5,
            "one_hot": True,
            "dtype": policy,
        }
        top_prior = GatedPixelCNN(
            (*top[:2], 1),
            num_values=num_codes,
            num_layers=checks.whole("top_layers", top_layers, at_least=2),
            condition=condition,
            num_classes=num_classes,
            condition_size=condition_size,
            attention_heads=attention_heads,
            **common,
        )
        bottom_prior = GatedPixelCNN(
            (*bottom[:2], 1),
            num_values=bottom_codes,
            num_layers=checks.whole("bottom_layers", bottom_layers, at_least=2),
            condition="image",
            condition_size=prior_filters,
            **common,
        )
        self.quantizers, self.priors = tuple(quantizers), (top_prior, bottom_prior)
        self.contexts = (None, context)

    def levels_of(self, x, quantized=quantized):
        """Top and bottom codes of x, as in `CodeModel`."""
        features = self.bottom_encoder(self.read(x))
        top = quantized(self.quantizers[0], self.top_encoder(features))
        decoded = self.top_decoder(top.vectors)
        bottom = quantized(self.quantizers[1], self.to_bottom(tf.concat([decoded, features], axis=-1)))
        return [top, bottom]

    def raw(self, top, bottom):
        """Raw outputs of p(x | t, b), of the vectors of both levels."""
        upsampled = self.upsample(top)
        return self.decoder(tf.concat([upsampled, tf.cast(bottom, upsampled.dtype)], axis=-1))

    def told(self, level, earlier, condition):
        """c for the top; for the bottom what the context network makes of t and c, pixel by pixel."""
        if level == 0:
            return condition
        features = tf.one_hot(earlier[0], self.quantizers[0].num_codes)
        if condition is not None:
            everywhere = self.condition.features(condition)[:, None, None]
            shape = tf.concat([tf.shape(features)[:-1], [self.condition.width]], axis=0)
            features = tf.concat([features, tf.broadcast_to(everywhere, shape)], axis=-1)
        return tf.cast(self.contexts[1](features), tf.float32)

    def redraw(self, x, seed, condition=None):
        """Means of p(x | t, b) with b drawn anew: what the top decides, and what it leaves to the bottom.

        Args:
          x: `[num, *event_shape]`, at least two.
          seed: int32 [2].
          condition: `[num, *condition.shape]`, for a conditional model.

        Returns:
          {"drawn": for b ~ p(b | t, c), t and c of x; "bottom": for another such b; "top": for t and c of the
          next x, of the last one those of the first}, float32 `[num, *event_shape]` each.
        """
        fields = self.check_fields({"x": x, "condition": condition})
        top, condition = self.levels_of(fields["x"])[0].codes, fields.get("condition")
        following = None if condition is None else tf.roll(condition, -1, axis=0)
        first, second = (random.rows(each, tf.shape(top)[0]) for each in random.split(seed))

        @tf.function(autograph=False)
        def drawn(seeds, top, condition):
            told = self.told(1, [top], condition)
            bottom = self.priors[1].sample_rows(seeds, condition=told)[..., 0]
            return self.likelihood(top, tf.cast(bottom, tf.int32)).mean()

        return {
            "drawn": drawn(first, top, condition),
            "bottom": drawn(second, top, condition),
            "top": drawn(second, tf.roll(top, -1, axis=0), following),
        }

    def test_metrics(self, data, seed):
        """Adds how much more of low and of high spatial frequencies another top moves than another bottom."""
        found = super().test_metrics(data, seed)
        fields = {name: field[:_REDRAWN] for name, field in self.fields(data.test).items()}
        if len(fields["x"]) < 2:
            return found
        fields["x"] = self.space.from_data(fields["x"], data, seed)
        drawn = {name: picture.numpy() for name, picture in self.redraw(seed=seed, **fields).items()}
        power = {name: low_and_high(drawn[name] - drawn["drawn"]) for name in self.levels}
        for band, words in enumerate((f"below {_LOW} cycles a pixel", "of higher frequencies")):
            ratio = power["top"][band] / max(power["bottom"][band], 1e-12)
            kind = f"squared change {words} by another top over that by another bottom, test split"
            found[f"{('low', 'high')[band]}_frequency_ratio"] = {"value": ratio, "kind": kind}
        return found

    def views(self, data, num, seed):
        """Adds "levels": examples, what bottoms drawn for their tops make of them, and another top."""
        shown = super().views(data, num, seed)
        if data is not None and len(data.test.x) > 1:
            fields = {name: field[: min(num, 16)] for name, field in self.fields(data.test).items()}
            fields["x"] = self.space.from_data(fields["x"], data, seed)
            drawn = self.redraw(seed=seed, **fields)
            rows = tf.stack([fields["x"], self.reconstruct(fields["x"]), *drawn.values()])
            captions = ("data", "reconstructed", "own top", "own top", "next top")
            shown["levels"] = View(
                rows, "rows", captions, "bottom codes drawn anew for top codes of examples"
            )
        return shown


def low_and_high(change):
    """Power of pictures `[num, rows, columns, channels]` in low frequencies, and in all others."""
    power = np.abs(np.fft.fft2(change, axes=(1, 2))) ** 2
    rows, columns = (np.abs(np.fft.fftfreq(size)) for size in change.shape[1:3])
    low = (rows[:, None] < _LOW) & (columns < _LOW)
    return float(power[:, low].sum()), float(power[:, ~low].sum())
