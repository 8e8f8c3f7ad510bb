"""What every model promises, checked on every model."""

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
from tests.conformance.cases import CASES, make
from tests.planted import STEPS, batch, conditions, dataset, examples, perturb
from tfgen import random, serving
from tfgen.cli.constructor import read_arguments
from tfgen.keras_model import constructor_parameters
from tfgen.model import GenerativeModel

SEED = tf.constant([3, 4])


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def model(case):
    keras.utils.set_random_seed(1)
    return perturb(make(case))


def has_density(model):
    return model.density != "none"


def concrete(cls):
    below = [c for s in cls.__subclasses__() for c in concrete(s)]
    mine = cls.__module__.startswith("tfgen.") and not inspect.isabstract(cls)
    return {*below, *([cls] if mine else [])}


def test_coverage_every_concrete_model_has_a_row_and_an_app():
    for module in pkgutil.walk_packages(tfgen.__path__, "tfgen."):
        importlib.import_module(module.name)
    models = concrete(GenerativeModel)
    assert models == {c.cls for c in CASES.values()}
    apps = "".join(p.read_text() for p in pathlib.Path(tfgen.__file__).parents[1].glob("apps/*.py"))
    assert [m.__name__ for m in models if f'.{m.__name__}"' not in apps] == []


def test_the_family_exports_the_model(case):
    family = importlib.import_module(case.cls.__module__.rpartition(".")[0])
    assert getattr(family, case.cls.__name__) is case.cls
    assert case.cls.__name__ in family.__all__


def test_flags_are_read_as_the_constructor_has_them(case):
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
def test_weights_exist_when_the_constructor_returns(case):
    model = make(case)
    before = [v.path for v in model.variables]
    if has_density(model):
        model.log_prob(**batch(model, 3))
    model.sample(2, seed=0, **conditions(model, 2))
    for update in model.updates():
        (update.objective or update.statistics)(batch(model, 3), SEED, tf.constant(0, tf.int64))
    assert model.built and len(before) > 1
    assert [v.path for v in model.variables] == before


@pytest.mark.slow
def test_other_event_shapes(case):
    for shape in case.shapes:
        model = make(case, event_shape=shape)
        sampled = model.sample(2, seed=1, **conditions(model, 2))
        assert sampled.shape == (2, *model.space.shape_of(model.length)) and sampled.dtype == tf.float32
        low, high = model.space.value_range
        assert np.all((sampled >= low) & (sampled <= high)) and np.all(np.isfinite(sampled))
        if model.values == "levels":
            np.testing.assert_array_equal(sampled, np.round(sampled))
        if has_density(model):
            scored = model.log_prob(**batch(model, 3))
            assert scored.shape == (3,) and scored.dtype == tf.float32 and np.all(np.isfinite(scored))


@pytest.mark.slow
def test_samples_are_a_function_of_their_own_seed(model):
    given = conditions(model, 5)
    five = model.sample(5, seed=7, **given).numpy()
    np.testing.assert_array_equal(five, model.sample(5, seed=7, **given))
    two = model.sample(2, seed=tf.constant([0, 7]), **{k: v[:2] for k, v in given.items()}).numpy()
    np.testing.assert_allclose(five[:2], two, atol=1e-6)
    assert not np.array_equal(five, model.sample(5, seed=8, **given))
    assert len(np.unique(five.round(6), axis=0)) > 1


@pytest.mark.slow
def test_samples_are_equal_with_and_without_xla(model):
    rows, given = random.rows(random.as_seed(5), 6), conditions(model, 6)
    plain = tf.function(model.sample_rows, autograph=False)(rows, **given)
    compiled = tf.function(model.sample_rows, autograph=False, jit_compile=True)(rows, **given)
    np.testing.assert_allclose(plain, compiled, atol=2e-5)


@pytest.mark.slow
def test_log_prob_takes_arrays_and_works_in_a_graph(model):
    if not has_density(model):
        with pytest.raises(ValueError, match="no density"):
            model.log_prob(examples(model, 2))
        return
    fields = {name: field.numpy() for name, field in batch(model, 4).items()}
    eager = model.log_prob(**fields)
    tensors = {name: tf.constant(field) for name, field in fields.items()}
    np.testing.assert_allclose(eager, tf.function(model.log_prob)(**tensors), rtol=1e-5, atol=1e-5)
    part = {name: field[1:3] for name, field in fields.items()}
    np.testing.assert_allclose(eager[1:3], model.log_prob(**part), rtol=1e-5, atol=1e-5)
    fields.pop("lengths", None)
    np.testing.assert_allclose(model.log_prob(**fields), model(**fields), rtol=1e-5, atol=1e-5)


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
    listed = list(itertools.product(range(model.num_values), repeat=int(np.prod(shape))))
    return np.array(listed, np.float32).reshape(-1, *shape)


def one_condition(model, num):
    """The same condition `num` times, as keyword arguments."""
    return {name: np.repeat(value, num, axis=0) for name, value in conditions(model, 1).items()}


