"""Keras integration: constructor arguments that are remembered, `compile`, `fit`, `.keras` files."""

import inspect
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.update import Step, make_optimizers, start_averages

# Rows of held-out arrays that are checked together.
_CHECKED_ROWS = 10_000


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
        """The model or layer that `get_config` describes.

        Raises:
          ValueError: If the configuration holds an argument that the class does not take.
        """
        known = {"name", "trainable", "dtype", *constructor_parameters(cls)}
        unknown = [name for name in config if name not in known]
        if unknown:
            raise ValueError(
                f"{cls.__name__} takes no {', '.join(unknown)}, which another version of tfgen wrote into "
                "this configuration: open the file with that version, or train the model again."
            )
        # Only what Keras serialized (layers, functions, tuples) is a dict; the rest is as it was given.
        restore = keras.saving.deserialize_keras_object
        return cls(**{k: restore(v, custom_objects) if isinstance(v, dict) else v for k, v in config.items()})


class Layer(RemembersArguments, keras.layers.Layer):
    """Keras layer whose configuration is its constructor's arguments: base of all layers of tfgen."""

    def get_config(self):
        """Every constructor argument, and Keras' own: name, dtype policy, whether it is trainable."""
        return super().get_config() | keras.layers.Layer.get_config(self)


class UpdatedModel(RemembersArguments, keras.Model):
    """Keras model that is trained by the updates of its stages.

    What Keras' methods promise holds, or a ValueError names it and says what to use; docs/keras.md lists it.
    """

    def __init__(self, *args, **kwargs):
        # Inputs stay as they are until the gate casts them: bfloat16 knows whole numbers up to 256 only.
        super().__init__(*args, autocast=False, **kwargs)
        # Of the data that Keras' methods were given: ranks by function, and descriptions that were checked.
        self._ranks = {}
        self._met = set()

    def __call__(self, *args, **kwargs):
        """`call`, whose numbers are those of the same methods called by themselves.

        Keras would open a scope around it in which the model's own weights are bfloat16 under a mixed policy.
        """
        if any(map(keras.backend.is_keras_tensor, keras.tree.flatten((args, kwargs)))):
            return super().__call__(*args, **kwargs)
        return self.call(*args, **kwargs)

    def compile(
        self,
        optimizer="adam",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        *,
        seed=0,
        clip_norm=None,
        stage=None,
    ):
        """Prepares `fit`, which trains one stage.

        `fit` neither begins the model nor enters the stage: call `begin` and the stage's `on_enter` before,
        or use `tfgen.training.train`, which does.

        Args:
          optimizer: As `tfgen.update.make_optimizers` takes it: one Keras optimizer or its name, cloned for
            each gradient update, or a dict of them by update name.
          loss: Must be None: a model brings its objectives.
          loss_weights: Must be None.
          metrics: Must be None: `validation_metrics` says what is measured.
          weighted_metrics: Must be None.
          run_eagerly: Run each step without a graph around it, for a debugger.
          steps_per_execution: Steps in one call of a graph.
          jit_compile: True, False, or "auto" for what was measured to be faster for this model.
          auto_scale_loss: Without effect: models of float16, which need it, are refused.
          seed: Seed of all random numbers of the training but the order of the examples, which is Keras'
            (`keras.utils.set_random_seed`).
          clip_norm: Clip each update's gradients to this global norm.
          stage: Name of the stage that `fit` trains; None is the last.

        Raises:
          ValueError: If there is no such stage, the optimizers do not fit its updates, or an argument has no
            meaning for a model with objectives of its own.
        """
        name = type(self).__name__
        for argument, value in (("loss", loss), ("loss_weights", loss_weights)):
            if value is not None:
                raise ValueError(
                    f"{name} brings its own objective: leave {argument} out, arguments of the constructor "
                    "weigh its terms."
                )
        for argument, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value is not None:
                raise ValueError(
                    f"{name} has no targets that {argument} could compare: leave it out, fit and evaluate "
                    "report what validation_metrics measures."
                )
        if self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"{name}: fit trains on one device, the strategy has "
                f"{self.distribute_strategy.num_replicas_in_sync}: use tfgen.training.train(strategy=...)."
            )
        stages = {each.name: each for each in self.stages()}
        trained = list(stages)[-1] if stage is None else checks.one_of("stage", stage, tuple(stages))
        chosen = stages[trained]
        optimizers = make_optimizers([chosen], optimizer)[trained]
        jit = self.jit_updates if jit_compile == "auto" else bool(jit_compile)
        engine = Step(chosen.updates, optimizers, jit, clip_norm)
        alone = next(iter(optimizers.values())) if len(optimizers) == 1 else None
        # Keras hands an optimizer's averages to the model's weights, in their order, when fit ends.
        every = [id(v) for v in self.trainable_weights]
        if alone is None or [id(v) for v in alone._trainable_variables] != every:
            for update, each in optimizers.items():
                each.name = update
            alone = Optimizers(optimizers.values())
        super().compile(
            optimizer=alone,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
            auto_scale_loss=auto_scale_loss,
        )
        self._compile_arguments = {
            "optimizer": dict(optimizers),
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
            "seed": seed,
            "clip_norm": clip_norm,
            "stage": stage,
        }
        self.seed = random.as_seed(seed)
        self.optimizers = optimizers
        self._means = {"loss": keras.metrics.Mean(name="loss")}
        self._stage_number = list(stages).index(trained)
        self._engine = engine

    def get_compile_config(self):
        """Arguments that `compile` was given, for `.keras` files."""
        if not getattr(self, "_compile_arguments", None):
            return None
        return keras.saving.serialize_keras_object(dict(self._compile_arguments))

    def compile_from_config(self, config):
        """Compiles as the saved model was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, *args, **kwargs):
        """As `keras.Model.fit`; all updates of a step share its batch.

        Examples are x, (x, condition), x= and y=, or dicts, as `GenerativeModel.check_fields` takes them.

        Args:
          *args: As there.
          **kwargs: As there.

        Returns:
          Keras' `History`; "loss" is the sum of the updates' losses.

        Raises:
          ValueError: If data do not fit, or an argument or a callback has no meaning for this model.
        """
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments
        given.pop("self")
        self._refuse_weights(given)
        self._meet("train", given.get("x"), given.get("y"))
        held_out = given.get("validation_data")
        if held_out is not None:
            # Their values, too, before hours of training.
            self._meet("test", *keras.utils.unpack_x_y_sample_weight(held_out), every_row=True)
        callbacks = given.pop("callbacks", None)
        # Before the user's, which shall see what it logs.
        engine = _Engine()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            self._refuse_callbacks(callbacks.callbacks)
            engine.set_model(self)
            engine.set_params(callbacks.params)
            callbacks.callbacks.insert(0, engine)
        else:
            callbacks = keras.tree.flatten(callbacks) if callbacks else []
            self._refuse_callbacks(callbacks)
            callbacks = [engine, *callbacks]
        with checks.plainly():
            return super().fit(**given, callbacks=callbacks)

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`: means of `validation_metrics` over the examples, whatever the batches.

        Each batch draws noise of its own, by `seed` and the number of examples before it, as
        `tfgen.training.train` does; so two calls give the same figures.

        Args:
          *args: As there.
          **kwargs: As there.

        Raises:
          ValueError: If data do not fit, or weights are given.
        """
        given = inspect.signature(keras.Model.evaluate).bind(self, *args, **kwargs).arguments
        self._refuse_weights(given)
        self._meet("test", given.get("x"), given.get("y"))
        with checks.plainly():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """As `keras.Model.predict`: `model(x)` of each batch.

        Args:
          *args: As there.
          **kwargs: As there.

        Raises:
          ValueError: If data do not fit.
        """
        given = inspect.signature(keras.Model.predict).bind(self, *args, **kwargs).arguments
        self._meet("predict", given["x"], targets=False)
        with checks.plainly():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        """As `keras.Model.train_on_batch`, on what `fit` takes.

        Args:
          *args: As there.
          **kwargs: As there.

        Raises:
          ValueError: If data do not fit, or weights are given.
        """
        given = inspect.signature(keras.Model.train_on_batch).bind(self, *args, **kwargs).arguments
        self._refuse_weights(given)
        self._meet("train", given["x"], given.get("y"))
        with checks.plainly():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        """As `keras.Model.test_on_batch`, on what `evaluate` takes.

        Args:
          *args: As there.
          **kwargs: As there.

        Raises:
          ValueError: If data do not fit, or weights are given.
        """
        given = inspect.signature(keras.Model.test_on_batch).bind(self, *args, **kwargs).arguments
        self._refuse_weights(given)
        self._meet("test", given["x"], given.get("y"))
        with checks.plainly():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, x):
        """As `keras.Model.predict_on_batch`: `model(x)`.

        Args:
          x: Examples.

        Raises:
          ValueError: If data do not fit.
        """
        self._meet("predict", x, targets=False)
        with checks.plainly():
            return super().predict_on_batch(x)

    def save(self, filepath, *args, **kwargs):
        """As `keras.Model.save`, to a path that ends in `.keras`.

        Args:
          filepath: The path.
          *args: As there.
          **kwargs: As there.

        Raises:
          ValueError: If it ends otherwise.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(
                f"{type(self).__name__}: filepath must end in .keras, got {str(filepath)!r}: use "
                "save_weights for .weights.h5, and tfgen.serving.export for a SavedModel."
            )
        super().save(filepath, *args, **kwargs)

    def export(self, filepath, *args, **kwargs):
        """Refused: `tfgen.serving.export` writes all signatures of a model, each tried.

        Raises:
          ValueError: Always.
        """
        raise ValueError(
            f"{type(self).__name__}: export writes no model with several signatures: use "
            f"tfgen.serving.export(model, {str(filepath)!r})."
        )

    def _refuse_weights(self, given):
        """Refuses weights, which most objectives have no place for: no mean over examples is theirs."""
        for argument in ("sample_weight", "class_weight"):
            if given.get(argument) is not None:
                raise ValueError(
                    f"{type(self).__name__} takes no {argument}, since not every objective is a mean over "
                    "examples: draw the examples in proportion to their weights w instead, "
                    "x[rng.choice(len(x), len(x), p=w / w.sum())]."
                )

    def _refuse_callbacks(self, callbacks):
        """Refuses callbacks about optimizers where there is none."""
        about = (
            keras.callbacks.LearningRateScheduler,
            keras.callbacks.ReduceLROnPlateau,
            keras.callbacks.SwapEMAWeights,
        )
        for callback in callbacks:
            if isinstance(callback, about) and not self.optimizers:
                raise ValueError(
                    f"{type(self).__name__} is trained without an optimizer: leave "
                    f"{type(callback).__name__} out."
                )

    def _meet(self, function, x, y=None, weight=None, targets=True, every_row=False):
        """Looks at data before Keras does.

        Shapes, dtypes and numbers of rows of arrays are checked here, their values as the batches come;
        `every_row` checks these too.

        Args:
          function: What Keras will call: "train", "test" or "predict".
          x: As Keras takes it: arrays, or what yields batches.
          y: As Keras takes it.
          weight: Sample weights, which are refused.
          targets: Refuse targets of models without a condition.
          every_row: Whether all values are checked.
        """
        self._refuse_weights({"sample_weight": weight})
        specs = x.element_spec if isinstance(x, tf.data.Dataset) else (x, y)
        leaves = [leaf for leaf in keras.tree.flatten(specs) if leaf is not None]
        # Keras lets one trace serve data of all ranks, which could check none. Other ranks are traced anew.
        ranks = [tf.TensorShape(getattr(leaf, "shape", ())).rank for leaf in leaves]
        if self._ranks.setdefault(function, ranks) != ranks:
            self._ranks[function] = ranks
            setattr(self, f"{function}_function", None)
        if x is not None and not all(isinstance(leaf, np.ndarray) or tf.is_tensor(leaf) for leaf in leaves):
            return
        if x is None:
            self.check_fields({"x": None})
        fields = self._fields_of((x, y), targets)
        specs = keras.tree.map_structure(
            lambda leaf: tf.TensorSpec(leaf.shape, tf.as_dtype(leaf.dtype)), fields
        )
        if (described := repr(specs)) not in self._met:
            tf.function(self.check_fields, autograph=False).get_concrete_function(specs)
            self._met.add(described)
        for start in range(0, len(leaves[0]) if every_row else 0, _CHECKED_ROWS):
            part = slice(start, start + _CHECKED_ROWS)
            self.check_fields(keras.tree.map_structure(lambda leaf, part=part: leaf[part], fields))

    def _fields_of(self, data, targets=True):
        """Keras' x, (x, y), (x, y, sample_weight) or dict as a dict of fields, y being the condition.

        Args:
          data: What a data adapter of Keras yields.
          targets: Refuse targets, instead of leaving them.
        """
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        self._refuse_weights({"sample_weight": weight})
        fields = dict(x) if isinstance(x, Mapping) else {"x": x}
        name = type(self).__name__
        if y is None or (self.condition is None and not targets):
            return fields
        if self.condition is None:
            raise ValueError(
                f"{name} takes no condition, got y={checks.shown(y)}: leave it out, p(x) is learned from x "
                "alone."
            )
        if fields.get("condition") is not None:
            raise ValueError(f"{name}: y is the condition, and x holds another: leave one of them out.")
        return fields | {"condition": y}

    def _begin_fit(self, length):
        """Writes down which stage is trained and how long, and starts the averages of a first `fit`."""
        first = int(self.step.numpy())
        self.stage.assign([self._stage_number, first, first + length])
        begun = [o for o in self.optimizers.values() if int(o._iterations.numpy()) == 0]
        start_averages(begun)

    def train_step(self, data):
        """One step of all updates, for `fit`."""
        fields = self._fields_of(data)
        for stream in self.streams:
            if stream not in fields:
                raise ValueError(
                    f"{type(self).__name__} reads the stream {stream!r}: give a dict with "
                    f"{stream!r}: {{'x': ...}} in each batch."
                )
        batch = self.check_fields(fields)
        with tf.init_scope():
            self._engine.prepare(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), batch))
        # A batch that is refused moves nothing, not even what does not depend on it.
        with tf.control_dependencies(tf.nest.flatten(batch)):
            scalars = _with_loss(self._engine(lambda i, seed: batch, self.seed, self.step.value))
            self.step.assign_add(1)
        # Keras wants a figure, and updates over an epoch have none before it ends.
        return self._mean(scalars or {"step": tf.cast(self.step.value, tf.float32)}, batch)

    def test_step(self, data):
        """The validation metrics, for `evaluate`."""
        batch = self.check_fields(self._fields_of(data))
        seen = tf.cast(self._means["loss"].count, tf.int64)
        _, seed = random.split(random.fold_in(self.seed, -2 - seen))
        return self._mean(self.validation_metrics(batch, seed), batch)

    def predict_step(self, data):
        """`model(x)`, for `predict`."""
        return self(self._fields_of(data, targets=False))

    def _mean(self, scalars, batch):
        """Means of the scalars over the examples so far."""
        rows = tf.cast(tf.shape(batch["x"])[0], tf.float32)
        with tf.init_scope():
            for name in scalars:
                if name not in self._means:
                    self._means[name] = keras.metrics.Mean(name=name)
        for name, value in scalars.items():
            self._means[name].update_state(value, sample_weight=rows)
        return {name: self._means[name].result() for name in scalars}

    @property
    def metrics(self):
        """The running means that Keras resets at each epoch."""
        return list(getattr(self, "_means", {}).values())


class Optimizers(keras.optimizers.Optimizer):
    """All optimizers of a model as one, for what Keras and its callbacks do to an optimizer.

    Callbacks that know of several find them in `optimizers`; to others, `learning_rate` is that of all.

    Args:
      optimizers: Keras optimizers, built.
    """

    def __init__(self, optimizers):
        super().__init__(learning_rate=0.0, name="optimizers")
        self.optimizers = list(optimizers)
        self.built = True

    @property
    def learning_rate(self):
        """The learning rate that all have.

        Raises:
          ValueError: If they differ.
        """
        rates = {float(each.learning_rate) for each in self.optimizers}
        if len(rates) != 1:
            shown = ", ".join(f"{each.name} {float(each.learning_rate):g}" for each in self.optimizers)
            raise ValueError(f"learning rates differ ({shown}): read model.optimizers[name].learning_rate.")
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        for each in self.optimizers:
            each.learning_rate = value

    @property
    def iterations(self):
        """Steps of the first of them."""
        return self.optimizers[0].iterations if self.optimizers else self._iterations

    def finalize_variable_values(self, var_list):
        """Hands each optimizer's averages to its own variables.

        Args:
          var_list: All trainable variables of the model.
        """
        del var_list
        for each in self.optimizers:
            each.finalize_variable_values(each._trainable_variables)


class _Engine(keras.callbacks.Callback):
    """Begins and ends what `fit` does to the updates of a model."""

    def __init__(self):
        super().__init__()
        self.begun = False
        self.finished = None

    def on_epoch_begin(self, epoch, logs=None):
        """Begins the stage with the first epoch, which need not be number 0."""
        self.finished = None
        if not self.begun:
            epochs, steps = self.params.get("epochs") or 0, self.params.get("steps") or 0
            self.model._begin_fit((epochs - epoch) * steps)
            self.begun = True

    def on_test_begin(self, logs=None):
        """Validation is of the weights with which the epoch ends."""
        self._finish()

    def on_epoch_end(self, epoch, logs=None):
        """Adds what updates over the epoch report."""
        self._finish()
        found = {k: float(v) for k, v in self.finished.items()}
        if found and logs is not None:
            reported = {k: v for k, v in logs.items() if not k.startswith("val_")}
            logs.update(_with_loss({**{k: v for k, v in reported.items() if k != "loss"}, **found}))

    def _finish(self):
        if self.finished is None:
            engine = self.model._engine
            self.finished = engine.finish_epoch() if engine.over_epoch else {}


def _with_loss(scalars):
    """The scalars of updates, and as "loss" the sum of what each reports as its loss."""
    losses = [value for name, value in scalars.items() if name.endswith("/loss")]
    return {"loss": sum(losses), **scalars} if losses else scalars
