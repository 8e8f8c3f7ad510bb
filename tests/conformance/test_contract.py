"""What every model promises, checked on every model."""

import dataclasses
import importlib
import inspect
import itertools
import pathlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tests.conformance.cases import CASES, arguments_of, make
from tests.conformance.conftest import ROWS
from tests.conformance.session import DRAWN, FEWER, MANY, SEED, enter, seeds
from tests.planted import STEPS, batch, conditions, dataset, examples, extras, perturb, training_batch
from tfgen import data
from tfgen.cli.constructor import read_arguments
from tfgen.keras_model import constructor_parameters
from tfgen.model import GenerativeModel

# Counts above this are too rare to matter, at a mean of a few.
LARGEST_COUNT = 40


def has_density(model):
    return model.density != "none"


def in_test_only(cls):
    return not cls.__module__.startswith("tfgen.")


def concrete(cls):
    """The classes of ours at the end of the tree: a class is abstract or final."""
    below = [s for s in cls.__subclasses__() if not in_test_only(s)]
    return set().union(*map(concrete, below)) if below else {cls}


def test_coverage_every_concrete_model_has_a_row_and_an_app():
    for module in pkgutil.walk_packages(tfgen.__path__, "tfgen."):
        importlib.import_module(module.name)
    models = concrete(GenerativeModel)
    assert models == {c.cls for c in CASES.values()}
    apps = "".join(p.read_text() for p in pathlib.Path(tfgen.__file__).parents[1].glob("apps/*.py"))
    assert [m.__name__ for m in models if f'.{m.__name__}"' not in apps] == []


def test_the_family_exports_the_model(case):
    if in_test_only(case.cls):
        return
    family = importlib.import_module(".".join(case.cls.__module__.split(".")[:2]))
    assert getattr(family, case.cls.__name__) is case.cls
    assert case.cls.__name__ in family.__all__


def test_flags_are_read_as_the_constructor_has_them(case):
    if in_test_only(case.cls):
        return
    read = read_arguments(f"{case.cls.__module__}.{case.cls.__name__}")
    parameters = constructor_parameters(case.cls)
    assert list(read) == list(parameters)
    for name, argument in read.items():
        default = parameters[name].default
        assert argument.required == (default is inspect.Parameter.empty)
        if not argument.required and argument.kind is not None:
            assert argument.default == default
        if argument.kind is not None or argument.required:
            assert argument.help, f"{case.cls.__name__}: the docstring does not describe {name}"


@pytest.mark.slow
def test_weights_exist_when_the_constructor_returns(session, model):
    """Nothing that a model does makes another one: density, samples, the updates of every stage."""
    if has_density(model):
        model.log_prob(**batch(model, 4))
    if model.samples:
        assert len(session.drawn) == DRAWN
    with session.stages() as stages:
        for stage in stages:
            for update in stage.updates:
                session.derivative(update)
    assert model.built and len(session.paths) > 1
    assert [v.path for v in model.variables] == session.paths
    assert len(session.learner.variables) == len(session.paths)


@pytest.mark.slow
def test_other_event_shapes(case):
    for shape in case.shapes:
        model = make(case, event_shape=shape)
        rows, given, fields = seeds(2, 1), conditions(model, 2), batch(model, 3)

        @tf.function(autograph=False)
        def run(rows, given, fields, model=model):
            drawn = model.sample_rows(rows, **given) if model.samples else None
            return drawn, model.log_prob(**fields) if has_density(model) else None

        sampled, scored = run(rows, {k: tf.constant(v) for k, v in given.items()}, fields)
        if model.samples:
            assert sampled.shape == (2, *model.space.shape_of(model.length)) and sampled.dtype == tf.float32
            low, high = model.space.value_range
            assert np.all((sampled >= low) & (sampled <= high)) and np.all(np.isfinite(sampled))
            if model.values in ("levels", "counts"):
                np.testing.assert_array_equal(sampled, np.round(sampled))
        if has_density(model):
            assert scored.shape == (3,) and scored.dtype == tf.float32 and np.all(np.isfinite(scored))


