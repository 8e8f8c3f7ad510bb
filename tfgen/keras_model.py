"""Keras integration: constructor arguments that are remembered, `compile`, `fit`, `.keras` files."""

import inspect

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.update import Step, make_optimizers, start_averages


def constructor_parameters(cls):
    """All parameters of a constructor, those that `**kwargs` hands to base classes of ours included.

    Args:
      cls: A class of ours that inherits from one of Keras.

    Positional-only parameters of a base class are handed over by its subclasses and are none of theirs.

    Returns:
      Dict of `inspect.Parameter` by name, without `self`.
    """
    parameters, handed = {}, {"self"}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "keras":
            break
        if "__init__" not in base.__dict__:
            continue
        own = inspect.signature(base.__init__).parameters.values()
        handed |= {p.name for p in own if p.kind is p.POSITIONAL_ONLY}
        named = [p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        parameters |= {p.name: p for p in named if p.name not in {*parameters, *handed}}
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return parameters


class RemembersArguments:
    """Mixin for Keras models and layers, whose `get_config` then cannot lose an argument.

    Keras remembers arguments as well, but gives up where one is an initializer, a layer or a dtype policy.
    """

    def __new__(cls, *args, **kwargs):
        """Remembers the constructor's arguments, which `get_config` returns."""
        instance = super().__new__(cls, *args, **kwargs)
        names = constructor_parameters(cls)
        given = dict(zip(names, args, strict=False)) | kwargs
        defaults = {k: p.default for k, p in names.items() if p.default is not p.empty}
        # Keras' files bring tuples back as lists.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in (defaults | given).items()}
        instance.__dict__["_arguments"] = {k: values[k] for k in names if k in values}
        return instance

    def get_config(self):
        """Every constructor argument, as given.

        Raises:
          ValueError: If an argument is a function that is not registered with Keras.
        """
        for name, value in self._arguments.items():
            own_name = getattr(value, "__name__", None)
            if own_name is not None and keras.saving.get_registered_name(value) == own_name:
                raise ValueError(
                    f"{type(self).__name__}: argument {name}={value!r} cannot be saved; register it with "
                    "@keras.saving.register_keras_serializable() or pass a Keras layer."
                )
        return dict(self._arguments)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model or layer that `get_config` describes."""
        # Only what Keras serialized (layers, functions, tuples) is a dict; the rest is as it was given.
        restore = keras.saving.deserialize_keras_object
        return cls(**{k: restore(v, custom_objects) if isinstance(v, dict) else v for k, v in config.items()})


class Layer(RemembersArguments, keras.layers.Layer):
    """Keras layer whose configuration is its constructor's arguments: base of all layers of tfgen."""

    def get_config(self):
        """Every constructor argument, and Keras' own: name, dtype policy, whether it is trainable."""
        return super().get_config() | keras.layers.Layer.get_config(self)


class UpdatedModel(RemembersArguments, keras.Model):
    """Keras model that is trained by the updates of its stages."""

    def compile(self, optimizer="adam", seed=0, clip_norm=None, jit_compile="auto", stage=None, **kwargs):
        """Prepares `fit`, which trains one stage.

        `fit` neither begins the model nor enters the stage: call `begin` and the stage's `on_enter` before,
        or use `tfgen.training.train`, which does.

        Args:
          optimizer: As `tfgen.update.make_optimizers` takes it: one Keras optimizer or its name, cloned for
            each gradient update, or a dict of them by update name.
          seed: Seed of all random numbers of the training.
          clip_norm: Clip each update's gradients to this global norm.
          jit_compile: True, False, or "auto" for what was measured to be faster for this model.
          stage: Name of the stage that `fit` trains; None is the last.
          **kwargs: Passed on to `keras.Model.compile`, e.g. `steps_per_execution`.

        Raises:
          ValueError: If there is no such stage, or the optimizers do not fit its updates.
        """
        stages = {each.name: each for each in self.stages()}
        name = list(stages)[-1] if stage is None else checks.one_of("stage", stage, tuple(stages))
        chosen = stages[name]
        if kwargs.get("loss") is not None:
            raise ValueError(f"{type(self).__name__} brings its own objective: leave loss out.")
        optimizers = make_optimizers([chosen], optimizer)[name]
        super().compile(optimizer=next(iter(optimizers.values()), "sgd"), jit_compile=False, **kwargs)
        self._compile_arguments = {
            "optimizer": dict(optimizers),
            "seed": seed,
            "clip_norm": clip_norm,
            "jit_compile": jit_compile,
            "stage": stage,
        } | kwargs
        self.seed = random.as_seed(seed)
        self.optimizers = optimizers
        self._means = {}
        self._stage_number = list(stages).index(name)
        jit = self.jit_updates if jit_compile == "auto" else bool(jit_compile)
        self._engine = Step(chosen.updates, optimizers, jit, clip_norm)

    def get_compile_config(self):
        """What `compile` was given, for `.keras` files."""
        if not getattr(self, "_compile_arguments", None):
            return None
        return keras.saving.serialize_keras_object(dict(self._compile_arguments))

    def compile_from_config(self, config):
        """Compiles as the saved model was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args, callbacks=None, **kwargs):
        """As `keras.Model.fit`, on x, (x, condition) or dicts; all updates of a step share its batch."""
        engine = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: self._begin_fit(engine.params or {}), on_epoch_end=self._finish_epoch
        )
        return super().fit(*args, callbacks=[*(callbacks or []), engine], **kwargs)

    def _begin_fit(self, params):
        """Writes down which stage is trained and how long, and starts the averages of a first `fit`."""
        first = int(self.step.numpy())
        length = (params.get("epochs") or 0) * (params.get("steps") or 0)
        self.stage.assign([self._stage_number, first, first + length])
        begun = [o for o in self.optimizers.values() if int(o._iterations.numpy()) == 0]
        start_averages(begun)

    def _finish_epoch(self, epoch, logs=None):
        if self._engine.over_epoch:
            (logs if logs is not None else {}).update(
                {k: float(v) for k, v in self._engine.finish_epoch().items()}
            )

    def train_step(self, data):
        """One step of all updates, for `fit`."""
        batch = as_batch(data)
        for stream in self.streams:
            if stream not in batch:
                raise ValueError(
                    f"{type(self).__name__} reads the stream {stream!r}: give a dict with "
                    f"{stream!r}: {{'x': ...}} in each batch."
                )
        with tf.init_scope():
            self._engine.prepare(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), batch))
        scalars = self._engine(lambda i, seed: batch, self.seed, self.step.value)
        self.step.assign_add(1)
        # Keras wants a figure, and updates over an epoch have none before it ends.
        return self._mean(scalars or {"step": tf.cast(self.step.value, tf.float32)}, "")

    def test_step(self, data):
        """The validation metrics, for `evaluate`."""
        return self._mean(self.validation_metrics(as_batch(data), self.seed), "validation/")

    def _mean(self, scalars, prefix):
        with tf.init_scope():
            for name in scalars:
                if prefix + name not in self._means:
                    self._means[prefix + name] = keras.metrics.Mean(name=name)
        for name, value in scalars.items():
            self._means[prefix + name].update_state(value)
        return {name: self._means[prefix + name].result() for name in scalars}

    @property
    def metrics(self):
        """The running means that Keras resets at each epoch."""
        return list(getattr(self, "_means", {}).values())


def as_batch(data):
    """Keras' x, (x,), (x, condition) or dict as the dict that objectives take."""
    if isinstance(data, dict):
        return dict(data)
    if not isinstance(data, (tuple, list)):
        return {"x": data}
    return {"x": data[0]} | ({"condition": data[1]} if len(data) > 1 and data[1] is not None else {})