@pytest.mark.slow
def test_exact_densities_sum_to_one(case, model):
    if model.density != "exact":
        return
    if case.enumerable:
        events = every_event(model)
        total = np.exp(model.log_prob(events, **one_condition(model, len(events)))).sum()
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
        return
    grid = np.linspace(-12, 12, 601, dtype=np.float32)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    if model.kind == "strokes":
        # One step: a point of the plane, and the pen.
        points = np.concatenate([np.insert(points, 2, pen, axis=1) for pen in (0.0, 1.0)])[:, None]
    assert model.kind in ("points", "strokes"), "quadrature is over the plane"
    # In parts of one size, so that one trace serves all.
    log_prob = tf.function(model.log_prob, autograph=False)
    given = one_condition(model, len(points) // 100)
    parts = [
        log_prob(part, **given).numpy() for part in np.array_split(points[: len(points) // 100 * 100], 100)
    ]
    mass = np.exp(np.concatenate(parts).astype(np.float64)).sum() * (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=1e-3)


@pytest.mark.slow
def test_samples_follow_the_exact_density(case, model):
    """Chi-square of 20,000 samples; false failures 1 in 10^4, and the seed is fixed."""
    if model.density != "exact" or not case.enumerable:
        return
    from scipy import stats

    events = every_event(model)
    expected = np.exp(model.log_prob(events, **one_condition(model, len(events))).numpy().astype(np.float64))
    given = {name: value[0] for name, value in conditions(model, 1).items()}
    sampled = model.sample(20_000, seed=11, **given).numpy().reshape(20_000, -1)
    index = (sampled @ float(model.num_values) ** np.arange(sampled.shape[1])[::-1]).astype(int)
    counts = np.bincount(index, minlength=len(events))
    expected *= 20_000 / expected.sum()
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
    sampled = distribution.sample(2, seed=[1, 2])
    assert sampled.shape == (2, *batch_shape, *fields["x"].shape[1:])
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
    """Sum of exp(-free energy) is Z; a lower bound sums, in any draw of its noise, to about 1 or less."""
    if not case.enumerable or model.density not in ("unnormalized", "lower_bound"):
        return
    events = every_event(model)
    if model.density == "unnormalized":
        total = np.logaddexp.reduce(model.log_prob(events).numpy())
        np.testing.assert_allclose(total, model.log_partition(), rtol=1e-5)
        return
    loose, tight = (np.mean(model.log_prob(events, num_samples=k, seed=SEED)) for k in (1, 2000))
    assert tight > loose
    np.testing.assert_allclose(
        np.exp(model.log_prob(events, num_samples=5000, seed=SEED)).sum(), 1, atol=0.02
    )


def differentiated(update, fields, step):
    """f() -> the update's loss and its gradients, compiled."""

    def value_and_grad():
        with tf.GradientTape() as tape, keras.StatelessScope():
            loss, _ = update.objective(fields, SEED, step)
        gradients = tape.gradient(loss, [v.value for v in update.trainable])
        return loss, [tf.convert_to_tensor(g) for g in gradients]

    return tf.function(value_and_grad, autograph=False)


@pytest.mark.slow
def test_gradients_are_those_of_the_reported_loss(model):
    """Central differences of every gradient update's loss, variable by variable."""
    fields, step = batch(model, 4), tf.constant(2, tf.int64)
    rng = np.random.default_rng(0)
    for update in model.updates():
        if update.objective is None or update.surrogate:
            continue

        value_and_grad = differentiated(update, fields, step)
        gradients = value_and_grad()[1]
        for variable, gradient in zip(update.trainable, gradients, strict=True):
            start = variable.numpy()
            direction = rng.choice([-1.0, 1.0], start.shape).astype(np.float32) / np.sqrt(start.size)
            ends = []
            for size in (2e-3, -2e-3):
                variable.assign(start + size * direction)
                ends.append(float(value_and_grad()[0]))
            variable.assign(start)
            numeric, exact = (ends[0] - ends[1]) / 4e-3, float(np.sum(direction * gradient))
            np.testing.assert_allclose(numeric, exact, rtol=0.03, atol=4e-3, err_msg=variable.path)


def test_bfloat16_layers_give_nearly_the_same_loss(case):
    """bfloat16 has 8 bits: losses agree to a few per cent, weights and losses stay float32."""
    model = perturb(make(case))
    twin = make(case, dtype="mixed_bfloat16")
    twin.set_weights(model.get_weights())
    assert {v.dtype for v in twin.trainable_variables} <= {"float32"}
    fields = batch(model, 8)
    for one, two in zip(model.updates(), twin.updates(), strict=True):
        if one.objective:
            with keras.StatelessScope():
                (exact, _), (rough, _) = (
                    u.objective(fields, SEED, tf.constant(0, tf.int64)) for u in (one, two)
                )
            assert rough.dtype == tf.float32
            np.testing.assert_allclose(exact, rough, rtol=0.05, atol=0.02)


def test_config_returns_every_argument(case):
    model = make(case)
    config = model.get_config()
    assert set(config) == set(constructor_parameters(case.cls))
    assert {k: config[k] for k in case.arguments} == case.arguments
    # Arguments that are no default must survive too.
    changed = make(case, name="other")
    assert case.cls.from_config(changed.get_config()).get_config() == changed.get_config()


@pytest.mark.slow
def test_keras_file_round_trip(case, tmp_path):
    model = make(case, name="kept")
    for v in model.variables:
        if v.dtype == "float32" and v.trainable:
            v.assign(v + 0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    given = conditions(model, 3)
    np.testing.assert_array_equal(model.sample(3, seed=1, **given), loaded.sample(3, seed=1, **given))
    if has_density(model):
        fields = batch(model, 3)
        np.testing.assert_array_equal(model.log_prob(**fields), loaded.log_prob(**fields))


@pytest.mark.slow
def test_export_round_trip(model, tmp_path):
    loaded = tf.saved_model.load(str(serving.export(model, tmp_path)))
    seeds, given = random.rows(random.as_seed(5), 3), conditions(model, 3)
    tensors = {name: tf.constant(value) for name, value in given.items()}
    served = loaded.signatures["sample"](seeds=seeds, **tensors)["x"]
    np.testing.assert_allclose(model.sample(3, seed=5, **given), served, atol=2e-5)
    assert set(loaded.signatures) == set(model.signatures()) >= {"serving_default", "sample"}
    if has_density(model):
        fields = batch(model, 3)
        (answer,) = loaded.signatures["serving_default"](**fields).values()
        sign = -1 if "free_energy" in loaded.signatures else 1
        np.testing.assert_allclose(model.log_prob(**fields), sign * answer, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_fit_is_the_same_step(case):
    """Keras' fit moves the weights, on arrays as on data sets, and reports the model's metrics."""
    model = make(case)
    x = examples(model, 8)
    model.begin({"x": x}, SEED)
    names = {u.name: "sgd" for u in model.updates() if u.objective}
    model.compile(optimizer=names, seed=3)
    before = [v.numpy().copy() for v in model.variables]
    # Plain arrays where there is nothing but x.
    fields = batch(model, 8)
    plain = list(fields) == ["x"]
    every = tf.data.Dataset.from_tensor_slices(x if plain else fields)
    held_out = x if plain else every.batch(8)
    history = model.fit(every.batch(4), epochs=2, verbose=0, validation_data=held_out)
    assert all(np.all(np.isfinite(values)) for values in history.history.values())
    assert "val_loss" in history.history and int(model.step) == 4
    moved = [not np.array_equal(b, v.numpy()) for b, v in zip(before, model.variables, strict=True)]
    assert sum(moved) > 1


def test_bad_arguments_are_refused_by_name_and_value(case):
    for change in ({"event_shape": (0,)}, {"event_shape": ()}, *case.bad):
        ((name, value),) = change.items()
        with pytest.raises(ValueError, match=name) as caught:
            make(case, **change)
        shown = value[0] if isinstance(value, tuple) and value else value
        assert str(shown) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_inputs_are_refused(model):
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
    with pytest.raises(ValueError, match="temperature must be finite and not negative, got -1"):
        model.sample(1, temperature=-1)
    with pytest.raises(ValueError, match="given and mask go together, got mask=None"):
        model.sample(1, given=x[0])
    with pytest.raises(ValueError, match="samples without colour"):
        model.sample(1, colour=3, **conditions(model, 1))
    if not has_density(model):
        return
    given = conditions(model, 2)
    for wrong in (x[0], x[..., None], *(() if model.event_shape[0] is None else (x[:, :1],))):
        with pytest.raises(ValueError, match="shape"):
            model.log_prob(wrong, **given)
    with pytest.raises(ValueError, match="numeric"):
        model.log_prob(np.full(x.shape, "a"), **given)
    with pytest.raises(ValueError, match="values"):
        model.log_prob(np.full_like(x, np.nan), **given)
    if model.values == "levels":
        with pytest.raises(ValueError, match=f"0 to {model.num_values - 1}"):
            model.log_prob(x + 0.5, **given)
    if model.event_shape[0] is not None and model.density == "exact":
        with pytest.raises(ValueError, match="leave lengths out"):
            model.log_prob(x, lengths=[1, 1], **given)


def test_data_that_do_not_fit_are_refused(model):
    fitting = dataset(model)
    model.check_data(fitting)
    import dataclasses

    if model.values == "levels":
        with pytest.raises(ValueError, match="levels"):
            model.check_data(dataclasses.replace(fitting, num_values=model.num_values + 1))
    other = dataset(make(CASES["DCGAN"], event_shape=(9, 8, 1)))
    with pytest.raises(ValueError, match="event_shape"):
        model.check_data(other)
