"""An app of a task: what one does with trained models, as a command line."""

import importlib
import pathlib
import sys

from tfgen import progress
from tfgen.cli import flagset, hints
from tfgen.cli.app import carry_out, start_tensorflow
from tfgen.cli.constructor import DATA, MODEL, RUN, read_function
from tfgen.cli.hints import UsageError
from tfgen.cli.program import program


class TaskApp:
    """The command line of a function: its arguments become flags, with its docstring's words.

    A flag is made as for a constructor's argument (`App`), and by annotation: `GenerativeModel` is given as
    --NAME_run, the directory of a run, and the function gets its trained model; `Run` is given as --NAME, and
    the function gets the opened run (`open_run`); of both, `tuple[...]` takes several, set apart by commas.
    `Data` needs no flag: it is the data set of the first run. An argument without a default must be given.

    What the function returns is printed: a dict as lines "name: value", a list line by line.

    Args:
      function: The function, or its dotted path within tfgen, so that `--help` need not import it.
      **overrides: Other defaults than the function's.
    """

    def __init__(self, function, **overrides):
        caller = sys._getframe(1).f_globals
        # A notebook has no file: the function's name is the app's then.
        name = function.__name__ if callable(function) else function.rpartition(".")[2]
        self.name = pathlib.Path(caller.get("__file__", name)).stem
        self.function, self.overrides = function, overrides
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
        values = flagset.define_task(arguments, self.overrides)
        flagset.check_overrides(values, self.overrides, self.name)
        rest = hints.parse(values, argv, program(self.name))
        if values["help"].value:
            named = [a.flag for a in arguments.values() if a.flag in values]
            print(flagset.help_text(values, named, self.summary or docstring, program(self.name), {}))
            return
        if rest:
            raise UsageError(f"unexpected argument {rest[0]!r}: flags are written --name=value.")
        for argument in arguments.values():
            if argument.flag in values and argument.required and values[argument.flag].value in (None, []):
                raise UsageError(f"--{argument.flag} is needed: {argument.help}.")
        with progress.shown():
            with progress.doing("starting TensorFlow"):
                start_tensorflow()
            _print(_function(self.function)(**_opened(values, arguments)))


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
