"""Reading lists: the files that hold a model's logits, loss and sampler, and the classes in between.

The lists in docs/models.md, "Reading a model", are held against the source. Names are followed, not modules:
from the constructor, the updates with their objectives and the sampler of a model, through the functions,
classes, constants and methods that these use. The contract and the vocabulary, which all models share or
readers know by name, are not followed, nor is what x is shown as (`tfgen.media`), nor a whole model that
another one holds, which is read for itself. Of a table of alternatives by name the first, the default, is
followed: a reader looks up the one that was chosen.
"""

import ast
import functools
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MODELS = {
    "PixelCNN": "tfgen.autoregressive",
    "WaveNet": "tfgen.autoregressive",
    "NADE": "tfgen.autoregressive",
    "VAE": "tfgen.variational",
    "DRAW": "tfgen.variational",
    "VQVAE": "tfgen.variational",
    "RBM": "tfgen.energy",
    "DeepBoltzmannMachine": "tfgen.energy",
    "DCGAN": "tfgen.adversarial",
}
CONTRACT = {"tfgen.model", "tfgen.space", "tfgen.update", "tfgen.keras_model"}
VOCABULARY = {"tfgen.random", "tfgen.checks", "tfgen.distributions.draw", "tfgen.layers.recurrent"}
ROOTS = {"__init__", "updates", "sample_rows"}
MOST_FILES, MOST_CLASSES = 6, 2


def source_of(module):
    """Path of a module, or None where there is no such file."""
    path = ROOT / module.replace(".", "/")
    found = [p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()]
    return found[0] if found else None


@functools.cache
def bindings(module):
    """What a module's top level binds: {name: its node, or (module, name) where it is imported}."""
    bound = {}
    for node in ast.parse(source_of(module).read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                bound |= {n.id: node for n in ast.walk(target) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign):
            bound[node.target.id] = node
    return bound


def resolve(module, name):
    """(module, name) where a name of a module is defined, (module, None) for a module; None outside tfgen."""
    found = bindings(module).get(name)
    if not isinstance(found, tuple):
        return (module, name) if found is not None else None
    origin, name = found
    if origin.partition(".")[0] != "tfgen":
        return None
    if source_of(f"{origin}.{name}") is not None and name not in bindings(origin):
        return f"{origin}.{name}", None
    return resolve(origin, name)


def bases(module, name):
    """A class and all classes of tfgen that it inherits from, itself first: (module, name)."""
    found = [(module, name)]
    for base in bindings(module)[name].bases:
        origin = resolve(module, base.id) if isinstance(base, ast.Name) else None
        if origin is not None:
            found += [b for b in bases(*origin) if b not in found]
    return found


def is_model(module, name):
    """Whether a name is a class that inherits from `GenerativeModel`."""
    is_class = isinstance(bindings(module).get(name), ast.ClassDef)
    return is_class and ("tfgen.model", "GenerativeModel") in bases(module, name)


def methods(module, name):
    """{name: node} of a class's own methods."""
    body = bindings(module)[name].body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def default_of(node):
    """The first value of a table of alternatives by name; any other node as it is."""
    table = node.value if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) else None
    if table is None or not all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in table.keys):
        return node
    return table.values[0]


def used(module, node):
    """The names of tfgen that a node uses, (module, name), and the attributes that it asks for."""
    names, attributes = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            attributes.add(part.attr)
            if isinstance(part.value, ast.Name):
                origin = resolve(module, part.value.id)
                if origin is not None and origin[1] is None:
                    names.add(resolve(origin[0], part.attr))
        elif isinstance(part, ast.Name):
            origin = resolve(module, part.id)
            if origin is not None and origin[1] is not None:
                names.add(origin)
    return names - {None}, attributes


def reading_list(module, name):
    """The files that a model's logits, loss and sampler are written in, paths below tfgen."""
    lineage = [(m, n) for m, n in bases(*resolve(module, name)) if m not in CONTRACT]
    queue, attributes, seen, read = [], set(ROOTS), set(), set()
    for place, cls in lineage:
        node = bindings(place)[cls]
        read.add(place)
        head = [*node.decorator_list, *(n for n in node.body if not isinstance(n, ast.FunctionDef))]
        queue += [(place, part) for part in head]
    taken = set()
    while True:
        while queue:
            place, node = queue.pop()
            names, asked = used(place, node)
            attributes |= asked
            for origin in names - seen:
                seen.add(origin)
                shown = origin[0].startswith("tfgen.media.")
                if shown or origin[0] in CONTRACT | VOCABULARY or origin in lineage or is_model(*origin):
                    continue
                read.add(origin[0])
                queue.append((origin[0], default_of(bindings(origin[0])[origin[1]])))
        for (place, cls), method in itertools.product(lineage, sorted(attributes)):
            if (place, cls, method) not in taken and method in methods(place, cls):
                taken.add((place, cls, method))
                queue.append((place, methods(place, cls)[method]))
        if not queue:
            return {str(source_of(m).relative_to(ROOT / "tfgen")) for m in read}


