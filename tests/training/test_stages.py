"""Stages: what is state, when they are entered, how they end, and what a resumed run may change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import Bits, StopAt, TwoStages, fitting, sgd
from tfgen import random
from tfgen.model import Stage, Update
from tfgen.training import Checkpoints, Interrupted, restore_weights, train, weights_of
from tfgen.training.batches import Examples
from tfgen.training.loop import Run
from tfgen.update import averages_of, make_optimizers, plan_stages


def go(model, steps, directory=None, **keywords):
    defaults = {"batch_size": 8, "optimizer": sgd(), "checkpoint_every": 5, "jit": "off"}
    defaults["log"] = lambda line: None
    return train(model, fitting(model), steps, directory, **(defaults | keywords))


def assert_equal_weights(one, two):
    for a, b in zip(one.variables, two.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


class Killed(Exception):
    """What stands for a kill: nothing is saved."""


class KilledAt(StopAt):
    """Ends the process' training without a word."""

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self.at:
            raise Killed


def test_the_stage_and_its_bounds_are_weights_and_progress_is_what_is_done(tmp_path):
    """12 steps: stage one has the first 4, stage two the other 8."""
    model = TwoStages()
    assert float(model.progress(3)) == 1.0
    rows = go(model, 12, tmp_path, checkpoint_every=1)
    np.testing.assert_array_equal(model.stage, [1, 4, 12])
    shown = [row["sharpen/progress"] for row in rows[4:]]
    np.testing.assert_allclose(shown, np.arange(8) / 8, atol=1e-7)
    assert [float(model.progress(step)) for step in (3, 4, 6, 12, 20)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    at_six = TwoStages()
    for file in (tmp_path / "checkpoints").glob("ckpt-12.*"):
        file.unlink()
    assert Checkpoints(weights_of(at_six), tmp_path / "checkpoints", 1).restore() == 11
    assert float(at_six.progress(at_six.step)) == 7 / 8
    at_six.save(tmp_path / "model.keras")
    with keras.utils.custom_object_scope({"TwoStages": TwoStages}):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.progress(loaded.step)) == 7 / 8


def test_a_stage_is_entered_once_with_the_first_examples_and_a_seed_of_its_own():
    begun = []

    class Begun(TwoStages):
        def begin(self, batch, seed):
            begun.append((batch, seed))

    model = Begun()
    go(model, 12)
    ((batch, seed),) = begun
    assert batch["x"].shape == (40, 3)
    entry = random.fold_in(random.as_seed(0), -1, 1)
    assert float(model.entered) == 1
    expected = fitting(model).train.x.mean(axis=0) + random.uniform(entry, []).numpy()
    np.testing.assert_allclose(model.seen, expected, rtol=1e-6)
    assert not np.array_equal(seed, entry)


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_of_a_stage_it_is_entered_again_to_the_same_bits(tmp_path):
    straight, resumed, lines = TwoStages(), TwoStages(), []
    go(straight, 12, tmp_path / "a")
    with pytest.raises(Killed):
        go(TwoStages(), 12, tmp_path / "b", callbacks=[KilledAt(5)])
    assert not list((tmp_path / "b/checkpoints").glob("ckpt-5.*"))
    go(resumed, 12, tmp_path / "b", resume=True, log=lines.append)
    assert lines == ["resumed at step 4"] and float(resumed.entered) == 1
    assert_equal_weights(straight, resumed)
    assert (tmp_path / "a/metrics.csv").read_text() == (tmp_path / "b/metrics.csv").read_text()


# Validation losses by step of 60, 20 of them in stage one: stage one is better by far, in each the middle.
LOSSES = [5.0 + abs(step - 10) for step in range(21)] + [100.0 + abs(step - 40) for step in range(21, 61)]


def test_the_best_checkpoint_is_one_of_the_last_stage(tmp_path):
    go(TwoStages(val_losses=LOSSES), 60, tmp_path)
    model = TwoStages(val_losses=LOSSES)
    assert restore_weights(model, tmp_path / "checkpoints") == ("best", 40)
    np.testing.assert_array_equal(model.stage, [1, 20, 60])


def test_there_is_no_best_checkpoint_before_the_last_stage(tmp_path):
    with pytest.raises(Interrupted):
        go(TwoStages(val_losses=LOSSES), 60, tmp_path, callbacks=[StopAt(16)])
    assert not (tmp_path / "checkpoints/best").exists()
    model = TwoStages(val_losses=LOSSES)
    which, step = restore_weights(model, tmp_path / "checkpoints")
    assert which == "last" and step == int(model.step) <= 20


