"""The data set `captioned_digits`: pictures, captions and labels say the same; combinations are held out."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data import captioned_digits
from tfgen.data.captioned_digits import DIGITS
from tfgen.media.text import Vocabulary


@pytest.fixture(scope="module")
def loaded():
    return data.load("captioned_digits")


def read(vocabulary, tokens):
    """The digit and the place that a caption tells, found in its words."""
    words = [vocabulary[token] for token in tokens if token]
    row = 1 - ("top" in words) + ("bottom" in words)
    column = 1 - ("left" in words) + ("right" in words)
    return DIGITS.index(*[w for w in words if w in DIGITS]), 3 * row + column


def test_pictures_captions_and_labels_agree(loaded):
    single = data.load("digits")
    for name in ("train", "validation", "test"):
        part, images = getattr(loaded, name), getattr(single, name)
        known = {image.tobytes(): label for image, label in zip(images.x, images.label, strict=True)}
        for x, (digit, place), tokens in zip(part.x, part.label, part.extra["text"], strict=True):
            assert read(loaded.vocabulary, tokens) == (digit, place)
            rows, columns = np.nonzero(x[..., 0])
            top, left = (4 * p for p in divmod(place, 3))
            assert (
                top <= rows.min()
                and rows.max() < top + 10
                and left <= columns.min()
                and columns.max() < left + 10
            )
            found = {
                known.get(x[top + down : top + down + 8, left + right : left + right + 8].tobytes())
                for down in range(3)
                for right in range(3)
            }
            assert digit in found and x.astype(int).sum() > 0
    assert len(loaded.train) == 12 * len(single.train)


def test_combinations_of_the_test_part_are_not_trained_on(loaded):
    pairs = {name: set(map(tuple, getattr(loaded, name).label)) for name in ("train", "validation", "test")}
    assert len(pairs["train"]) == 80 and len(pairs["test"]) == 10
    assert not pairs["train"] & pairs["test"] and not pairs["validation"] & pairs["test"]
    # Every word of the test part is trained on all the same.
    assert set(np.unique(loaded.test.extra["text"])) <= set(np.unique(loaded.train.extra["text"]))
    assert {d for d, _ in pairs["train"]} == set(range(10))
    assert {p for _, p in pairs["train"]} == set(range(9))


def test_captions_are_texts_of_the_vocabulary(loaded):
    words = Vocabulary(loaded.vocabulary, "word")
    for sentence in range(len(captioned_digits.SENTENCES)):
        text = captioned_digits.caption(3, 5, sentence)
        assert words.decode(words.encode(text)) == text
    assert captioned_digits.caption(3, 0) == "the three is at the top left of the picture"
    assert captioned_digits.caption(8, 4, 1) == "an eight is at the center"
    with pytest.raises(ValueError, match="'eleven'.*it knows .*three"):
        words.encode("the eleven is at the top left")


def test_the_seed_moves_training_and_not_the_test_part(loaded):
    other = data.load("captioned_digits", seed=1)
    assert (other.train.label != loaded.train.label).any()
    np.testing.assert_array_equal(other.test.x, loaded.test.x)