@pytest.mark.slow
def test_samples_are_a_function_of_their_own_seed(session, model):
    if not model.samples:
        with pytest.raises(ValueError, match="does not sample"):
            model.sample(2, **conditions(model, 2))
        return
    given, drawn = conditions(model, DRAWN), session.drawn
    np.testing.assert_array_equal(drawn, model.sample(DRAWN, seed=7, **given))
    some = {name: value[:FEWER] for name, value in given.items()}
    part = model.sample(FEWER, seed=tf.constant([0, 7]), **some).numpy()
    np.testing.assert_allclose(drawn[:FEWER], part, atol=1e-6)
    if model.jit_sampler:
        # Compiling costs more than all else here: one program drew them.
        assert [len(sizes) for sizes in model._compiled_rows.values()] == [1]
    assert not np.array_equal(drawn, model.sample(DRAWN, seed=8, **given))
    assert len(np.unique(drawn[:5].round(6), axis=0)) > 1


@pytest.mark.slow
def test_samples_are_equal_with_and_without_xla(session, model):
    """`sample` compiles where the model says so, an export never does: the other of the two is made here."""
    if not model.samples:
        return
    if model.jit_sampler:
        other = session.plain
    else:
        given = {name: tf.constant(value) for name, value in conditions(model, DRAWN).items()}
        other = tf.function(model.sample_rows, autograph=False, jit_compile=True)(seeds(DRAWN), **given)
    np.testing.assert_allclose(session.drawn, other, atol=2e-5)


