"""Classifiers by the shape of x, what they are trained on and measured by, and a stage that trains one."""

import math

import keras
import tensorflow as tf

from tfgen.networks.default import default_encoder
from tfgen.update import Stage, Update


def default_classifier(network, event_shape, num_classes, hidden, filters, activation="relu", dtype=None):
    """A network from x to the logits of its class: as `default.default_encoder`, whose arguments it takes.

    Args:
      network: "mlp", or "conv" for images.
      event_shape: Shape of one x.
      num_classes: Number of classes.
      hidden: Sizes of the dense hidden layers.
      filters: Channels of the convolutions, for "conv".
      activation: Activation of the hidden layers.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`, `[batch, *event_shape]` to `[batch, num_classes]`.

    Raises:
      ValueError: If the network is unknown or does not fit the shape.
    """
    return default_encoder(
        network, event_shape, num_classes, hidden, filters, activation, dtype, "classifier"
    )


def sigmoid_classifier(inputs, hidden, num_classes, dtype=None):
    """A network of p(y | x): sigmoid layers that can begin as those of another net, and log odds of classes.

    Args:
      inputs: Number of inputs.
      hidden: Sizes of the hidden layers.
      num_classes: Number of classes.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`, built.
    """
    dense = [keras.layers.Dense(size, "sigmoid", dtype=dtype) for size in hidden]
    network = keras.Sequential([*dense, keras.layers.Dense(num_classes, dtype=dtype)])
    network.build((None, inputs))
    return network


def label_losses(logits, label):
    """Cross-entropy in nats and share of errors, averages over the batch, float32 scalars by name.

    Args:
      logits: `[batch, num_classes]`.
      label: int32 `[batch]`.
    """
    logits = tf.cast(logits, tf.float32)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
    wrong = tf.argmax(logits, axis=-1, output_type=tf.int32) != label
    return {
        "label_nats": tf.reduce_mean(nats),
        "label_error": tf.reduce_mean(tf.cast(wrong, tf.float32)),
    }


def discriminative_stage(network, features, on_enter, share=1.0):
    """Stage that fits a network of p(y | x) to the examples of the stream "labelled" (Hinton 2007).

    It reads the mean of x where the model's batches hold it.

    Args:
      network: Keras layer from features to log odds of the classes.
      features: `f(x)`: its inputs.
      on_enter: `f()`: starts its hidden layers.
      share: Its share of the steps, relative to the other stages'.
    """

    def objective(batch, seed, step):
        del seed, step
        few = batch["labelled"]
        losses = label_losses(network(features(few.get("x_mean", few["x"]))), few["label"])
        return losses["label_nats"], {"label_error": losses["label_error"]}

    update = Update("discriminative", objective, network.trainable_variables)
    return Stage("discriminative", share, [update], lambda batch, seed: on_enter())


def by_errors(quantities):
    """A model's `quantities` where the loss of its validation is its classifier's share of errors.

    Args:
      quantities: Its `quantities` without: of "loss", which "pseudo_nats" is then, and of "label_error".
    """
    error = quantities["label_error"]
    return quantities | {"loss": error, "val_label_error": None, "pseudo_nats": quantities["loss"]}


def report_label_error(model, data, seed, size=1000):
    """Share of a test split's labels that `model.classify` does not find, with Wilson's 95 % interval.

    Args:
      model: Has `classify(x)`, the probability of each class, and a `space`.
      data: A `tfgen.data.Data`; without labels there is nothing to report.
      seed: int32 [2].
      size: Examples that are classified together.

    Returns:
      {"label_error": {"value", "low", "high", "kind"}}, or {}.
    """
    label = data.test.label
    if label is None or label.ndim != 1:
        return {}
    num, wrong = len(label), 0
    for start in range(0, num, size):
        rows = data.test.x[start : start + size]
        x = model.space.from_data(rows, data, None if model.reads_means else seed)
        found = tf.argmax(model.classify(x), axis=-1).numpy()
        wrong += int((found != label[start : start + size]).sum())
    share, z = wrong / num, 1.959964
    middle = (share + z**2 / (2 * num)) / (1 + z**2 / num)
    half = z * math.sqrt(share * (1 - share) / num + z**2 / (4 * num**2)) / (1 + z**2 / num)
    kind = "share of the test split's labels that the classifier does not find"
    return {"label_error": {"value": share, "low": middle - half, "high": middle + half, "kind": kind}}
