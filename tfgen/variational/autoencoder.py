"""Autoencoder: codes without a density, denoising, and a classifier made of its encoder."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.model import Condition, GenerativeModel, Signature, Stage, Update, View
from tfgen.networks.classifier import label_losses, report_label_error
from tfgen.networks.default import default_decoder, default_encoder

_CORRUPTIONS = ("none", "mask", "gaussian", "salt_and_pepper")
# Examples and filters in a picture.
_SHOWN = 16


@keras.saving.register_keras_serializable("tfgen")
class Autoencoder(GenerativeModel):
    """Autoencoder: a code c = f(x) of few numbers and a reconstruction g(c), trained to resemble x.

    Minimizes the squared error |x - g(f(x'))|^2, or for x in [0, 1] the cross-entropy of sigmoid outputs,
    summed over the entries of x, plus l2 times the squares of all kernels. x' is x, or for a denoising
    autoencoder x
    corrupted: then g(f(x')) - x' points to where x is likelier. Without hidden layers and corruption, and
    with linear outputs, the codes span the directions of principal component analysis.

    fine_tune > 0 adds a second stage: a copy of the encoder and an affine map on its codes learn to classify
    from the few examples of the stream "labelled". It has no density and draws no samples.

    Args:
      event_shape: Shape of one x.
      code_size: Numbers of a code.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder; () is affine.
      network: "mlp", or "conv" for images.
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      code_activation: Activation of the codes, "linear" or "sigmoid".
      output_activation: "sigmoid", for x in [0, 1], or "linear", for real x.
      corruption: What is done to x in training: "none", "mask" (some entries are 0), "gaussian" (noise is
        added) or "salt_and_pepper" (some are 0 or 1, by a fair coin).
      corruption_level: Share of the entries that are corrupted, or standard deviation of the noise.
      l2: Weight of the squares of all kernels.
      fine_tune: Steps of the second stage for each step of the first; 0 leaves it out.
      num_classes: Number of classes, for `fine_tune`.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Vincent, Larochelle, Lajoie, Bengio & Manzagol, "Stacked denoising autoencoders", JMLR 11, 2010. PCA:
      Baldi & Hornik, "Neural networks and principal component analysis", Neural Networks 2, 1989.
    """

    samples = False

    def __init__(
        self,
        event_shape,
        code_size=32,
        hidden=(256,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        code_activation="linear",
        output_activation="sigmoid",
        corruption="none",
        corruption_level=0.25,
        l2=0.0,
        fine_tune=0.0,
        num_classes: int | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.code_size = checks.whole("code_size", code_size)
        checks.one_of("code_activation", code_activation, ("linear", "sigmoid"))
        self.code_activation = keras.activations.get(code_activation)
        self.output_activation = checks.one_of("output_activation", output_activation, ("sigmoid", "linear"))
        self.values = "unit" if output_activation == "sigmoid" else "real"
        self.num_values = None
        self.corruption = checks.one_of("corruption", corruption, _CORRUPTIONS)
        at_most = None if corruption == "gaussian" else 1
        self.corruption_level = checks.number("corruption_level", corruption_level, 0, at_most=at_most)
        if corruption == "salt_and_pepper" and output_activation == "linear":
            raise ValueError(
                "corruption='salt_and_pepper' is of x in [0, 1]: take output_activation='sigmoid', or 'mask'."
            )
        self.l2 = checks.number("l2", l2, at_least=0)
        self.fine_tune = checks.number("fine_tune", fine_tune, at_least=0)
        options = (hidden, filters, activation, self.dtype_policy)
        self.encoder = default_encoder(network, self.event_shape, self.code_size, *options)
        self.decoder = default_decoder(network, self.code_size, (*self.event_shape, 1), *options)
        self.tuned = self.head = None
        if self.fine_tune:
            if num_classes is None:
                raise ValueError(f"num_classes=None, and fine_tune={fine_tune} learns classes: say how many.")
            self.condition = Condition("label", num_classes=checks.whole("num_classes", num_classes, 2))
            self.streams = ("labelled",)
            self.tuned = default_encoder(network, self.event_shape, self.code_size, *options, name="tuned")
            self.head = keras.layers.Dense(num_classes, dtype=self.dtype_policy, name="head")
            self.head.build((None, self.code_size))
        self.jit_updates = network == "mlp"

    @property
    def quantities(self):
        """Quantities of the curves of a training."""
        error = "squared error" if self.output_activation == "linear" else "cross-entropy [nats]"
        return {
            "loss": f"{error} of a reconstruction",
            "reconstruct/loss": f"{error} of a reconstruction",
            "classify/loss": "cross-entropy of labels [nats]",
            "squared_error": "mean squared error of an entry",
            "label_nats": "cross-entropy of labels [nats]",
            "label_error": "share of labels not found",
        }

    def updates(self):
        """The updates of the last stage."""
        return self.stages()[-1].updates

    def stages(self):
        """Reconstruction and, where it is fine-tuned, classification."""
        moved = [*self.encoder.trainable_variables, *self.decoder.trainable_variables]
        stages = [Stage("reconstruct", 1.0, [Update("reconstruct", self.reconstruction, moved)])]
        if self.fine_tune:
            moved = [*self.tuned.trainable_variables, *self.head.trainable_variables]
            update = Update("classify", self.classification, moved)
            stages.append(Stage("classify", self.fine_tune, [update], self.take_encoder))
        return stages

    def take_encoder(self, batch, seed):
        """Starts the classifier at the encoder as it is; as `Stage.on_enter`."""
        del batch, seed
        for tuned, trained in zip(self.tuned.weights, self.encoder.weights, strict=True):
            tuned.assign(trained.value)

    def corrupt(self, x, seed):
        """x as the encoder sees it in training, `[batch, *event_shape]`."""
        which, what = random.split(seed)
        level = self.corruption_level
        if self.corruption == "gaussian":
            return x + level * random.normal(what, tf.shape(x))
        if self.corruption == "none":
            return x
        kept = random.uniform(which, tf.shape(x)) >= level
        other = tf.zeros_like(x)
        if self.corruption == "salt_and_pepper":
            other = random.bernoulli(what, tf.fill(tf.shape(x), 0.5))
        return tf.where(kept, x, other)

    def errors(self, x, seen):
        """Loss of each reconstruction from what is seen of x, `[batch]`, and the reconstructions."""
        raw = self._decoded(self._coded(self.encoder, seen))
        if self.output_activation == "linear":
            each, found = tf.square(x - raw), raw
        else:
            each, found = tf.nn.sigmoid_cross_entropy_with_logits(x, raw), tf.sigmoid(raw)
        return tf.reduce_sum(each, axis=list(range(1, each.shape.rank))), found

    def reconstruction(self, batch, seed, step):
        """Mean error of reconstructions of corrupted x, and the penalty; as `Update`."""
        del step
        each, found = self.errors(batch["x"], self.corrupt(batch["x"], seed))
        loss = tf.reduce_mean(each)
        if self.l2:
            weights = [*self.encoder.trainable_variables, *self.decoder.trainable_variables]
            kernels = [w for w in weights if w.name == "kernel"]
            loss += self.l2 * tf.add_n([tf.reduce_sum(tf.square(w.value)) for w in kernels])
        return loss, {"squared_error": tf.reduce_mean(tf.square(batch["x"] - found))}

    def classification(self, batch, seed, step):
        """Cross-entropy of the labels of the few; as `Update`."""
        del seed, step
        losses = label_losses(self._logits(batch["labelled"]["x"]), batch["labelled"]["condition"])
        return losses["label_nats"], {"label_error": losses["label_error"]}

    def _coded(self, encoder, x):
        return self.code_activation(tf.cast(encoder(x), tf.float32))

    def _decoded(self, code):
        return tf.reshape(tf.cast(self.decoder(code), tf.float32), [-1, *self.event_shape])

    def _logits(self, x):
        return tf.cast(self.head(self._coded(self.tuned, x)), tf.float32)

    def encode(self, x):
        """The code of each x, float32 `[batch, code_size]`."""
        return self._coded(self.encoder, self.space.check(x))

    def decode(self, code):
        """The x of each code, float32 `[batch, *event_shape]`.

        Raises:
          ValueError: If the shape of the codes does not fit.
        """
        code = tf.cast(tf.convert_to_tensor(code), tf.float32)
        if code.shape.rank != 2 or not code.shape[1:].is_compatible_with([self.code_size]):
            raise ValueError(f"code must have shape [batch, {self.code_size}], got {code.shape}.")
        raw = self._decoded(code)
        return raw if self.output_activation == "linear" else tf.sigmoid(raw)

    def reconstruct(self, x):
        """`decode` of `encode`, float32 `[batch, *event_shape]`; of noisy x what it was before."""
        return self.decode(self.encode(x))

    def classify(self, x):
        """Probability of each class, float32 `[batch, num_classes]`.

        Raises:
          ValueError: If it is not fine-tuned.
        """
        if self.head is None:
            raise ValueError("fine_tune=0 leaves the classifier out: make the model with fine_tune=0.5, say.")
        return tf.nn.softmax(self._logits(self.space.check(x)))

    def validation_metrics(self, batch, seed):
        """Errors of reconstructions of x as they are; in the second stage the loss is that of the labels."""
        del seed
        each, found = self.errors(batch["x"], batch["x"])
        loss = tf.reduce_mean(each)
        metrics = {"squared_error": tf.reduce_mean(tf.square(batch["x"] - found))}
        if self.head is not None and "condition" in batch:
            metrics |= label_losses(self._logits(batch["x"]), batch["condition"])
            loss = tf.where(self.stage.value[0] == 1, metrics["label_nats"], loss)
        return {"loss": loss} | metrics

    def test_metrics(self, data, seed):
        """Squared error of an entry, what share of the variance that is, and the labels not found."""
        x = self.space.from_data(data.test.x, data, seed)
        squared = tf.concat(
            [tf.square(part - self.reconstruct(part)) for part in tf.split(x, _parts(len(x)))], axis=0
        )
        error, variance = float(tf.reduce_mean(squared)), tf.math.reduce_variance(x, axis=0)
        share = error / max(float(tf.reduce_mean(variance)), 1e-12)
        kind = "mean over entries and the test split"
        found = {
            "squared_error": {"value": error, "kind": f"squared error of a reconstruction, {kind}"},
            "unexplained": {"value": share, "kind": f"that over the variance of an entry, {kind}"},
        }
        return found | (report_label_error(self, data, seed) if self.head is not None else {})

    def views(self, data, num, seed):
        """Test examples, what the encoder sees in training, reconstructions; of two numbers the codes.

        Args:
          data: A `tfgen.data.Data`, or None for nothing.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        if data is None:
            return {}
        x = self.space.from_data(data.test.x[: min(num, _SHOWN)], data, seed)
        rows, captions = [x, self.reconstruct(x)], ["data", "reconstructed"]
        if self.corruption != "none":
            seen = self.corrupt(x, seed)
            again = self.decode(self._coded(self.encoder, seen))
            rows = [x, tf.clip_by_value(seen, *self.space.value_range), again]
            captions = ["data", "corrupted", "reconstructed"]
        shown = {"reconstructions": View(tf.stack(rows), "rows", captions, "test examples")}
        if self.kind == "points":
            shown = {"reconstructions": View(tf.stack([rows[0], rows[-1]], axis=1), "curves")}
        if self.code_size == 2:
            every = self.space.from_data(data.test.x, data, seed)
            labels = data.test.label
            words = None if labels is None else [data.meaning.caption(label) for label in labels]
            title = "codes of test examples"
            shown["codes"] = View(self.encode(every), "plane", words, title, ("c[0]", "c[1]"))
        return shown

    def signatures(self):
        """encode, decode, reconstruct (the default) and, where it is fine-tuned, classify."""
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")}
        code = {"code": tf.TensorSpec([None, self.code_size], tf.float32, name="code")}
        again = Signature(lambda x: {"x": self.reconstruct(x)}, x)
        served = {
            "serving_default": again,
            "reconstruct": again,
            "encode": Signature(lambda x: {"code": self.encode(x)}, x),
            "decode": Signature(lambda code: {"x": self.decode(code)}, code),
        }
        if self.head is not None:
            served["classify"] = Signature(lambda x: {"probabilities": self.classify(x)}, x)
        return served


def _parts(num, size=1000):
    """Sizes of parts of at most `size` rows."""
    return [min(size, num - start) for start in range(0, num, size)]
