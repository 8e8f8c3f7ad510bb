"""Checkpoints by variables' paths that survive a kill at any moment and are equal for equal runs.

A checkpoint is a TensorFlow bundle (`ckpt-<step>.index` and its data file) whose keys are paths: "model/" and
the attributes that lead from the model to the variable, "optimizers/<stage>/<update>/", "averages/",
"sums/" and "run/". `tf.train.load_checkpoint` reads it. Under "identity" it says as JSON what it belongs to.
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import re

import keras
import numpy as np
import tensorflow as tf

from tfgen.keras_model import RemembersArguments
from tfgen.training.callbacks import write_text
from tfgen.update import averages_of

FORMAT = 2
_IDENTITY = "identity"
# Bookkeeping of Keras and of `RemembersArguments`: a layer reached through it has no stable path.
_BOOKKEEPING = {*vars(keras.Model()), "_arguments", "_functional", "_operations", "_operations_by_depth"}


@dataclasses.dataclass(frozen=True)
class State:
    """Content of a checkpoint.

    Args:
      variables: Keras or TensorFlow variables by path.
      identity: What it belongs to: JSON values by name. Where a checkpoint says otherwise, it is refused.
    """

    variables: dict
    identity: dict

    def __or__(self, other):
        """This and the other together."""
        return State(self.variables | other.variables, self.identity | other.identity)


def weights_of(model):
    """All variables of a model by path, and whose they are: its class and its constructor's arguments.

    Raises:
      ValueError: If a variable cannot be reached from the model's attributes.
    """
    variables = {f"model/{path}": variable for path, variable in variable_paths(model).items()}
    return State(variables, {"model": _class_name(type(model)), "arguments": _arguments(model)})


def variable_paths(model):
    """A model's variables by the attributes that lead to them, e.g. "encoder.layers.0.kernel".

    The path is the shortest, of several the first by name; layers in lists and dicts count too. It does not
    depend on the names that Keras gives, which count from the start of the process.

    Raises:
      ValueError: If a variable is reached by none.
    """
    wanted = {id(variable) for variable in model.variables}
    found = _walk(model, wanted, _attributes)
    missing = wanted - {id(v) for v in found.values()}
    if missing:
        # Layers that are kept in objects of other kinds stand in Keras' own list.
        found |= _walk(model, missing, lambda layer: [*_attributes(layer), ("layers", layer._layers)])
    lost = [v.path for v in model.variables if id(v) in wanted - {id(v) for v in found.values()}]
    if lost:
        raise ValueError(
            f"{type(model).__name__} holds {lost[0]} in no attribute: assign the layer it belongs to."
        )
    return found


def _walk(model, wanted, attributes):
    """Variables among `wanted` (ids) by path, breadth first."""
    found = {}
    seen = set()
    queue = collections.deque([("", model)])
    while queue:
        path, value = queue.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, keras.Variable):
            if id(value) in wanted:
                while path in found:
                    path += "_"
                found[path] = value
            continue
        if isinstance(value, keras.random.SeedGenerator):
            children = [("state", value.state)]
        elif isinstance(value, keras.layers.Layer):
            children = attributes(value)
        elif isinstance(value, dict):
            children = sorted(((str(k), v) for k, v in value.items()), key=lambda item: item[0])
        elif isinstance(value, (list, tuple)):
            children = [(str(i), v) for i, v in enumerate(value)]
        else:
            continue
        queue.extend((f"{path}.{name.lstrip('_')}".lstrip("."), child) for name, child in children)
    return found


def _attributes(layer):
    if isinstance(layer, keras.Sequential):
        return [("layers", layer.layers)]
    return sorted(item for item in vars(layer).items() if item[0] not in _BOOKKEEPING)


def optimizers_state(optimizers, model):
    """Variables of built optimizers, given by stage and update; slots bear the paths of their variables."""
    paths = {id(variable): path for path, variable in variable_paths(model).items()}
    variables = {}
    for stage, by_update in optimizers.items():
        for update, optimizer in by_update.items():
            own = _optimizer_variables(optimizer, paths)
            for variable, average in averages_of(optimizer):
                variables[f"averages/{stage}/{update}/{paths[id(variable)]}"] = average
            variables |= {f"optimizers/{stage}/{update}/{path}": v for path, v in own.items()}
    identity = {
        "optimizer": {
            stage: {update: describe(optimizer) for update, optimizer in by_update.items()}
            for stage, by_update in optimizers.items()
        }
    }
    return State(variables, identity)


def _optimizer_variables(optimizer, paths):
    """An optimizer's variables by path, its averages left out."""
    left = {id(v) for v in optimizer.variables} - {id(average) for _, average in averages_of(optimizer)}
    found = {}
    trained = getattr(optimizer, "_trainable_variables", [])
    for name, value in sorted(vars(optimizer).items()):
        if name in ("_variables", "_trainable_variables"):
            continue
        slots = {name: value}
        if isinstance(value, list) and len(value) == len(trained):
            slots = {f"{name}/{paths[id(v)]}": slot for v, slot in zip(trained, value, strict=True)}
        for path, variable in slots.items():
            if id(variable) in left:
                left.remove(id(variable))
                found[path.lstrip("_")] = variable
    for i, variable in enumerate(v for v in optimizer.variables if id(v) in left):
        found[f"variables/{i}"] = variable
    return found


