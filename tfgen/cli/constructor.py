"""Reads a model's constructor from its source, so that `--help` need not import TensorFlow."""

import ast
import dataclasses
import inspect
import pathlib
import re


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Args:
      name: Its name.
      default: Its default; None where that is None or where there is none.
      kind: int, float, str, bool or tuple; None for what cannot be a flag (a callable, a layer).
      element: For a tuple, the type of its elements.
      help: First sentence of its entry under Args in the class's docstring.
      required: Whether it has no default.
    """

    name: str
    default: object
    kind: type | None
    element: type | None
    help: str
    required: bool


def read_arguments(path):
    """The arguments of a class's constructor, those of its base classes within tfgen included.

    Args:
      path: Dotted path of the class, e.g. "tfgen.variational.vae.VAE".

    Returns:
      Dict of `Argument` by name.
    """
    module, _, name = path.rpartition(".")
    tree = ast.parse(_source(module).read_text())
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None:
        return read_arguments(_imported(tree, name)) if _imported(tree, name) else {}
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    own = _own_arguments(init, inspect.cleandoc(ast.get_docstring(node) or "")) if init else {}
    if init is not None and init.args.kwarg is None:
        return own
    for base in node.bases:
        if isinstance(base, ast.Name):
            local = any(isinstance(n, ast.ClassDef) and n.name == base.id for n in tree.body)
            found = f"{module}.{base.id}" if local else _imported(tree, base.id)
            inherited = read_arguments(found) if found and found.startswith("tfgen.") else {}
            own |= {k: v for k, v in inherited.items() if k not in own}
    return own


def _source(module):
    path = pathlib.Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(tree, name):
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{node.module}.{alias.name}"
    return None


def _own_arguments(init, docstring):
    texts = _argument_texts(docstring)
    positional = init.args.posonlyargs + init.args.args
    defaults = [None] * (len(positional) - len(init.args.defaults)) + init.args.defaults
    pairs = list(zip(positional, defaults, strict=True))[1:]
    pairs += list(zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True))
    return {a.arg: _argument(a, d, texts.get(a.arg, "")) for a, d in pairs}


def _argument(node, default, text):
    try:
        value = ast.literal_eval(default) if default is not None else None
        literal = default is not None
    except ValueError:
        value, literal = None, False
    kind = type(value) if isinstance(value, (int, float, str, bool, tuple)) else None
    element = type(value[0]) if kind is tuple and value else int
    if literal and value is None and node.annotation is not None:
        words = re.findall(r"\w+", ast.unparse(node.annotation))
        known = {"int": int, "float": float, "str": str, "bool": bool, "tuple": tuple}
        named = [known[w] for w in words if w in known]
        kind = named[0] if named else None
        element = named[1] if kind is tuple and len(named) > 1 else int
    return Argument(node.arg, value, kind, element if kind is tuple else None, text, default is None)


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
