"""Reports: which figures there are for which density, under which conditions, and what each is called."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests import cli_toys
from tfgen import data, random
from tfgen.energy import RBM
from tfgen.evaluation.report import evaluate
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
