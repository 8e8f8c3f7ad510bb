"""The one training loop: strategies, several steps a call, exact resume, callbacks, pictures."""

from tfgen.training.loop import Interrupted, train
from tfgen.training.stage import TrainingError
from tfgen.training.strategies import make_strategy

__all__ = ["Interrupted", "TrainingError", "make_strategy", "train"]
