"""Courses of learning rates: the formula, each step of a training by hand, stages, repeats, exact resume."""

import keras
import numpy as np
import pytest

from tests.training.test_loop import go, rows
from tests.training.toys import Bits, StopAt, TwoStages, fitting, sgd
from tfgen.model import Stage, Update
from tfgen.training import Interrupted, WarmUp, course
from tfgen.training.schedules import set_courses
from tfgen.update import make_optimizers


def expected(rate, steps, schedule, warmup):
    """The learning rate at each step, in float64."""
    rates = []
    for t in range(steps):
        if t < warmup:
            rates.append(rate * (t + 1) / warmup)
            continue
        done = (t - warmup) / (steps - warmup)
        factor = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + np.cos(np.pi * done))}
        rates.append(rate * factor[schedule])
    return np.array(rates)


def at(rate, step):
    return float(rate(step)) if callable(rate) else rate


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_courses_are_their_formula(schedule, warmup):
    found = course(0.25, 10, schedule, warmup)
    np.testing.assert_allclose(
        [at(found, t) for t in range(10)], expected(0.25, 10, schedule, warmup), rtol=1e-5, atol=1e-8
    )
    if callable(found):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(found))
        assert [at(again, t) for t in range(10)] == [at(found, t) for t in range(10)]
    # It ends at 0 and stays there.
    if schedule != "constant":
        assert abs(at(found, 10)) < 1e-8 and abs(at(found, 15)) < 1e-8


def scheduled(model, steps, schedule, warmup, optimizer="sgd", **keywords):
    made = make_optimizers(model.stages(), optimizer, learning_rate=0.5, **keywords)
    set_courses(made, model.stages(), steps, schedule, warmup)
    return made


@pytest.mark.parametrize(("schedule", "warmup", "jit"), [("cosine", 3, "on"), ("linear", 0, "off")])
def test_each_step_is_taken_at_its_rate(schedule, warmup, jit):
    """Batches are the whole data set: l moves by rate_t (mean x - sigmoid(l)) at step t."""
    model = Bits()
    go(model, 12, batch_size=40, optimizer=scheduled(model, 12, schedule, warmup), jit=jit)
    logits, mean = np.zeros(3), fitting(model).train.x.mean(axis=0)
    for rate in expected(0.5, 12, schedule, warmup):
        logits = logits + rate * (mean - 1.0 / (1.0 + np.exp(-logits)))
    np.testing.assert_allclose(model.logits, logits, rtol=1e-4)


def test_each_stage_has_a_course_of_its_own():
    made = scheduled(TwoStages(), 30, "linear", 2)
    assert {s: [at(o.learning_rate, 0) for o in each.values()] for s, each in made.items()} == {
        "fit": [0.25],
        "sharpen": [0.25],
    }
    for stage, steps in (("fit", 10), ("sharpen", 20)):
        (optimizer,) = made[stage].values()
        rate = optimizer.get_config()["learning_rate"]
        found = keras.saving.deserialize_keras_object(rate)
        np.testing.assert_allclose(
            [at(found, t) for t in range(steps)], expected(0.5, steps, "linear", 2), rtol=1e-5
        )


class Twice(Bits):
    """Bits whose update is made three times in each step."""

    def updates(self):
        return [Update("fit", self.nll, [self.logits], repeat=3)]


def test_an_update_that_repeats_has_the_course_of_its_stage(tmp_path):
    """Its optimizer takes 36 steps while the training takes 12; rates are those of the thirds of steps."""
    model = Twice()
    history = go(
        model, 12, tmp_path, batch_size=40, optimizer=scheduled(model, 12, "cosine", 2), checkpoint_every=3
    )
    logits, mean = np.zeros(3), fitting(model).train.x.mean(axis=0)
    rates = expected(0.5, 36, "cosine", 6)
    for rate in rates:
        logits = logits + rate * (mean - 1.0 / (1.0 + np.exp(-logits)))
    np.testing.assert_allclose(model.logits, logits, rtol=1e-4)
    # What the history says is the rate of the step that comes next.
    found = [row["fit/learning_rate"] for row in history]
    np.testing.assert_allclose(found, [*rates[[9, 18, 27]], 0.0], rtol=1e-5, atol=1e-7)


