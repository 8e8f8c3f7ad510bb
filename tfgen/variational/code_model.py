"""Images as maps of discrete codes with a learned prior: `CodeModel`."""

import abc
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import draw
from tfgen.layers.vector_quantizer import code_shares, perplexity
from tfgen.model import GenerativeModel, Signature, Stage, Update, View
from tfgen.space import label_or_vector
from tfgen.variational.distributions import make_likelihood, values_under

tfd = tfp.distributions

# Examples that codebooks start from, that figures are counted in at a time, and that are reconstructed.
_STARTED, _BATCH, _RECONSTRUCTED = 512, 250, 16


class Quantized(NamedTuple):
    """One level of the codes of some x.

    Args:
      z: What is quantized, float32 `[batch, rows, columns, size]`.
      vectors: Its codes' vectors, with the gradient of z.
      codes: int32 `[batch, rows, columns]`.
      commitment: |z - sg(e)|^2, float32 `[batch, rows, columns]`.
      distance: |sg(z) - e|^2, the same.
    """

    z: tf.Tensor
    vectors: tf.Tensor
    codes: tf.Tensor
    commitment: tf.Tensor
    distance: tf.Tensor


def quantized(quantizer, z):
    """z, of any float type, by its nearest codes: `Quantized`."""
    z = tf.cast(z, tf.float32)
    return Quantized(z, *quantizer(z))


