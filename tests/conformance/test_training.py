"""What training promises, checked on every model: whose variables move, replicas, resume."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import CASES, make
from tests.planted import batch, dataset, perturb
from tests.replicas import two_replicas
from tfgen import random
from tfgen import update as engine
from tfgen.training import train
from tfgen.training.checkpoints import Checkpoints, weights_of
from tfgen.update import Step

SEED = tf.constant([3, 4])
STEP = tf.constant(5, tf.int64)


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


def optimizers(updates):
    return {u.name: keras.optimizers.SGD(0.5) for u in updates if u.objective}


def dense(gradients):
    """As tensors: a gather's gradient comes in slices."""
    return [tf.convert_to_tensor(g) for g in gradients]


def owners(model):
    """The network that each variable belongs to, by the first part of its path below the model."""
    return {v.path: v.path.removeprefix(model.name + "/").split("/")[0] for v in model.variables}


def test_an_update_moves_its_own_variables_and_no_others(case):
    model = perturb(make(case))
    model.begin(batch(model, 20), SEED)
    fields = batch(model, 4)
    for update in model.updates():
        step = Step([update], optimizers([update]))
        step.prepare(fields)
        before = {v.path: v.numpy().copy() for v in model.variables}
        step(lambda i, seed: fields, SEED, STEP)
        if step.over_epoch:
            step.finish_epoch()
        moved = {v.path for v in model.variables if not np.array_equal(before[v.path], v.numpy())}
        assert moved <= {v.path for v in update.variables}
        assert moved
        if update.objective:
            assert {v.path for v in update.trainable} <= moved | unmoved_by_zero_gradient(update, fields)


def unmoved_by_zero_gradient(update, fields):
    """Trainable variables whose gradient is exactly zero here (e.g. a bias under batch norm)."""
    with tf.GradientTape() as tape, keras.StatelessScope():
        loss, _ = update.objective(fields, SEED, STEP)
    gradients = dense(tape.gradient(loss, [v.value for v in update.trainable]))
    zero = [np.max(np.abs(g)) < 1e-7 for g in gradients]
    assert np.mean(zero) < 0.5
    return {v.path for v, z in zip(update.trainable, zero, strict=True) if z}


def test_players_share_no_variables(case):
    """Whatever two gradient updates list, no network appears in both."""
    updates = [u for u in make(case).updates() if u.objective]
    listed = [{v.path for v in u.variables} for u in updates]
    for i, one in enumerate(listed):
        assert all(not one & other for other in listed[i + 1 :])


def reference_step(model, fields, replicas):
    """One SGD step by hand: the mean over replicas of one-device gradients, or their statistics summed."""
    size = len(fields["x"]) // replicas
    parts = [{k: v[r * size : (r + 1) * size] for k, v in fields.items()} for r in range(replicas)]
    call = 0
    for update in model.updates():
        for _ in range(update.repeat):
            gradients, sums, states = [], [], []
            for r, part in enumerate(parts):
                seed = random.split(random.fold_in(random.fold_in(SEED, STEP), call, r))[1]
                engine._REPLICA.index, engine._REPLICA.count = r, replicas
                with tf.GradientTape() as tape, keras.StatelessScope() as scope:
                    if update.objective:
                        loss, _ = update.objective(part, seed, STEP)
                    else:
                        sums.append(update.statistics(part, seed, STEP))
                if update.objective:
                    gradients.append(dense(tape.gradient(loss, [v.value for v in update.trainable])))
                states.append([scope.get_current_value(v) for v in update.variables if not v.trainable])
            engine._REPLICA.index, engine._REPLICA.count = 0, 1
            call += 1
            for variable, *each in zip(update.trainable, *gradients, strict=True):
                variable.assign(variable - 0.5 * sum(each) / replicas)
            fixed = [v for v in update.variables if not v.trainable]
            for variable, *each in zip(fixed, *states, strict=True):
                if each[0] is not None and update.objective:
                    # Persistent rows come padded with zeros from each replica, everything else whole.
                    variable.assign(sum(each) / (1 if variable.aggregation == "sum" else replicas))
            if update.statistics:
                update.apply(tf.nest.map_structure(lambda *s: sum(s), *sums))


@pytest.mark.slow
def test_two_replicas_average_their_gradients(case):
    strategy = two_replicas()
    keras.utils.set_random_seed(2)
    model = perturb(make(case))
    fields = batch(model, 8)
    model.begin(fields, SEED)
    with strategy.scope():
        twin = make(case)
        twin.set_weights(model.get_weights())
        step = Step(twin.updates(), optimizers(twin.updates()))
        step.prepare(fields)

    @tf.function(autograph=False)
    def run():
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = 4 * index + tf.range(4)
            return step(lambda i, seed: {k: tf.gather(v, rows) for k, v in fields.items()}, SEED, STEP)

        return strategy.run(replica)

    run()
    if step.over_epoch:
        strategy.run(tf.function(step.finish_epoch, autograph=False))
    reference_step(model, fields, 2)
    for one, two in zip(model.variables, twin.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-5, atol=1e-5, err_msg=one.path)


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_bits(case, tmp_path):
    def run(directory, steps, resume=False):
        # Names of variables are in the files, and Keras numbers them from process start.
        keras.backend.clear_session()
        keras.utils.set_random_seed(4)
        model = make(case)
        data = dataset(model)
        train(
            model, data, steps, tmp_path / directory, batch_size=8, optimizer=keras.optimizers.Adam(0.01),
            seed=9, checkpoint_every=5, resume=resume, log=lambda line: None,
        )  # fmt: skip
        return [v.numpy() for v in model.variables]

    straight = run("straight", 12)
    # The best checkpoint of a run of one evaluation holds its final weights, and so does the last one.
    for expected, where in ((run("once", 5), "once/checkpoints/best"), (straight, "straight/checkpoints")):
        kept = make(case)
        Checkpoints(weights_of(kept), tmp_path / where, 1).restore()
        for one, two in zip(expected, kept.variables, strict=True):
            np.testing.assert_array_equal(one, two)
    run("cut", 7)
    resumed = run("cut", 12, resume=True)
    for one, two in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(one, two)
    files = [sorted(p.name for p in (tmp_path / d / "checkpoints").iterdir()) for d in ("straight", "cut")]
    assert {"ckpt-12.index", "checkpoint"} <= set(files[0]) & set(files[1])
    for name in ("ckpt-12.index", "ckpt-12.data-00000-of-00001"):
        one, two = ((tmp_path / d / "checkpoints" / name).read_bytes() for d in ("straight", "cut"))
        assert one == two
