"""What training promises, checked on every model: whose variables move, replicas, resume."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import make
from tests.conformance.session import EVERY, ROWS, SEED, STEP, STEPS, enter
from tests.planted import training_batch
from tests.replicas import two_replicas
from tfgen import random
from tfgen.training.checkpoints import Checkpoints, weights_of
from tfgen.update import Step

RATE = 0.5


def optimizers(updates):
    return {u.name: keras.optimizers.SGD(RATE) for u in updates if u.objective}


@pytest.mark.slow
def test_an_update_moves_its_own_variables_and_no_others(session):
    """All of them: a trainable one that stays where it is must be declared in the row, with the reason."""
    model = session.learner
    with session.stages() as stages:
        for stage in stages:
            for update in stage.updates:
                step = Step([update], optimizers([update]))
                step.prepare(session.fields)
                before = {v.path: v.numpy().copy() for v in model.variables}
                step(lambda i, seed: session.fields, SEED, STEP)
                if step.over_epoch:
                    step.finish_epoch()
                moved = {v.path for v in model.variables if not np.array_equal(before[v.path], v.numpy())}
                assert moved <= {v.path for v in update.variables}
                assert moved
                if update.objective:
                    stays = {v.path for v in update.trainable} - pulled(session, update)
                    assert {p for p in stays if not is_declared(p, session.case.still)} == set()
                    assert {v.path for v in update.trainable} <= moved | stays


def pulled(session, update):
    """Trainable variables with a gradient that is more than rounding."""
    gradients = session.derivative(update).gradients
    sizes = {v.path: float(np.max(np.abs(g))) for v, g in zip(update.trainable, gradients, strict=True)}
    return {path for path, size in sizes.items() if size > 1e-6 * max(sizes.values())}


def is_declared(path, declared):
    return any(path.endswith(end) for end in declared)


@pytest.mark.slow
def test_what_is_declared_to_stay_stays(session):
    """A reason that no longer holds is taken out of the row."""
    stayed = set()
    with session.stages() as stages:
        for stage in stages:
            for update in stage.updates:
                if update.objective:
                    stayed |= {v.path for v in update.trainable} - pulled(session, update)
    for end, reason in session.case.still.items():
        assert reason and any(path.endswith(end) for path in stayed), end


def test_players_share_no_variables(case):
    """Whatever two gradient updates of a stage list, no network appears in both."""
    for stage in make(case).stages():
        listed = [{v.path for v in u.variables} for u in stage.updates if u.objective]
        for i, one in enumerate(listed):
            assert all(not one & other for other in listed[i + 1 :])


def reference_step(session, updates, fields, replicas):
    """One SGD step by hand: the mean over replicas of one-device gradients, or their statistics summed."""
    parts = [tf.nest.map_structure(lambda v, r=r: part(v, r, replicas), fields) for r in range(replicas)]
    call = 0
    for update in updates:
        for _ in range(update.repeat):
            each = [
                session.derivative(
                    update,
                    rows,
                    random.split(random.fold_in(random.fold_in(SEED, STEP), call, r))[1],
                    replica=r,
                    replicas=replicas,
                )
                for r, rows in enumerate(parts)
            ]
            call += 1
            for i, variable in enumerate(update.trainable):
                variable.assign(variable - RATE * sum(d.gradients[i] for d in each) / replicas)
            fixed = [v for v in update.variables if not v.trainable]
            for i, variable in enumerate(fixed):
                if each[0].assigned[i] is not None and update.objective:
                    # Persistent rows come padded with zeros from each replica, everything else whole.
                    count = 1 if variable.aggregation == "sum" else replicas
                    variable.assign(sum(d.assigned[i] for d in each) / count)
            if update.statistics:
                update.apply(tf.nest.map_structure(lambda *s: sum(s), *(d.sums for d in each)))


def part(field, replica, replicas):
    size = len(field) // replicas
    return field[replica * size : (replica + 1) * size]


@pytest.mark.slow
def test_two_replicas_average_their_gradients(session):
    strategy, model = two_replicas(), session.learner
    fields = training_batch(model, 2 * ROWS)
    with strategy.scope():
        twin = make(session.case)
        twin.set_weights(model.get_weights())
    with session.stages() as stages:
        for number, (stage, other) in enumerate(zip(stages, twin.stages(), strict=True)):
            with strategy.scope():
                enter(other, number, twin)
                step = Step(other.updates, optimizers(other.updates))
                step.prepare(fields)
            run_on_replicas(strategy, step, fields)
            reference_step(session, stage.updates, fields, 2)
            for one, two in zip(model.variables, twin.variables, strict=True):
                np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-5, atol=1e-5, err_msg=one.path)


def run_on_replicas(strategy, step, fields):
    """One step, each replica taking its half of the rows."""

    @tf.function(autograph=False)
    def run():
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = ROWS * index + tf.range(ROWS)
            mine = tf.nest.map_structure(lambda v: tf.gather(v, rows), fields)
            return step(lambda i, seed: mine, SEED, STEP)

        return strategy.run(replica)

    run()
    if step.over_epoch:
        strategy.run(tf.function(step.finish_epoch, autograph=False))


@pytest.mark.slow
def test_checkpoints_hold_the_weights_they_are_named_for(session):
    """The last one the final weights, the best one those of the evaluation with the lowest loss."""
    trained = session.trained
    best = min(trained.losses, key=trained.losses.get)
    assert list(trained.evaluated)[-1] == STEPS and len(trained.evaluated) >= STEPS // EVERY
    for expected, where in ((trained.weights, "checkpoints"), (trained.evaluated[best], "checkpoints/best")):
        kept = make(session.case)
        Checkpoints(weights_of(kept), trained.directory / where, 1).restore()
        for variable, one, two in zip(kept.variables, expected, kept.variables, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=variable.path)


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_bits(session):
    """Killed within each stage and resumed: weights, checkpoint and history are those of the straight run."""
    trained = session.trained
    assert len(trained.copies) == len(session.learner.stages())
    ends = ("ckpt-12.index", "ckpt-12.data-00000-of-00001", "checkpoint")
    for copy in trained.copies:
        assert not (copy / "checkpoints" / ends[0]).exists()
        resumed = session.train(copy, resume=True)
        for variable, one in zip(resumed.variables, trained.weights, strict=True):
            np.testing.assert_array_equal(one, variable.numpy(), err_msg=variable.path)
        for name in (*(f"checkpoints/{end}" for end in ends), "metrics.csv"):
            assert (trained.directory / name).read_bytes() == (copy / name).read_bytes(), name