def test_patience_ends_a_stage_and_the_next_keeps_its_length(tmp_path):
    """Stage one is best at 10 and waits twice: it ends at 20 anyway; once: at 15. Stage two has 40 steps."""
    rows = go(TwoStages(val_losses=LOSSES), 60, tmp_path / "a", early_stopping=4)
    assert [row["step"] for row in rows][-1] == 60
    model = TwoStages(val_losses=LOSSES[:16] + [200.0 - step for step in range(16, 61)])
    rows = go(model, 60, tmp_path / "b", early_stopping=1)
    assert [row["step"] for row in rows] == list(range(5, 60, 5))
    np.testing.assert_array_equal(model.stage, [1, 15, 55])
    assert float(model.entered) == 1


def test_patience_ends_the_last_stage_too(tmp_path):
    rows = go(TwoStages(val_losses=LOSSES), 60, tmp_path, early_stopping=2)
    # In stage one 10 is best, in stage two 40.
    assert [row["step"] for row in rows] == list(range(5, 51, 5))


@pytest.mark.slow
@pytest.mark.parametrize("cut", [12, 15, 17])
def test_a_stage_that_ended_early_is_resumed_where_it_ended(tmp_path, cut):
    losses = LOSSES[:16] + [200.0 - step for step in range(16, 61)]
    straight = TwoStages(val_losses=losses)
    go(straight, 60, tmp_path / "a", early_stopping=1)
    with pytest.raises(Interrupted):
        go(TwoStages(val_losses=losses), 60, tmp_path / "b", early_stopping=1, callbacks=[StopAt(cut)])
    resumed = TwoStages(val_losses=losses)
    go(resumed, 60, tmp_path / "b", early_stopping=1, resume=True)
    assert_equal_weights(straight, resumed)
    assert (tmp_path / "a/metrics.csv").read_text() == (tmp_path / "b/metrics.csv").read_text()


@pytest.mark.slow
def test_steps_may_change_where_no_stage_moves_that_has_begun(tmp_path):
    with pytest.raises(Interrupted):
        go(TwoStages(), 12, tmp_path / "a", callbacks=[StopAt(8)])
    text = "steps=24 would move the end of stage 'fit' from step 4 to 8, but stage 'sharpen' has begun"
    with pytest.raises(ValueError, match=f"{text}: resume with steps=12, or train again"):
        go(TwoStages(), 24, tmp_path / "a", resume=True)
    resumed, straight = TwoStages(), TwoStages()
    go(resumed, 12, tmp_path / "a", resume=True)
    go(straight, 12)
    assert_equal_weights(straight, resumed)
    # Within stage one nothing has begun that would move.
    with pytest.raises(Interrupted):
        go(TwoStages(), 30, tmp_path / "b", callbacks=[StopAt(3)])
    resumed, straight = TwoStages(), TwoStages()
    go(resumed, 36, tmp_path / "b", resume=True)
    go(straight, 36)
    assert_equal_weights(straight, resumed)
    go(Bits(), 5, tmp_path / "c")
    with pytest.raises(ValueError, match="steps=3 would end stage 'main' at step 3, but .* reached step 5"):
        go(Bits(), 3, tmp_path / "c", resume=True)


def test_averages_begin_as_the_weights_of_their_stage(tmp_path):
    """Entering sets the scale to 0.5; with rate 0 it and its average stay there."""
    rates = {"fit": sgd(0.5, use_ema=True), "sharpen": sgd(0.0, use_ema=True, ema_momentum=0.5)}
    model = TwoStages()
    go(model, 12, tmp_path, optimizer=rates)
    for which in ("best", "last"):
        kept = TwoStages()
        assert restore_weights(kept, tmp_path / "checkpoints", which)[0] == which
        np.testing.assert_array_equal(kept.scale, 0.5)
        np.testing.assert_array_equal(kept.logits, model.logits)


def test_averages_are_the_weights_before_its_first_step():
    """Those of stage two after entering has set the scale from 1 to 0.5."""
    model = TwoStages()
    splits = [
        Examples(getattr(fitting(model), part), fitting(model), model) for part in ("train", "validation")
    ]
    run = Run(model, splits, 12, 8, sgd(use_ema=True), 0, None, "off", None)
    ((_, average),) = averages_of(run.stages[1].optimizers["sharpen"])
    np.testing.assert_array_equal(average, 1.0)
    for stage in run.stages:
        run._enter(stage)
    np.testing.assert_array_equal(model.scale, 0.5)
    np.testing.assert_array_equal(average, 0.5)


def test_averages_of_a_stage_that_has_not_begun_are_not_restored(tmp_path):
    with pytest.raises(Interrupted):
        go(TwoStages(), 60, tmp_path, optimizer=sgd(0.1, use_ema=True), callbacks=[StopAt(5)])
    kept = TwoStages()
    restore_weights(kept, tmp_path / "checkpoints", "last")
    np.testing.assert_array_equal(kept.scale, 1.0)
    assert np.all(kept.logits.numpy() != 0.0)


