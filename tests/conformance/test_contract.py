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

import tfgen
from tests.conformance.cases import CASES, make
from tests.planted import dataset, examples, perturb
from tfgen import random, serving
from tfgen.cli.constructor import read_arguments
from tfgen.fitting import constructor_parameters
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


def test_weights_exist_when_the_constructor_returns(case):
    model = make(case)
    before = [v.path for v in model.variables]
    x = examples(model, 3)
    if has_density(model):
        model.log_prob(x)
    model.sample(2, seed=0)
    for update in model.updates():
        (update.objective or update.statistics)({"x": x}, SEED, tf.constant(0, tf.int64))
    assert model.built and len(before) > 1
    assert [v.path for v in model.variables] == before


def test_other_event_shapes(case):
    for shape in case.shapes:
        model = make(case, event_shape=shape)
        sampled = model.sample(2, seed=1)
        assert sampled.shape == (2, *shape) and sampled.dtype == tf.float32
        low, high = model.value_range
        assert np.all((sampled >= low) & (sampled <= high)) and np.all(np.isfinite(sampled))
        if model.values == "levels":
            np.testing.assert_array_equal(sampled, np.round(sampled))
        if has_density(model):
            scored = model.log_prob(examples(model, 3))
            assert scored.shape == (3,) and scored.dtype == tf.float32 and np.all(np.isfinite(scored))


def test_samples_are_a_function_of_their_own_seed(model):
    five = model.sample(5, seed=7).numpy()
    np.testing.assert_array_equal(five, model.sample(5, seed=7))
    two = model.sample(2, seed=tf.constant([0, 7])).numpy()
    np.testing.assert_allclose(five[:2], two, atol=1e-6)
    assert not np.array_equal(five, model.sample(5, seed=8))
    assert len(np.unique(five.round(6), axis=0)) > 1


def test_samples_are_equal_with_and_without_xla(model):
    rows = random.rows(random.as_seed(5), 6)
    plain = tf.function(model.sample_rows, autograph=False)(rows)
    compiled = tf.function(model.sample_rows, autograph=False, jit_compile=True)(rows)
    np.testing.assert_allclose(plain, compiled, atol=2e-5)


