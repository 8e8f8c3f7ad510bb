"""Reads signatures from their source, so that `--help` need not import TensorFlow."""

import ast
import dataclasses
import importlib.util
import inspect
import pathlib
import re

# Kinds of argument that a run stands for on the command line: its model; its data set, which needs no flag of
# its own; the opened run itself.
MODEL, DATA, RUN = "model", "data", "run"
_OPENED = {"GenerativeModel": MODEL, "Data": DATA, "Run": RUN}
_PLAIN = {"int": int, "float": float, "str": str, "bool": bool, "tuple": tuple}
_FAMILY = re.compile(r"tfgen\.(\w+)\.(?:\w+\.)+(\w+)")


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a constructor or a function.

    Args:
      name: Its name.
      default: Its default; None where that is None or where there is none.
      kind: int, float, str, bool, tuple, list, `MODEL`, `DATA` or `RUN`; None for what cannot be a flag (a
        callable, a layer).
      element: For a tuple, the kind of its elements.
      help: First sentence of its entry under Args in the docstring.
      required: Whether it has no default.
    """

    name: str
    default: object
    kind: type | str | None
    element: type | str | None
    help: str
    required: bool

    @property
    def flag(self):
        """Name of its flag: "NAME_run" for a model, which is named by its run's directory."""
        return f"{self.name}_run" if self.kind == MODEL else self.name


def public_path(path):
    """The dotted path by which users know a class: its family's, whichever file defines it.

    Args:
      path: Dotted path, e.g. "tfgen.autoregressive.pixels.pixel_cnn.PixelCNN".

    Returns:
      E.g. "tfgen.autoregressive.PixelCNN"; a path outside tfgen as it is.
    """
    return _FAMILY.sub(r"tfgen.\1.\2", path) if _FAMILY.fullmatch(path) else path


def read_arguments(path):
    """The arguments of a class's constructor, those of its base classes in tfgen included.

    Args:
      path: Dotted path of the class, e.g. "tfgen.variational.VAE": of the package that imports it, or of the
        module that defines it.

    Returns:
      Dict of `Argument` by name.

    Raises:
      ValueError: If there is no such class.
    """
    found = _class_arguments(path)
    if found is None:
        raise ValueError(f"{path} is no class that tfgen can read: name it as in tfgen.variational.VAE.")
    return found


def _class_arguments(path):
    module, _, name = path.rpartition(".")
    source = _source(module)
    if source is None:
        return None
    tree = ast.parse(source.read_text("utf-8"))
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None:
        return _class_arguments(_imported(tree, name)) if _imported(tree, name) else None
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    # What a base class's constructor takes by position only, as `self`, is handed over by its subclasses.
    taken = {argument.arg for argument in init.args.posonlyargs or init.args.args[:1]} if init else set()
    own = _own_arguments(init, ast.get_docstring(node))[len(taken) :] if init else []
    own = {argument.name: argument for argument in own}
    if init is not None and init.args.kwarg is None:
        return own
    for base in node.bases:
        if isinstance(base, ast.Name):
            local = any(isinstance(n, ast.ClassDef) and n.name == base.id for n in tree.body)
            found = f"{module}.{base.id}" if local else _imported(tree, base.id)
            # What stands elsewhere (Keras, TFP) is no argument of a model's own, and dear to look for.
            ours = found is not None and found.partition(".")[0] in ("tfgen", module.partition(".")[0])
            inherited = (_class_arguments(found) if ours else None) or {}
            own |= {k: v for k, v in inherited.items() if k not in {*own, *taken}}
    return own


