"""`BeliefLayers` against enumeration of all states of a small net."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import expit

from tfgen import random
from tfgen.distributions import draw, draws_are_ours
from tfgen.variational.belief_layers import BeliefChain, BeliefLayers

SIZES = (3, 2, 2)
SEED = tf.constant([3, 9])


def states(units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)), np.float32)


@pytest.fixture(scope="module", params=["down", "up"])
def chain(request):
    layers, rng = BeliefLayers(SIZES, request.param), np.random.RandomState(4)
    layers.set_weights([rng.normal(0.0, 1.5, w.shape) for w in layers.get_weights()])
    return layers


def by_hand(layers, every):
    """log p of each link, `[states, links]`, from all layers side by side."""
    h = np.split(every.astype(np.float64), np.cumsum(SIZES)[:-1], axis=1)
    found = []
    for link in range(2):
        given, drawn = (h[link], h[link + 1]) if layers.upward else (h[link + 1], h[link])
        p = expit(given @ layers.kernels[link].numpy() + layers.biases[link].numpy())
        found.append(np.log(np.where(drawn == 1.0, p, 1.0 - p)).sum(1))
    return np.stack(found, axis=1)


def test_densities_are_those_of_the_formula_and_sum_to_one(chain):
    every = states(sum(SIZES))
    want = by_hand(chain, every)
    layers = tf.split(every, SIZES, axis=-1)
    np.testing.assert_allclose(np.stack(chain.log_probs(layers), axis=1), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(chain(*layers), want.sum(1), rtol=1e-4)
    end = 0 if chain.upward else 2
    first = chain.following(layers[end])
    others = tf.concat(layers[1:] if chain.upward else layers[:-1], axis=-1)
    np.testing.assert_allclose(first.log_prob(others), want.sum(1), rtol=1e-4)
    np.testing.assert_allclose(np.stack(first.layer_log_probs(others), 1), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.exp(want.sum(1)).sum(), 2.0 ** SIZES[end], rtol=1e-5)


def test_draws_follow_the_density_and_have_streams_of_their_own(chain):
    given = np.float32([1.0, 0.0, 1.0]) if chain.upward else np.float32([1.0, 0.0])
    distribution = chain.following(given)
    assert draws_are_ours(distribution) and distribution.batch_shape == ()
    every = states(distribution.event_shape[0])
    p = np.exp(distribution.log_prob(every).numpy().astype(np.float64))
    for z in (draw(distribution, SEED, [20_000]), distribution.sample(20_000, seed=SEED)):
        number = (z.numpy() @ 2.0 ** np.arange(len(every[0]))[::-1]).astype(int)
        counts = np.bincount(number, minlength=len(every))
        assert stats.chisquare(counts, 20_000 * p / p.sum()).pvalue > 1e-6  # false-failure rate 1e-6
    rows = random.rows(SEED, 5)
    two = chain.following(np.stack([given] * 5))
    np.testing.assert_array_equal(draw(two, rows)[3], draw(chain.following(given[None]), rows[3:4])[0])
    # Temperature 0 takes the likelier value of each unit in turn.
    cold = draw(distribution, SEED, temperature=0.0).numpy()
    at = distribution.layers(cold) if chain.upward else distribution.layers(cold)[::-1]
    first, second = (0, 1) if chain.upward else (1, 0)
    odds = chain.log_odds(first, given), chain.log_odds(second, at[0])
    for layer, log_odds in zip(at, odds, strict=True):
        np.testing.assert_array_equal(layer, np.float32(log_odds > 0))


def test_a_prior_over_hidden_layers_ends_before_the_visible_one(chain):
    if chain.upward:
        with pytest.raises(ValueError, match="begins with what is seen"):
            chain.beginning([0.0, 0.0])
        return
    top = np.float32([0.4, -0.9])
    prior = chain.beginning(top)
    every = states(4)
    want = np.log(np.where(every[:, 2:] == 1.0, expit(top), expit(-top))).sum(1)
    odds = every[:, 2:] @ chain.kernels[1].numpy() + chain.biases[1].numpy()
    want += np.log(np.where(every[:, :2] == 1.0, expit(odds), expit(-odds))).sum(1)
    np.testing.assert_allclose(prior.log_prob(every), want, rtol=1e-4)
    assert isinstance(prior, BeliefChain) and prior.sizes == (2, 2)


def test_means_pass_probabilities_on(chain):
    given = np.float32([[0.2, 1.0, 0.0]]) if chain.upward else np.float32([[0.3, 0.6]])
    found = chain.means(given)
    assert [h.shape[-1] for h in found] == list(SIZES)
    first, second = (0, 1) if chain.upward else (1, 0)
    between = expit(given @ chain.kernels[first].numpy() + chain.biases[first].numpy())
    np.testing.assert_allclose(found[1], between, rtol=1e-5)
    last = expit(between @ chain.kernels[second].numpy() + chain.biases[second].numpy())
    np.testing.assert_allclose(found[2 if chain.upward else 0], last, rtol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"sizes must hold two layers or more, got \(3,\)"):
        BeliefLayers((3,))
    with pytest.raises(ValueError, match=r"sizes must hold whole numbers of at least 1, got \(3, 0\)"):
        BeliefLayers((3, 0))
    with pytest.raises(ValueError, match="direction must be one of 'down', 'up', got 'left'"):
        BeliefLayers((3, 2), "left")