def test_a_player_each():
    """Two optimizers of one step, of other rates and repeats."""
    updates = [Update("critic", lambda *a: None, [], repeat=5), Update("actor", lambda *a: None, [])]
    stages = [Stage("main", 1.0, updates)]
    optimizer = {"critic": {"name": "sgd", "learning_rate": 4.0}, "actor": "adam"}
    made = make_optimizers(stages, optimizer, learning_rate=1.0)
    set_courses(made, stages, 100, "linear", 10)
    critic, actor = (
        keras.saving.deserialize_keras_object(made["main"][name].get_config()["learning_rate"])
        for name in ("critic", "actor")
    )
    for step in (0, 9, 10, 55, 99):
        wanted = expected(1.0, 100, "linear", 10)[step]
        assert at(actor, step) == pytest.approx(wanted, rel=1e-5)
        # At the end of the step's five.
        assert at(critic, 5 * step) == pytest.approx(expected(4.0, 500, "linear", 50)[5 * step], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_resumed_training_goes_on_in_the_course(tmp_path, schedule):
    def train(directory, model, **keywords):
        optimizer = scheduled(model, 60, schedule, 8, "adam", use_ema=True)
        go(model, 60, directory, optimizer=optimizer, checkpoint_every=30, **keywords)
        return model

    straight = train(tmp_path / "a", TwoStages())
    for stop in (7, 25):
        with pytest.raises(Interrupted):
            train(tmp_path / "b", TwoStages(), callbacks=[StopAt(stop)], resume=stop > 7)
    resumed = train(tmp_path / "b", TwoStages(), resume=True)
    for one, other in zip(straight.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "a/metrics.csv").read_text() == (tmp_path / "b/metrics.csv").read_text()
    # At the end of the first stage, after 20 steps.
    rate = float(rows(tmp_path / "a")[0]["fit/learning_rate"])
    assert rate == pytest.approx({"constant": 0.5, "cosine": 0.0}[schedule], abs=1e-7)


@pytest.mark.slow
def test_a_course_is_a_part_of_the_run(tmp_path):
    """Another length of the course is another course: the checkpoint says whose it is."""
    model = Bits()
    go(model, 10, tmp_path, optimizer=scheduled(model, 10, "cosine", 0))
    model = Bits()
    with pytest.raises(ValueError, match="optimizer"):
        go(model, 20, tmp_path, optimizer=scheduled(model, 20, "cosine", 0), resume=True)
    # A Keras schedule of the user's own says its length itself.
    rate = keras.optimizers.schedules.CosineDecay(0.5, 30)
    first = go(Bits(), 10, tmp_path / "keras", optimizer=sgd(rate))
    both = go(Bits(), 20, tmp_path / "keras", optimizer=sgd(rate), resume=True)
    assert both[: len(first)] == first and [row["step"] for row in both] == [5, 10, 15, 20]
    assert both[-1]["fit/learning_rate"] == pytest.approx(0.5 * 0.5 * (1 + np.cos(np.pi * 20 / 30)))


def test_mistakes():
    model = TwoStages()
    with pytest.raises(ValueError, match="warmup=10 leaves none of the 10 steps of stage 'fit'"):
        scheduled(model, 30, "constant", 10)
    with pytest.raises(
        ValueError, match="schedule must be one of 'constant', 'cosine', 'linear', got 'step'"
    ):
        course(0.1, 10, "step")
    with pytest.raises(ValueError, match="warmup=10 leaves none of 10 steps"):
        course(0.1, 10, "cosine", 10)
    with pytest.raises(ValueError, match="steps must be .* got 0"):
        WarmUp(0.1, 0)
