"""Semi-amortized variational autoencoder: the encoder's posterior, refined for each x."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.estimators.importance import seeds_of
from tfgen.model import Signature
from tfgen.variational.distributions import diagonal_normal
from tfgen.variational.encoder_decoder import EncoderDecoder
from tfgen.variational.latent_variable import Drawn

# Tells the noise of the refinement from that of the bound.
_REFINING = 7


@keras.saving.register_keras_serializable("tfgen")
class SemiAmortizedVAE(EncoderDecoder):
    """Semi-amortized variational autoencoder: gradient steps on each x's own bound from the encoder's q on.

    With parameters l of q(z; l) = N(mu, diag sigma^2), the encoder's l_0(x) and noise e that stays,

      l_(t+1) = l_t + a_t d/dl [E_e log p(x | mu + sigma e) - KL(q(z; l) || p(z))],

    where a step that would lower an x's bound is not taken and halves its a_t, and one that is taken raises
    it by a fifth. The objective is the bound at l_T with other noise, differentiated through all steps
    (second derivatives of the bound), so that the encoder learns good starts and the decoder good ends.
    Codes, bounds and reconstructions are of q(z; l_T), in training, evaluation and exports.

    Args:
      event_shape: Shape of one x.
      refine_steps: Number of steps T.
      refine_rate: First step size a_0.
      refine_samples: Samples e of the noise.
      **kwargs: Arguments of `EncoderDecoder` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders", 2018, arXiv:1802.02550.
    """

    def __init__(self, event_shape, refine_steps=20, refine_rate=0.1, refine_samples=1, **kwargs):
        super().__init__(event_shape, "diagonal", **kwargs)
        self.refine_steps = checks.whole("refine_steps", refine_steps)
        self.refine_rate = checks.number("refine_rate", refine_rate, above=0)
        self.refine_samples = checks.whole("refine_samples", refine_samples)

    def refined_posterior(self, x, seeds, condition=None):
        """q(z; l_T), a TFP distribution over z for each x of `[batch, *event_shape]`."""
        del condition
        return diagonal_normal(self._refine(x, seeds)[0])

    def refine(self, x, seed=0):
        """The refinement of each x, and what it gained.

        Args:
          x: `[batch, *event_shape]`.
          seed: Python int or int32 `[2]`.

        Returns:
          Dict: mean and standard deviation of q(z; l_T), `[batch, latent_size]`, and its bound before and
          after, `[batch]` nats, of the same noise: `after` is never below `before`.
        """
        x = self.space.check(x)
        parameters, before, after = self._refine(x, seeds_of(x, random.as_seed(seed)))
        q = diagonal_normal(parameters)
        return {"mean": q.mean(), "stddev": q.stddev(), "before": before, "after": after}

    def _refine(self, x, seeds):
        """l_T `[batch, 2 latent_size]`, and the bounds of l_0 and l_T, `[batch]`."""
        if seeds.shape.rank == 1:
            seeds = random.rows(seeds, tf.shape(x)[0])
        noise = random.normal(random.fold_in(seeds, _REFINING), [self.refine_samples, self.latent_size])
        noise = tf.transpose(noise, (1, 0, 2))  # [samples, batch, latent_size]
        prior = self.prior()

        def bound_and_gradient(parameters):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                q = diagonal_normal(parameters)
                z = q.mean() + q.stddev() * noise
                drawn = Drawn(x, z, prior, q, self.likelihood(z), q.log_prob(z))
                bound = drawn.mean(drawn.log_likelihood) - drawn.kl
            # Rows do not depend on each other: the gradient of their sum holds that of each.
            return bound, tape.gradient(bound, parameters)

        def step(parameters, bound, gradient, rate):
            tried = parameters + rate[:, None] * gradient
            its_bound, its_gradient = bound_and_gradient(tried)
            better = its_bound > bound
            kept = (
                tf.where(better[:, None], a, b) for a, b in ((tried, parameters), (its_gradient, gradient))
            )
            parameters, gradient = kept
            return (
                parameters,
                tf.where(better, its_bound, bound),
                gradient,
                tf.where(better, 1.2, 0.5) * rate,
            )

        start = tf.cast(self.encoder(self.read(x)), tf.float32)
        before, gradient = bound_and_gradient(start)
        rate = tf.fill(tf.shape(before), self.refine_rate)
        parameters, after, _, _ = tf.while_loop(
            lambda *_: True,
            step,
            (start, before, gradient, rate),
            maximum_iterations=self.refine_steps,
        )
        return parameters, before, after

    def signatures(self):
        """Adds `refine`: codes and both bounds."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        return super().signatures() | {"refine": Signature(lambda x: self.refine(x), {"x": x})}
