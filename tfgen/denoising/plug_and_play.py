"""Plug & play generative network.

References:
  [1] Nguyen, Clune, Bengio, Dosovitskiy & Yosinski, "Plug & play generative networks: conditional iterative
    generation of images in latent space", 2016, arXiv:1612.00005.
  [2] Alain & Bengio, "What regularized auto-encoders learn from the data-generating distribution", 2012,
    arXiv:1211.4246 (a denoising autoencoder's score).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.denoising.chain import ChainModel
from tfgen.denoising.condition import OUTPUTS, ClassLogProbs, load_classifier, round_levels
from tfgen.denoising.report import report_diversity
from tfgen.model import Condition, GenerativeModel, Signature, Stage, Update, View
from tfgen.networks.classifier import default_classifier, label_losses, report_label_error
from tfgen.networks.default import mlp
from tfgen.variational.vae import VAE

# Test examples that are reconstructed and completed.
_RECONSTRUCTED = 16


@keras.saving.register_keras_serializable("tfgen")
class PlugAndPlay(ChainModel):
    """Plug & play generative network (PPGN-h): a chain of a generator's codes, told a class by a classifier.

    The paper's approximate MALA in the code space [1, eq. 11], begun at h ~ N(0, I), with n ~ N(0, I):

      h' = h + epsilon1 (R(h) - h) + epsilon2 d/dh log p(y | G(h)) + epsilon3 n,    x = G(h)

    G is the generator, p(y | x) the classifier, and R a denoising autoencoder of codes, which minimizes
    E |R(h + s n) - h|^2, so that R(h) - h is about s^2 times the score d/dh log p(h) of codes [2]. Nothing is
    rejected. At epsilon1 s^2 = epsilon2 = epsilon3^2 / 2 the steps are those of Langevin dynamics in
    p(h | y); a larger epsilon2 weighs the class more, a smaller epsilon3 gives less varied samples.

    Codes are those of the data where the generator encodes them, else N(0, I). What is not given is trained:
    a VAE in the stage "generator", then R and a classifier in the stage "chain". Levels are drawn as the
    nearest to G(h). A generator or classifier that is given stays as it is.

    Args:
      event_shape: Shape of one x.
      generator: A model that serves `decode` of codes `[batch, size]` alone, as VAEs and GANs do; None trains
        a VAE.
      classifier: A model that serves `classify` of x alone, or in Python a Keras layer from x to
        `classifier_outputs`, which reads levels divided by the largest; None trains one.
      classifier_path: The same from a file, read at every start: .keras, or the directory of a SavedModel.
      classifier_outputs: What a Keras layer or another SavedModel gives: "logits" or "probabilities".
      epsilon1: Weight of the codes' prior, R(h) - h.
      epsilon2: Weight of the class, the gradient of log p(y | G(h)).
      epsilon3: Standard deviation of the noise of a step.
      epsilon4: Weight of known entries in a completion: of the gradient of -|x - G(h)|^2 / 2 over them, in
        units of the values' range.
      code_noise: Standard deviation s of the noise that R removes.
      code_hidden: Sizes of R's hidden layers.
      latent_size: Size of the codes of a generator that is trained here.
      hidden: Sizes of its dense layers, and of a classifier's that is trained here.
      network: Both networks: "mlp", or "conv" for images.
      filters: Channels of their convolutions.
      num_values: Number of levels of the data, which a VAE trained here takes; None for real values.
      num_classes: Number of classes.
      num_steps: Steps of a sample's chain, the paper's 200.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    quantities = {  # noqa: RUF012
        "loss": None,
        "denoiser/loss": "squared error of denoised codes",
        "denoising_error": "squared error of denoised codes",
        "classifier/loss": "cross-entropy of the classifier [nats]",
        "label_nats": "cross-entropy of the classifier [nats]",
        "label_error": "share of labels that the classifier does not find",
        "generator/loss": "-ELBO of the generator [nats]",
        "reconstruction": None,
        "kl": None,
        "elbo": None,
    }

    def __init__(
        self,
        event_shape,
        generator: GenerativeModel | None = None,
        classifier: GenerativeModel | keras.layers.Layer | None = None,
        classifier_path: str | None = None,
        classifier_outputs="logits",
        epsilon1=0.1,
        epsilon2=0.05,
        epsilon3=0.2,
        epsilon4=1.0,
        code_noise=0.5,
        code_hidden=(256, 256),
        latent_size=16,
        hidden=(256,),
        network="mlp",
        filters=(32, 64),
        num_values: int | None = None,
        num_classes=10,
        num_steps=200,
        **kwargs,
    ):
        super().__init__(event_shape, num_steps, **kwargs)
        self.epsilon1 = checks.number("epsilon1", epsilon1, at_least=0)
        self.epsilon2 = checks.number("epsilon2", epsilon2, at_least=0)
        self.epsilon3 = checks.number("epsilon3", epsilon3, at_least=0)
        self.epsilon4 = checks.number("epsilon4", epsilon4, at_least=0)
        self.code_noise = checks.number("code_noise", code_noise, above=0)
        self.condition = Condition("label", num_classes=checks.whole("num_classes", num_classes))
        checks.one_of("classifier_outputs", classifier_outputs, OUTPUTS)
        options = {"network": network, "hidden": hidden, "filters": filters}
        self.own_generator, self.own_classifier = generator is None, classifier is classifier_path is None
        if self.own_generator:
            law = {None: "gaussian", 2: "bernoulli"}.get(num_values, "discretized_logistic")
            options_of_vae = options | {"likelihood": law, "num_values": num_values, "name": "generator"}
            generator = VAE(self.event_shape, latent_size, **options_of_vae, dtype=self.dtype_policy)
        self.generator = generator
        self.decoded, self.encoded, self.latent_size = _code_space(generator, self.event_shape)
        self.values, self.num_values = generator.values, generator.num_values
        if self.own_classifier:
            classifier = default_classifier(
                network, self.event_shape, num_classes, hidden, filters, dtype=self.dtype_policy
            )
        elif classifier_path is not None:
            if classifier is not None:
                raise ValueError(f"classifier_path={classifier_path} and classifier are two: give one.")
            classifier = load_classifier(classifier_path)
        self.classifier = classifier
        outputs = "logits" if self.own_classifier else classifier_outputs
        self.class_log_probs = ClassLogProbs(classifier, self.space, num_classes, outputs)
        size = (self.latent_size,)
        self.denoiser = mlp(size, checks.sizes("code_hidden", code_hidden), size, "relu", self.dtype_policy)
        self.jit_updates = self.own_generator and network == "mlp"

    def stages(self):
        """The generator's stage, where it is trained here, and that of R and a classifier trained here."""
        chain = [Update("denoiser", self.denoising_objective, self.denoiser.trainable_variables)]
        if self.own_classifier:
            variables = self.classifier.trainable_variables
            chain.append(Update("classifier", self.class_objective, variables, share_batch=True))
        stages = [Stage("chain", 1.0, chain)]
        if self.own_generator:
            moved = self.generator.trainable_variables
            update = Update("generator", self.generator_objective, moved)
            stages.insert(0, Stage("generator", 1.0, [update]))
        return stages

    def updates(self):
        """Those of the last stage: R, and a classifier that is trained here."""
        return self.stages()[-1].updates

    def generator_objective(self, batch, seed, step):
        """The negative ELBO of a VAE that is trained here, which is told no class; as `Update`."""
        return self.generator.objective({"x": batch["x"]}, seed, step)

    def codes(self, x, seed):
        """Codes of x `[batch, *event_shape]`, drawn from the encoder where there is one, else N(0, I)."""
        noise = random.normal(seed, [tf.shape(x)[0], self.latent_size])
        if self.encoded is None:
            return noise
        mean, deviation = self.encoded(x)
        return mean + deviation * noise

    def denoised(self, h):
        """R(h): what codes h `[batch, latent_size]` are with some noise removed."""
        return tf.cast(self.denoiser(h), tf.float32)

    def denoising_objective(self, batch, seed, step):
        """E |R(h + s n) - h|^2 over codes h of the batch and n ~ N(0, I); as `Update`."""
        del step
        code, noise = random.split(seed)
        h = tf.stop_gradient(self.codes(batch["x"], code))
        noisy = h + self.code_noise * random.normal(noise, tf.shape(h))
        return tf.reduce_mean(tf.reduce_sum(tf.square(self.denoised(noisy) - h), axis=-1)), {}

    def class_objective(self, batch, seed, step):
        """Cross-entropy of the classifier in nats; as `Update`."""
        del seed, step
        logits = self.classifier(self.class_log_probs.read(batch["x"]))
        losses = label_losses(logits, batch["condition"])
        return losses.pop("label_nats"), losses

    def validation_metrics(self, batch, seed):
        """What the last stage minimizes: R's error, and the nats of a classifier trained here."""
        error, _ = self.denoising_objective(batch, seed, 0)
        # Logarithms of probabilities are logits of them.
        losses = label_losses(self.class_log_probs(batch["x"]), batch["condition"])
        loss = error + losses["label_nats"] if self.own_classifier else error
        return {"loss": loss, "denoising_error": error} | losses

    def generate(self, h):
        """G(h), float32 `[batch, *event_shape]`, not yet rounded to levels, of h `[batch, latent_size]`."""
        return tf.cast(self.decoded(h), tf.float32)

    def terms(self, h, condition, given=None, mask=None):
        """What pulls at codes: R(h) - h, d/dh log p(y | G(h)), and d/dh of -|given - G(h)|^2 / 2 where known.

        Args:
          h: Codes `[batch, latent_size]`.
          condition: Classes y, int32 `[batch]`.
          given: Known entries of x `[batch, *event_shape]`, or None.
          mask: bool, where they are known; None with `given`.

        Returns:
          Three tensors of the shape of h; the last is 0.0 without known entries.
        """
        with tf.GradientTape(persistent=mask is not None) as tape:
            tape.watch(h)
            x = self.generate(h)
            log_p = tf.gather(self.class_log_probs(x), condition, axis=1, batch_dims=1)
            if mask is not None:
                scale = self.num_values - 1.0 if self.values == "levels" else 1.0
                context = -0.5 * tf.reduce_sum(tf.square(tf.where(mask, given - x, 0.0) / scale))
        known = 0.0 if mask is None else tape.gradient(context, h)
        return self.denoised(h) - h, tape.gradient(log_p, h), known

    def start(self, seeds, condition, temperature=1.0, given=None, mask=None):
        """Codes h ~ N(0, I)."""
        del condition, temperature, given, mask
        return random.normal(seeds, [self.latent_size])

    def advance(self, h, seeds, condition, temperature=1.0, given=None, mask=None):
        """A step of the approximate MALA; `temperature` multiplies the noise."""
        prior, of_class, known = self.terms(h, condition, given, mask)
        noise = random.normal(seeds, [self.latent_size])
        moved = self.epsilon1 * prior + self.epsilon2 * of_class + self.epsilon4 * known
        return h + moved + temperature * self.epsilon3 * noise

    def shown(self, h):
        """x = G(h), levels rounded."""
        return round_levels(self.generate(h), self.space)

    def sample_rows(self, seeds, condition, num_steps=None, temperature=1.0, given=None, mask=None):
        """x at the end of a chain for each row.

        Args:
          seeds: int32 `[n, 2]`.
          condition: Classes, int32 `[n]`.
          num_steps: Steps; None for the model's own number.
          temperature: Multiplies the noise of the steps; 0 climbs to a mode from a random code.
          given: float32 `[n, *event_shape]`, drawn to where `mask` holds, and kept as it is.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        known = {} if mask is None else {"given": given, "mask": mask}
        x = self.drawn(seeds, num_steps, condition=condition, temperature=temperature, **known)
        return x if mask is None else tf.where(mask, given, x)

    def complete(self, x, mask, condition, seeds, **kwargs):
        """`sample_rows` with x, `[n, *event_shape]`, kept where `mask`, of the same shape, is 1."""
        given, mask = self.space.check_known(x, mask)
        return self.sample_rows(seeds, self.check_condition(condition), given=given, mask=mask, **kwargs)

    def chain(self, z, condition, seeds, steps):
        """Codes some steps later, of chains that begin at codes z.

        Args:
          z: float32 `[n, latent_size]`.
          condition: Classes, int32 `[n]`.
          seeds: int32 `[n, 2]`.
          steps: int32 `[n]`.

        Returns:
          float32 `[n, latent_size]`.
        """
        return self.run(z, seeds, self.check_steps(steps), condition=self.check_condition(condition))

    def decode(self, z):
        """x of codes z `[batch, latent_size]`: G(z), levels rounded."""
        return self.shown(tf.cast(z, tf.float32))

    def encode(self, x):
        """Mean of the codes of x, float32 `[batch, latent_size]`.

        Raises:
          ValueError: If the generator has no encoder.
        """
        x = self.space.check(x)
        if self.encoded is None:
            raise ValueError(f"{type(self.generator).__name__} has no encoder: there are no codes of an x.")
        return self.encoded(x)[0]

    def reconstruct(self, x):
        """`decode` of `encode`, float32, the shape of x."""
        return self.decode(self.encode(x))

    def classify(self, x):
        """p(y | x) by the classifier, float32 `[batch, classes]`."""
        return tf.exp(self.class_log_probs(self.space.check(x)))

    def call(self, x, training=None):
        """`classify`: what `model(x)` and `predict` give."""
        del training
        return self.classify(x)

    def test_metrics(self, data, seed):
        """Errors of the classifier, and how varied samples of a class are (`report_diversity`)."""
        return report_label_error(self, data, seed) | report_diversity(self, data, seed)

    def views(self, data, num, seed):
        """Chains, a class each; of test examples reconstructions by their codes, and completions.

        Args:
          data: A `tfgen.data.Data`, or None for chains alone.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        condition = np.resize(np.arange(self.condition.num_classes, dtype=np.int32), num)
        captions = [str(c) if data is None else data.meaning.caption(c) for c in condition]
        chains = {"condition": tf.constant(condition)}
        shown = self.chain_views(random.rows(seed, num), "chains from random codes on", captions, **chains)
        if data is not None:
            split = data.test.take(slice(0, min(num, _RECONSTRUCTED)))
            x = self.space.from_data(split.x, data, seed)
            shown["completions"] = self._completions(
                x, split.label, random.rows(random.fold_in(seed, 1), len(x))
            )
            if self.encoded is not None:
                rows = tf.stack([x, self.reconstruct(x)])
                title = "test examples and G of their codes"
                shown["reconstructions"] = View(rows, "rows", ("data", "reconstructed"), title)
        return shown

    def _completions(self, x, label, seeds):
        known = np.zeros(x.shape[1:], np.float32)
        known[: (len(known) + 1) // 2] = 1.0
        known = tf.broadcast_to(known, x.shape)
        covered = tf.where(known > 0.5, x, max(self.space.value_range[0], -1.0))
        draw = tf.function(self.complete, autograph=False)
        drawn = [draw(x, known, tf.cast(label, tf.int32), s) for s in random.split(seeds)]
        told = ("data", "known", "completed", "again")
        return View(tf.stack([x, covered, *drawn]), "rows", told, "first halves and classes known")

    def signatures(self):
        """Adds `chain`, `classify`, `complete`, `decode`, and `encode`, `reconstruct` by an encoder."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        z = tf.TensorSpec([None, self.latent_size], tf.float32, name="z")
        seeds = tf.TensorSpec([None, 2], tf.int32, name="seeds")
        steps = tf.TensorSpec([None], tf.int32, name="steps")
        condition = self.condition_spec()

        def chain(z, condition, seeds, steps):
            z = self.chain(z, condition, seeds, steps)
            return {"z": z, "x": self.decode(z)}

        def classify(x):
            found = self.classify(x)
            return {"probabilities": found, "label": tf.argmax(found, axis=-1, output_type=tf.int32)}

        def complete(x, mask, condition, seeds):
            return {"x": self.complete(x, mask, condition, seeds)}

        served = {
            "chain": Signature(chain, {"z": z, "seeds": seeds, "steps": steps} | condition),
            "classify": Signature(classify, {"x": x}),
            "complete": Signature(complete, {"x": x, "mask": x, "seeds": seeds} | condition),
            "decode": Signature(lambda z: {"x": self.decode(z)}, {"z": z}),
        }
        if self.encoded is not None:
            served["encode"] = Signature(lambda x: {"z": self.encode(x)}, {"x": x})
            served["reconstruct"] = Signature(lambda x: {"x": self.reconstruct(x)}, {"x": x})
        return super().signatures() | served


def _code_space(generator, event_shape):
    """(decode, code and deviation of x or None, size of a code) of a generator, by what it serves.

    Args:
      generator: A `GenerativeModel`.
      event_shape: Shape of one x.

    Raises:
      ValueError: If it decodes no codes alone, or x of another shape.
    """
    served = generator.signatures() if isinstance(generator, GenerativeModel) else {}
    decode, encode = served.get("decode"), served.get("encode")
    inputs = dict(decode.inputs) if decode is not None else {}
    ((name, spec),) = inputs.items() if len(inputs) == 1 else ((None, tf.TensorSpec([], tf.int32)),)
    if spec.shape.rank != 2 or spec.shape[1] is None or not spec.dtype.is_floating:
        raise ValueError(
            "generator must be a model that serves decode of codes [batch, size] alone, as VAEs and GANs do, "
            f"got {type(generator).__name__}."
        )
    if generator.event_shape != event_shape:
        raise ValueError(
            f"generator draws x {generator.event_shape}, the data have event_shape {event_shape}."
        )

    def encoded(x):
        found = encode.function(x=x)
        return (found["mean"], found["stddev"]) if "mean" in found else (found[name], 0.0)

    of_x = encode is not None and set(encode.inputs) == {"x"}
    return lambda h: decode.function(**{name: h})["x"], encoded if of_x else None, spec.shape[1]
