"""What a training says while it runs."""

import io
import re
import types

import pytest

from tests.training.test_loop import go
from tests.training.toys import Moments, TwoStages
from tfgen import progress
from tfgen.training.callbacks import Progress, main_figures

GAN = {
    "discriminator/fake_logit": 0.1,
    "discriminator/loss": 1.385,
    "generator/fake_logit": 0.2,
    "generator/loss": 0.721,
    "val_discriminator_loss": 1.4,
    "val_loss": 2.304,
}


def test_a_line_has_a_few_figures():
    assert main_figures(GAN, ("loss",)) == {"discriminator": 1.385, "generator": 0.721, "val_loss": 2.304}
    one = {"vae/elbo": -19.0, "vae/loss": 19.5, "val_elbo": -18.0, "val_loss": 18.5}
    assert main_figures(one, ("loss",)) == {"loss": 19.5, "val_loss": 18.5}
    assert main_figures(one, ("elbo",)) == {"elbo": -19.0, "val_elbo": -18.0}
    rates = {"vae/loss": 1.0, "vae/learning_rate": 0.1}
    assert main_figures(rates, ("loss",)) == {"loss": 1.0}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Training:
    """A training of one or several stages, played by hand: its `Run` and its clock.

    Args:
      ends: {stage: the step at which it ends}.
      every: Steps between evaluations.
    """

    def __init__(self, ends, every):
        self.clock, self.out = Clock(), io.StringIO()
        bounds = [0, *ends.values()]
        stages = [
            types.SimpleNamespace(stage=types.SimpleNamespace(name=name), first=first, end=end)
            for name, first, end in zip(ends, bounds[:-1], bounds[1:], strict=True)
        ]
        model = types.SimpleNamespace(main_figures=("loss",))
        self.run = types.SimpleNamespace(step=0, number=0, bounds=bounds, stages=stages, model=model)
        self.reporter = Progress(self.run, every, self.clock)
        self.reporter._display = progress.Display(self.out, self.clock)

    def takes(self, steps, seconds, loss=1.0):
        self.reporter.on_train_batch_begin(self.run.step)
        self.clock.now += seconds
        self.run.step += steps
        self.reporter.on_train_batch_end(self.run.step, {"fit/loss": loss})

    def evaluates(self, seconds, loss=2.0):
        self.clock.now += seconds
        self.reporter.on_epoch_end(self.run.step, {"fit/loss": 1.0, "val_loss": loss})

    @property
    def line(self):
        return self.reporter.text(self.clock())


def test_speed_and_time_left_leave_compilation_and_evaluations_out():
    training = Training({"main": 1000}, 100)
    training.reporter.on_train_batch_begin(0)
    assert training.line == "step 0/1000  compiling the first step"
    training.clock.now += 70
    assert training.line == "step 0/1000  compiling the first step, 1 min 10 s"
    training.takes(1, 90.0)
    assert training.line == "step 1/1000  loss 1"
    training.takes(19, 2.0)
    training.takes(30, 3.0, loss=0.123456)
    # 49 steps in 5 s, 950 to go; nothing is known of evaluations yet.
    assert training.line == "step 50/1000  loss 0.1235  9.8 steps/s  1 min 37 s left"
    training.takes(50, 5.0)
    assert training.line == "step 100/1000"
    training.evaluates(30.0)
    assert training.out.getvalue().splitlines() == [
        "step 100/1000  loss 1  val_loss 2  9.9 steps/s  1 min 31 s left"
    ]
    training.takes(100, 10.0)
    assert training.line == "step 200/1000"
    training.evaluates(30.0)
    # The first evaluation compiled what it needs: 800 steps at 199/20 a second are all that is foreseen.
    assert training.out.getvalue().splitlines()[-1].endswith("10 steps/s  1 min 20 s left")
    training.takes(100, 10.0)
    training.evaluates(30.0)
    # 700 steps at 299/30 a second, and seven evaluations of 30 s.
    assert training.out.getvalue().splitlines()[-1].endswith("10 steps/s  4 min 40 s left")
    training.takes(50, 25.0)
    assert "val_loss 2" in training.line and training.line.startswith(
        "step 350/1000  loss 1  val_loss 2  6.3 "
    )


def test_slow_steps_and_stages():
    training = Training({"fit": 10, "prior": 30}, 50)
    training.takes(1, 60.0)
    training.takes(1, 8.0)
    assert training.line == "step 2/30  fit 2/10  loss 1  8 s/step  1 min 04 s of fit left"
    training.takes(8, 64.0)
    training.evaluates(1.0)
    training.run.number = 1
    training.reporter.on_train_batch_begin(10)
    assert training.line == "step 10/30  prior 0/20  compiling the first step"
    training.takes(1, 20.0)
    training.takes(9, 0.9)
    assert training.line == "step 20/30  prior 10/20  loss 1  val_loss 2  10 steps/s  1 s left"


def test_evaluations_do_not_fill_a_log():
    training = Training({"main": 100_000}, 10)
    for _ in range(10_000):
        training.takes(10, 0.01)
        training.evaluates(0.01)
    lines = training.out.getvalue().splitlines()
    assert 20 < len(lines) < 100
    assert lines[0].startswith("step 10/100000 ") and lines[-1].startswith("step 100000/100000 ")


@pytest.mark.slow
def test_a_training_says_its_steps_and_stages(tmp_path, capsys):
    go(TwoStages(), 30, tmp_path / "run", checkpoint_every=10)
    lines = capsys.readouterr().out.splitlines()
    written = [line for line in lines if "val_loss" in line]
    assert [line.split("  ")[:2] for line in written] == [
        ["step 10/30", "fit 10/10"],
        ["step 20/30", "sharpen 10/20"],
        ["step 30/30", "sharpen 20/20"],
    ]
    assert re.fullmatch(r"step 30/30  sharpen 20/20  loss \S+  val_loss \S+  \d+ steps/s", written[-1])
    go(TwoStages(), 30)
    assert capsys.readouterr().out == ""


def test_figures_of_whole_passes_are_told_too(tmp_path, capsys):
    class Told(Moments):
        main_figures = ("count", "loss")

    go(Told(), 10, tmp_path / "run", checkpoint_every=10)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "val_loss" in line]
    assert "  count 40  val_loss " in line


@pytest.mark.slow
@pytest.mark.parametrize("width", [40])
def test_a_terminal_shows_where_the_training_is(tmp_path, monkeypatch, width):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    with progress.shown(out):
        go(TwoStages(), 30, tmp_path / "run", checkpoint_every=10)
    shown = [re.sub(r"\x1b\[K", "", part) for part in re.split(r"[\r\n]", out.getvalue())]
    assert "step 0/30  fit 0/10  compiling the " in "".join(shown)
    assert any(part.startswith("step 5/30  fit 5/10  loss ") for part in shown)
    assert any("validating" in part for part in shown) and any("saving" in part for part in shown)
    rewritten = [re.sub(r"\x1b\[K", "", part) for part in re.findall(r"\r([^\r\n]*)\x1b\[K", out.getvalue())]
    assert max(map(len, rewritten)) == width - 1 and out.getvalue().endswith("\n") is False


def test_costly_pictures_are_drawn_four_times(tmp_path):
    """10 steps, an evaluation each: a quarter has gone by at 3, half at 5, three quarters at 8."""
    asked = []

    def pictures(model, views):
        asked.append((model.step.numpy(), views))
        return {}

    go(Moments(), 10, tmp_path, checkpoint_every=1, pictures=pictures)
    assert [step for step, _ in asked] == list(range(1, 11))
    assert [step for step, views in asked if views] == [3, 5, 8, 10]
