"""Game of a generator and a discriminator, whatever their networks: the base of all GANs."""

import abc

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.adversarial import losses
from tfgen.estimators.samples import energy_distance
from tfgen.model import GenerativeModel, Signature, Update, View

# Paths between samples that are shown, and their steps.
_PATHS, _STEPS = 8, 11


class AdversarialModel(GenerativeModel):
    """Two players: x = G(z) with z ~ N(0, I), and D, whose logit says how real an x looks.

    min_G max_D V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]

    A subclass makes the networks in its constructor and hands them to this one. Each step updates D,
    `discriminator_repeat` times on a batch each, and then G. An update moves its own player only, batch-norm
    statistics included; these are counted on each replica and averaged.

    Args:
      event_shape: Shape of one x; pictures are in [-1, 1], vectors are any reals.
      generator: Keras layer from `[batch, latent_size]` to `[batch, *event_shape]`.
      discriminator: Keras layer from `[batch, *event_shape]` to logits `[batch, 1]`.
      latent_size: Size of the latent vector z.
      loss: What the generator minimizes, "non_saturating" (-log D) or "minimax" (log(1 - D)).
      label_smoothing: How far the label of real data is moved from 1 towards 0, in [0, 0.5).
      discriminator_repeat: Discriminator updates before each generator update.
      **kwargs: As `GenerativeModel`.

    Raises:
      ValueError: If an argument is out of range, or a network's shapes do not fit.
    """

    density = "none"
    quantities = {  # noqa: RUF012
        "val_loss": "energy distance of samples and data",
        "discriminator/loss": "loss of the discriminator [nats]",
        "val_discriminator_loss": "loss of the discriminator [nats]",
        "generator/loss": "loss of the generator [nats]",
        "generator/fake_logit": None,
        "real_logit": "logit of D(x), mean",
        "fake_logit": "logit of D(x), mean",
        "real_accuracy": "share that D tells right",
        "fake_accuracy": "share that D tells right",
    }

    @abc.abstractmethod
    def __init__(
        self,
        event_shape,
        generator,
        discriminator,
        latent_size=64,
        loss="non_saturating",
        label_smoothing=0.0,
        discriminator_repeat=1,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.values = "real" if len(self.event_shape) == 1 else "symmetric"
        self.latent_size = checks.whole("latent_size", latent_size)
        self.generator_loss = checks.one_of("loss", loss, tuple(losses.GENERATOR))
        self.label_smoothing = checks.number("label_smoothing", label_smoothing, at_least=0, below=0.5)
        self.discriminator_repeat = checks.whole("discriminator_repeat", discriminator_repeat)
        _check_network("generator", generator, (self.latent_size,), self.event_shape)
        _check_network("discriminator", discriminator, self.event_shape, (1,))
        self.generator = generator
        self.discriminator = discriminator

    def prior(self):
        """p(z), a standard normal with event shape `[latent_size]`."""
        return tfp.distributions.MultivariateNormalDiag(tf.zeros(self.latent_size))

    def generate(self, z, training=False):
        """G(z), float32 `[batch, *event_shape]`, of z `[batch, latent_size]`."""
        return tf.cast(self.generator(z, training=training), tf.float32)

    def discriminate(self, x, training=False):
        """The logit of D(x), float32 `[batch]`: positive where x looks real."""
        return tf.cast(self.discriminator(x, training=training), tf.float32)[:, 0]

    def call(self, x, training=None):
        """Logit of D(x), float32 `[batch]`: `model(x)` is `discriminate(x)`."""
        return self.discriminate(self.check_fields({"x": x})["x"], training=bool(training))

    def updates(self):
        """The discriminator's updates, then the generator's."""
        return (
            Update(
                "discriminator",
                self.discriminator_objective,
                self.discriminator.variables,
                repeat=self.discriminator_repeat,
            ),
            Update("generator", self.generator_objective, self.generator.variables, share_batch=True),
        )

    def discriminator_objective(self, batch, seed, step):
        """The cross-entropy of telling real from fake, each in a pass of its own; as `Update`."""
        del step
        fake = self.generate(self._latents(batch, seed), training=True)
        real_logits = self.discriminate(batch["x"], training=True)
        fake_logits = self.discriminate(fake, training=True)
        loss = losses.discriminator(real_logits, fake_logits, self.label_smoothing)
        return loss, _verdicts(real_logits, fake_logits)

    def generator_objective(self, batch, seed, step):
        """The generator's loss, by name `loss`, on a batch of samples; as `Update`."""
        del step
        fake = self.generate(self._latents(batch, seed), training=True)
        logits = self.discriminate(fake, training=True)
        return losses.GENERATOR[self.generator_loss](logits), {"fake_logit": tf.reduce_mean(logits)}

    def sample_rows(self, seeds, temperature=1.0):
        """G(temperature * z), one z for each row of seeds.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Scales the latent vectors, at least 0: a scalar or one for each row.

        Returns:
          float32 `[num, *event_shape]`.
        """
        if isinstance(temperature, (int, float)) and not temperature >= 0:
            raise ValueError(f"temperature must be at least 0, got {temperature!r}.")
        temperature = tf.reshape(tf.cast(temperature, tf.float32), [-1, 1])
        return self.generate(temperature * random.normal(seeds, [self.latent_size]))

    def validation_metrics(self, batch, seed):
        """Distance between samples and held-out data, and the discriminator's verdict on both.

        A GAN's losses do not say how good its samples are, so "loss" is `energy_distance` between
        the batch and as many samples, in the space of x: unbiased, so that its average over batches
        is meaningful (and may be below 0), and 0 in expectation only for equal distributions.
        """
        x = batch["x"]
        fake = self.generate(self._latents(batch, seed))
        real_logits = self.discriminate(x)
        fake_logits = self.discriminate(fake)
        return {
            "loss": energy_distance(x, fake),
            "discriminator_loss": losses.discriminator(real_logits, fake_logits),
        } | _verdicts(real_logits, fake_logits)

    def interpolate(self, z0, z1, num):
        """Samples G(z) on the way from z0 to z1, a row for each pair, along the arcs of `slerp`.

        Args:
          z0: `[batch, latent_size]`.
          z1: `[batch, latent_size]`.
          num: Samples on each way, both ends included; at least 2.

        Returns:
          float32 `[batch, num, *event_shape]`.

        Raises:
          ValueError: If `num` is below 2.
        """
        t = tf.linspace(0.0, 1.0, checks.whole("num", num, at_least=2))
        z0, z1 = (tf.convert_to_tensor(z, tf.float32)[:, None] for z in (z0, z1))
        z = tf.reshape(slerp(z0, z1, t[:, None]), [-1, self.latent_size])
        return tf.reshape(self.generate(z), [-1, num, *self.event_shape])

    def views(self, data, num, seed):
        """Paths of G(z) over the sphere from one z of a sample to another, of images.

        On a line the middle would be nearer to the origin than nearly every z of the prior (see `slerp`).

        Args:
          data: Not needed.
          num: How many paths, at most.
          seed: int32 [2]; the ends of the paths are its samples.
        """
        del data
        if self.kind != "image":
            return {}
        paths = min(num, _PATHS)
        z = random.normal(random.rows(seed, 2 * paths), [self.latent_size])
        x = self.interpolate(z[:paths], z[paths:], _STEPS)
        title = "from one sample to another, in even steps of the angle of z"
        heads = [f"{i / (_STEPS - 1):.1f}" for i in range(_STEPS)]
        return {"interpolations": View(x, "rows", title=title, heads=heads)}

    def signatures(self):
        """Of the base class, and `decode` (z to x) and `discriminate` (x to logits)."""
        z = tf.TensorSpec([None, self.latent_size], tf.float32, name="z")
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        return super().signatures() | {
            "decode": Signature(lambda z: {"x": self.generate(z)}, {"z": z}),
            "discriminate": Signature(lambda x: {"logits": self.discriminate(self.space.check(x))}, {"x": x}),
        }

    def _latents(self, batch, seed):
        return random.normal(seed, [tf.shape(batch["x"])[0], self.latent_size])


def slerp(z0, z1, t):
    """Spherical interpolation: sin((1-t) w) / sin(w) z0 + sin(t w) / sin(w) z1, w their angle.

    Straight where the angle is so small, or so near to pi, that its sine is below 1e-4.

    Args:
      z0: float32 `[..., latent_size]`.
      z1: float32 `[..., latent_size]`.
      t: Where between 0 and 1; broadcasts against the last axis of z0.

    Returns:
      float32 of the broadcast shape.

    References:
      White, "Sampling generative networks", 2016, arXiv:1609.04468.
    """
    unit0, unit1 = tf.math.l2_normalize(z0, -1), tf.math.l2_normalize(z1, -1)
    # The half-angle form keeps small angles, which the arc cosine of float32 loses.
    chord, sum_ = tf.norm(unit0 - unit1, axis=-1), tf.norm(unit0 + unit1, axis=-1)
    angle = 2.0 * tf.atan2(chord, sum_)[..., None]
    sine = tf.sin(angle)
    curved = (tf.sin((1.0 - t) * angle) * z0 + tf.sin(t * angle) * z1) / tf.maximum(sine, 1e-4)
    return tf.where(sine < 1e-4, (1.0 - t) * z0 + t * z1, curved)


def _check_network(name, network, inputs, outputs):
    if not isinstance(network, keras.layers.Layer):
        raise ValueError(f"{name} must be a Keras layer, got {network!r}.")
    made = tuple(network(keras.Input(inputs)).shape)
    if made != (None, *outputs):
        raise ValueError(f"{name} must map {(None, *inputs)} to {(None, *outputs)}, it gives {made}.")


def _verdicts(real_logits, fake_logits):
    """Means of the logits, and how often the discriminator is right on either side."""
    return {
        "real_logit": tf.reduce_mean(real_logits),
        "fake_logit": tf.reduce_mean(fake_logits),
        "real_accuracy": tf.reduce_mean(tf.cast(real_logits > 0, tf.float32)),
        "fake_accuracy": tf.reduce_mean(tf.cast(fake_logits < 0, tf.float32)),
    }
