"""Courses of learning rates over a training, of Keras' schedules."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.update import plan_stages

SCHEDULES = ("constant", "cosine", "linear")


@keras.saving.register_keras_serializable("tfgen")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that first rises in a line, at step t < n to (t + 1) / n of where another course begins.

    Args:
      schedule: The course from step n on, a Keras schedule or a number.
      steps: n, at least 1.
    """

    def __init__(self, schedule, steps):
        self.schedule = schedule
        self.steps = checks.whole("steps", steps)

    def __call__(self, step):
        """The learning rate of a step, float32 scalar."""
        step = tf.cast(step, tf.float32)
        follows = self._follows(tf.maximum(step - self.steps, 0.0))
        return tf.minimum((step + 1.0) / self.steps, 1.0) * follows

    def _follows(self, step):
        if isinstance(self.schedule, keras.optimizers.schedules.LearningRateSchedule):
            return self.schedule(step)
        return tf.constant(self.schedule, tf.float32)

    def get_config(self):
        """Its arguments."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        """The course that `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["steps"])


def course(rate, steps, schedule="constant", warmup=0):
    """The learning rate over the steps of an optimizer.

    Args:
      rate: The highest learning rate.
      steps: Steps in all, `warmup` included.
      schedule: "constant"; "cosine", (1 + cos(pi s)) / 2 of the rate, or "linear", 1 - s of it, where s goes
        from 0 after the warm-up to 1 at the end.
      warmup: Steps in which it rises in a line.

    Returns:
      A number or a Keras schedule.

    Raises:
      ValueError: If the warm-up leaves no step, or there is no such schedule.
    """
    checks.one_of("schedule", schedule, SCHEDULES)
    after = steps - checks.whole("warmup", warmup, at_least=0)
    if after < 1:
        raise ValueError(f"warmup={warmup} leaves none of {steps} steps: take a shorter one.")
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, after)
    elif schedule == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, after, end_learning_rate=0.0)
    return WarmUp(rate, warmup) if warmup else rate


def set_courses(optimizers, stages, steps, schedule="constant", warmup=0):
    """Gives every optimizer of a training its learning rate's course over the stage that it serves.

    An optimizer's own steps are `repeat` times the training's where its update repeats: the course is
    stretched by as much.

    Args:
      optimizers: {stage: {update: Keras optimizer}}, as `make_optimizers` returns them; their learning rates
        become the highest ones.
      stages: The `Stage`s.
      steps: Steps of the training.
      schedule: As `course` takes it.
      warmup: Steps of each stage in which the rate rises.

    Raises:
      ValueError: If the warm-up is not shorter than each stage.
    """
    bounds = plan_stages(stages, steps)
    for stage, first, end in zip(stages, bounds[:-1], bounds[1:], strict=True):
        if warmup >= end - first:
            raise ValueError(
                f"warmup={warmup} leaves none of the {end - first} steps of stage {stage.name!r}: take a "
                "shorter one, or more steps."
            )
        repeats = {update.name: update.repeat for update in stage.updates}
        for name, optimizer in optimizers[stage.name].items():
            rate, times = optimizer.get_config()["learning_rate"], repeats[name]
            optimizer.learning_rate = course(rate, times * (end - first), schedule, times * warmup)