@pytest.mark.slow
def test_log_prob_takes_arrays_and_works_in_a_graph(session, model):
    if not has_density(model):
        with pytest.raises(ValueError, match="no density"):
            model.log_prob(**batch(model, 2))
        return
    fields = {name: field.numpy() for name, field in batch(model, 4).items()}
    eager = model.log_prob(**fields)
    tensors = {name: tf.constant(field) for name, field in fields.items()}
    np.testing.assert_allclose(eager, session.log_prob(**tensors), rtol=1e-5, atol=1e-5)
    part = {name: field[1:3] for name, field in fields.items()}
    np.testing.assert_allclose(eager[1:3], model.log_prob(**part), rtol=1e-5, atol=1e-5)
    fields.pop("lengths", None)
    if not model.extra_fields:
        np.testing.assert_allclose(model.log_prob(**fields), model(**fields), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_steps_beyond_the_length_do_not_count(model):
    if model.event_shape[0] is not None:
        return
    fields = {name: field.numpy() for name, field in batch(model, 4).items()}
    scored = model.log_prob(**fields).numpy()
    assert len(np.unique(scored)) == 4 and list(fields["lengths"]) == [1, 2, 3, 4]
    other = examples(model, 4, seed=5)
    beyond = np.arange(STEPS) >= fields["lengths"][:, None]
    x = np.where(beyond.reshape(*beyond.shape, *[1] * (other.ndim - 2)), other, fields["x"])
    assert not np.array_equal(x, fields["x"])
    np.testing.assert_allclose(scored, model.log_prob(**fields | {"x": x}), rtol=1e-5, atol=1e-6)
    shorter = {k: v[1:2, :2] if k == "x" else v[1:2] for k, v in fields.items() if k != "lengths"}
    np.testing.assert_allclose(scored[1:2], model.log_prob(**shorter), rtol=1e-5, atol=1e-6)
    for wrong in ([5, 1, 1, 1], [-1, 1, 1, 1]):
        with pytest.raises(ValueError, match="lengths must be 0 to the steps of x"):
            model.log_prob(**fields | {"lengths": np.array(wrong)})


def every_event(model):
    """All x, `[events, *event_shape]`; of sequences all of the model's `length`."""
    shape = model.space.shape_of(model.length)
    each = model.num_values if model.values == "levels" else LARGEST_COUNT + 1
    listed = list(itertools.product(range(each), repeat=int(np.prod(shape))))
    return np.array(listed, np.float32).reshape(-1, *shape)


def one_condition(model, num):
    """The same condition and further fields `num` times, as keyword arguments."""
    one = conditions(model, 1) | extras(model, 1)
    return {name: np.repeat(value, num, axis=0) for name, value in one.items()}


def cells(model):
    """Centers and size of cells that cover the space of x, of sequences that of one step.

    Returns:
      `[cells, *event_shape]` and the volume of a cell.
    """
    shape = model.space.shape_of(1)
    low, high = np.clip(model.space.value_range, -12.0, 12.0)
    pen = model.kind == "strokes"
    dimensions = int(np.prod(shape)) - pen
    assert dimensions in (1, 2), "give the row an event_shape of one or two numbers: more are not integrated"
    edges = np.linspace(low, high, 601, dtype=np.float32)
    axes = [(edges[1:] + edges[:-1]) / 2] * dimensions
    points = np.stack(np.meshgrid(*axes), -1).reshape(-1, dimensions)
    if pen:
        points = np.concatenate([np.insert(points, 2, down, axis=1) for down in (0.0, 1.0)])
    return points.reshape(-1, *shape).astype(np.float32), float(edges[1] - edges[0]) ** dimensions


@pytest.mark.slow
def test_exact_densities_sum_to_one(session, case, model):
    if model.density != "exact":
        return
    if case.enumerable:
        events = every_event(model)
        total = np.exp(model.log_prob(events, **one_condition(model, len(events)))).sum()
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
        return
    points, volume = cells(model)
    # In parts of one size, so that one trace serves all.
    parts = np.split(points, 100)
    given = {name: tf.constant(value) for name, value in one_condition(model, len(parts[0])).items()}
    scored = np.concatenate([session.log_prob(tf.constant(part), **given).numpy() for part in parts])
    np.testing.assert_allclose(np.exp(scored.astype(np.float64)).sum() * volume, 1.0, atol=1e-3)


@pytest.mark.slow
def test_samples_follow_the_exact_density(session, case, model):
    """Chi-square of `MANY` samples; false failures 1 in 10^4, and the seed is fixed."""
    if model.density != "exact" or not case.enumerable or not model.samples:
        return
    from scipy import stats

    events = every_event(model)
    expected = np.exp(model.log_prob(events, **one_condition(model, len(events))).numpy().astype(np.float64))
    sampled = session.many.reshape(MANY, -1)
    each = model.num_values if model.values == "levels" else LARGEST_COUNT + 1
    index = (sampled @ float(each) ** np.arange(sampled.shape[1])[::-1]).astype(int)
    counts = np.bincount(index, minlength=len(events))
    expected *= MANY / expected.sum()
    rare = expected < 5.0
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert len(counts) > 5
    assert stats.chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.slow
def test_exact_models_are_distributions_that_compose(model):
    """Alone, in `Mixture`, `Independent` and `JointDistributionSequential`: the model's own numbers."""
    if not hasattr(model, "distribution"):
        return
    tfd = tfp.distributions
    fields = {name: field.numpy() for name, field in batch(model, 3).items() if name != "lengths"}
    want = model.log_prob(**fields).numpy()
    conditioned = {k: v for k, v in fields.items() if k == "condition"}
    if model.event_shape[0] is None:
        conditioned["length"] = STEPS
    distribution = model.distribution(**conditioned)
    batch_shape = (3,) if model.condition is not None else ()
    assert distribution.event_shape == fields["x"].shape[1:] and distribution.batch_shape == batch_shape
    np.testing.assert_allclose(distribution.log_prob(fields["x"]), want, rtol=1e-4, atol=1e-5)
    sampled = distribution.sample(DRAWN, seed=[1, 2])
    assert sampled.shape == (DRAWN, *batch_shape, *fields["x"].shape[1:])
    mixture = tfd.Mixture(
        tfd.Categorical(probs=np.full((*batch_shape, 2), 0.5, np.float32)), [distribution] * 2
    )
    np.testing.assert_allclose(mixture.log_prob(fields["x"]), want, rtol=1e-4, atol=1e-5)
    joint = tfd.JointDistributionSequential([distribution, tfd.Bernoulli(logits=0.0)])
    np.testing.assert_allclose(
        joint.log_prob([fields["x"], np.ones(3, np.int32)]), want - np.log(2), rtol=1e-4, atol=1e-5
    )
    if batch_shape:
        independent = tfd.Independent(distribution, 1)
        np.testing.assert_allclose(independent.log_prob(fields["x"]), want.sum(), rtol=1e-4)
        same = tfd.MixtureSameFamily(tfd.Categorical(probs=np.full(3, 1 / 3, np.float32)), distribution)
        x = np.repeat(fields["x"][:1], 3, axis=0)
        each = model.log_prob(**fields | {"x": x}).numpy()
        np.testing.assert_allclose(same.log_prob(x[0]), np.logaddexp.reduce(each) - np.log(3), rtol=1e-4)


@pytest.mark.slow
def test_unnormalized_densities_and_bounds_add_up_to_their_constant(case, model):
    """Sum of exp(-free energy) is Z; a lower bound sums, in any draw of its noise, to about 1 or less.

    A bound of an unnormalized density sums to less than Z, and in a tiny instance to not much less.
    """
    if not case.enumerable or model.density not in ("unnormalized", "unnormalized_bound", "lower_bound"):
        return
    events = every_event(model)
    if model.density != "lower_bound":
        total = np.logaddexp.reduce(model.log_prob(events).numpy())
        log_z = float(model.log_partition())
        if model.density == "unnormalized":
            np.testing.assert_allclose(total, log_z, rtol=1e-5)
        else:
            assert log_z - 1.0 < total < log_z
        return

    @tf.function(autograph=False)
    def bounds(events):
        given = one_condition(model, events.shape[0])
        return [model.log_prob(events, num_samples=k, seed=SEED, **given) for k in (1, 2000, 5000)]

    loose, tight, tightest = bounds(tf.constant(events))
    assert np.mean(tight) > np.mean(loose)
    np.testing.assert_allclose(np.exp(tightest).sum(), 1, atol=0.02)


@pytest.mark.slow
def test_gradients_are_those_of_the_reported_loss(session):
    """Central differences of every gradient update's loss, variable by variable."""
    rng = np.random.default_rng(0)
    with session.stages() as stages:
        for stage in stages:
            for update in stage.updates:
                if update.objective is None or update.surrogate:
                    continue
                gradients = session.derivative(update).gradients
                for variable, gradient in zip(update.trainable, gradients, strict=True):
                    start = variable.numpy()
                    direction = rng.choice([-1.0, 1.0], start.shape).astype(np.float32) / np.sqrt(start.size)
                    ends = []
                    for size in (2e-3, -2e-3):
                        variable.assign(start + size * direction)
                        ends.append(float(session.derivative(update).loss))
                    variable.assign(start)
                    numeric, exact = (ends[0] - ends[1]) / 4e-3, float(np.sum(direction * gradient))
                    np.testing.assert_allclose(numeric, exact, rtol=0.03, atol=4e-3, err_msg=variable.path)


@pytest.mark.slow
def test_bfloat16_layers_give_nearly_the_same_loss(case):
    """bfloat16 has 8 bits: losses agree to a few per cent, weights and losses stay float32."""
    model = perturb(make(case))
    twin = make(case, dtype="mixed_bfloat16")
    twin.set_weights(model.get_weights())
    assert {v.dtype for v in twin.trainable_variables} <= {"float32"}
    fields = training_batch(model, 8)
    both = zip(model.stages(), twin.stages(), strict=True)
    for number, (exact_stage, rough_stage) in enumerate(both):
        for stage, owner in ((exact_stage, model), (rough_stage, twin)):
            enter(stage, number, owner)
        for one, two in zip(exact_stage.updates, rough_stage.updates, strict=True):
            if one.objective:
                with keras.StatelessScope():
                    (exact, _), (rough, _) = (
                        u.objective(fields, SEED, tf.constant(0, tf.int64)) for u in (one, two)
                    )
                assert rough.dtype == tf.float32
                np.testing.assert_allclose(exact, rough, rtol=0.05, atol=0.02)


def plain(config):
    """A configuration that can be compared, layers and models in it as Keras would write them."""
    return keras.saving.serialize_keras_object(config)


def test_config_returns_every_argument(case):
    arguments = arguments_of(case)
    model = case.cls(**arguments)
    config = model.get_config()
    assert set(config) == set(constructor_parameters(case.cls))
    assert plain({k: config[k] for k in arguments}) == plain(arguments)
    # Arguments that are no default must survive too.
    changed = case.cls(**arguments, name="other").get_config()
    assert plain(case.cls.from_config(changed).get_config()) == plain(changed)


@pytest.mark.slow
def test_keras_file_round_trip(session, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert plain(loaded.get_config()) == plain(model.get_config())
    if model.samples:
        given = {name: tf.constant(value) for name, value in conditions(model, DRAWN).items()}
        drawn = tf.function(loaded.sample_rows, autograph=False)(seeds(DRAWN), **given)
        # Two graphs of the same weights, which the loop below holds to be the same to the bit.
        np.testing.assert_allclose(session.plain, drawn, atol=2e-6)
    if has_density(model):
        fields = batch(model, 3)
        np.testing.assert_array_equal(model.log_prob(**fields), loaded.log_prob(**fields))
    for one, two in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)


def first_of_each_base():
    """A row for each base class, and each toy: `fit` is the code of the Keras integration, not of models."""
    first = {}
    for name, case in ROWS.items():
        base = case.cls.__bases__[0]
        first.setdefault(case.cls if in_test_only(case.cls) or base is GenerativeModel else base, name)
    return set(first.values())


@pytest.mark.slow
def test_fit_is_the_same_step(session, case):
    """Keras' fit moves the weights, on arrays as on data sets, and reports the model's metrics."""
    if session.name not in first_of_each_base():
        return
    model = make(case)
    fields = training_batch(model, 8)
    model.begin(fields, SEED)
    stage = model.stages()[-1]
    enter(stage, len(model.stages()) - 1, model)
    optimizers = {u.name: "sgd" for u in stage.updates if u.objective}
    model.compile(optimizers, seed=3, jit_compile=case.jit)
    before = [v.numpy().copy() for v in model.variables]
    # Plain arrays where there is nothing but x.
    given = fields["x"].numpy() if list(fields) == ["x"] else fields
    every = tf.data.Dataset.from_tensor_slices(given)
    held_out = given if given is not fields else every.batch(8)
    history = model.fit(every.batch(4), epochs=2, verbose=0, validation_data=held_out)
    assert all(np.all(np.isfinite(values)) for values in history.history.values())
    assert "val_loss" in history.history and int(model.step) == 4
    moved = {v.path for b, v in zip(before, model.variables, strict=True) if not np.array_equal(b, v.numpy())}
    assert moved & {v.path for u in stage.updates for v in u.variables}


@pytest.mark.slow
def test_views_fit_their_layout(session, model):
    """What a model shows is x of its space or pictures, arranged as it says, with and without data."""
    low, high = model.space.value_range
    for given in (None, dataset(model)):
        for view in model.views(given, 3, SEED).values():
            array = np.asarray(view.array)
            if view.layout == "plane":
                assert array.shape == (len(array), 2) and np.all(np.isfinite(array))
                assert view.captions is None or len(view.captions) == len(array)
                continue
            if view.layout == "text":
                assert len(array) and all(isinstance(line, str) for line in view.array)
                continue
            if view.layout == "curves" and array.ndim == 4:
                assert view.heads is None or len(view.heads) == len(array)
                view = dataclasses.replace(view, heads=None)
                array = array[-1]
            arranged = {"grid": 1, "rows": 2, "frames": 2, "curves": 2}[view.layout]
            shape = model.space.shape_of(array.shape[arranged] if model.space.sequence else None)
            if array.dtype == np.uint8 and array.shape[-1] == 3 and array.ndim == arranged + 3:
                shape = array.shape[arranged:]
            assert array.shape[arranged:] == shape and array.shape[arranged - 1] > 0
            assert array.dtype == np.uint8 or np.all((array >= low) & (array <= high))
            counted = array.shape[0] if view.layout != "frames" else array.shape[1]
            assert view.captions is None or len(view.captions) == counted
            headed = array.shape[0] if view.layout == "frames" else array.shape[1]
            assert view.heads is None or len(view.heads) == headed


def test_bad_arguments_are_refused_by_name_and_value(case):
    for change in ({"event_shape": (0,)}, {"event_shape": ()}, *case.bad):
        ((name, value),) = change.items()
        with pytest.raises(ValueError, match=name) as caught:
            make(case, **change)
        shown = value[0] if isinstance(value, tuple) and value else value
        assert str(shown) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_ways_to_ask_for_samples_are_refused(model):
    if not model.samples:
        return
    x = examples(model, 2)
    for num in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="num"):
            model.sample(num)
    with pytest.raises(ValueError, match="seed"):
        model.sample(1, seed="x", **conditions(model, 1))
    if model.condition is None:
        with pytest.raises(ValueError, match="takes no condition, got condition=3"):
            model.sample(1, condition=3)
    else:
        with pytest.raises(ValueError, match="needs a condition"):
            model.sample(1)
    if model.event_shape[0] is not None:
        with pytest.raises(ValueError, match="samples without length"):
            model.sample(1, length=3, **conditions(model, 1))
    else:
        with pytest.raises(ValueError, match="length must be a whole number of at least 1, got 0"):
            model.sample(1, length=0, **conditions(model, 1))
    if model.chain_steps is None:
        with pytest.raises(ValueError, match="samples without num_steps"):
            model.sample(1, num_steps=3, **conditions(model, 1))
    else:
        with pytest.raises(ValueError, match="num_steps must be a whole number of at least 1, got 0"):
            model.sample(1, num_steps=0, **conditions(model, 1))
    with pytest.raises(ValueError, match="temperature must be finite and not negative, got -1"):
        model.sample(1, temperature=-1)
    with pytest.raises(ValueError, match="given and mask go together, got mask=None"):
        model.sample(1, given=x[0])
    with pytest.raises(ValueError, match="samples without colour"):
        model.sample(1, colour=3, **conditions(model, 1))


