"""The loop against what can be computed by hand."""

import csv
import dataclasses
import math
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.replicas import two_replicas
from tests.training.toys import Bits, Moments, StopAt, TwoStages, fitting, sgd
from tfgen.training import Interrupted, TrainingError, make_strategy, train
from tfgen.training.batches import Order
from tfgen.training.callbacks import write_text
from tfgen.training.checkpoints import (
    Checkpoints,
    averaged_weights,
    find_damage,
    restore_weights,
    weights_of,
)
from tfgen.update import Step, Update, compiled


def go(model, steps, directory=None, **keywords):
    keywords = {
        "batch_size": 8,
        "optimizer": sgd(),
        "checkpoint_every": 5,
        "log": lambda line: None,
    } | keywords
    return train(model, fitting(model), steps, directory, **keywords)


def rows(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


class TestOrder:
    def test_each_pass_is_a_permutation_and_passes_differ(self):
        flat = Order(30, 4, 2, (1, 2))(0, 15).ravel()
        passes = flat.reshape(4, 30)
        for one in passes:
            assert sorted(one) == list(range(30))
        assert not np.array_equal(passes[0], passes[1])

    @given(
        num=st.integers(1, 50), batch=st.integers(1, 50), per_step=st.integers(1, 4),
        start=st.integers(0, 19), seed=st.integers(-(2**31), 2**31 - 1), whole_passes=st.booleans(),
    )  # fmt: skip
    def test_it_can_begin_at_any_step(self, num, batch, per_step, start, seed, whole_passes):
        batch, per_step = min(batch, num), 1 if whole_passes else per_step
        orders = [Order(num, batch, per_step, (seed, 1), whole_passes) for _ in range(2)]
        np.testing.assert_array_equal(orders[0](start, 20 - start), orders[1](0, 20)[start:])

    def test_the_seed_decides(self):
        assert not np.array_equal(Order(30, 7, 1, (1, 2))(0, 4), Order(30, 7, 1, (1, 3))(0, 4))
        assert not np.array_equal(Order(30, 7, 1, (1, 2))(0, 4), Order(30, 7, 1, (2, 2))(0, 4))

    def test_whole_passes_end_with_a_short_batch(self):
        order = Order(10, 4, 1, (0, 1), whole_passes=True)
        assert order.steps_per_pass == 3
        for begin in (0, 3):
            one = order(begin, 3).ravel()
            assert sorted(one) == [-1, -1, *range(10)] and list(one[-2:]) == [-1, -1]

    def test_a_batch_larger_than_the_data_is_refused(self):
        with pytest.raises(ValueError, match="batch_size=11 is larger than the 10 training examples; use 10"):
            Order(10, 11, 1, (0, 0))


def test_one_step_is_the_gradient_step():
    """d nll / d logit_i at zero logits is 1/2 - mean x_i over the batch, which is the whole data set here."""
    model = Bits()
    go(model, 1, batch_size=40, optimizer=sgd(1.0))
    mean = fitting(model).train.x.mean(axis=0)
    np.testing.assert_allclose(model.logits, mean - 0.5, atol=1e-6)


def test_clipping_bounds_the_norm_of_the_step():
    model = Bits()
    go(model, 1, batch_size=40, optimizer=sgd(1.0), clip_norm=1e-3)
    np.testing.assert_allclose(np.linalg.norm(model.logits), 1e-3, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("jit", ["on", "off"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_every_way_of_running_gives_the_same_weights(jit, replicas):
    strategy = two_replicas() if replicas > 1 else None
    reference = Bits()
    go(reference, 7, jit="on")
    with strategy.scope() if strategy else tf.name_scope("none"):
        model = Bits()
    history = go(model, 7, jit=jit, strategy=strategy)
    np.testing.assert_allclose(reference.logits.numpy(), model.logits.numpy(), atol=1e-6)
    assert [r["step"] for r in history] == [5, 7]


@pytest.mark.slow
def test_history_means_do_not_depend_on_where_the_calls_were_cut(tmp_path):
    go(Bits(), 60, tmp_path / "a", checkpoint_every=30)
    with pytest.raises(Interrupted):
        go(Bits(), 60, tmp_path / "b", checkpoint_every=30, callbacks=[StopAt(3)])
    go(Bits(), 60, tmp_path / "b", checkpoint_every=30, resume=True)
    assert (tmp_path / "a/metrics.csv").read_text() == (tmp_path / "b/metrics.csv").read_text()
    assert [float(r["step"]) for r in rows(tmp_path / "a")] == [30, 60]


@pytest.mark.slow
def test_control_c_saves_and_says_where(tmp_path):
    straight, cut = Bits(), Bits()
    go(straight, 60, tmp_path / "a", checkpoint_every=60)
    with pytest.raises(Interrupted) as caught:
        go(cut, 60, tmp_path / "b", checkpoint_every=60, callbacks=[StopAt(3)])
    assert 3 <= caught.value.step < 60
    lines = []
    resumed = Bits()
    go(resumed, 60, tmp_path / "b", checkpoint_every=60, resume=True, log=lines.append)
    assert lines == [f"resumed at step {caught.value.step}"]
    np.testing.assert_array_equal(straight.logits, resumed.logits)


def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(tmp_path):
    for jit in ("on", "off"):
        with pytest.raises(TrainingError, match=r"objective 'fit' is inf at step 7"):
            go(Bits(explode_at=7), 20, tmp_path / jit, jit=jit)
        names = {p.name for p in (tmp_path / jit / "checkpoints").glob("*.index")}
        assert names == {"ckpt-5.index"}


class Spoils(keras.callbacks.Callback):
    """Makes a weight no number after a call."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 10:
            self.model.scale.assign(float("nan"))


@pytest.mark.parametrize("lost", ["the validation loss is", "weights two_stages.*/scale are"])
def test_an_evaluation_without_numbers_stops_before_anything_is_drawn_or_saved(tmp_path, lost):
    losses = [0.0] * 10 + [float("nan") if "loss" in lost else 0.0] + [0.0] * 10
    drawn = []
    with pytest.raises(TrainingError, match=f"{lost} nan at step 10; try a lower --learning_rate"):
        go(
            TwoStages(val_losses=losses),
            20,
            tmp_path,
            checkpoint_every=5,
            callbacks=[] if "loss" in lost else [Spoils()],
            pictures=lambda model, every: drawn.append(int(model.step.numpy())) or {},
        )
    # Stage one ends at 7.
    assert drawn == [5, 7] and [float(row["step"]) for row in rows(tmp_path)] == [5, 7]
    names = {p.name for p in (tmp_path / "checkpoints").glob("ckpt*.index")}
    assert names == {"ckpt-5.index", "ckpt-7.index"}


@pytest.mark.slow
@pytest.mark.parametrize("cut", [3, 4, 8])
def test_stages_resume_inside_and_at_the_boundary(tmp_path, cut):
    """12 steps: stage one has the first 4. A cut at 4 lies on the boundary."""
    adam = keras.optimizers.Adam(0.05)
    straight = TwoStages()
    go(straight, 12, tmp_path / "a", optimizer=adam, checkpoint_every=1)
    with pytest.raises(Interrupted):
        go(TwoStages(), 12, tmp_path / "b", optimizer=adam, checkpoint_every=1, callbacks=[StopAt(cut)])
    resumed, lines = TwoStages(), []
    go(resumed, 12, tmp_path / "b", optimizer=adam, checkpoint_every=1, resume=True, log=lines.append)
    assert lines == [f"resumed at step {cut}"]
    for one, two in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    assert float(resumed.entered) == 1 and float(resumed.scale) != 1


def test_stage_two_leaves_stage_one_alone():
    model = TwoStages()
    go(model, 12)
    logits = model.logits.numpy()
    np.testing.assert_array_equal(logits, np.round(logits * 64) / 64)


@pytest.mark.parametrize("replicas", [1, 2])
def test_statistics_over_an_epoch_count_every_example_once(replicas):
    """40 examples in batches of 6: the last of a pass has 4."""
    strategy = two_replicas() if replicas > 1 else None
    with strategy.scope() if strategy else tf.name_scope("none"):
        model = Moments()
    history = go(model, 14, batch_size=6, strategy=strategy, checkpoint_every=7)
    np.testing.assert_allclose(model.loc.numpy(), fitting(model).train.x.mean(axis=0), atol=1e-6)
    assert [row["mean/count"] for row in history if "mean/count" in row] == [40, 40]


@pytest.mark.parametrize("jit", [False, True])
def test_what_statistics_name_is_compiled_where_the_training_is(jit):
    def total(batch, seed, step):
        return compiled(lambda x: tf.reduce_sum(x, axis=0))(batch["x"])

    engine = Step([Update("total", statistics=total, apply=lambda sums: {}, over="epoch")], {}, jit)
    engine.prepare({"x": tf.zeros([2, 3])})
    traced = tf.function(
        lambda: engine(lambda *_: {"x": tf.ones([2, 3])}, tf.constant([0, 1]), tf.constant(0, tf.int64))
    ).get_concrete_function()
    assert (b"_XlaMustCompile" in traced.graph.as_graph_def().SerializeToString()) == jit
    traced()
    np.testing.assert_array_equal(engine.sums["total"][0], [2.0, 2.0, 2.0])


def test_moving_averages_are_those_of_the_definition(tmp_path):
    """Weights after k steps of SGD with constant gradient are known; so is their average."""
    model = Bits()
    go(model, 3, tmp_path, batch_size=40, optimizer=sgd(1e-3, use_ema=True, ema_momentum=0.9))
    gradient = 0.5 - fitting(model).train.x.mean(axis=0)
    weights = [-1e-3 * gradient * k for k in (1, 2, 3)]
    average = 0.9 * (0.9 * weights[0] + 0.1 * weights[1]) + 0.1 * weights[2]
    best = Bits()
    Checkpoints(weights_of(best), tmp_path / "checkpoints/best", 1).restore()
    np.testing.assert_allclose(best.logits, average, rtol=1e-3)
    np.testing.assert_allclose(model.logits, weights[2], rtol=1e-3)


def test_averaged_weights_are_put_back():
    model = Bits()
    optimizer = sgd(0.5, use_ema=True)
    optimizer.build([model.logits])
    optimizer.apply([tf.ones(3)], [model.logits])
    optimizer.apply([tf.ones(3)], [model.logits])
    before = model.logits.numpy()
    with averaged_weights([optimizer]):
        assert not np.array_equal(model.logits, before)
    np.testing.assert_array_equal(model.logits, before)


def test_the_best_checkpoint_has_the_lowest_validation_loss(tmp_path):
    model = Bits()
    history = go(model, 60, tmp_path, optimizer=sgd(6.0))
    losses = {int(r["step"]): r["val_loss"] for r in history}
    step = Checkpoints(weights_of(Bits()), tmp_path / "checkpoints/best", 1).restore()
    assert losses[step] == min(losses.values()) and len(losses) == 12


@pytest.mark.slow
def test_early_stopping_waits_as_long_as_it_is_told(tmp_path):
    class Worsens(Bits):
        def validation_metrics(self, batch, seed):
            return {"loss": tf.reduce_sum(self.logits.value**2)}

    history = go(Worsens(), 100, tmp_path / "a", early_stopping=2)
    assert [r["step"] for r in history] == [5, 10, 15]
    go(Worsens(), 10, tmp_path / "b")
    resumed = go(Worsens(), 100, tmp_path / "b", early_stopping=2, resume=True)
    assert [r["step"] for r in resumed] == [5, 10, 15]


def test_a_validation_batch_never_holds_a_single_row(tmp_path):
    rows_of_batches = []

    class Watched(Bits):
        def rows_at_once(self, split):
            return 13

        def validation_metrics(self, batch, seed):
            tf.py_function(lambda num: rows_of_batches.append(int(num)), [tf.shape(batch["x"])[0]], [])
            return {"loss": tf.reduce_mean(batch["x"])}

    model = Watched()
    (row,) = go(model, 5)
    assert rows_of_batches == [13, 13, 14]
    held_out = fitting(model).validation.x
    assert len(held_out) == 40 and row["val_loss"] == pytest.approx(held_out.mean(), rel=1e-6)


def test_training_without_validation_examples(tmp_path):
    whole = fitting(Bits())
    empty = dataclasses.replace(whole, validation=whole.validation.take(slice(0, 0)))
    keywords = {"batch_size": 8, "optimizer": sgd(), "checkpoint_every": 5, "log": lambda line: None}
    model = Bits()
    history = train(model, empty, 10, tmp_path, **keywords)
    assert [row["step"] for row in history] == [5, 10]
    assert not any(name.startswith("val_") for row in history for name in row)
    trained = model.logits.numpy()
    model.logits.assign(tf.zeros([3]))
    assert restore_weights(model, tmp_path / "checkpoints", "best") == ("last", 10)
    np.testing.assert_array_equal(model.logits, trained)
    with pytest.raises(ValueError, match="early_stopping=2 needs validation examples, but planted has none"):
        train(Bits(), empty, 10, tmp_path / "new", early_stopping=2, **keywords)
    assert not (tmp_path / "new").exists()


def test_a_torn_checkpoint_is_passed_over(tmp_path):
    go(Bits(), 10, tmp_path)
    data = tmp_path / "checkpoints/ckpt-10.data-00000-of-00001"
    whole = data.read_bytes()
    lines = []
    for torn in (whole[:-20], whole[:40] + bytes(b ^ 255 for b in whole[40:60]) + whole[60:], b""):
        data.write_bytes(torn)
        assert find_damage(str(tmp_path / "checkpoints/ckpt-10"))
        step = Checkpoints(weights_of(Bits()), tmp_path / "checkpoints", 1).restore(lines.append)
        assert step == 5
    assert all("ckpt-10 is torn" in line for line in lines) and len(lines) == 3


def test_without_a_complete_checkpoint_it_starts_at_zero_and_says_so(tmp_path):
    straight, model, lines = Bits(), Bits(), []
    go(straight, 5)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt-3.index").write_text("no checkpoint")
    go(model, 5, tmp_path, resume=True, log=lines.append)
    assert lines[-1] == "no complete checkpoint: starting at step 0" and "torn" in lines[0]
    np.testing.assert_array_equal(straight.logits, model.logits)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    go(Moments(), 5, tmp_path)
    text = "ckpt-5 belongs to another run: model is Moments there and Bits here"
    with pytest.raises(ValueError, match=text):
        go(Bits(), 10, tmp_path, resume=True)


def test_a_finished_run_is_not_trained_again(tmp_path):
    go(Bits(), 10, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").iterdir()}
    model = Bits()
    history = go(model, 10, tmp_path, resume=True)
    assert [r["step"] for r in history] == [5, 10]
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").iterdir()}


def test_a_run_resumed_from_an_older_checkpoint_cuts_its_history(tmp_path):
    go(Bits(), 10, tmp_path)
    whole = (tmp_path / "metrics.csv").read_text()
    for file in (tmp_path / "checkpoints").glob("ckpt-10*"):
        file.unlink()
    history = go(Bits(), 5, tmp_path, resume=True)
    assert [r["step"] for r in history] == [5]
    assert (tmp_path / "metrics.csv").read_text() == "".join(whole.splitlines(True)[:2])


def test_files_are_never_half_written(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"steps": 0}, {"checkpoint_every": -1}, {"jit": "perhaps"}, {"batch_size": 41}],
)
def test_bad_settings_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        go(Bits(), **({"steps": 5} | wrong))


def test_strategies_say_what_they_need(monkeypatch):
    with pytest.raises(ValueError, match="strategy must be one of .*, got 'mirror'"):
        make_strategy("mirror")
    with pytest.raises(ValueError, match="replicas=2 needs strategy=mirrored"):
        make_strategy("one_device", replicas=2)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG, got None; set it as"):
        make_strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}}')
    with pytest.raises(ValueError, match="TF_CONFIG"):
        make_strategy("multi_worker")
    with pytest.raises(ValueError, match="replicas=9"):
        make_strategy("mirrored", replicas=9)
    with pytest.raises(ValueError, match="does not divide into 2 replicas"):
        go(Bits(), 5, batch_size=7, strategy=two_replicas())


@pytest.mark.slow
def test_loss_falls_to_the_entropy_of_the_data():
    model = Bits()
    go(model, 400, optimizer=keras.optimizers.Adam(0.05), batch_size=40)
    p = fitting(model).train.x.mean(axis=0)
    entropy = -np.sum(p * np.log(p) + (1 - p) * np.log(1 - p))
    reached = -float(tf.reduce_mean(model.log_prob(fitting(model).train.x)))
    assert math.isclose(reached, entropy, abs_tol=1e-3)