class CodeModel(GenerativeModel):
    """p(x | c) = sum over codes k of p(k | c) p(x | k), with an encoder that takes each x to its codes k(x).

    In the first stage encoder, decoder and codebooks learn, without p(k), e being the codes' vectors:

      -log p(x | k(x)) + sum over levels and places of commitment |z - sg(e)|^2 [+ |sg(z) - e|^2]

    Gradients pass straight through from e to z; the last term is for codebooks that learn by gradient. In the
    second stage the prior of each level learns -log p(k(x) | c).

    `log_prob` is log p(k(x) | c) + log p(x | k(x)), one term of the sum and so a lower bound of log p(x | c).
    The codes are counted in full, as in a file of them; nothing is sampled.

    A subclass makes `quantizers`, `priors` and `contexts`, and gives `levels_of`, `raw` and `told`.

    Args:
      event_shape: (rows, columns, channels).
      likelihood: Arguments of `make_likelihood`: p(x | k).
      condition: Arguments of `label_or_vector`: c.
      commitment: Weight of the commitment.
      prior_share: Steps of the second stage, for each step of the first.
      **kwargs: Passed on to `GenerativeModel`.

    Attributes:
      levels: {name of a level's codes: name of their vectors}, in the order of p(k).
      quantizers: `VectorQuantizer` of each level.
      priors: Autoregressive model of each level's codes, of event_shape (rows, columns, 1).
      contexts: Layer of each level that makes what its prior is told of earlier levels, or None.

    Raises:
      ValueError: If an argument does not fit.
    """

    density = "lower_bound"
    levels = {"codes": "vectors"}  # noqa: RUF012
    jit_updates = False
    jit_sampler = True

    def __init__(self, event_shape, likelihood, condition, commitment, prior_share, /, **kwargs):
        super().__init__(checks.image_shape(event_shape), **kwargs)
        self._law, self.outputs, self.num_values = make_likelihood(*likelihood)
        self.values = values_under(self._law, self.num_values)
        self.condition = label_or_vector(*condition)
        self.commitment = checks.number("commitment", commitment, at_least=0)
        self.prior_share = checks.number("prior_share", prior_share, above=0)

    @abc.abstractmethod
    def levels_of(self, x, quantized=quantized):
        """The levels of x, a list of `Quantized`.

        Args:
          x: float32 `[batch, *event_shape]`, unchecked.
          quantized: `f(quantizer, z) -> Quantized`.
        """

    @abc.abstractmethod
    def raw(self, *vectors):
        """The decoder: raw outputs of p(x | k) for each entry of x, of the vectors of every level."""

    @abc.abstractmethod
    def told(self, level, earlier, condition):
        """The condition of the prior of level number `level`.

        Args:
          level: Its number.
          earlier: Codes of the levels before it, int32 `[batch, rows, columns]` each.
          condition: c, `[batch, *condition.shape]`, or None.
        """

    def read(self, x):
        """x as the encoder reads it: levels scaled to [-1, 1]."""
        return x if self.num_values is None else x * (2.0 / (self.num_values - 1)) - 1.0

    def likelihood(self, *codes):
        """p(x | k), a TFP distribution over x, for the codes of every level, int `[batch, rows, columns]`."""
        return self.likelihood_of(*(q.lookup(k) for q, k in zip(self.quantizers, codes, strict=True)))

    def likelihood_of(self, *vectors):
        """p(x | k) by the vectors of every level, float32 `[batch, rows, columns, size]` each."""
        raw = tf.cast(self.raw(*vectors), tf.float32)
        distribution = self._law(tf.reshape(raw, [-1, *self.event_shape, self.outputs]))
        apart = len(self.event_shape) - distribution.event_shape.rank
        return tfd.Independent(distribution, apart) if apart else distribution

    def prior(self, level=0, earlier=(), condition=None):
        """p(k_level | earlier levels, c), a TFP distribution over `[rows, columns, 1]`."""
        return self.priors[level].distribution(self.told(level, earlier, condition))

    def begin(self, batch, seed):
        """Sets the codebooks to what the encoder makes of the first examples."""
        level = iter(range(len(self.quantizers)))

        def started(quantizer, z):
            quantizer.start(tf.cast(z, tf.float32), random.fold_in(seed, next(level)))
            return quantized(quantizer, z)

        self.levels_of(tf.convert_to_tensor(batch["x"][:_STARTED]), started)

    def stages(self):
        """The autoencoder, then the priors of its codes."""
        priors = [layer for layer in (*self.priors, *self.contexts) if layer is not None]
        later = [variable for layer in priors for variable in layer.trainable_variables]
        of_priors = {id(variable) for variable in later}
        variables = [v for v in self.trainable_variables if id(v) not in of_priors]
        variables += [v for quantizer in self.quantizers for v in quantizer.learned]
        first = Update("autoencoder", self.objective, variables, surrogate=True)
        second = Update("priors", self.prior_objective, later)
        return [Stage("autoencoder", 1.0, [first]), Stage("priors", self.prior_share, [second])]

    def updates(self):
        """The updates of the last stage."""
        return self.stages()[-1].updates

    def objective(self, batch, seed, step):
        """-log p(x | k(x)) and what ties codes and encoder, as the class says; as `Update`."""
        del step
        found = self.levels_of(batch["x"])
        nats = -tf.reduce_mean(self.likelihood_of(*(level.vectors for level in found)).log_prob(batch["x"]))
        ties, scalars = 0.0, {"reconstruction": nats}
        seeds = random.split(seed, len(found))
        for name, quantizer, level, own in zip(self.levels, self.quantizers, found, seeds, strict=True):
            commitment = tf.reduce_mean(tf.reduce_sum(level.commitment, axis=(1, 2)))
            ties += self.commitment * commitment
            if quantizer.learning == "gradient":
                ties += tf.reduce_mean(tf.reduce_sum(level.distance, axis=(1, 2)))
            quantizer.learn(level.z, level.codes, own)
            scalars[f"{name}_commitment"] = commitment
            scalars[f"{name}_perplexity"] = perplexity(code_shares(level.codes, quantizer.num_codes))
        return nats + ties, scalars

    def prior_objective(self, batch, seed, step):
        """Mean of -log p(k(x) | c), the sum over levels; as `Update`."""
        del seed, step
        codes = [found.codes for found in self.levels_of(batch["x"])]
        nats = {k: -tf.reduce_mean(v) for k, v in self.log_prior(codes, batch.get("condition")).items()}
        return tf.add_n(list(nats.values())), nats

    def log_prior(self, codes, condition=None):
        """log p(k | c) level by level, {level: float32 `[batch]`}.

        Args:
          codes: Of every level, int32 `[batch, rows, columns]` each.
          condition: c, `[batch, *condition.shape]`, or None.
        """
        found = {}
        for level, (name, prior) in enumerate(zip(self.levels, self.priors, strict=True)):
            x = tf.cast(codes[level], tf.float32)[..., None]
            found[name] = prior.score(x, condition=self.told(level, codes[:level], condition))
        return found

    def log_parts(self, x, condition=None, codes=None):
        """What the bound is the sum of: {level or "reconstruction": float32 `[batch]`}, of unchecked x.

        Args:
          x: float32 `[batch, *event_shape]`.
          condition: c, `[batch, *condition.shape]`, or None.
          codes: Of every level of x; None finds them.
        """
        codes = [found.codes for found in self.levels_of(x)] if codes is None else codes
        return self.log_prior(codes, condition) | {"reconstruction": self.likelihood(*codes).log_prob(x)}

    def score(self, x, condition=None):
        """log p(k(x) | c) + log p(x | k(x)), a lower bound of log p(x | c), float32 `[batch]`, in nats."""
        return tf.add_n(list(self.log_parts(x, condition).values()))

    def validation_metrics(self, batch, seed):
        """Nats of each part of the bound, and each codebook's perplexity over the batch.

        "loss", by which the best weights are chosen, is the bound's nats once the priors are trained, and the
        reconstruction's before.
        """
        del seed
        shares, parts = self._measured(batch)
        nats = tf.add_n(list(parts.values()))
        first = tf.convert_to_tensor(self.stage.value)[0] == 0
        scalars = {"loss": tf.where(first, parts["reconstruction"], nats), "nats": nats} | parts
        return scalars | {f"{name}_perplexity": perplexity(share) for name, share in shares.items()}

    def _measured(self, batch):
        """{level: shares of its codes} and {part of the bound: nats} of a batch."""
        codes = [found.codes for found in self.levels_of(batch["x"])]
        levels = zip(self.levels, self.quantizers, codes, strict=True)
        shares = {name: code_shares(found, quantizer.num_codes) for name, quantizer, found in levels}
        return shares, {k: -tf.reduce_mean(v) for k, v in self.log_parts(**batch, codes=codes).items()}

    @property
    def main_figures(self):
        """Loss and perplexities."""
        return ("loss", *(f"{name}_perplexity" for name in self.levels))

    @property
    def quantities(self):
        """Quantities of the curves of a training."""
        measured = {name: f"-log p({name}) [nats]" for name in self.levels}
        measured |= {f"{name}_perplexity": "perplexity of the codebook [codes]" for name in self.levels}
        measured |= {f"{name}_commitment": "|z - e|^2 of an example" for name in self.levels}
        measured |= {"reconstruction": "reconstruction -log p(x | k) [nats]"}
        # Of the priors' stage alone it is a bound, and their update's loss is that of the codes.
        return measured | {"loss": "reconstruction, then bound of -log p(x) [nats]", "priors/loss": None}

    def test_metrics(self, data, seed):
        """The bound's parts, and how the codebooks are used, on a data set's test split."""
        shares, parts = self._counted(data, seed)
        kind = "nats, the part of the bound that is {}, mean over the test split"
        found = {}
        for name, value in parts.items():
            part = f"-log p({name})" if name in self.levels else "-log p(x | codes)"
            found[f"{name}_nats"] = {"value": value, "kind": kind.format(part)}
        for name, share in shares.items():
            used = f"of {len(share)} codes, test split"
            found[f"{name}_perplexity"] = {
                "value": float(perplexity(tf.constant(share, tf.float32))),
                "kind": f"exp of the entropy of use, {used}",
            }
            found[f"{name}_used"] = {"value": int((share > 0).sum()), "kind": f"used at all, {used}"}
        return found

    def _counted(self, data, seed):
        """{level: shares of its codes} and {part of the bound: nats}, over the test split."""
        measure = tf.function(self._measured, autograph=False, reduce_retracing=True)
        fields, size, totals = self.fields(data.test), len(data.test.x), None
        for start in range(0, size, _BATCH):
            batch = {k: tf.convert_to_tensor(v[start : start + _BATCH]) for k, v in fields.items()}
            batch["x"] = self.space.from_data(batch["x"], data, random.fold_in(seed, start))
            weight = len(batch["x"]) / size
            parts = tf.nest.map_structure(
                lambda t, w=weight: w * t.numpy().astype(np.float64), measure(batch)
            )
            totals = parts if totals is None else tf.nest.map_structure(np.add, totals, parts)
        return totals[0], {name: float(value) for name, value in totals[1].items()}

    def codes(self, x):
        """The nearest codes, {level: int32 `[batch, rows, columns]`}, of x `[batch, *event_shape]`."""
        found = self.levels_of(self.space.check(x))
        return {name: level.codes for name, level in zip(self.levels, found, strict=True)}

    def encode(self, x):
        """The vectors of the nearest codes, {level's vectors: float32 `[batch, rows, columns, size]`}."""
        codes = self.codes(x).values()
        looked_up = (q.lookup(k) for q, k in zip(self.quantizers, codes, strict=True))
        return dict(zip(self.levels.values(), looked_up, strict=True))

    def decode(self, **codes):
        """Mean of p(x | k), float32 `[batch, *event_shape]`.

        Args:
          **codes: Codes of each level by its name, whole numbers `[batch, rows, columns]`.

        Raises:
          ValueError: If a level is missing, or its shape or values do not fit.
        """
        return self.likelihood(*self._check_codes(codes)).mean()

    def _check_codes(self, codes):
        owner = type(self).__name__
        if codes.keys() != self.levels.keys():
            wanted, given = (", ".join(names) or "none" for names in (self.levels, codes))
            raise ValueError(f"{owner}: decode takes {wanted}, got {given}: give each by its name.")
        checked = []
        for name, prior, quantizer in zip(self.levels, self.priors, self.quantizers, strict=True):
            found = checks.numeric(codes[name], f"{owner}: {name}")
            shape = prior.event_shape[:2]
            if found.shape.rank != 3 or not found.shape[1:].is_compatible_with(shape):
                wanted = ", ".join(map(str, ("batch", *shape)))
                raise ValueError(
                    f"{owner}: {name} must have shape [{wanted}], got {found.shape}: take what codes() gives."
                )
            valid = tf.reduce_all((found >= 0) & (found < quantizer.num_codes))
            if found.dtype.is_floating:
                valid &= tf.reduce_all(tf.round(found) == found)
            message = f"{owner}: {name} must hold codes 0 to {quantizer.num_codes - 1}"
            checked.append(
                tf.cast(checks.require(valid, found, message, "take what codes() gives"), tf.int32)
            )
        return checked

    def reconstruct(self, x):
        """`decode` of the nearest codes, float32 `[batch, *event_shape]`."""
        return self.decode(**self.codes(x))

    def draw_codes(self, seeds, temperature=1.0, condition=None):
        """Codes drawn from p(k | c), level after level: a list of int32 `[n, rows, columns]`.

        Args:
          seeds: int32 `[n, 2]`.
          temperature: Below 1 less varied; 0 takes the mode of each code in turn.
          condition: c, `[n, *condition.shape]`, or None.
        """
        codes = []
        for level, prior in enumerate(self.priors):
            told = self.told(level, codes, condition)
            drawn = prior.sample_rows(random.fold_in(seeds, level), temperature, condition=told)
            codes.append(tf.cast(drawn[..., 0], tf.int32))
        return codes

    def sample_rows(self, seeds, temperature=1.0, condition=None):
        """Draws codes from the priors and x from its likelihood.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Of the codes, and of the noise of p(x | k); 0 is the mode of both.
          condition: c, `[num, *condition.shape]`, for a conditional model.

        Returns:
          float32 `[num, *event_shape]`.
        """
        latent, observed = random.split(seeds)
        likelihood = self.likelihood(*self.draw_codes(latent, temperature, condition))
        return tf.cast(draw(likelihood, observed, temperature=temperature), tf.float32)

    def mean_rows(self, seeds, condition=None):
        """E(x | k) of the codes behind `sample_rows(seeds)`, float32 `[num, *event_shape]`."""
        latent, _ = random.split(seeds)
        return self.likelihood(*self.draw_codes(latent, condition=condition)).mean()

    def views(self, data, num, seed):
        """Means behind samples; reconstructions beside their inputs; the codes by their use.

        "mean" are those behind samples of the same seed, of a conditional model for the test split's
        conditions. The picture of a code is what is decoded where it stands everywhere, and nothing but each
        other level's most used code.

        Args:
          data: A `tfgen.data.Data`, or None for neither examples nor shares.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        shown = {}
        if self.condition is None:
            means = tf.function(self.mean_rows, autograph=False)(random.rows(seed, num))
            shown["mean"] = View(means, title="means E(x | codes) behind the samples")
        if data is None:
            return shown
        x = self.space.from_data(data.test.x[: min(num, _RECONSTRUCTED)], data, seed)
        title, heads = "test examples and their reconstructions", ("data", "reconstructed")
        shown["reconstructions"] = View(tf.stack([x, self.reconstruct(x)]), "rows", heads, title)
        shares = self._counted(data, seed)[0]
        usual = [int(np.argmax(share)) for share in shares.values()]
        for level, (name, share) in enumerate(shares.items()):
            first = np.argsort(-share, kind="stable")[:num]
            codes = []
            for other, prior in enumerate(self.priors):
                chosen = first if other == level else np.full(len(first), usual[other])
                codes.append(np.broadcast_to(chosen[:, None, None], (len(first), *prior.event_shape[:2])))
            use = f"perplexity {float(perplexity(tf.constant(share, tf.float32))):.1f} of {len(share)}"
            shown[f"{name}_use"] = View(
                self.decode(**dict(zip(self.levels, codes, strict=True))),
                captions=[f"{k}: {100 * share[k]:.1f} %" for k in first],
                title=f"{name} by their shares; {use}",
            )
        return shown

    def signatures(self):
        """The base's (sample, elbo, serving_default), codes, encode, decode and reconstruct."""
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")}
        codes = {
            name: tf.TensorSpec([None, *prior.event_shape[:2]], tf.int32, name=name)
            for name, prior in zip(self.levels, self.priors, strict=True)
        }
        return super().signatures() | {
            "codes": Signature(self.codes, x),
            "encode": Signature(self.encode, x),
            "decode": Signature(lambda **codes: {"x": self.decode(**codes)}, codes),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, x),
        }