def test_a_stage_hands_on_its_averages():
    """Two steps of gradient 1 and rate r: weights -r and -2r, and the average is half of each: -1.5 r."""

    class Steady(TwoStages):
        def nll(self, batch, seed, step):
            return tf.reduce_sum(self.logits.value), {}

        def enter(self, batch, seed):
            self.handed_on = self.logits.numpy()

    model = Steady()
    go(model, 6, optimizer=sgd(0.5, use_ema=True, ema_momentum=0.5))
    np.testing.assert_allclose(model.handed_on, -0.75, rtol=1e-6)


class TestOptimizers:
    stages = TwoStages().stages()

    def rates(self, optimizer, stages=None, **defaults):
        made = make_optimizers(stages or self.stages, optimizer, **defaults)
        return {s: {u: float(o.learning_rate) for u, o in each.items()} for s, each in made.items()}

    @pytest.mark.parametrize(
        "optimizer",
        [
            {"fit": sgd(0.25), "sharpen": sgd(0.5)},
            {"fit": {"fit": sgd(0.25)}, "sharpen": sgd(0.5)},
            {"fit": {"name": "sgd", "learning_rate": 0.25}, "sharpen": {"sharpen": "adam"}},
            {"fit": sgd(0.25), "sharpen": "sgd"},
        ],
    )
    def test_every_form(self, optimizer):
        found = self.rates(optimizer, learning_rate=0.5)
        assert found == {"fit": {"fit": 0.25}, "sharpen": {"sharpen": 0.5}}

    def test_one_for_all_is_cloned(self):
        one = sgd(0.25)
        made = make_optimizers(self.stages, one)
        assert self.rates(one) == {"fit": {"fit": 0.25}, "sharpen": {"sharpen": 0.25}}
        assert one is not made["fit"]["fit"] is not made["sharpen"]["sharpen"]

    def test_updates_of_one_stage_by_their_names(self):
        updates = [Update(name, lambda *a: None, []) for name in ("critic", "actor")]
        stage = [Stage("main", 1.0, updates)]
        expected = {"main": {"critic": 0.25, "actor": 0.5}}
        assert self.rates({"actor": sgd(0.5), "critic": sgd(0.25)}, stage) == expected
        assert self.rates({"main": {"actor": sgd(0.5), "critic": sgd(0.25)}}, stage) == expected

    @pytest.mark.parametrize(
        ("wrong", "text"),
        [
            ({"fitt": "sgd"}, r"optimizer names 'fitt', which is neither a stage \(fit, sharpen\)"),
            ({"fit": "sgd"}, "optimizer names none for update 'sharpen' of stage 'sharpen'"),
            ({"fit": {"sharpen": "sgd"}, "sharpen": "sgd"}, "optimizer of stage 'fit' names 'sharpen'"),
            (3, "optimizer must be a Keras optimizer or its name, got 3"),
        ],
    )
    def test_what_is_unknown_is_named(self, wrong, text):
        with pytest.raises(ValueError, match=text):
            make_optimizers(self.stages, wrong)


def test_stages_are_checked_by_name():
    def stage(name="a", share=1.0, updates=("u",)):
        return Stage(name, share, [Update(u, lambda *a: None, []) for u in updates])

    with pytest.raises(ValueError, match="stage 'a': share must be a finite number, above 0, got 0"):
        stage(share=0)
    with pytest.raises(ValueError, match="stage 'a' has no updates"):
        stage(updates=())
    with pytest.raises(ValueError, match="stage 'a': updates must bear different names, got 'u' twice"):
        stage(updates=("u", "u"))
    with pytest.raises(ValueError, match="stages must bear different names, got 'a' twice"):
        plan_stages([stage(), stage()], 10)
    with pytest.raises(ValueError, match="steps=2 leaves no step to stage 'b'"):
        plan_stages([stage("a", 9.0), stage("b", 1.0)], 2)
    assert plan_stages([stage("a", 1.0), stage("b", 2.0), stage("c", 1.0)], 10) == [0, 2, 8, 10]


@pytest.mark.slow
def test_fit_trains_the_stage_that_compile_names():
    x = fitting(TwoStages()).train.x.astype(np.float32)
    moved = {}
    for stage in ("fit", "sharpen", None):
        model = TwoStages()
        model.logits.assign([0.5, 0.0, -0.5])
        model.compile(optimizer=sgd(0.1), stage=stage)
        before = [v.numpy() for v in (model.logits, model.scale)]
        model.fit(x, batch_size=10, epochs=2, verbose=0)
        after = [v.numpy() for v in (model.logits, model.scale)]
        moved[stage] = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        np.testing.assert_array_equal(model.stage, [0 if stage == "fit" else 1, 0, 8])
    assert moved == {"fit": [True, False], "sharpen": [False, True], None: [False, True]}
    with pytest.raises(ValueError, match="stage must be one of 'fit', 'sharpen', got 'other'"):
        TwoStages().compile(stage="other")
