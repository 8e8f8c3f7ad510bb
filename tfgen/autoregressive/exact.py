"""What all autoregressive models have in common: an exact density, trained by maximum likelihood."""

import tensorflow as tf

from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.model import GenerativeModel, Update


class ExactModel(GenerativeModel):
    """p(x) = prod_i p(x_i | x_<i), whose `score` is exact and `sample_rows` incremental."""

    density = "exact"

    def distribution(self, condition=None, length=None):
        """The model as a TFP distribution over its event shape.

        Args:
          condition: Tensor `[*batch_shape, *condition.shape]`, for a conditional model.
          length: Steps of an event, for a model of sequences; None for the model's `length`.
        """
        return ModelDistribution(self, condition, length)

    def updates(self):
        """Maximum likelihood."""
        return (Update("likelihood", self._negative_log_likelihood, self.trainable_variables),)

    def _negative_log_likelihood(self, batch, seed, step):
        del seed, step
        return -tf.reduce_mean(self.score(**batch)), {}
