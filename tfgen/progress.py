"""Progress of work that takes long: a line that rewrites itself on a terminal, a line now and then in a log.

Work says what it is wherever it is done,

    for batch in progress.through(batches, "evaluating"): ...
    with progress.doing("exporting"): ...

and nothing is printed unless a program asks for it: `with progress.shown(): ...`. A thread keeps the line
moving while TensorFlow works. Clocks decide what is printed, and nothing else.
"""

import contextlib
import shutil
import sys
import threading
import time

# Seconds between two looks of the thread; seconds that work lasts before it is worth a word of its time.
_TICK = 1.0
_SOON = 3.0
# A log gets a line when nothing was written for this many seconds, or this share of the time that the work
# has lasted: a hundred lines in the first day.
_PAUSE, _SHARE = 3.0, 0.1


def duration(seconds):
    """Seconds as people say them: "42 s", "3 min 05 s", "2 h 10 min", "3 d 4 h"."""
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


class Task:
    """One piece of work: what it is, how far it is, how long it will take.

    Args:
      what: What is being done: "evaluating".
      total: How many parts it has; None where that is not known.
      began: When it began, by the clock of who shows it.
    """

    def __init__(self, what, total=None, began=0.0):
        self.what = what
        self.total = total
        self.began = began
        self.done = 0

    def text(self, now, innermost=True):
        """The line about it; only what is `innermost` says how long it has lasted."""
        taken = now - self.began
        text = f"{self.what} {self.done}/{self.total}" if (self.total or 0) > 1 else self.what
        if taken < _SOON:
            return text
        if text is not self.what and self.done:
            return f"{text}, {duration(taken / self.done * (self.total - self.done))} left"
        return f"{text}, {duration(taken)}" if innermost else text


class Display:
    """Shows on a stream what is being done.

    Args:
      out: Text stream; None for the standard output.
      clock: Seconds.
    """

    def __init__(self, out=None, clock=time.monotonic):
        self.out = out or sys.stdout
        self.clock = clock
        self.terminal = self.out.isatty()
        self.tasks = []
        self._lock = threading.RLock()
        self._began = self._written = clock()
        self._stands = False

    @contextlib.contextmanager
    def telling(self, task):
        """Shows a task while the block lasts, behind those that it is a part of.

        Args:
          task: Its `text(now, innermost)` is shown.
        """
        with self._lock:
            if not self.tasks:
                self._began = self._written = self.clock()
            self.tasks.append(task)
            self.refresh()
        try:
            yield task
        finally:
            with self._lock:
                self.tasks.remove(task)
                self.clear()

    def write(self, line):
        """Writes a line that stays."""
        with self._lock:
            self.clear()
            print(line, file=self.out, flush=True)
            self._written = self.clock()

    def due(self):
        """Whether it is time for another line that stays."""
        now = self.clock()
        return now - self._written >= max(_PAUSE, _SHARE * (now - self._began))

    def refresh(self):
        """Shows how far the work is now: on a terminal at once, in a log where a line is due."""
        with self._lock:
            if not self.tasks or not (self.terminal or self.due()):
                return
            now, last = self.clock(), self.tasks[-1]
            text = ": ".join(task.text(now, task is last) for task in self.tasks)
            if not self.terminal:
                self.write(text)
                return
            # To the end of the line, which the one before may have reached.
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]}\x1b[K", end="", file=self.out, flush=True)
            self._stands = True

    def clear(self):
        """Takes the line that is rewritten off a terminal."""
        if self._stands:
            print("\r\x1b[K", end="", file=self.out, flush=True)
            self._stands = False


_display = None


@contextlib.contextmanager
def shown(out=None):
    """Shows progress while the block lasts; a block within another uses that one's display.

    Args:
      out: Text stream; None for the standard output.
    """
    global _display
    if _display is not None:
        yield _display
        return
    display, ended = Display(out), threading.Event()

    def tick():
        while not ended.wait(_TICK):
            try:
                display.refresh()
            except (OSError, ValueError):
                # Nobody reads any more; the next line of the main thread says so where it must.
                return

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    _display = display
    try:
        yield display
    finally:
        _display = None
        ended.set()
        ticker.join()
        display.clear()


def write(line):
    """Writes a line that stays: to the display, or to the standard output where there is none."""
    if _display is None:
        print(line, flush=True)
    else:
        _display.write(line)


@contextlib.contextmanager
def doing(what, total=None):
    """Says what is being done while the block lasts.

    Args:
      what: "exporting".
      total: How many parts it has, of which `done` of what the block is given counts those behind it.
    """
    if _display is None:
        yield Task(what, total)
        return
    with _display.telling(Task(what, total, _display.clock())) as task:
        yield task


def through(parts, what):
    """Yields the parts of a sequence and says how far one is.

    Args:
      parts: A sequence.
      what: "evaluating".
    """
    with doing(what, len(parts)) as task:
        for part in parts:
            yield part
            task.done += 1