def describe(value):
    """A constructor's argument as a JSON value that is equal in another process for an equal argument."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, RemembersArguments):
        return {"class": _class_name(type(value)), **_arguments(value)}
    if isinstance(value, type):
        return _class_name(value)
    if hasattr(value, "get_config"):
        # Names count from the start of the process.
        config = {k: v for k, v in value.get_config().items() if k != "name"}
        return {"class": _class_name(type(value)), **_without_names(describe(config))}
    if callable(value):
        return keras.saving.get_registered_name(value) or repr(type(value))
    return _class_name(type(value))


def _without_names(described):
    if isinstance(described, dict):
        return {k: _without_names(v) for k, v in described.items() if k != "name"}
    if isinstance(described, list):
        return [_without_names(v) for v in described]
    return described


def _arguments(owner):
    return {name: describe(value) for name, value in owner._arguments.items() if name != "name"}


def _class_name(cls):
    return keras.saving.get_registered_name(cls)


class Checkpoints:
    """Checkpoints of one kind in one directory.

    Args:
      state: The `State` they hold, e.g. `weights_of(model)`.
      directory: Where they are.
      keep: How many are kept.
      chief: Whether this process writes.
    """

    def __init__(self, state, directory, keep, chief=True):
        self.state = state
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self.chief = chief

    def save(self, step):
        """Writes `ckpt-<step>` and removes those that are too many."""
        if not self.chief:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        identity = json.dumps({"format": FORMAT} | self.state.identity, sort_keys=True)
        tensors = {name: variable.numpy() for name, variable in self.state.variables.items()}
        tensors[_IDENTITY] = np.array(identity, object)
        names = sorted(tensors)
        tf.raw_ops.SaveV2(
            prefix=str(self.directory / f"ckpt-{step}"),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.convert_to_tensor(tensors[name]) for name in names],
        )
        kept = [s for s, _ in complete_or_torn(self.directory) if s <= step][-self.keep :]
        write_text(self.directory / "checkpoint", _for_tensorflow(kept))
        for path in self.directory.glob("ckpt-*"):
            # Beyond this step lie torn ones only, and files that a kill left half written.
            match = re.fullmatch(r"ckpt-(\d+)\.(index|data-\d+-of-\d+)", path.name)
            if match is None or int(match[1]) not in kept:
                path.unlink()

    def newest(self, log=print):
        """The newest complete checkpoint, nothing assigned yet.

        Args:
          log: Called with a line for each torn checkpoint passed over.

        Returns:
          (step, {path: array}), or None where there is none.

        Raises:
          ValueError: If it is a checkpoint of something else.
        """
        for step, path in reversed(complete_or_torn(self.directory)):
            try:
                values = _read(path)
            except _DAMAGE as error:
                log(f"checkpoint {path} is torn ({_first_line(error)}): passed over")
                continue
            self._check(path, values)
            return step, values
        return None

    def restore(self, log=print):
        """Restores the newest complete checkpoint.

        Args:
          log: Called with a line for each torn checkpoint passed over.

        Returns:
          Its step, or None where there is none.

        Raises:
          ValueError: If it is a checkpoint of something else.
        """
        found = self.newest(log)
        if found is None:
            return None
        step, values = found
        self.assign(values)
        return step

    def assign(self, values):
        """Gives the state's variables the values that a checkpoint holds."""
        for name, variable in self.state.variables.items():
            variable.assign(values[name])

    def _check(self, path, values):
        remedy = "name another run directory, or train anew"
        if _IDENTITY not in values:
            raise ValueError(
                f"checkpoint {path} has the format of an earlier tfgen, whose weights bear no paths: train "
                "again (--overwrite), or use the tfgen that wrote it."
            )
        stored = json.loads(values[_IDENTITY].item())
        if stored["format"] != FORMAT:
            raise ValueError(
                f"checkpoint {path} has format {stored['format']}, this tfgen reads {FORMAT}: use the tfgen "
                "that wrote it."
            )
        here = json.loads(json.dumps(self.state.identity))
        for fact, there, now in _differences(stored, here):
            raise ValueError(
                f"checkpoint {path} belongs to another run: {fact} is {there} there and {now} here; {remedy}."
            )
        for name, variable in self.state.variables.items():
            if name not in values:
                raise ValueError(
                    f"checkpoint {path} belongs to another model or optimizer: it lacks {name}; {remedy}."
                )
            if tuple(variable.shape) != values[name].shape:
                raise ValueError(
                    f"checkpoint {path} belongs to another model or optimizer: {name} has shape "
                    f"{values[name].shape} there and {tuple(variable.shape)} here; {remedy}."
                )


