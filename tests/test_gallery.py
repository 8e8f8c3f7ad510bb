"""What is shown of a model, by the kind of its x."""

import numpy as np
import pytest
from PIL import Image

from tests import cli_toys
from tests.autoregressive.markov import Markov
from tfgen import random
from tfgen.autoregressive import PixelCNN
from tfgen.cli.gallery import (
    as_images,
    conditions,
    draw,
    draw_view,
    save_samples,
    save_views,
    tensorboard_pictures,
)
from tfgen.data import Data, Split, load
from tfgen.media.text import Vocabulary
from tfgen.model import Condition, View
from tfgen.variational import VAE

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
    assert [p.name for p in paths] == ["samples.png", "samples.gif", "samples.npy"]
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


def test_texts_show_what_they_were_told(tmp_path):
    class Told(Markov):
        def __init__(self):
            super().__init__(length=4, vocabulary=("t", "h", "e"))
            self.condition = Condition("text", (None,), 3, Vocabulary(("", "a", "b")), 3)

        def sample_rows(self, seeds, length=None, condition=None):
            return super().sample_rows(seeds, length)

    save_samples(Told(), tmp_path, 2, 1, condition=np.array([[1, 2, 0], [2, 0, 0]]))
    first, second = (tmp_path / "samples.txt").read_text().split("\n\n----\n\n")
    assert first.startswith("ab\n> ") and second.startswith("b\n> ")


@pytest.mark.parametrize("vocabulary", [None, cli_toys.WORDS])
def test_counts_are_written_as_text_and_drawn(tmp_path, vocabulary):
    model = cli_toys.Counts((6,), vocabulary)
    model.log_rate.assign([-9.0, -9.0, 2.0, -9.0, 1.0, -9.0])
    paths = save_samples(model, tmp_path, 5, 1)
    assert [p.name for p in paths] == ["samples.txt", "samples.png", "samples.npy"]
    lines = (tmp_path / "samples.txt").read_text().splitlines()
    x = model.sample(5, seed=1).numpy()
    if vocabulary is None:
        np.testing.assert_array_equal(np.loadtxt(lines), x)
    else:
        assert lines[0] == f"cat {x[0, 2]:g}  elk {x[0, 4]:g}"
    assert Image.open(tmp_path / "samples.png").size == (960, 400)


def test_videos_are_an_animation_and_a_strip(tmp_path):
    model = cli_toys.Pixels((3, 4, 5, 1))
    assert model.kind == "video"
    first = np.zeros((3, 4, 5, 1), np.float32)
    first[1] = 40.0
    model.logits.assign(first - 20.0)  # All pixels are 1 in the second frame, and none in the others.
    paths = save_samples(model, tmp_path, 2, 1)
    assert [p.name for p in paths] == ["samples.gif", "samples.png", "samples.npy"]
    with Image.open(paths[0]) as animation:
        assert animation.n_frames == 3
        middles = []
        for t in range(3):
            animation.seek(t)
            middles.append(animation.convert("L").getpixel((20, 20)))
    assert middles == [0, 255, 0]
    strip = np.asarray(Image.open(paths[1]).convert("L"))
    tile = 5 * 13 + 2
    assert strip[30, 20] == 0 and strip[30, 20 + tile] == 255 and strip[30, 20 + 2 * tile] == 0


def test_views_are_written_under_their_names(tmp_path):
    model = cli_toys.Scorer((4, 4, 1))
    model.weights_shown.assign(np.ones((4, 4, 1)))
    paths = save_views(model, tmp_path, 2, 1)
    assert [p.name for p in paths] == ["samples_filters.png", "samples_chain.gif"]
    grey = np.asarray(Image.open(paths[0]))
    assert (grey[20, 20] == 128).all()
    with Image.open(paths[1]) as animation:
        levels = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            levels.append(animation.convert("L").getpixel((20, 20)))
    assert levels[0] == 0 and abs(levels[1] - 128) <= 1 and levels[2] == 255


def test_the_vae_shows_the_means_behind_its_samples_and_reconstructions(tmp_path):
    model, digits = VAE((8, 8, 1), latent_size=2, hidden=(4,)), load("digits", binarize="threshold")
    seed = random.as_seed(5)
    views = model.views(digits, 20, seed)
    assert list(views) == ["mean", "reconstructions"]
    np.testing.assert_array_equal(views["mean"].array, model.mean_rows(random.rows(seed, 20)))
    shown = views["reconstructions"]
    assert shown.layout == "rows" and shown.captions == ("data", "reconstructed")
    assert shown.array.shape == (2, 16, 8, 8, 1)
    np.testing.assert_array_equal(shown.array[0], digits.test.x[:16])
    np.testing.assert_array_equal(shown.array[1], model.reconstruct(digits.test.x[:16]))
    assert list(model.views(None, 20, seed)) == ["mean"]
    names = [p.name for p in save_views(model, tmp_path, 20, 5, digits)]
    assert names == ["samples_mean.png", "samples_reconstructions.png"]
    assert set(tensorboard_pictures(model, digits)) == {"samples", "mean", "reconstructions"}


def test_views_of_numbers_are_text_and_those_of_points_are_clouds(tmp_path):
    numbers = VAE((3,), latent_size=2, hidden=(4,))
    (path,) = save_views(numbers, tmp_path, 4, 1)
    assert path.name == "samples_mean.txt" and np.loadtxt(path).shape == (4, 3)
    points = VAE((2,), latent_size=2, hidden=(4,), likelihood="gaussian")
    shown = draw_view(points, View(np.zeros((2, 5, 2)), "rows"))
    assert [picture.size for picture in shown] == [(1024, 512)]


def test_models_that_do_not_sample_show_their_views_alone():
    pictures = tensorboard_pictures(cli_toys.Scorer((4, 4, 1)), cli_toys.label_data())
    assert set(pictures) == {"filters", "chain"}
    assert all(p.dtype == "uint8" and p.shape[-1] == 3 for p in pictures.values())


def test_images_are_brought_into_0_to_1():
    model = VAE((8, 8, 1), latent_size=2, hidden=(4,), likelihood="discretized_logistic", num_values=17)
    np.testing.assert_allclose(as_images(model, np.full((1, 8, 8, 1), 8.0)), 0.5)
    np.testing.assert_allclose(as_images(model, np.full((1, 9, 9, 3), 51, np.uint8)), 0.2)


def test_points_without_validation_are_drawn_over_the_training_part():
    points = VAE((2,), latent_size=2, hidden=(4,), likelihood="gaussian")
    x, few = np.zeros((9, 2), np.float32) + np.arange(9, dtype=np.float32)[:, None], slice(0, 0)
    all_of_it = Split(x)
    empty = Data("dots", "vector", (2,), None, None, None, None, all_of_it, all_of_it.take(few), all_of_it)
    full = Data("dots", "vector", (2,), None, None, None, None, all_of_it, all_of_it, all_of_it)
    shown = [np.asarray(draw(points, x[:3], data)) for data in (empty, full)]
    np.testing.assert_array_equal(*shown)
