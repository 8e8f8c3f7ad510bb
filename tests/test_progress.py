"""What long work says of itself: on a terminal, in a log, and nowhere."""

import io
import itertools
import re
import time

import pytest

from tfgen import progress


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True

    def line(self):
        """What stands in the last line, as a terminal shows it."""
        return re.sub(r"\x1b\[K", "", self.getvalue().rpartition("\n")[2].rpartition("\r")[2])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (62, "1 min 02 s"),
        (3599.7, "1 h 00 min"),
        (7805, "2 h 10 min"),
        (86_400 * 3 + 4 * 3600 + 100, "3 d 4 h"),
    ],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert progress.duration(seconds) == said


def test_a_log_gets_a_line_soon_and_never_thousands():
    out, clock = io.StringIO(), Clock()
    display, written = progress.Display(out, clock), []
    with display.telling(progress.Task("working", 86_400, clock.now)) as task:
        for second in range(86_400):
            clock.now += 1
            task.done += 1
            before = out.tell()
            display.refresh()
            if out.tell() > before:
                written.append(second + 1)
    assert written[:3] == [3, 6, 9] and written[-1] > 75_000
    assert len([s for s in written if s <= 60]) >= 12 and 60 < len(written) < 120
    assert all(later - earlier <= max(4, 0.12 * later) for earlier, later in itertools.pairwise(written))
    assert "working 3/86400, 23 h 59 min left\n" in out.getvalue() and "\r" not in out.getvalue()


def test_short_work_says_nothing_in_a_log():
    out, clock = io.StringIO(), Clock()
    display = progress.Display(out, clock)
    for _ in range(20):
        with display.telling(progress.Task("saving", None, clock.now)):
            clock.now += 2.0
            display.refresh()
    assert out.getvalue() == ""


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    out, clock = Terminal(), Clock()
    display = progress.Display(out, clock)
    with display.telling(progress.Task("evaluating", None, clock.now)):
        assert out.line() == "evaluating"
        with display.telling(progress.Task("test examples", 4, clock.now)) as task:
            task.done, clock.now = 1, clock.now + 10
            display.refresh()
            assert out.line() == "evaluating: test examples 1/4"
            display.write("a line that stays")
            assert "\na line" not in out.getvalue() and out.getvalue().endswith("\r\x1b[Ka line that stays\n")
            display.refresh()
            assert out.line() == "evaluating: test examples 1/4"
        assert out.line() == ""
        display.refresh()
        assert out.line() == "evaluating, 10 s"
    assert out.line() == "" and out.getvalue().count("\n") == 1


def test_what_is_left_is_in_proportion_and_only_the_innermost_says_how_long():
    task = progress.Task("drawing", 10, 0.0)
    assert task.text(5.0) == "drawing 0/10, 5 s"
    task.done = 4
    assert task.text(2.0) == "drawing 4/10" and task.text(20.0) == "drawing 4/10, 30 s left"
    alone = progress.Task("exporting", 1, 0.0)
    assert alone.text(2.0) == "exporting" and alone.text(70.0) == "exporting, 1 min 10 s"
    assert alone.text(70.0, innermost=False) == "exporting"


def test_nothing_is_said_unless_somebody_asks(capsys):
    with progress.doing("exporting") as task:
        assert list(progress.through([1, 2, 3], "evaluating")) == [1, 2, 3]
    assert task.what == "exporting" and capsys.readouterr().out == ""
    progress.write("a result")
    assert capsys.readouterr().out == "a result\n"


def test_the_line_moves_while_the_work_does_not():
    out = Terminal()
    with progress.shown(out) as display, progress.doing("compiling"):
        with progress.shown() as inner:
            assert inner is display
        until = time.monotonic() + 20
        while out.getvalue().count("compiling") < 2 and time.monotonic() < until:
            time.sleep(0.05)
    assert out.getvalue().count("compiling") >= 2 and out.line() == ""


def test_work_that_fails_leaves_no_line_behind():
    out = Terminal()
    with pytest.raises(ValueError, match="broken"), progress.shown(out):
        for _ in progress.through(range(3), "reading"):
            raise ValueError("broken")
    with pytest.raises(ValueError, match="broken"), progress.shown(out), progress.doing("exporting"):
        raise ValueError("broken")
    progress.write("afterwards")
    assert out.line() == "" and "afterwards" not in out.getvalue()
