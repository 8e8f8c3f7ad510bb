"""MADE: masks against reachability, logits unit by unit, and a sampler that computes each unit once."""

import keras
import numpy as np
import pytest

from tests.autoregressive import pixel_checks as checks
from tests.autoregressive import vector_checks as vectors
from tfgen.autoregressive import FVBN, MADE
from tfgen.autoregressive.vectors.made import units_by_degree

DIRECT = {"event_shape": (10,), "hidden": (21, 17), "direct": True}
MASKS = {
    "event_shape": (5,), "hidden": (13, 11, 9), "num_values": 3, "order": "random", "num_orders": 2,
    "num_masks": 2,
}  # fmt: skip


@pytest.fixture(scope="module", params=[DIRECT, MASKS], ids=["direct", "masks"])
def model(request):
    return checks.randomize(MADE(**request.param), gain=2.0)


def test_masks_are_those_of_the_paper(model):
    for k, order in enumerate(model.orders):
        rank = np.argsort(order)
        *masks, last = (m.numpy() for m in model.masks(k))
        degrees = [d[k] for d in model.degrees]
        for i, j in np.ndindex(masks[0].shape):
            # The paper counts entries from 1: unit j sees entry i where m(j) >= m(i).
            assert masks[0][i, j] == (degrees[0][j] >= rank[i] + 1)
        for mask, below, above in zip(masks[1:], degrees, degrees[1:], strict=False):
            np.testing.assert_array_equal(mask, above[None] >= below[:, None])
            assert above.min() >= below.min()
        for i, j in np.ndindex(last.shape):
            assert last[i, j] == (rank[j // model.law.size] + 1 > degrees[-1][i])
        assert all(d.min() >= 1 and d.max() <= model.entries - 1 for d in degrees)


def test_components_differ_in_their_degrees_and_share_orders():
    model = MADE((30,), hidden=(40,), num_masks=3, order="random", num_orders=2)
    assert len(np.unique(model.degrees[0], axis=0)) == 6
    assert len(model.orders) == 6 and len(np.unique(model.orders, axis=0)) == 2
    # Of 240 uniform degrees in 1 to 29 none would miss both ends' thirds by chance.
    counts = np.histogram(model.degrees[0], bins=3, range=(1, 30))[0]
    assert counts.min() > 50


@pytest.mark.parametrize(
    "kwargs",
    [
        {"hidden": (60,), "order": "random", "num_orders": 2, "num_masks": 2},
        {"hidden": (40, 30), "num_values": 4},
        {"hidden": (8,), "direct": True},
    ],
    ids=["orders-masks", "levels", "direct"],
)
def test_causal_for_every_order_and_mask(kwargs):
    keras.utils.set_random_seed(3)
    vectors.assert_causal(MADE(**{"event_shape": (2, 3, 1)} | kwargs), every="direct" in kwargs)


def test_log_prob_is_a_loop_over_the_entries(model):
    """Each conditional from a network that is given zeros in place of all that it must not see."""
    x = checks.random_images(model, 6)
    for k, order in enumerate(model.orders):
        total = np.zeros(6)
        for position, i in enumerate(order):
            hidden = x.copy()
            hidden[:, order[position:]] = 0.0
            logits = model.raw(hidden, component=k).numpy()[:, i].reshape(6, -1).astype("float64")
            total += vectors.taken(logits, x[:, i])
        np.testing.assert_allclose(model.component_score(x, k), total, rtol=1e-5, atol=1e-5)


def test_sums_to_one(model):
    vectors.assert_sums_to_one(model)


@pytest.mark.slow
def test_compiled_samples_follow_the_density(model):
    checks.assert_compiled_samples_follow_the_density(model)


def test_the_sampler_computes_the_raw_outputs_and_planted_errors_are_noticed(model):
    layers = [*model.hidden, model.last, *([model.direct] if model.direct else [])]
    vectors.assert_sampler_computes_the_raw_outputs(model, [layer.kernel for layer in layers])


def test_the_sampler_computes_each_unit_once_at_the_step_of_its_degree():
    degrees = np.random.default_rng(0).integers(1, 7, (3, 20))
    units, real = units_by_degree(degrees, 7)
    for k in range(3):
        for degree in range(7):
            found = units[k, degree][real[k, degree] > 0]
            np.testing.assert_array_equal(found, np.flatnonzero(degrees[k] == degree))


@pytest.mark.slow
def test_completion(model):
    vectors.assert_completes(model)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"hidden": ()}, r"hidden must hold at least one size, got \(\)"),
        ({"hidden": (0,)}, "hidden must be a whole number of at least 1, got 0"),
        ({"num_masks": 0}, "num_masks must be a whole number of at least 1, got 0"),
        ({"num_orders": 3}, "num_orders must be 1 unless order='random', got 3"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MADE(**{"event_shape": (4,)} | kwargs)


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_better_than_fvbn():
    keras.utils.set_random_seed(17)
    nats, independent = vectors.digit_nats(MADE((8, 8, 1), hidden=(256, 256), num_masks=4))
    regressions, _ = vectors.digit_nats(FVBN((8, 8, 1)))
    assert nats < 0.85 * independent and nats < regressions - 0.3
