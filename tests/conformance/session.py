"""What all checks of one case share, each part made once, when a check first asks for it."""

import contextlib
import functools
import shutil
from typing import NamedTuple

import keras
import tensorflow as tf

from tests.conformance.cases import make
from tests.planted import as_served, conditions, dataset, perturb, training_batch
from tests.serving.answers import graphs_and_export, keeping
from tfgen import random
from tfgen import update as engine
from tfgen.training import train
from tfgen.update import plan_stages

SEED = tf.constant([3, 4])
STEP = tf.constant(5, tf.int64)
# Rows of the batches that derivatives are taken of.
ROWS = 4
STEPS, EVERY = 12, 2
# How many samples are compared: so many that, with a few left out too, the program that XLA compiled for
# `MANY` serves them (`tfgen.model._REACH`).
DRAWN, FEWER = 300, 293
MANY = 20_000


class Exported(NamedTuple):
    """An export.

    Args:
      version: Its directory.
      graphs: What was traced, by signature.
      loaded: What Python loads from it.
    """

    version: object
    graphs: dict
    loaded: object


class Trained(NamedTuple):
    """A training without interruption.

    Args:
      directory: Its run.
      weights: Its final weights.
      losses: Validation loss by step, in the last stage, which alone has a best checkpoint.
      evaluated: Weights at each evaluation, by step.
      copies: Copies of the run's directory, as a kill within each stage would have left it.
    """

    directory: object
    weights: list
    losses: dict
    evaluated: dict
    copies: list


class Derivative(NamedTuple):
    """Pure part of an update.

    Args:
      loss: Of a gradient update, else None.
      gradients: By trainable variable.
      sums: Statistics, or None.
      assigned: By non-trainable variable: its value, or None.
    """

    loss: object
    gradients: list
    sums: object
    assigned: list


class Session:
    """One case.

    Args:
      name: Of its row.
      case: The row.
      directory: Where it may write.

    Attributes:
      model: A model with weights moved a little; no check changes them for good.
      learner: Another one, begun on data, whose updates are looked into.
    """

    def __init__(self, name, case, directory):
        self.name, self.case, self.directory = name, case, directory
        keras.utils.set_random_seed(1)
        self.model = make(case, name="kept")
        self.paths = [v.path for v in self.model.variables]
        perturb(self.model)
        self.log_prob = tf.function(self.model.log_prob, autograph=False, reduce_retracing=True)
        self._derivatives = {}

    @functools.cached_property
    def learner(self):
        keras.utils.set_random_seed(2)
        model = perturb(make(self.case))
        model.begin(training_batch(model, 20), SEED)
        return model

    @functools.cached_property
    def many(self):
        """`MANY` samples of seed 11 under one condition."""
        given = {name: value[0] for name, value in conditions(self.model, 1).items()}
        return self.model.sample(MANY, seed=11, **given).numpy()

    @functools.cached_property
    def drawn(self):
        """`DRAWN` samples of seed 7, under as many planted conditions."""
        if self.model.density == "exact" and self.case.enumerable:
            # The larger compiled program serves both.
            assert len(self.many)
        return self.model.sample(DRAWN, seed=7, **conditions(self.model, DRAWN)).numpy()

    @functools.cached_property
    def plain(self):
        """The same samples as the export's graph draws them, without XLA."""
        given = as_served(self.model, conditions(self.model, DRAWN))
        given = {name: tf.constant(value) for name, value in given.items()}
        return self.exported.graphs["sample"](seeds=seeds(DRAWN), **given)["x"].numpy()

    @functools.cached_property
    def fields(self):
        """The batch that derivatives are taken of."""
        return training_batch(self.learner, ROWS)

    @contextlib.contextmanager
    def stages(self):
        """The learner's stages, one by one, each entered; the weights are put back at the end."""
        weights = self.learner.get_weights()
        try:
            yield self._entered()
        finally:
            self.learner.set_weights(weights)

    def _entered(self):
        for number, stage in enumerate(self.learner.stages()):
            enter(stage, number, self.learner)
            yield stage

    def derivative(self, update, fields=None, seed=SEED, step=STEP, replica=0, replicas=1):
        """The `Derivative` of an update of the learner, compiled once."""
        # Rows of a persistent chain are shared out by how many replicas there are.
        shared = any(v.aggregation == "sum" for v in update.variables)
        replicas = replicas if shared else 1
        key = (update.name, *(v.path for v in update.variables), replicas)
        if key not in self._derivatives:
            self._derivatives[key] = tf.function(
                functools.partial(derivative, update, replicas=replicas), autograph=False
            )
        fields = self.fields if fields is None else fields
        return self._derivatives[key](fields, seed, step, replica=tf.constant(replica))

    @functools.cached_property
    def exported(self):
        """The one export."""
        # The export loads what it wrote to check it; nobody needs to load it again.
        with keeping(tf.saved_model, "load") as loaded:
            graphs, version = graphs_and_export(self.model, self.directory / "export")
        return Exported(version, graphs, loaded[0])

    def train(self, directory, resume=False, callbacks=()):
        """Trains a model of the case; returns it."""
        # Names of variables are in the files, and Keras numbers them from process start.
        keras.backend.clear_session()
        keras.utils.set_random_seed(4)
        model = make(self.case)
        train(
            model,
            dataset(model),
            STEPS,
            directory,
            batch_size=8,
            optimizer=self.case.optimizer or keras.optimizers.Adam(0.01),
            seed=9,
            jit="on" if self.case.jit else "off",
            checkpoint_every=EVERY,
            resume=resume,
            callbacks=[f(model) for f in callbacks],
            log=lambda line: None,
        )
        return model

    @functools.cached_property
    def trained(self):
        """The one training."""
        directory, watching = self.directory / "straight", []

        def watch(model):
            watching.append(Watch(model, directory, self.directory))
            return watching[0]

        model = self.train(directory, callbacks=[watch])
        (watcher,) = watching
        weights = [v.numpy() for v in model.variables]
        losses = {step: loss for step, loss in watcher.losses.items() if step > watcher.last_stage}
        return Trained(directory, weights, losses, watcher.evaluated, watcher.copies)