def read_function(function):
    """The arguments of a function, and what its docstring says of it.

    Args:
      function: A function, or the dotted path of one within tfgen, which is not imported.

    Returns:
      (dict of `Argument` by name, docstring).

    Raises:
      ValueError: If there is no such function, or an argument without a default has no annotation that makes
        a flag.
    """
    if callable(function):
        name, docstring = function.__name__, inspect.getdoc(function) or ""
        found = _signature_arguments(function, docstring)
    else:
        module, _, name = function.rpartition(".")
        source = _source(module)
        body = ast.parse(source.read_text("utf-8")).body if source else []
        node = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == name), None)
        if node is None:
            imported = _imported(ast.Module(body, []), name)
            if imported is None:
                raise ValueError(f"{function} is no function that tfgen can read.")
            return read_function(imported)
        docstring = ast.get_docstring(node) or ""
        found = _own_arguments(node, docstring)
    arguments = {a.name: a for a in found}
    for argument in arguments.values():
        if argument.required and argument.kind is None:
            raise ValueError(
                f"{name}: argument {argument.name} needs a default, or a type that makes a flag."
            )
    return arguments, docstring


def _source(module):
    """The file of a module: of tfgen without importing it, elsewhere as Python finds it; or None."""
    top, *rest = module.split(".")
    if top == "tfgen":
        path = pathlib.Path(__file__).parents[1].joinpath(*rest)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return path if path.is_file() else None
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    origin = found.origin if found else None
    return pathlib.Path(origin) if origin and origin.endswith(".py") else None


def _imported(tree, name):
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{node.module}.{alias.name}"
    return None


def _own_arguments(function, docstring):
    texts = _argument_texts(inspect.cleandoc(docstring or ""))
    positional = function.args.posonlyargs + function.args.args
    defaults = [None] * (len(positional) - len(function.args.defaults)) + function.args.defaults
    pairs = list(zip(positional, defaults, strict=True))
    pairs += list(zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True))
    return [
        _argument(a.arg, ast.unparse(a.annotation) if a.annotation else "", d, texts.get(a.arg, ""))
        for a, d in pairs
    ]


def _signature_arguments(function, docstring):
    """As `_own_arguments`, of a function that is there already."""
    texts, found = _argument_texts(docstring), []
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        if annotation is parameter.empty:
            annotation = ""
        elif not isinstance(annotation, str):
            annotation = inspect.formatannotation(annotation)
        default = None
        if parameter.default is not parameter.empty:
            # What is no literal stands for itself by a name, as it would in the source.
            literal = isinstance(parameter.default, (int, float, str, bool, tuple, type(None)))
            default = ast.parse(repr(parameter.default) if literal else "other", mode="eval").body
        found.append(_argument(name, annotation, default, texts.get(name, "")))
    return found


def _argument(name, annotation, default, text):
    try:
        value = ast.literal_eval(default) if default is not None else None
        literal = True
    except ValueError:
        value, literal = None, False
    words = re.findall(r"\w+", annotation)
    opened = [_OPENED[word] for word in words if word in _OPENED]
    kind, element = None, None
    named = [_PLAIN[word] for word in words if word in _PLAIN]
    if literal and opened:
        kind, element = (tuple, opened[0]) if "tuple" in words else (opened[0], None)
    elif literal and "list" in words:
        kind = list
    elif isinstance(value, (int, float, str, bool, tuple)):
        kind = type(value)
        element = type(value[0]) if kind is tuple and value else named[1] if len(named) > 1 else int
    elif literal:
        kind = named[0] if named else None
        element = named[1] if kind is tuple and len(named) > 1 else int
    return Argument(name, value, kind, element if kind is tuple else None, text, default is None)


def _argument_texts(docstring):
    """First sentence of each entry under "Args:" by name."""
    match = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", docstring, re.MULTILINE)
    texts, name = {}, None
    for line in match[1].splitlines() if match else []:
        entry = re.match(r"  (\w+): (.*)", line)
        if entry:
            name = entry[1]
            texts[name] = entry[2]
        elif name and line.strip():
            texts[name] += " " + line.strip()
    return {k: re.split(r"(?<=[.;])\s", v)[0].rstrip(".;") for k, v in texts.items()}