def documented():
    """The lists of docs/models.md: {model: set of paths}."""
    text = (ROOT / "docs/models.md").read_text("utf-8")
    section = text[text.index("## Reading a model") :].partition("\n## ")[0]
    lines = re.findall(r"^- (\w+): ((?:.|\n  )+)", section, re.MULTILINE)
    return {name: set(re.findall(r"`([\w/]+\.py)`", rest)) for name, rest in lines}


@pytest.mark.parametrize("name", MODELS)
def test_reading_list_is_the_documented_one_and_short(name):
    found = reading_list(MODELS[name], name)
    assert found == documented()[name]
    assert len(found) <= MOST_FILES


@pytest.mark.parametrize("name", MODELS)
def test_few_classes_stand_between_a_model_and_the_contract(name):
    lineage = [m for m, _ in bases(*resolve(MODELS[name], name))]
    assert "tfgen.model" in lineage
    assert len([m for m in lineage if m not in CONTRACT]) - 1 <= MOST_CLASSES


def modules():
    """Every module of tfgen, dotted."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "tfgen").rglob("*.py")))
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def test_the_walk_finds_planted_names(tmp_path, monkeypatch):
    files = {
        "tfgen/__init__.py": "",
        "tfgen/model.py": "from tfgen.far import f\nclass GenerativeModel:\n    def updates(self): f()\n",
        "tfgen/far.py": "def f(): pass\n",
        "tfgen/family/__init__.py": "from tfgen.family.thing import Thing\n",
        "tfgen/family/base.py": (
            "from tfgen.model import GenerativeModel\nfrom tfgen import aside\nfrom tfgen.far import f\n"
            "class Base(GenerativeModel):\n"
            "    def objective(self): return aside.loss(self)\n"
            "    def report(self): return f()\n"
        ),
        "tfgen/aside.py": "from tfgen.table import TABLE\ndef loss(model): return TABLE, model.logits()\n",
        "tfgen/table.py": (
            "from tfgen.unused import g\nfrom tfgen.far import f\nfrom tfgen.first import h\n"
            "TABLE = {'h': h, 'f': f}\ndef other(): g()\n"
        ),
        "tfgen/first.py": "def h(): pass\n",
        "tfgen/unused.py": "def g(): pass\n",
        "tfgen/net.py": "def net(): pass\n",
        "tfgen/family/thing.py": (
            "from tfgen.family.base import Base\nfrom tfgen.net import net\n"
            "from tfgen.family.held import Held\n"
            "class Thing(Base):\n"
            "    def updates(self): return self.objective\n"
            "    def logits(self): return net(), Held()\n"
        ),
        "tfgen/family/held.py": (
            "from tfgen.family.base import Base\nfrom tfgen.unused import g\n"
            "class Held(Base):\n    def updates(self): g()\n"
        ),
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    bindings.cache_clear()
    try:
        found = reading_list("tfgen.family", "Thing")
    finally:
        bindings.cache_clear()
    assert found == {"family/thing.py", "family/base.py", "aside.py", "table.py", "first.py", "net.py"}


def overridden_private_methods():
    """Yields `module.Class.method` for each private method that a base class of tfgen has too."""
    for module in modules():
        for name, node in bindings(module).items():
            if not isinstance(node, ast.ClassDef):
                continue
            private = {m for m in methods(module, name) if m.startswith("_") and not m.endswith("__")}
            for base in bases(module, name)[1:]:
                for method in sorted(private & methods(*base).keys()):
                    yield f"{module}.{name}.{method} of {base[1]}"


def test_no_private_method_of_a_base_class_is_overridden():
    assert list(overridden_private_methods()) == []


def test_no_model_is_asked_what_it_has():
    asked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "tfgen").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"\bhasattr\((model|self)\b", line)
    ]
    assert asked == []