def _differences(stored, here, path=""):
    """(fact, stored value, value here) wherever both say something and differ."""
    for name in (name for name in here if name in stored):
        fact = f"{path}{name}"
        if isinstance(stored[name], dict) and isinstance(here[name], dict):
            yield from _differences(stored[name], here[name], f"{fact}.")
        elif stored[name] != here[name]:
            yield fact, stored[name], here[name]


_DAMAGE = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


def _read(path):
    """{key: array} of a checkpoint; every tensor is read, so its checksum is verified."""
    reader = tf.train.load_checkpoint(path)
    return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def _first_line(error):
    return str(error).strip().splitlines()[0][:120]


def complete_or_torn(directory):
    """(step, path prefix) of every checkpoint in a directory, oldest first."""
    found = []
    for index in pathlib.Path(directory).glob("ckpt-*.index"):
        match = re.fullmatch(r"ckpt-(\d+)\.index", index.name)
        if match:
            found.append((int(match[1]), str(index)[: -len(".index")]))
    return sorted(found)


def find_damage(path):
    """Description of the damage to a checkpoint's files, or None."""
    try:
        _read(path)
    except _DAMAGE as error:
        return _first_line(error)
    return None


def _for_tensorflow(steps):
    """Text of the `checkpoint` file, by which TensorFlow finds the newest: without times."""
    lines = [f'model_checkpoint_path: "ckpt-{steps[-1]}"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in steps]
    return "\n".join(lines) + "\n"


def restore_weights(model, directory, which="best", log=print):
    """Gives a model the weights of a run: the best ones, or the last ones, averaged where it averages.

    Args:
      model: The model, made with the run's arguments.
      directory: The run's `checkpoints` directory.
      which: "best", which falls back on the last where there is none yet, or "last".
      log: Called with a line for each torn checkpoint passed over.

    Returns:
      ("best" or "last", step), or None where there is no complete checkpoint.

    Raises:
      ValueError: If the checkpoint is one of something else.
    """
    weights = weights_of(model)
    if which == "best":
        step = Checkpoints(weights, pathlib.Path(directory) / "best", 1).restore(log)
        if step is not None:
            return "best", step
    last = Checkpoints(weights, directory, 1)
    found = last.newest(log)
    if found is None:
        return None
    step, values = found
    # Those of earlier stages were handed on, those of later ones have not begun.
    stage = model.stages()[int(values["model/stage"][0])].name
    for name, value in list(values.items()):
        match = re.fullmatch(rf"averages/{re.escape(stage)}/[^/]*/(.*)", name)
        if match:
            values[f"model/{match[1]}"] = value
    last.assign(values)
    return "last", step


def load_averages(optimizers):
    """Gives the model the moving averages of its weights that its optimizers keep (`use_ema`), if any.

    Returns:
      (variable, value before) of those that were changed.
    """
    before = []
    for optimizer in optimizers:
        for variable, average in averages_of(optimizer):
            before.append((variable, tf.identity(variable.value)))
            variable.assign(average.value)
    return before


@contextlib.contextmanager
def averaged_weights(optimizers):
    """Within it the model's weights are their moving averages, where its optimizers keep them."""
    before = load_averages(optimizers)
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
