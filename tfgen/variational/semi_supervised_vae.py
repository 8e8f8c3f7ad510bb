"""Semi-supervised variational autoencoder: the class as a latent variable (M2)."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.model import Condition, Signature, Update, View
from tfgen.networks.classifier import default_classifier, label_losses, report_label_error
from tfgen.variational.encoder_decoder import EncoderDecoder

tfd = tfp.distributions

# Examples and classes of a picture of analogies.
_EXAMPLES, _CLASSES = 10, 16


@keras.saving.register_keras_serializable("tfgen")
class SemiSupervisedVAE(EncoderDecoder):
    """Variational autoencoder that learns to classify from few labels: the class y is a latent variable (M2).

    p(y) uniform, p(z) = N(0, I), x ~ p(x | y, z) by a decoder; q(y | x) is the classifier, q(z | x, y) an
    encoder. With L(x, y) = E_q(z | x, y) [log p(x | y, z) + log p(y) + log p(z) - log q(z | x, y)] <= log
    p(x, y),

      U(x) = sum_y q(y | x) (L(x, y) - log q(y | x)) <= log p(x)

    and weights alpha and lambda, the mean of U over all x, plus the means of lambda L(x, y) and of alpha log
    q(y | x) over the few of the stream "labelled", is maximized. In U the sum over classes is exact. The
    model of x is that of its condition, the class: `log_prob` bounds log p(x | y), `sample` draws from it;
    `classify` is q(y | x).

    Args:
      event_shape: Shape of one x.
      num_classes: Number of classes.
      latent_size: Number of continuous latent variables.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder.
      network: "mlp", or "conv" for images, of encoder, decoder and classifier.
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      likelihood: p(x | y, z), as for `VAE`.
      num_values: Number of levels of the data; None takes the likelihood's own.
      classifier_hidden: Sizes of the classifier's dense hidden layers.
      classifier_weight: alpha.
      labelled_weight: lambda. At 1 the mean over the few counts as much as that over all x; the paper sums
        over all examples, which is the number of the few over that of the others.
      name: Keras name.
      dtype: Keras dtype policy.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models", 2014,
      arXiv:1406.5298, section 3.
    """

    streams = ("labelled",)

    def __init__(
        self,
        event_shape,
        num_classes=10,
        latent_size=16,
        hidden=(256,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        likelihood="bernoulli",
        num_values: int | None = None,
        classifier_hidden=(256,),
        classifier_weight=10.0,
        labelled_weight=1.0,
        name=None,
        dtype=None,
    ):
        label = Condition("label", num_classes=checks.whole("num_classes", num_classes, at_least=2))
        super().__init__(
            event_shape,
            "diagonal",
            None,
            label,
            latent_size=latent_size,
            hidden=hidden,
            network=network,
            filters=filters,
            activation=activation,
            likelihood=likelihood,
            num_values=num_values,
            name=name,
            dtype=dtype,
        )
        self.num_classes = label.num_classes
        self.classifier_weight = checks.number("classifier_weight", classifier_weight, at_least=0)
        self.labelled_weight = checks.number("labelled_weight", labelled_weight, at_least=0)
        self.classifier = default_classifier(
            network,
            self.event_shape,
            num_classes,
            classifier_hidden,
            filters,
            activation,
            self.dtype_policy,
        )

    def class_posterior(self, x):
        """q(y | x), a TFP categorical distribution for each x of `[batch, *event_shape]`."""
        return tfd.Categorical(logits=tf.cast(self.classifier(self.read(x)), tf.float32))

    def updates(self):
        """One gradient step on the bound and the classifier's cross-entropy."""
        return [Update("m2", self.semi_supervised, self.trainable_variables)]

    def semi_supervised(self, batch, seed, step):
        """-mean U(x) - lambda mean L(x, y) - alpha mean log q(y | x), the latter two of the few.

        As `Update`.
        """
        del step
        labelled = batch["labelled"]
        num = tf.shape(batch["x"])[0]
        x = tf.concat(
            [tf.tile(batch["x"], [self.num_classes, *[1] * len(self.event_shape)]), labelled["x"]], 0
        )
        every = tf.repeat(tf.range(self.num_classes), num)
        bounds = self.joint_bound(x, tf.concat([every, labelled["condition"]], axis=0), seed)
        of_classes = tf.reshape(bounds[: self.num_classes * num], [self.num_classes, num])
        q = self.class_posterior(batch["x"])
        unlabelled = tf.reduce_mean(_over_classes(q, of_classes))
        known = tf.reduce_mean(bounds[self.num_classes * num :])
        losses = label_losses(self.class_posterior(labelled["x"]).logits, labelled["condition"])
        loss = self.classifier_weight * losses["label_nats"] - unlabelled - self.labelled_weight * known
        return loss, {"unlabelled": -unlabelled, "labelled": -known} | losses

    def joint_bound(self, x, label, seed):
        """L(x, y), a lower bound of log p(x, y): float32 `[batch]`, in nats."""
        drawn = self.drawn(x, seed, label)
        return drawn.mean(drawn.log_likelihood) - drawn.kl - math.log(self.num_classes)

    def marginal_bound(self, x, seed):
        """U(x), a lower bound of log p(x): float32 `[batch]`, in nats.

        Args:
          x: `[batch, *event_shape]`, unchecked.
          seed: int32 `[2]`.
        """
        num = tf.shape(x)[0]
        tiled = tf.tile(x, [self.num_classes, *[1] * len(self.event_shape)])
        bounds = self.joint_bound(tiled, tf.repeat(tf.range(self.num_classes), num), seed)
        return _over_classes(self.class_posterior(x), tf.reshape(bounds, [self.num_classes, num]))

    def classify(self, x):
        """Probability of each class given x, q(y | x): float32 `[batch, num_classes]`."""
        return self.class_posterior(self.space.check(x)).probs_parameter()

    def validation_metrics(self, batch, seed):
        """Minus U(x); where there are labels, too, cross-entropy and errors of the classifier."""
        marginal = -tf.reduce_mean(self.marginal_bound(batch["x"], seed))
        metrics = {"loss": marginal, "nats_bound": marginal}
        if "condition" in batch:
            metrics |= label_losses(self.class_posterior(batch["x"]).logits, batch["condition"])
        return metrics

    def test_metrics(self, data, seed):
        """The base's (the ELBO's parts given the class, active units) and the labels that are not found."""
        return super().test_metrics(data, seed) | report_label_error(self, data, seed)

    @property
    def quantities(self):
        """Quantities of the curves of a training."""
        return super().quantities | {
            "loss": "-U(x), upper bound of -log p(x) [nats]",
            "nats_bound": None,
            "m2/loss": "loss of the semi-supervised bound",
            "unlabelled": "-U(x), upper bound of -log p(x) [nats]",
            "labelled": "-L(x, y), upper bound of -log p(x, y) [nats]",
            "label_nats": "cross-entropy of labels [nats]",
            "label_error": "share of labels not found",
        }

    def views(self, data, num, seed):
        """Adds analogies: test examples, and the z of each in all classes (Kingma et al. 2014, figure 1)."""
        shown = super().views(data, num, seed)
        label = None if data is None else self.fields(data.test).get("condition")
        if label is None or self.kind != "image":
            return shown
        rows, columns = min(num, _EXAMPLES, len(label)), min(self.num_classes, _CLASSES)
        x = self.space.from_data(data.test.x[:rows], data, seed)
        z = tf.repeat(self.encode(x, label[:rows])[0], columns, axis=0)
        again = self.decode(z, tf.tile(tf.range(columns), [rows]))
        again = tf.reshape(again, [rows, columns, *self.event_shape])
        heads = ["data", *(data.meaning.caption(label) for label in range(columns))]
        title = "test examples, and E(x | y, z) of their z in every class"
        shown["analogies"] = View(tf.concat([x[:, None], again], axis=1), "rows", title=title, heads=heads)
        return shown

    def signatures(self):
        """Adds `classify`: the probability of each class."""
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")}
        return super().signatures() | {
            "classify": Signature(lambda x: {"probabilities": self.classify(x)}, x)
        }


def _over_classes(q, bounds):
    """sum_y q(y | x) (L(x, y) - log q(y | x)), `[batch]`, of L `[classes, batch]`."""
    log_q = tf.transpose(tf.nn.log_softmax(q.logits))
    return tf.reduce_sum(tf.exp(log_q) * (bounds - log_q), axis=0)
