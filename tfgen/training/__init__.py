"""The one training loop: strategies, stages, several steps a call, exact resume, callbacks, checkpoints."""

from tfgen.training.checkpoints import Checkpoints, restore_weights, weights_of
from tfgen.training.loop import Interrupted, train
from tfgen.training.schedules import WarmUp, course
from tfgen.training.stage import TrainingError
from tfgen.training.strategies import make_strategy

__all__ = [
    "Checkpoints",
    "Interrupted",
    "TrainingError",
    "WarmUp",
    "course",
    "make_strategy",
    "restore_weights",
    "train",
    "weights_of",
]