def test_bad_inputs_are_refused(model):
    if not has_density(model):
        return
    x = examples(model, 2)
    given = conditions(model, 2) | extras(model, 2)
    for wrong in (x[0], x[..., None], *(() if model.event_shape[0] is None else (x[:, :1],))):
        with pytest.raises(ValueError, match="shape"):
            model.log_prob(wrong, **given)
    with pytest.raises(ValueError, match="numeric"):
        model.log_prob(np.full(x.shape, "a"), **given)
    with pytest.raises(ValueError, match="values" if model.values != "counts" else "counts"):
        model.log_prob(np.full_like(x, np.inf if model.missing else np.nan), **given)
    if model.values == "levels":
        with pytest.raises(ValueError, match=f"0 to {model.num_values - 1}"):
            model.log_prob(x + 0.5, **given)
    if model.values == "counts":
        for wrong in (x + 0.5, x - 100.0):
            with pytest.raises(ValueError, match="must hold counts"):
                model.log_prob(wrong, **given)
    if model.event_shape[0] is not None and model.density == "exact":
        with pytest.raises(ValueError, match="leave lengths out"):
            model.log_prob(x, lengths=[1, 1], **given)
    for name in given:
        with pytest.raises(ValueError, match=f"(needs a|reads) {name}"):
            model.log_prob(x, **{k: v for k, v in given.items() if k != name})
        with pytest.raises(ValueError, match=f"{name} must have shape|condition must have shape"):
            model.log_prob(x, **given | {name: np.stack([given[name]] * 2, axis=-1)})


def test_data_that_do_not_fit_are_refused(model):
    fitting = dataset(model)
    model.check_data(fitting)
    if model.values == "levels":
        with pytest.raises(ValueError, match="levels"):
            model.check_data(dataclasses.replace(fitting, num_values=model.num_values + 1))
    other = dataset(make(CASES["DCGAN"], event_shape=(9, 8, 1)))
    with pytest.raises(ValueError, match="event_shape"):
        model.check_data(other)
    if model.condition is not None or model.extra_fields:
        bare = dataclasses.replace(fitting, train=data.Split(fitting.train.x))
        with pytest.raises(ValueError, match="has none"):
            model.check_data(bare)
