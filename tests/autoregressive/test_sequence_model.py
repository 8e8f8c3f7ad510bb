"""What all sequence models share, on a Markov chain whose every number is known."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.autoregressive.markov import Markov, Mortal, log_prob
from tfgen import random
from tfgen.data import Data, Split
from tfgen.distributions.laws import Levels
from tfgen.evaluation.report import evaluate
from tfgen.keras_model import constructor_parameters

SYMBOLS = ("t", "h", "e")


@pytest.fixture(scope="module")
def model():
    model = Markov(length=4, vocabulary=SYMBOLS)
    # XLA draws the same samples, as the conformance tests find of other models.
    model.jit_sampler = False
    return model


def every(length):
    return np.array(list(itertools.product(range(3), repeat=length)), np.float32)


def test_log_prob_counts_the_steps_within_the_length(model):
    x, lengths = every(4), np.arange(81) % 5
    expected = [log_prob(row[None, :n])[0] for row, n in zip(x, lengths, strict=True)]
    np.testing.assert_allclose(model.log_prob(x, lengths=lengths), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.log_prob(x), log_prob(x), rtol=1e-5)


def test_the_objective_is_nats_over_the_longest(model):
    batch = {"x": tf.constant(every(4)), "lengths": tf.constant(np.arange(81, dtype=np.int32) % 5)}
    (update,) = model.updates()
    loss, _ = update.objective(batch, None, None)
    np.testing.assert_allclose(loss, -np.mean(model.log_prob(**batch)) / 4, rtol=1e-6)
    metrics = model.validation_metrics(batch, None)
    per_step = -np.sum(model.log_prob(**batch)) / np.sum(batch["lengths"])
    np.testing.assert_allclose([metrics["loss"], metrics["nats_per_step"]], per_step, rtol=1e-5)
    np.testing.assert_allclose(metrics["nats"], -np.mean(model.log_prob(**batch)), rtol=1e-5)


@pytest.mark.parametrize("prompt", [None, [2.0], [1.0, 0.0]])
def test_continuations_follow_their_conditional(model, prompt):
    """Chi-square of 20,000 samples; each fails once in 10,000 seeds."""
    x = model.sample(20_000, prompt=prompt, length=3, seed=3).numpy()
    known = len(prompt or [])
    assert x.shape == (20_000, 3) and np.all(x[:, :known] == (prompt or []))
    rest = every(3 - known)
    whole = np.concatenate([np.tile(np.array(prompt or [], np.float32), (len(rest), 1)), rest], 1)
    probs = np.exp(log_prob(whole) - (log_prob(np.array([prompt]))[0] if prompt else 0.0))
    counts = np.bincount((x[:, known:] @ 3.0 ** np.arange(3 - known)[::-1]).astype(int), minlength=len(rest))
    np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-6)
    assert scipy.stats.chisquare(counts, 20_000 * probs / probs.sum()).pvalue > 1e-4


def test_each_row_may_have_a_prompt_of_its_own(model):
    prompts = np.array([[0.0, 1.0], [2.0, 2.0], [1.0, 0.0]])
    x = model.sample(3, prompt=prompts, seed=4).numpy()
    np.testing.assert_array_equal(x[:, :2], prompts)
    for row in range(3):
        np.testing.assert_array_equal(model.sample(3, prompt=prompts[row], seed=4)[row], x[row])


def test_temperature_zero_takes_the_most_probable_step(model):
    np.testing.assert_array_equal(model.sample(2, seed=1, temperature=0.0, length=5), [[1, 1, 1, 1, 1]] * 2)


def test_zeros_follow_the_end_but_for_what_is_known():
    model = Mortal(length=6)
    model.jit_sampler = False
    seeds = random.rows(random.as_seed(1), 300)
    drawn = model.scan(seeds, with_raw=True)
    x, whole = drawn["x"].numpy(), model.scan(seeds, stop=False)["x"].numpy()
    over = np.cumsum(x == 2.0, axis=1) - (x == 2.0) > 0
    assert over.any(axis=1).mean() > 0.5 and np.all(x[over] == 0.0)
    np.testing.assert_array_equal(x[~over], whole[~over])
    assert np.any(whole[over] != 0.0)
    # What is drawn is read, zeros too.
    np.testing.assert_allclose(drawn["raw"], model.raw(x), atol=1e-6)
    given, mask = np.zeros(6), np.zeros(6)
    given[[1, 4]], mask[[1, 4]] = (2.0, 1.0), 1.0
    x = model.sample(20, given=given, mask=mask, seed=2).numpy()
    assert np.all(x[:, [1, 4]] == [2.0, 1.0]) and np.all(x[:, [2, 3, 5]] == 0.0)


def test_steps_may_be_drawn_from_another_law(model):
    class Highest(Levels):
        def draws(self, seeds, *arguments):
            return super().draws(tf.zeros_like(seeds), *arguments)

    x = model.scan(random.rows(random.as_seed(1), 5), law=Highest(3))["x"].numpy()
    assert np.all(x == x[:1])
    assert not np.all(model.scan(random.rows(random.as_seed(1), 5))["x"] == x)


@pytest.mark.slow
def test_strings_are_prompts_and_samples(model):
    assert model.kind == "text"
    x = model.sample(2, prompt="he", seed=5)
    assert [text[:2] for text in model.decode(x)] == ["he", "he"]
    served = tf.function(model.signatures()["continue"].function)
    prompts = tf.constant(["he", "t", "tete"])
    texts = served(prompt=prompts, seeds=random.rows(random.as_seed(5), 3))["text"].numpy()
    assert texts[0].decode() == model.decode(x)[0] and texts[2] == b"tete" and texts[1][:1] == b"t"
    for wrong in ("", "thete", "hex"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="characters"):
            served(prompt=tf.constant([wrong, "he", "t"]), seeds=random.rows(random.as_seed(5), 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": "thete"}, "prompt has 5 steps, the whole sample 4: raise length"),
        (
            {"prompt": "thx"},
            "prompt 'thx' has the characters 'x', which the model does not know; it knows 'the'",
        ),
        ({"prompt": [[[1.0]]]}, r"prompt must have shape \[P, ...\] or \[num, P, ...\], got \(1, 1, 1\)"),
        ({"prompt": [3.0]}, "given must hold integer values 0 to 2"),
        ({"length": 2.5}, "length must be a whole number of at least 1, got 2.5"),
    ],
)
def test_bad_prompts_name_themselves(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.sample(2, seed=0, **arguments)


def test_numbers_without_a_vocabulary_are_no_strings():
    model = Markov(length=4)
    assert model.kind == "numbers" and "continue" not in model.signatures()
    with pytest.raises(ValueError, match="Markov has no vocabulary: give prompt as numbers"):
        model.sample(1, prompt="he")
    with pytest.raises(ValueError, match="Markov has no vocabulary: its samples are numbers"):
        model.decode(np.zeros((1, 4)))


def test_what_a_model_hands_to_its_base_is_no_argument_of_its_own():
    own = ["event_shape", "length", "vocabulary", "unit", "num_values"]
    assert list(constructor_parameters(Markov)) == [*own, "name", "dtype"]


def test_bad_constructor_arguments_name_themselves():
    for arguments, message in (
        ({"event_shape": (4,)}, r"event_shape must be \(None,\), any number of steps, got \(4,\)"),
        ({"event_shape": (None, 2)}, r"event_shape must be \(None,\), any number of steps, got \(None, 2\)"),
        ({"length": 0}, "length must be a whole number of at least 1, got 0"),
        ({"vocabulary": ("a", "b", "a")}, "vocabulary must hold different symbols"),
        ({"vocabulary": ("a", "b")}, "num_values=3, but the vocabulary has 2 symbols"),
        ({"vocabulary": SYMBOLS, "unit": "line"}, "unit must be one of character, word, got 'line'"),
    ):
        with pytest.raises(ValueError, match=message):
            Markov(**arguments)


def test_the_report_has_nats_of_an_example_and_of_a_step(model):
    x = every(4).astype(np.uint8)
    lengths = (np.arange(81) % 4 + 1).astype(np.int32)
    split = Split(x, None, {"lengths": lengths})
    data = Data("planted", "text", (None,), 3, 3, None, None, split, split, split)
    nats = -model.log_prob(x, lengths=lengths).numpy()
    report = evaluate(model, data, random.as_seed(0))
    np.testing.assert_allclose(report["nats"]["value"], nats.mean(), rtol=1e-5)
    np.testing.assert_allclose(report["nats_per_step"]["value"], nats.sum() / lengths.sum(), rtol=1e-5)
    np.testing.assert_allclose(
        report["bits_per_step"]["value"], nats.sum() / lengths.sum() / np.log(2), rtol=1e-5
    )
    # The interval of a ratio, against the jackknife.
    jack = np.array([(nats.sum() - n) / (lengths.sum() - t) for n, t in zip(nats, lengths, strict=True)])
    half = 1.96 * np.sqrt(80 / 81 * np.sum((jack - jack.mean()) ** 2))
    found = report["nats_per_step"]
    np.testing.assert_allclose((found["high"] - found["low"]) / 2, half, rtol=0.05)
