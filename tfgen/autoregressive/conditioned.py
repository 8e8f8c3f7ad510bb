"""What all models have in common whose every layer is told a label or a vector."""

from tfgen.layers.conditioning import features, label_or_vector


class Conditioned:
    """p(x | c), to be put before a base class: `class Mine(Conditioned, SequenceModel)`.

    Args:
      event_shape: Shape of one x.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      **kwargs: Passed on to the base class.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        event_shape,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.condition = label_or_vector(condition, num_classes, condition_size)

    def condition_shifts(self, condition):
        """What the condition adds inside the network; None without a condition.

        Args:
          condition: float32 `[batch, width]`, `features` of the conditions.
        """
        raise TypeError(f"{type(self).__name__} takes no condition.")

    def shifts(self, condition):
        """`condition_shifts` of raw conditions; None for a model without."""
        return None if condition is None else self.condition_shifts(features(self.condition, condition))
