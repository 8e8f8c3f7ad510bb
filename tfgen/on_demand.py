"""Classes of tfgen by name, whose modules are imported when they are first asked for."""

import functools
import importlib
import pathlib
import re
import sys

FAMILIES = ("classical", "autoregressive", "variational", "energy", "denoising", "adversarial")

_FOLDER = pathlib.Path(__file__).parent
_REGISTERED = re.compile(
    r'^@keras\.saving\.register_keras_serializable\("tfgen"(?:, (?:name=)?"(\w+)")?\)\n(?:@.*\n)*class (\w+)',
    re.MULTILINE,
)


@functools.cache
def models():
    """Names that the families' packages export, each with its family.

    Returns:
      Dict of families by name, e.g. {"VAE": "variational", ...}.
    """
    # Not at the top: `import tfgen` is to cost nothing.
    import ast

    found = {}
    for family in FAMILIES:
        path = _FOLDER / family / "__init__.py"
        for node in ast.parse(path.read_text("utf-8")).body if path.is_file() else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found |= dict.fromkeys(ast.literal_eval(node.value), family)
    return found


def public_names():
    """Names that `tfgen` has besides those of its own module: models and packages."""
    return {*models(), *(path.parent.name for path in _FOLDER.glob("*/__init__.py"))}


def public(name):
    """A model's class or a package of tfgen, imported now.

    Raises:
      AttributeError: If there is none of that name.
    """
    if (_FOLDER / name / "__init__.py").is_file():
        return importlib.import_module(f"tfgen.{name}")
    if name in models():
        return getattr(importlib.import_module(f"tfgen.{models()[name]}"), name)
    raise AttributeError(f"module 'tfgen' has no attribute {name!r}", name=name, obj=sys.modules["tfgen"])


class Deferred:
    """A registered class whose module is not imported yet, in Keras' table of registered classes.

    Keras looks a class up by its registered name and calls `from_config`, which imports the module here. That
    puts the class itself, and those it is made of, into the table.

    Args:
      module: Dotted path of its module.
      name: Its name there.
    """

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __repr__(self):
        return f"<class {self.module}.{self.name}, not imported yet>"

    def from_config(self, *args, **kwargs):
        """As `from_config` of the class."""
        return getattr(importlib.import_module(self.module), self.name).from_config(*args, **kwargs)


def registered():
    """Every class that a module of tfgen registers with Keras, as the source says.

    Returns:
      Dict of `Deferred` by registered name, e.g. "tfgen>VAE".
    """
    found = {}
    for path in sorted(_FOLDER.rglob("*.py")):
        module = ".".join(("tfgen", *path.relative_to(_FOLDER).with_suffix("").parts))
        for name, cls in _REGISTERED.findall(path.read_text("utf-8")):
            found[f"tfgen>{name or cls}"] = Deferred(module, cls)
    return found


def register_once_keras_is_there():
    """Enters every registered class into Keras' table: now, or when somebody imports Keras."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "saving"):
        _register(keras)
    else:
        sys.meta_path.insert(0, _KerasWatch())


def _register(keras):
    table = keras.saving.get_custom_objects()
    for name, deferred in registered().items():
        table.setdefault(name, deferred)


class _KerasWatch:
    """A finder of modules that finds none itself, but sees Keras being imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader):
        execute = loader.exec_module

        def execute_and_register(module):
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register(module)

        loader.exec_module = execute_and_register
