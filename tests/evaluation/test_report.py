"""Reports: which figures there are for which density, under which conditions, and what each is called."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests import cli_toys
from tfgen import data, random
from tfgen.autoregressive import CharRNN
from tfgen.energy import RBM
from tfgen.estimators import samples
from tfgen.evaluation import sample_report
from tfgen.evaluation.report import evaluate, nats_by_example
from tfgen.evaluation.sample_report import report_samples
from tfgen.model import GenerativeModel

SEED = random.as_seed(3)


class Bounded(RBM):
    """An RBM whose -F is short of the true one by half a nat, or by 1 / num_samples."""

    density = "unnormalized_bound"

    def score(self, x, num_samples=1, seed=0):
        return super().score(x) - 1.0 / num_samples


def binary():
    x = np.random.default_rng(0).integers(0, 2, (30, 2, 2, 1)).astype(np.uint8)
    parts = [data.Split(x)] * 3
    return data.Data("bits", "image", (2, 2, 1), 2, 2, None, None, *parts)


def test_a_bound_of_an_unnormalized_density_is_never_called_nats():
    model, bounded = RBM((2, 2, 1), num_hidden=3), Bounded((2, 2, 1), num_hidden=3)
    bounded.set_weights(model.get_weights())
    exact, bound = evaluate(model, binary(), SEED), evaluate(bounded, binary(), SEED, importance_samples=4)
    assert "nats" not in bound and "nats_bound" not in exact
    assert bound["nats_bound"]["kind"].startswith("upper bound of the nats, from a bound of the free energy")
    for key in ("value", "low", "high"):
        assert bound["nats_bound"][key] == pytest.approx(exact["nats"][key] + 0.25, abs=1e-5)
    assert bound["log_partition"] == exact["log_partition"]


@pytest.mark.parametrize(("above", "doubted"), [(4.5, True), (1.2, False), (0.2, False)])
def test_an_estimate_that_another_contradicts_is_in_doubt(above, doubted):
    class Annealed(RBM):
        def log_partition(self, method="exact", **kwargs):
            if method == "exact":
                raise ValueError("too large")
            return 1.0, 0.5, 1.5

        def test_metrics(self, data, seed):
            upper = {"value": above, "low": above - 0.5, "high": above + 0.5, "kind": "from above"}
            return {"log_partition_upper": upper}

    found = evaluate(Annealed((2, 2, 1), num_hidden=3), binary(), SEED)
    told = "; in doubt: log Z is 3.5 nats higher by reverse annealing"
    for name in ("nats", "log_partition"):
        assert found[name]["kind"].endswith(told) == doubted and ("doubt" in found[name]["kind"]) == doubted
    assert found["log_partition"]["value"] == 1.0
    assert found["log_partition_upper"]["kind"] == "from above"


def test_a_model_that_neither_samples_nor_has_a_density_reports_its_own_figures():
    toy = cli_toys.label_data()
    assert evaluate(cli_toys.Scorer((4, 4, 1)), toy, SEED) == {"answer": {"value": 42.0, "kind": "known"}}


@pytest.mark.parametrize("honest", [True, False])
def test_labels_asked_for_are_looked_for_in_samples(honest):
    toy = cli_toys.label_data()
    found = evaluate(cli_toys.Labelled((4, 4, 1), honest=honest), toy, SEED)
    asked = toy.test.label[: len(toy.test)]
    # Where all samples are black, those of the first label are right.
    assert found["labels_found"]["value"] == (1.0 if honest else np.mean(asked == 0))
    assert found["real_labels_found"]["value"] > 0.95
    assert "30 samples" in found["labels_found"]["kind"]
    half = 1.96 * math.sqrt(np.mean(asked == 0) * np.mean(asked == 1) / 30)
    width = found["labels_found"]["high"] - found["labels_found"]["low"]
    assert width == pytest.approx(0.0 if honest else 2 * half, abs=1e-4)
    assert found["nats"]["value"] > 0


class Repeats(GenerativeModel):
    """Draws the vector it is told."""

    values = "real"

    def __init__(self, event_shape=(2,), **kwargs):
        from tfgen.model import Condition

        super().__init__(event_shape, **kwargs)
        self.condition = Condition("vector", (2,))

    def updates(self):
        return []

    def sample_rows(self, seeds, condition=None):
        return condition


def test_samples_are_drawn_under_the_conditions_of_the_test_split():
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(20, 2)).astype(np.float32) for _ in range(2))
    parts = [data.Split(train, extra={"vector": train}), *[data.Split(test, extra={"vector": test})] * 2]
    told = data.Data("told", "vector", (2,), None, None, None, None, *parts)
    found = report_samples(Repeats(), told, SEED)
    assert found["frechet_distance"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert found["real_frechet_distance"]["value"] > 0.01


def test_several_labels_at_once_count_where_all_are_right():
    toy = cli_toys.label_data()
    pairs = [
        data.Split(part.x, np.stack([part.label, part.label], axis=1))
        for part in (toy.train, toy.validation, toy.test)
    ]
    both = data.Data("toy", "image", (4, 4, 1), 2, 2, (2, 2), None, *pairs)

    class Pairs(cli_toys.Labelled):
        def __init__(self, event_shape, **kwargs):
            from tfgen.model import Condition

            super().__init__(event_shape, **kwargs)
            self.condition = Condition("label", (2,), (2, 2))

        def sample_rows(self, seeds, condition=None):
            return super().sample_rows(seeds, condition[:, 0])

    assert evaluate(Pairs((4, 4, 1)), both, SEED)["labels_found"]["value"] == 1.0
    assert tf.reduce_all(Pairs((4, 4, 1)).sample(2, condition=[1, 1], seed=0) == 1.0)


def test_counts_and_videos_are_evaluated():
    counts = evaluate(cli_toys.Counts((6,)), cli_toys.count_data(), SEED)
    x = cli_toys.count_data().test.x.astype(np.float64)
    expected = np.mean(np.sum(1.0 + np.vectorize(math.lgamma)(x + 1.0), axis=1))
    assert counts["nats"]["value"] == pytest.approx(expected, rel=1e-5) and "bits_per_dim" not in counts
    video = evaluate(cli_toys.Pixels((3, 4, 5, 1)), cli_toys.video_data(), SEED)
    assert video["bits_per_dim"]["value"] == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "toy", "said"),
    [
        (cli_toys.Counts((60,)), cli_toys.video_data(), "event_shape"),
        (cli_toys.Pixels((6,)), cli_toys.count_data(), "takes 2 levels, but toy has counts"),
    ],
)
def test_data_of_another_kind_is_refused(model, toy, said):
    with pytest.raises(ValueError, match=said):
        evaluate(model, toy, SEED)


def numbers_in(report):
    return [v for figure in report.values() for v in figure.values() if isinstance(v, float)]


def test_one_test_example_has_figures_without_an_interval():
    many = binary()
    few = dataclasses.replace(many, test=many.test.take(slice(0, 1)))
    model = RBM((2, 2, 1), num_hidden=3)
    found = evaluate(model, few, SEED)
    x = few.test.x.astype(np.float32)
    assert found["nats"]["value"] == pytest.approx(-float(model.log_likelihood(x)[0]), rel=1e-6)
    assert found["nats"]["examples"] == 1 and not {"low", "high"} & found["nats"].keys()
    assert np.isfinite(numbers_in(found)).all()
    texts = CharRNN(units=2, embedding=2, vocabulary="ab")
    tokens = data.Split(np.array([[0, 1, 1]], np.uint8))
    told = data.Data(
        "texts", "text", (None,), 2, 2, None, None, tokens, tokens, tokens, vocabulary=("a", "b")
    )
    found = evaluate(texts, told, SEED)
    nats = -float(texts.log_prob(tokens.x.astype(np.float32))[0])
    assert found["nats_per_step"]["value"] == pytest.approx(nats / 3, rel=1e-6)
    assert all("low" not in figure for figure in found.values()) and np.isfinite(numbers_in(found)).all()


def test_no_test_example_is_refused():
    many = binary()
    with pytest.raises(ValueError, match="bits has no test examples"):
        evaluate(RBM((2, 2, 1)), dataclasses.replace(many, test=many.test.take(slice(0, 0))), SEED)


def test_figures_are_computed_without_tf32():
    seen = []

    class Watched(RBM):
        def score(self, x):
            seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
            return super().score(x)

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        evaluate(Watched((2, 2, 1), num_hidden=2), binary(), SEED)
        assert tf.config.experimental.tensor_float_32_execution_enabled()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    assert seen and not any(seen)


def test_samples_are_drawn_so_many_at_once_as_fit(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 2)).astype(np.float32)
    parts = [data.Split(x, extra={"vector": x})] * 3
    told = data.Data("told", "vector", (2,), None, None, None, None, *parts)
    model, asked = Repeats(), []
    draw = model.sample
    monkeypatch.setattr(model, "sample", lambda num, **more: asked.append(num) or draw(num, **more))
    monkeypatch.setattr(sample_report, "_NUMBERS_AT_ONCE", 14)
    assert report_samples(model, told, SEED)["frechet_distance"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert asked == [7, 7, 6] * 10


class Noise(GenerativeModel):
    """Gaussian noise."""

    values = "real"

    def updates(self):
        return []

    def sample_rows(self, seeds):
        return random.normal(seeds, self.event_shape)


def test_chunks_are_drawn_from_different_seeds(monkeypatch):
    x = np.zeros((20, 2), np.float32)
    plain = data.Data("plain", "vector", (2,), None, None, None, None, *[data.Split(x)] * 3)
    model = Noise((2,))
    whole = sample_report._draw(model, plain, 20, SEED)
    np.testing.assert_array_equal(whole, model.sample(20, seed=SEED))
    monkeypatch.setattr(sample_report, "_ROWS_AT_ONCE", 8)
    chunks = sample_report._draw(model, plain, 20, SEED)
    np.testing.assert_array_equal(chunks[:8], whole[:8])
    assert len(np.unique(chunks)) == 40


def test_large_x_are_compared_by_a_projection(monkeypatch):
    monkeypatch.setattr(sample_report, "_LARGEST", 32)
    shifted = np.random.default_rng(0).normal(1.0, 1.0, (300, 40)).astype(np.float32)
    plain = data.Data("plain", "vector", (40,), None, None, None, None, *[data.Split(shifted)] * 3)
    found = report_samples(Noise((40,)), plain, SEED)
    assert "random projection of x, 40 entries, to 32 numbers" in found["frechet_distance"]["kind"]
    fake, project = np.asarray(Noise((40,)).sample(300, seed=SEED)), samples.RandomProjection(40, 32)
    expected = samples.frechet_distance(project(shifted), project(fake))
    distance = found["frechet_distance"]
    # The mean of ten draws, of which the first is that of a single call.
    assert distance["low"] < distance["value"] < distance["high"]
    monkeypatch.setattr(sample_report, "_DRAWS", 1)
    once = report_samples(Noise((40,)), plain, SEED)["frechet_distance"]
    assert once["value"] == pytest.approx(expected, rel=1e-9) and "low" not in once
    assert found["real_frechet_distance"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_too_few_examples_have_no_distances():
    x = np.zeros((5, 2), np.float32)
    plain = data.Data("plain", "vector", (2,), None, None, None, None, *[data.Split(x)] * 3)
    assert report_samples(Noise((2,)), plain, SEED) == {}


def test_distances_are_means_over_draws_with_the_interval_of_the_mean():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    train = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    parts = [data.Split(train), data.Split(x), data.Split(x)]
    plain = data.Data("plain", "vector", (3,), None, None, None, None, *parts)
    found = report_samples(Noise((3,)), plain, SEED)
    seeds = [SEED, *(random.fold_in(SEED, 10_000, draw) for draw in range(1, 10))]
    each = [samples.frechet_distance(x, Noise((3,)).sample(40, seed=seed)) for seed in seeds]
    assert len(set(each)) == 10
    low, high = scipy.stats.t.interval(0.95, 9, np.mean(each), scipy.stats.sem(each))
    distance = found["frechet_distance"]
    assert distance["kind"].startswith("estimate, mean of 10 x 40 samples against 40 test examples")
    for key, value in {"value": np.mean(each), "low": low, "high": high}.items():
        assert distance[key] == pytest.approx(value, rel=1e-6)
    # The training examples make two sets of as many.
    real = [samples.frechet_distance(x, train[i : i + 40]) for i in (0, 40)]
    assert found["real_frechet_distance"]["value"] == pytest.approx(np.mean(real), rel=1e-9)


def test_nats_by_example_are_what_the_figures_are_means_of():
    bits, exact = binary(), RBM((2, 2, 1), num_hidden=3)
    nats, error = nats_by_example(exact, bits, SEED)
    x = bits.test.x.astype(np.float32)
    np.testing.assert_allclose(nats, -exact.log_likelihood(x).numpy(), rtol=1e-5)
    assert error == (0.0, 0.0)
    bounded = Bounded((2, 2, 1), num_hidden=3)
    bounded.set_weights(exact.get_weights())
    bound, _ = nats_by_example(bounded, bits, SEED, importance_samples=4)
    np.testing.assert_allclose(bound, nats + 0.25, rtol=1e-5)
    large = RBM((2, 2, 1), num_hidden=3)
    large.log_partition = lambda method="exact", seed=None: estimated(method)
    estimate, error = nats_by_example(large, bits, SEED)
    figure = evaluate(large, bits, SEED)["nats"]
    assert estimate.mean() == pytest.approx(figure["value"]) and error == pytest.approx((-0.5, 0.25))
    half = 1.959964 * estimate.std(ddof=1) / math.sqrt(len(estimate))
    assert figure["low"] == pytest.approx(figure["value"] - half - 0.5)
    with pytest.raises(ValueError, match="Noise has no density"):
        nats_by_example(Noise((2,)), bits, SEED)


def estimated(method):
    """A partition function that is too large to enumerate: its estimate and interval."""
    if method != "ais":
        raise ValueError("too large")
    return 7.0, 6.5, 7.25
