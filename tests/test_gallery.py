"""What is shown of a model, by the kind of its x."""

import numpy as np
import pytest
from PIL import Image

from tests.autoregressive.markov import Markov
from tfgen.autoregressive import PixelCNN
from tfgen.cli.gallery import conditions, save_samples
from tfgen.data import Data, Split
from tfgen.model import Condition

TINY = {"filters": 4, "num_blocks": 1, "hidden": 3, "head": 3}


@pytest.fixture(scope="module")
def by_label():
    return PixelCNN((4, 4, 1), condition="label", num_classes=3, **TINY)


def test_all_labels_are_shown_in_turn(by_label):
    np.testing.assert_array_equal(conditions(by_label, 5)["condition"], [0, 1, 2, 0, 1])
    several = PixelCNN((4, 4, 1), condition="label", num_classes=(2, 3), **TINY)
    expected = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [0, 0]]
    np.testing.assert_array_equal(conditions(several, 7)["condition"], expected)
    assert conditions(PixelCNN((4, 4, 1), **TINY), 5) == {}


def test_other_conditions_are_those_of_the_test_split():
    model = PixelCNN((4, 4, 1), condition="vector", condition_size=2, **TINY)
    assert model.condition == Condition("vector", (2,))
    vectors = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    split = Split(np.zeros((3, 4, 4, 1), np.uint8), None, {"vector": vectors})
    data = Data("planted", "image", (4, 4, 1), 2, 2, None, None, split, split, split)
    np.testing.assert_array_equal(conditions(model, 4, data)["condition"], vectors[[0, 1, 2, 0]])


def test_images_are_a_grid_with_captions_and_an_animation(by_label, tmp_path):
    paths = save_samples(by_label, tmp_path, 6, 1)
    assert [p.name for p in paths] == ["samples.png", "samples.gif"]
    with_captions = Image.open(tmp_path / "samples.png").size
    save_samples(PixelCNN((4, 4, 1), **TINY), tmp_path, 6, 1)
    assert with_captions[1] > Image.open(tmp_path / "samples.png").size[1]
    with Image.open(tmp_path / "samples.gif") as animation:
        assert animation.n_frames == 16


def test_texts_are_written_as_they_read_and_other_numbers_as_numbers(tmp_path):
    save_samples(Markov(length=4, vocabulary=("t", "h", "e")), tmp_path, 2, 1, prompt="he")
    first, second = (tmp_path / "samples.txt").read_text().strip().split("\n\n----\n\n")
    assert first[:2] == second[:2] == "he" and set(first + second) <= set("the") and len(first) == 4
    save_samples(Markov(length=4), tmp_path, 3, 1)
    assert np.loadtxt(tmp_path / "samples.txt").shape == (3, 4)
