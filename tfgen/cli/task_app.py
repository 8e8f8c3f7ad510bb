"""An app of a task: what one does with trained models, as a command line."""

import importlib
import pathlib
import sys

from tfgen import progress
from tfgen.cli import flagset, hints
from tfgen.cli.app import carry_out, start_tensorflow
from tfgen.cli.constructor import DATA, MODEL, RUN, read_function
from tfgen.cli.hints import UsageError
from tfgen.cli.main import load
from tfgen.cli.program import program


class TaskApp:
    """The command line of a function: its arguments become flags, with its docstring's words.

    A flag is made as for a constructor's argument (`App`), and by annotation: `GenerativeModel` is given as
    --NAME_run, the directory of a run, and the function gets its trained model; `Run` is given as --NAME, and
    the function gets the opened run (`open_run`); of both, `tuple[...]` takes several, set apart by commas.
    `Data` needs no flag: it is the data set of the first run. An argument without a default must be given.

    Repeated flags are gathered for an argument annotated `list[str]`. TensorFlow is started for functions
    that are given models, runs or data; others start it themselves if they come to need it.

    What the function returns is printed: a dict as lines "name: value", a list line by line.

    Args:
      function: The function, or its dotted path within tfgen, so that `--help` need not import it.
      words: Name of the argument that takes the words without a dash: all of them, if it is a tuple.
      flags_of_app: Name of the argument that takes all flags that are not the task's own, as a tuple: those
        of the app that the word names.
      **overrides: Other defaults than the function's.
    """

    def __init__(self, function, words=None, flags_of_app=None, **overrides):
        caller = sys._getframe(1).f_globals
        # A notebook has no file: the function's name is the app's then.
        name = function.__name__ if callable(function) else function.rpartition(".")[2]
        self.name = pathlib.Path(caller.get("__file__", name)).stem
        self.function, self.overrides = function, overrides
        self.words, self.flags_of_app = words, flags_of_app
        self.summary = caller["__doc__"] or ""

    def run(self, argv=None):
        """Runs the command line and exits.

        Args:
          argv: Arguments without the program's name; None takes the process's.
        """
        carry_out(self.main, argv)

    def main(self, argv):
        """Parses and carries out one command line.

        Raises:
          ValueError: If it cannot be done; the message is one line for the user.
        """
        arguments, docstring = read_function(self.function)
        named = arguments.get(self.words)
        arguments = {k: a for k, a in arguments.items() if k not in (self.words, self.flags_of_app)}
        values = flagset.define_task(arguments, self.overrides)
        flagset.check_overrides(values, self.overrides, self.name)
        words = hints.parse(values, argv, program(self.name), known_only=self.flags_of_app is not None)
        if values["help"].value:
            self._show_help(values, arguments, docstring, named, words)
            return
        given = self._given(named, words)
        for argument in arguments.values():
            if argument.flag in values and argument.required and values[argument.flag].value in (None, []):
                raise UsageError(f"--{argument.flag} is needed: {argument.help}.")
        if not flagset.opens_runs(arguments):
            _print(_function(self.function)(**given, **_opened(values, arguments)))
            return
        with progress.shown():
            with progress.doing("starting TensorFlow"):
                start_tensorflow()
            _print(_function(self.function)(**given, **_opened(values, arguments)))

    def _given(self, named, words):
        """The arguments that words without a dash, and flags of another app, are."""
        if self.flags_of_app is not None:
            if not words or words[0].startswith("-"):
                raise UsageError(f"{_called(named)} comes first: {named.help}.")
            return {self.words: words[0], self.flags_of_app: tuple(words[1:])}
        if named is None and words:
            raise UsageError(f"unexpected argument {words[0]!r}: flags are written --name=value.")
        if named is None:
            return {}
        if named.required and not words:
            raise UsageError(f"{_called(named)} is needed: {named.help}.")
        if named.kind is tuple:
            return {self.words: tuple(words)}
        if len(words) > 1:
            raise UsageError(f"unexpected argument {words[1]!r}: flags are written --name=value.")
        return {self.words: words[0]} if words else {}

    def _show_help(self, values, arguments, docstring, named, words):
        started = program(self.name)
        summary = (self.summary or docstring).replace(f"python -m apps.{self.name}", started)
        if named is not None:
            started += f" {_called(named)}" + (" ..." if named.kind is tuple else "")
        shown = [a.flag for a in arguments.values() if a.flag in values]
        print(flagset.help_text(values, shown, summary, started, {}))
        if self.flags_of_app is not None and words and not words[0].startswith("-"):
            print(flagset.flags_text(*load(words[0]).flags(), f"flags of {words[0]}"))


def _called(words):
    """What usage calls an argument that words without a dash are: RUN for `runs`."""
    return (words.name.removesuffix("s") if words.kind is tuple else words.name).upper()


def _opened(values, arguments):
    """The function's arguments, runs opened and models restored."""
    from tfgen.cli.runs import open_run

    runs, given = {}, {}

    def opened(path):
        if path not in runs:
            runs[path] = open_run(path, **{name: values[name].value for name in ("data_dir", "download")})
        return runs[path]

    for name, argument in arguments.items():
        if argument.kind in (None, DATA):
            continue
        value, kind = values[argument.flag].value, argument.element or argument.kind
        several = isinstance(value, (list, tuple))
        if kind in (MODEL, RUN) and value is not None:
            found = [opened(path) for path in (value if several else [value])]
            found = [run.model if kind == MODEL else run for run in found]
            value = tuple(found) if several else found[0]
        given[name] = value
    for name, argument in arguments.items():
        if argument.kind == DATA:
            if not runs:
                raise UsageError("there is no run whose data to take: name one.")
            given[name] = next(iter(runs.values())).data
    return given


def _function(function):
    if callable(function):
        return function
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _print(result):
    if isinstance(result, dict):
        for name, value in result.items():
            print(f"{name}: {value}")
    elif isinstance(result, (list, tuple)):
        for line in result:
            print(line)
    elif result is not None:
        print(result)