def test_log_prob_takes_arrays_and_works_in_a_graph(model):
    if not has_density(model):
        with pytest.raises(ValueError, match="no density"):
            model.log_prob(examples(model, 2))
        return
    x = examples(model, 4)
    eager = model.log_prob(x)
    np.testing.assert_allclose(eager, tf.function(model.log_prob)(tf.constant(x)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(eager, model(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(eager[1:3], model.log_prob(x[1:3]), rtol=1e-5, atol=1e-5)


def all_binary(model):
    shape = model.event_shape
    listed = list(itertools.product([0.0, 1.0], repeat=int(np.prod(shape))))
    return np.array(listed, np.float32).reshape(-1, *shape)


def test_exact_densities_sum_to_one(case, model):
    if model.density != "exact":
        return
    if case.enumerable:
        np.testing.assert_allclose(np.exp(model.log_prob(all_binary(model))).sum(), 1.0, atol=1e-5)
        return
    grid = np.linspace(-12, 12, 601, dtype=np.float32)
    assert model.event_shape == (2,), "quadrature is over the plane"
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    mass = np.exp(model.log_prob(points).numpy().astype(np.float64)).sum() * (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=1e-3)


def test_samples_follow_the_exact_density(case, model):
    """Chi-square of 20,000 samples; false failures 1 in 10^4, and the seed is fixed."""
    if model.density != "exact" or not case.enumerable:
        return
    from scipy import stats

    events = all_binary(model)
    expected = np.exp(model.log_prob(events).numpy().astype(np.float64))
    sampled = model.sample(20_000, seed=11).numpy().reshape(20_000, -1)
    index = (sampled @ 2.0 ** np.arange(sampled.shape[1])[::-1]).astype(int)
    counts = np.bincount(index, minlength=len(events))
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-4


def test_unnormalized_densities_and_bounds_add_up_to_their_constant(case, model):
    """Sum of exp(-free energy) is Z; a lower bound sums, in any draw of its noise, to about 1 or less."""
    if not case.enumerable or model.density not in ("unnormalized", "lower_bound"):
        return
    events = all_binary(model)
    if model.density == "unnormalized":
        total = np.logaddexp.reduce(model.log_prob(events).numpy())
        np.testing.assert_allclose(total, model.log_partition(), rtol=1e-5)
        return
    loose, tight = (np.mean(model.log_prob(events, num_samples=k, seed=SEED)) for k in (1, 2000))
    assert tight > loose
    np.testing.assert_allclose(
        np.exp(model.log_prob(events, num_samples=5000, seed=SEED)).sum(), 1, atol=0.02
    )


def differentiated(update, batch, step):
    """f() -> the update's loss and its gradients, compiled."""

    def value_and_grad():
        with tf.GradientTape() as tape, keras.StatelessScope():
            loss, _ = update.objective(batch, SEED, step)
        return loss, tape.gradient(loss, [v.value for v in update.trainable])

    return tf.function(value_and_grad, autograph=False)


def test_gradients_are_those_of_the_reported_loss(model):
    """Central differences of every gradient update's loss, variable by variable."""
    batch, step = {"x": tf.constant(examples(model, 4))}, tf.constant(2, tf.int64)
    rng = np.random.default_rng(0)
    for update in model.updates():
        if update.objective is None or update.surrogate:
            continue

        value_and_grad = differentiated(update, batch, step)
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
    batch = {"x": tf.constant(examples(model, 8))}
    for one, two in zip(model.updates(), twin.updates(), strict=True):
        if one.objective:
            with keras.StatelessScope():
                (exact, _), (rough, _) = (
                    u.objective(batch, SEED, tf.constant(0, tf.int64)) for u in (one, two)
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


def test_keras_file_round_trip(case, tmp_path):
    model = make(case, name="kept")
    for v in model.variables:
        if v.dtype == "float32" and v.trainable:
            v.assign(v + 0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(model.sample(3, seed=1), loaded.sample(3, seed=1))
    if has_density(model):
        x = examples(model, 3)
        np.testing.assert_array_equal(model.log_prob(x), loaded.log_prob(x))


def test_export_round_trip(model, tmp_path):
    loaded = tf.saved_model.load(str(serving.export(model, tmp_path)))
    seeds = random.rows(random.as_seed(5), 3)
    served = loaded.signatures["sample"](seeds=seeds)["x"]
    np.testing.assert_allclose(model.sample(3, seed=5), served, atol=2e-5)
    assert set(loaded.signatures) == set(model.signatures()) >= {"serving_default", "sample"}
    if has_density(model):
        x = tf.constant(examples(model, 3))
        (answer,) = loaded.signatures["serving_default"](x=x).values()
        sign = -1 if "free_energy" in loaded.signatures else 1
        np.testing.assert_allclose(model.log_prob(x), sign * answer, rtol=1e-5, atol=1e-5)


def test_fit_is_the_same_step(case):
    """Keras' fit moves the weights, on arrays as on data sets, and reports the model's metrics."""
    model = make(case)
    x = examples(model, 8)
    model.begin(x, SEED)
    names = {u.name: "sgd" for u in model.updates() if u.objective}
    model.compile(optimizer=names, seed=3)
    before = [v.numpy().copy() for v in model.variables]
    history = model.fit(
        tf.data.Dataset.from_tensor_slices(x).batch(4), epochs=2, verbose=0, validation_data=x
    )
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
        model.sample(1, seed="x")
    with pytest.raises(ValueError, match="condition"):
        model.sample(1, condition=3)
    with pytest.raises(ValueError, match="temperature must be finite and not negative, got -1"):
        model.sample(1, temperature=-1)
    with pytest.raises(ValueError, match="given and mask go together, got mask=None"):
        model.sample(1, given=x[0])
    with pytest.raises(ValueError, match="samples without colour"):
        model.sample(1, colour=3)
    if not has_density(model):
        return
    for wrong in (x[0], x[..., None], x[:, :1]):
        with pytest.raises(ValueError, match="shape"):
            model.log_prob(wrong)
    with pytest.raises(ValueError, match="numeric"):
        model.log_prob(np.full(x.shape, "a"))
    with pytest.raises(ValueError, match="values"):
        model.log_prob(np.full_like(x, np.nan))
    if model.values == "levels":
        with pytest.raises(ValueError, match=f"0 to {model.num_values - 1}"):
            model.log_prob(x + 0.5)


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
