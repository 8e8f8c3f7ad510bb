"""The command `tfgen`: every app under its name, with the flags it has as `python -m apps.NAME`."""

import ast
import difflib
import importlib.util
import pathlib
import re
import sys

_USAGE = """Deep generative models on TensorFlow, Keras 3 and TensorFlow Probability.

usage: {tfgen} MODEL [command] [--flags]
       {tfgen} MODEL --help   the commands and flags of a model
       {tfgen} sweep MODEL --grid FLAG=VALUE,VALUE --seeds=N
       {tfgen} compare RUN RUN ...
       {tfgen} list           every model, with a line on each
       {tfgen} --version
"""


def apps():
    """The apps that are there.

    Returns:
      Dict of paths by app name: of the package `tfgen.apps` where tfgen is installed, of the folder `apps`
      beside it in a clone.
    """
    package = pathlib.Path(__file__).parents[1]
    folder = package / "apps" if (package / "apps").is_dir() else package.parent / "apps"
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def main(argv=None):
    """Runs one command line and exits: 0, or 2 after a mistake, which is said in one line.

    Args:
      argv: Arguments without the program's name; None takes the process's.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    started_as = "tfgen" if pathlib.Path(sys.argv[0]).stem == "tfgen" else "python -m tfgen"
    found = apps()
    if not words or words[0] in ("--help", "-h", "-help", "help"):
        print(_USAGE.format(tfgen=started_as), end="")
    elif words[0] == "--version":
        print(f"tfgen {sys.modules['tfgen'].__version__}")
    elif words[0] == "list" and len(words) == 1:
        print("\n".join(_lines(found)))
    elif words[0] == "list":
        _fail(f"unexpected argument {words[1]!r}: {started_as} list takes none.")
    elif words[0].startswith("-"):
        _fail(f"{words[0]} stands before any model: write {started_as} MODEL {words[0]}.")
    else:
        try:
            app = load(words[0], f"{started_as} list")
        except ValueError as error:
            _fail(error)
        # As Python itself does for a module that is run: argv[0] is what was started.
        sys.argv = [f"{started_as} {words[0]}", *words[1:]]
        app.run(words[1:])
    sys.exit(0)


def _lines(found):
    width = max(map(len, found), default=0)
    for name, path in found.items():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        yield f"{name:<{width}}  {docstring.partition(chr(10))[0]}"


def _suggestion(word, found):
    """Names the app whose own name, or whose model's class, is most like a word; empty where none is."""
    known = {name.replace("_", ""): name for name in found}
    for name, path in found.items():
        for model in re.findall(r'"tfgen\.[\w.]+\.(\w+)"', path.read_text("utf-8")):
            known.setdefault(model.lower(), name)
    close = difflib.get_close_matches(re.sub(r"[\W_]", "", word.lower()), known, n=1)
    return f", did you mean {known[close[0]]}?" if close else ""


def load(name, list_command="tfgen list"):
    """The app of that name: an `App` or a `TaskApp`.

    Args:
      name: Its name.
      list_command: The command that shows all names, for the message.

    Raises:
      ValueError: If there is none.
    """
    found = apps()
    if name not in found:
        raise ValueError(f"no model {name!r}{_suggestion(name, found)} ({list_command} shows all)")
    # The clone's `apps` and the installed package hold it under different names.
    spec = importlib.util.spec_from_file_location(f"tfgen.apps.{name}", found[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
