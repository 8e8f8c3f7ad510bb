"""Exported text models answer strings: densities, vocabularies, examples of the README."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.planted import perturb
from tfgen import serving
from tfgen.autoregressive import CharRNN, DialogueModel, HandwritingRNN

WORDS = ("<end>", "<turn>", "<unknown>", "the", "hi")


def served(model, directory):
    perturb(model)
    version = serving.export(model, directory, warmup=False)
    return version, tf.saved_model.load(str(version)).signatures


@pytest.mark.slow
def test_characters_are_scored_as_strings(tmp_path, loader):
    model = CharRNN(vocabulary=("\n", " ", "e", "h", "t"), units=3, embedding=2, length=4)
    version, signatures = served(model, tmp_path / "export")
    texts = np.array(["the", "h", "the tee"], object)
    x = np.zeros([3, 7], np.float32)
    for row, text in zip(x, texts, strict=True):
        row[: len(text)] = ["\n eht".index(c) for c in text]
    expected = model.log_prob(x, lengths=np.array([3, 1, 7])).numpy()
    assert len(np.unique(expected)) == 3
    np.testing.assert_allclose(
        signatures["log_prob"](text=tf.constant(texts))["log_prob"], expected, rtol=1e-5
    )
    asked = {
        "log_prob": {"text": texts},
        "log_prob.none": {"text": texts[:0]},
        "log_prob.empty": {"text": np.array([""], object)},
        "log_prob.unknown": {"text": np.array(["tax"], object)},
        "serving_default": {"text": texts[1:2]},
    }
    answers, _ = loader.ask(version, asked, tmp_path)
    np.testing.assert_allclose(answers["log_prob"]["log_prob"], expected, rtol=1e-5)
    np.testing.assert_allclose(answers["serving_default"]["log_prob"], expected[1:2], rtol=1e-5)
    assert answers["log_prob.none"]["log_prob"].shape == (0,)
    assert "a text must have 1 or more characters" in answers["log_prob.empty"]
    assert "characters that are not in the model" in answers["log_prob.unknown"]
    symbols = json.loads((version / "assets.extra" / "vocabulary.json").read_text())
    assert symbols == {"x": ["\n", " ", "e", "h", "t"]}
    readme = (version.parent / "README.md").read_text()
    assert '{"signature_name": "log_prob", "inputs": {"text": ["the"]}}' in readme
    assert re.search(r'"log_prob_of_tokens", "inputs": \{[^}]*"lengths": \[8\]', readme)
    assert "Numbers in `x` are those of symbols, from 0 on: `1/assets.extra/vocabulary.json`" in readme


@pytest.mark.slow
def test_replies_are_scored_with_their_end_under_a_history(tmp_path):
    model = DialogueModel(vocabulary=WORDS, units=3, embedding=2, length=4)
    version, signatures = served(model, tmp_path)
    x = np.array([[3, 4, 0], [0, 0, 0], [2, 0, 0]], np.float32)
    history = np.array([[4, 1, 3], [3, 0, 0], [2, 0, 0]], np.int32)
    expected = model.log_prob(x, condition=history, lengths=np.array([3, 1, 2])).numpy()
    answer = signatures["log_prob"](
        text=tf.constant(["The hi", "", "cat"]), condition=tf.constant(["hi <turn> the", "the", "dog"])
    )
    np.testing.assert_allclose(answer["log_prob"], expected, rtol=1e-5)
    assert len(np.unique(expected)) == 3
    symbols = json.loads((version / "assets.extra" / "vocabulary.json").read_text())
    assert symbols == {"x": list(WORDS), "condition": list(WORDS)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="condition must have 1 to 60 words"):
        signatures["log_prob"](text=tf.constant(["the"]), condition=tf.constant([""]))


def test_numbers_without_a_vocabulary_stay_numbers(tmp_path):
    model = CharRNN(num_values=3, units=3, embedding=2, length=4)
    assert set(model.signatures()["log_prob"].inputs) == {"x", "lengths"}
    version = serving.export(model, tmp_path, warmup=False)
    assert not (version / "assets.extra" / "vocabulary.json").exists()
    assert "vocabulary" not in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_handwriting_is_scored_and_drawn_under_strings(tmp_path, loader):
    model = HandwritingRNN(
        condition="text", vocabulary=(" ", "a", "b"), units=3, layers=1, num_components=2, num_windows=2
    )
    version, signatures = served(model, tmp_path / "export")
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    x[..., 2] = x[..., 2] > 0
    lengths, texts = np.array([5, 3, 4], np.int32), np.array(["ab", "b", "aab"], object)
    tokens = np.array([[1, 2, 0], [2, 0, 0], [1, 1, 2]], np.int32)
    expected = model.log_prob(x, condition=tokens, lengths=lengths).numpy()
    assert (
        abs(expected - model.log_prob(x, condition=np.roll(tokens, 1, axis=0), lengths=lengths).numpy()).min()
        > 1e-4
    )
    np.testing.assert_allclose(model.log_prob(x, condition=list(texts), lengths=lengths), expected, rtol=1e-6)
    seeds = np.arange(6, dtype=np.int32).reshape(3, 2)
    asked = {
        "log_prob": {"x": x, "condition": texts, "lengths": lengths},
        "log_prob.none": {"x": x[:0], "condition": texts[:0], "lengths": lengths[:0]},
        "log_prob.empty": {"x": x[:1], "condition": np.array([""], object), "lengths": lengths[:1]},
        "sample": {"seeds": seeds, "condition": texts},
        "sample.unknown": {"seeds": seeds[:1], "condition": np.array(["abc"], object)},
    }
    answers, _ = loader.ask(version, asked, tmp_path)
    np.testing.assert_allclose(answers["log_prob"]["log_prob"], expected, rtol=1e-5)
    assert answers["log_prob.none"]["log_prob"].shape == (0,)
    assert "must have 1 or more characters" in answers["log_prob.empty"]
    drawn = model.sample_rows(tf.constant(seeds), condition=tf.constant(tokens)).numpy()
    np.testing.assert_allclose(answers["sample"]["x"], drawn, atol=2e-5)
    assert "characters that are not in the model" in answers["sample.unknown"]