class Watch(keras.callbacks.Callback):
    """Copies the run's directory once in each stage, after its first checkpoint; keeps what evaluations saw.

    Args:
      model: What is trained.
      directory: Of the run.
      place: Where the copies go.
    """

    def __init__(self, model, directory, place):
        super().__init__()
        self.trained, self.directory, self.place = model, directory, place
        firsts = plan_stages(model.stages(), STEPS)[:-1]
        self.cuts = [first + EVERY + 1 for first in firsts]
        self.last_stage = firsts[-1]
        self.copies, self.losses, self.evaluated = [], {}, {}

    def on_train_batch_end(self, batch, logs=None):
        if len(self.copies) < len(self.cuts) and batch >= self.cuts[len(self.copies)]:
            copy = self.place / f"killed-at-{batch}"
            shutil.copytree(self.directory, copy)
            self.copies.append(copy)

    def on_epoch_end(self, epoch, logs=None):
        self.losses[epoch] = logs["val_loss"]
        self.evaluated[epoch] = [v.numpy() for v in self.trained.variables]


def enter(stage, number, model):
    """Begins a stage as a training does, so that `STEP` lies within it."""
    model.stage.assign([number, 0, STEPS])
    if stage.on_enter:
        stage.on_enter(training_batch(model, 20), SEED)


def derivative(update, fields, seed, step, replicas, replica):
    """Loss, gradients, sums and assignments of an update, by its own definition and not the engine's."""
    engine._REPLICA.index, engine._REPLICA.count = replica, replicas
    loss = sums = None
    try:
        with tf.GradientTape() as tape, keras.StatelessScope() as scope:
            if update.objective:
                loss, _ = update.objective(fields, seed, step)
            else:
                sums = update.statistics(fields, seed, step)
    finally:
        engine._REPLICA.index, engine._REPLICA.count = 0, 1
    # A gather's gradient comes in slices.
    gradients = (
        [tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in update.trainable])]
        if update.objective
        else []
    )
    assigned = [scope.get_current_value(v) for v in update.variables if not v.trainable]
    return Derivative(loss, gradients, sums, assigned)


def seeds(num, seed=7):
    """The rows' seeds of `sample(num, seed)`."""
    return random.rows(random.as_seed(seed), num)
