"""What is shown of a model, by the kind of its x."""

import numpy as np
import pytest
from PIL import Image

from tests import cli_toys
from tests.autoregressive.markov import Markov
from tfgen import random
from tfgen.adversarial import GAN
from tfgen.autoregressive import PixelCNN, WaveNet
from tfgen.classical import GaussianMixture
from tfgen.cli.gallery import (
    Panel,
    as_images,
    conditions,
    draw,
    draw_view,
    real_panel,
    save_curves,
    save_samples,
    save_views,
    tensorboard_pictures,
)
from tfgen.data import Data, Meaning, Split, load
from tfgen.energy import RBM
from tfgen.media import charts, pictures
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


def tile(picture, left, row, column, size=64, top=26):
    """The pixels of a tile of a grid that begins so far from the left, below its title."""
    y, x = top + 6 + row * (size + 2), left + 6 + column * (size + 2)
    return np.asarray(picture)[y : y + size, x : x + size]


def enlarged(x, scale):
    """Bits as the bytes of squares."""
    shown = (255 * np.asarray(x)).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    return np.broadcast_to(shown, (*shown.shape[:2], 3))


def test_samples_stand_beside_as_many_held_out_examples_in_one_scale(tmp_path):
    """Every pixel of both grids: 9 digits as the model reads them on the left, its 9 samples on the right."""
    digits, model = load("digits", binarize="threshold"), cli_toys.Pixels((8, 8, 1))
    save_samples(model, tmp_path, 9, 1, digits)
    picture = Image.open(tmp_path / "samples.png")
    width = 3 * 66 - 2 + 12
    assert picture.size == (2 * width + 16, width + 26)
    samples, held_out = model.sample(9, seed=1).numpy(), digits.validation.x
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), samples)
    for i in range(9):
        row, column = divmod(i, 3)
        np.testing.assert_array_equal(tile(picture, 0, row, column), enlarged(held_out[i], 8))
        np.testing.assert_array_equal(tile(picture, width + 16, row, column), enlarged(samples[i], 8))
    # Both have a title, and a run whose data are not at hand has the samples alone.
    dark = np.asarray(picture.convert("L"))[:26] < 128
    assert dark[:, :width].any() and dark[:, width + 16 :].any()
    save_samples(model, tmp_path, 9, 1)
    assert Image.open(tmp_path / "samples.png").size == (width, width + 26)


def test_dynamic_binarization_shows_bits_and_data_with_little_validation_show_the_training_part():
    digits = load("digits", binarize="dynamic")
    model = cli_toys.Pixels((8, 8, 1))
    panel = real_panel(model, digits, 20, random.as_seed(1))
    assert panel.title == "data (validation)" and set(np.unique(panel.x)) == {0.0, 1.0}
    part = digits.train.take(slice(0, 30))
    alone = Data("few", "image", (8, 8, 1), 2, 17, None, None, part, part.take(slice(0, 5)), part)
    titles = [real_panel(model, alone, num, random.as_seed(1)).title for num in (5, 6)]
    assert titles == ["data (validation)", "data (training)"]
    assert real_panel(model, alone, 20, random.as_seed(1)).x.shape == (20, 8, 8, 1)


def test_labels_have_a_row_each_with_their_name_of_data_and_of_samples(tmp_path):
    """Black, grey and white by label: the rows of data and of samples hold their own, whatever the order."""

    class ByLabel(cli_toys.Labelled):
        num_values = 3

    label = np.array([2, 0, 1, 1, 0, 2, 2, 2, 0])
    x = np.broadcast_to(label[:, None, None, None], (9, 4, 4, 1)).astype(np.uint8)
    part = Split(x, label)
    data = Data("three", "image", (4, 4, 1), 3, 3, 3, ("black", "grey", "white"), part, part, part)
    model = ByLabel((4, 4, 1), num_classes=3)
    save_samples(model, tmp_path, 9, 1, data)
    picture = Image.open(tmp_path / "samples.png")
    words = picture.width // 2 - (3 * 66 - 2 + 12 + 8)  # Before each row: the names of the classes.
    assert 20 < words < 80
    for left in (words, picture.width // 2 + 8 + words):
        middles = [[tile(picture, left, i, j)[32, 32, 0] for j in range(3)] for i in range(3)]
        expected = [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
        if left == words:
            expected[1][2] = 243  # There are two grey examples: paper.
        assert np.abs(np.array(middles, int) - expected).max() <= 1
    for i in range(3):
        assert (np.asarray(picture.convert("L"))[32 + 66 * i : 96 + 66 * i, :words] < 128).any()
    # Of one label the title names it, and only its examples stand beside.
    save_samples(model, tmp_path, 4, 1, data, condition=np.full(4, 1, np.int32))
    picture = np.asarray(Image.open(tmp_path / "samples.png").convert("L"))
    assert (picture[32:96, 6:70] == 128).all() and not (picture[32:] < 100).any()


@pytest.mark.slow
def test_many_labels_have_their_captions_under_each_tile(by_label, tmp_path):
    paths = save_samples(by_label, tmp_path, 4, 1)
    assert [p.name for p in paths] == ["samples.png", "samples.gif", "samples.npy"]
    with_captions = Image.open(tmp_path / "samples.png").size
    save_samples(PixelCNN((4, 4, 1), **TINY), tmp_path, 4, 1)
    assert with_captions[1] == Image.open(tmp_path / "samples.png").size[1] + 2 * 20
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

        def sample_rows(self, seeds, length=None, condition=None, steps=None):
            return super().sample_rows(seeds, length=length, steps=steps)

    save_samples(Told(), tmp_path, 2, 1, condition=np.array([[1, 2, 0], [2, 0, 0]]))
    first, second = (tmp_path / "samples.txt").read_text().split("\n\n----\n\n")
    assert first.startswith("- ab\n> ") and second.startswith("- b\n> ")


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
    model, data = cli_toys.Pixels((3, 4, 5, 1)), cli_toys.video_data()
    assert model.kind == "video"
    first = np.zeros((3, 4, 5, 1), np.float32)
    first[1] = 40.0
    model.logits.assign(first - 20.0)  # All pixels are 1 in the second frame, and none in the others.
    paths = save_samples(model, tmp_path, 2, 1, data)
    assert [p.name for p in paths] == ["samples.gif", "samples.png", "samples.npy"]
    size = 5 * 13
    with Image.open(paths[0]) as animation:
        assert animation.n_frames == 3
        middle = 3 * animation.width // 4, animation.height // 2 + 20
        middles = []
        for t in range(3):
            animation.seek(t)
            middles.append(animation.convert("L").getpixel(middle))
    assert middles == [0, 255, 0]
    strip = np.asarray(Image.open(paths[1]).convert("L"))
    half = strip.shape[1] - (3 * (size + 2) - 2 + 12)
    row, middle = 46 + 20, [half + 20 + (size + 2) * t for t in range(3)]
    assert [strip[row, x] for x in middle] == [0, 255, 0]
    # Data on the left: the dot of the first one moves down its left edge.
    assert [strip[46 + 6 + 13 * t + 6, 6 + (size + 2) * t + 6] for t in range(3)] == [255] * 3


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
    model, digits = VAE((8, 8, 1), latent_size=3, hidden=(4,)), load("digits", binarize="threshold")
    seed = random.as_seed(5)
    views = model.views(digits, 20, seed)
    assert list(views) == ["mean", "reconstructions", "interpolations"]
    np.testing.assert_array_equal(views["mean"].array, model.mean_rows(random.rows(seed, 20)))
    shown = views["reconstructions"]
    assert shown.layout == "rows" and shown.captions == ("data", "reconstructed")
    assert shown.array.shape == (2, 16, 8, 8, 1)
    np.testing.assert_array_equal(shown.array[0], digits.test.x[:16])
    np.testing.assert_array_equal(shown.array[1], model.reconstruct(digits.test.x[:16]))
    assert list(model.views(None, 20, seed)) == ["mean"]
    names = [p.name for p in save_views(model, tmp_path, 20, 5, digits)]
    assert names == ["samples_mean.png", "samples_reconstructions.png", "samples_interpolations.png"]
    assert set(tensorboard_pictures(model, digits)) == {"samples", *views}
    assert set(tensorboard_pictures(model, digits, views=False)) == {"samples"}


def test_interpolations_of_the_vae_go_from_one_reconstruction_to_another():
    """Their ends are the data and their reconstructions, the middle is the mean given the codes' middle."""
    model, digits = VAE((8, 8, 1), latent_size=3, hidden=(4,)), load("digits", binarize="threshold")
    shown = model.views(digits, 64, random.as_seed(5))["interpolations"]
    x, (start, end) = np.asarray(shown.array), (digits.test.x[:8], digits.test.x[8:16])
    assert x.shape == (8, 11, 8, 8, 1) and shown.heads[0] == shown.heads[-1] == "data"
    np.testing.assert_array_equal(x[:, 0], start)
    np.testing.assert_array_equal(x[:, -1], end)
    np.testing.assert_allclose(x[:, 1], model.reconstruct(start), rtol=1e-5)
    np.testing.assert_allclose(x[:, -2], model.reconstruct(end), rtol=1e-5)
    middle = (model.encode(start)[0] + model.encode(end)[0]) / 2.0
    np.testing.assert_allclose(x[:, 5], model.decode(middle), rtol=1e-5)
    assert shown.heads[5] == "0.50"


def test_two_latent_variables_have_a_plane(tmp_path):
    """The lattice holds the normal's quantiles, z[1] upwards; the codes stand where they are, by class."""
    from scipy.stats import norm

    model, digits = VAE((8, 8, 1), latent_size=2, hidden=(4,)), load("digits", binarize="threshold")
    views = model.views(digits, 4, random.as_seed(5))
    lattice = views["manifold"]
    assert lattice.array.shape == (20, 20, 8, 8, 1)
    z = [[norm.ppf(0.025), norm.ppf(0.975)], [norm.ppf(17.5 / 20), norm.ppf(0.975 - 3 / 20)]]
    shown = [lattice.array[0, 0], lattice.array[3, 17]]
    np.testing.assert_allclose(shown, model.decode(np.array(z)), rtol=1e-4)
    assert lattice.captions[0] == lattice.heads[-1] == "2.0"
    plane = views["latent"]
    np.testing.assert_allclose(plane.array, model.encode(digits.test.x)[0], rtol=1e-5)
    assert list(plane.captions[:3]) == [str(label) for label in digits.test.label[:3]]
    assert {p.name for p in save_views(model, tmp_path, 4, 5, digits)} >= {
        "samples_manifold.png",
        "samples_latent.png",
    }


@pytest.mark.slow
def test_machines_show_their_filters_and_their_chains():
    model = RBM((8, 8, 1), num_hidden=5)
    kernel = np.linspace(-1.0, 1.0, 64)[:, None] * np.array([0.0, 1.0, 0.5, 0.1, 0.2])
    model.kernel.assign(kernel)
    views = model.views(None, 3, random.as_seed(1))
    filters = np.asarray(views["filters"].array)
    # The three of the largest weights, the largest first; grey is 0.
    assert filters.shape == (3, 8, 8, 1) and filters.dtype == np.uint8
    flat = filters.reshape(3, -1).astype(float) - 127.5
    limit = np.quantile(np.abs(kernel), 0.995)
    expected = np.clip(kernel[:, [1, 2, 4]].T / limit, -1.0, 1.0) * 127.5
    assert np.abs(flat - expected).max() <= 0.5 + 1e-6
    chains = views["chains"]
    assert chains.heads[-1] == "1000"
    np.testing.assert_array_equal(chains.array[:, -1], model.sample(3, seed=random.as_seed(1)))
    np.testing.assert_array_equal(chains.array[:, 1], model.sample(3, seed=random.as_seed(1), num_steps=2))


def test_the_gaussian_mixture_shows_two_standard_deviations_over_the_data():
    """Points of an ellipse lie at Mahalanobis distance 2 of their own mean; what is no point shows means."""
    model = GaussianMixture((2,), num_components=3)
    random_state = np.random.default_rng(0)
    scales = np.tril(random_state.normal(size=(3, 2, 2))) + 2.0 * np.eye(2)
    model.scales.assign(scales)
    ellipses = np.asarray(model.views(None, 4, random.as_seed(1))["components"].array)
    assert ellipses.shape == (3, 65, 2)
    away = np.linalg.solve(scales, (ellipses - model.means.numpy()[:, None]).transpose(0, 2, 1))
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 2.0, rtol=1e-5)
    pictures_of = GaussianMixture((4, 4, 1), num_components=3)
    pictures_of.logits.assign(np.log([0.25, 0.7, 0.05]))
    shown = pictures_of.views(None, 2, random.as_seed(1))["components"]
    np.testing.assert_allclose(np.reshape(shown.array, (2, 16)), pictures_of.means.numpy()[[1, 0]])
    assert shown.captions == ["70.0 %", "25.0 %"]


def test_paths_of_a_gan_lie_on_the_sphere_between_its_samples():
    model = GAN((8, 8, 1), hidden=(4,), latent_size=6)
    seed = random.as_seed(3)
    shown = model.views(None, 4, seed)["interpolations"]
    samples = model.sample(8, seed=seed)
    np.testing.assert_allclose(shown.array[:, 0], samples[:4], atol=1e-5)
    np.testing.assert_allclose(shown.array[:, -1], samples[4:], atol=1e-5)
    z = random.normal(random.rows(seed, 8), [6]).numpy()
    start, end = z[:4], z[4:]
    angle = np.arccos((start * end).sum(1) / np.linalg.norm(start, axis=1) / np.linalg.norm(end, axis=1))
    # Half way both have the same weight, sin(a / 2) / sin(a).
    middle = (start + end) * (np.sin(angle / 2) / np.sin(angle))[:, None]
    np.testing.assert_allclose(shown.array[:, 5], model.generate(middle), atol=1e-5)


def test_views_of_numbers_are_plots_and_those_of_points_are_clouds(tmp_path):
    numbers = VAE((3,), latent_size=2, hidden=(4,), likelihood="gaussian")
    paths = save_views(numbers, tmp_path, 4, 1)
    assert [path.name for path in paths] == ["samples_mean.png"]
    # Three columns against each other.
    assert Image.open(paths[0]).size == (570, 600)
    points = VAE((2,), latent_size=2, hidden=(4,), likelihood="gaussian")
    shown = draw_view(points, View(np.zeros((2, 5, 2)), "rows"))
    assert [picture.size for picture in shown] == [(920, 480)]


def test_curves_of_points_are_drawn_over_the_data_in_the_datas_units(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "scatter", lambda *given, **options: drawn.append((given, options)))
    model = VAE((2,), latent_size=2, hidden=(4,), likelihood="gaussian")
    part = Split(np.eye(2, dtype=np.float32))
    meaning = Meaning(columns=("age", "income"), mean=(10.0, 100.0), deviation=(1.0, 10.0))
    given = {"columns": meaning.columns, "mean": meaning.mean, "deviation": meaning.deviation}
    data = Data("two", "vector", (2,), None, None, None, None, part, part, part, **given)
    draw_view(model, View(np.ones((1, 3, 2)), "curves", ("a",), "paths"), data, meaning)
    ((clouds, names, lines, captions), _), *_ = drawn
    ((title, cloud),) = clouds.items()
    assert title == "paths,\nover data (validation)" and names == ("age", "income") and captions == ("a",)
    np.testing.assert_allclose(cloud, [[11.0, 100.0], [10.0, 110.0]])
    np.testing.assert_allclose(lines, np.broadcast_to([11.0, 110.0], (1, 3, 2)))


def test_a_cloud_shows_more_samples_than_are_written(tmp_path, monkeypatch):
    """64 points say little of a density; the first of those drawn are those in the file."""
    drawn = []
    monkeypatch.setattr("tfgen.cli.gallery.draw", lambda model, panels, meaning: drawn.append(panels))
    monkeypatch.setattr(pictures, "save", lambda *given: None)
    model = VAE((2,), latent_size=2, hidden=(4,), likelihood="gaussian")
    save_samples(model, tmp_path, 7, 3)
    written, ((panel,),) = np.load(tmp_path / "samples.npy"), drawn
    assert written.shape == (7, 2) and panel.x.shape == (1000, 2)
    np.testing.assert_array_equal(panel.x[:7], written)
    # Not more than there are data, of which a few held out are too few.
    part = Split(np.zeros((90, 2), np.float32))
    data = Data("few", "vector", (2,), None, None, None, None, part, part.take(slice(0, 20)), part)
    save_samples(model, tmp_path, 7, 3, data)
    assert [(p.title, len(p.x)) for p in drawn[-1]] == [("data (training)", 90), ("samples", 90)]


def test_sounds_are_captioned_by_their_files(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(charts, "sounds", lambda *given: shown.append(given) or Image.new("RGB", (2, 2)))
    tones = load("tones")
    model = WaveNet(filters=2, num_layers=1, head=2)
    save_samples(model, tmp_path, 3, 1, tones, length=20)
    ((waves, rate, labels),) = shown
    assert list(waves) == ["data (validation)", "samples"] and rate == 8000
    assert labels["samples"] == ["samples_00.wav", "samples_01.wav", "samples_02.wav"]
    np.testing.assert_allclose(waves["data (validation)"], model.decode(tones.validation.x[:3]))


VAE_ROWS = [
    {"step": 1.0, "vae/loss": 9.0, "vae/kl": 1.0, "vae/elbo": -9.0, "val_loss": 8.0, "val_kl": 2.0},
    {"step": 2.0, "vae/loss": 7.0, "vae/kl": 1.5, "vae/elbo": -7.0, "val_loss": 8.5, "val_kl": 2.5},
]
GAN_ROWS = [
    {
        "step": 1.0,
        "discriminator/loss": 1.0,
        "discriminator/fake_logit": -1.0,
        "discriminator/real_logit": 1.0,
        "generator/loss": 2.0,
        "generator/fake_logit": 0.0,
        "val_loss": 3.0,
        "val_discriminator_loss": 1.1,
    },
]


def test_curves_have_one_quantity_an_axis_with_its_unit(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        charts,
        "curves",
        lambda *given, **options: drawn.append((given, options)) or Image.new("RGB", (2, 2)),
    )
    vae = VAE((8, 8, 1), latent_size=2, hidden=(4,))
    vae.stage.assign([1, 5, 9])
    save_curves(VAE_ROWS, tmp_path, vae)
    save_curves(GAN_ROWS, tmp_path, GAN((8, 8, 1), hidden=(4,), latent_size=6))
    bits = [row | {"val_bits_per_dim": row["val_loss"] / 4.0} for row in VAE_ROWS]
    save_curves(bits, tmp_path, cli_toys.Pixels((8, 8, 1)))
    machine = [{"step": 1.0, "pcd/loss": -1e6, "val_loss": 2.0}]
    save_curves(machine, tmp_path, RBM((8, 8, 1)))
    of_vae, of_gan, of_bits, of_machine = [panels for (_, panels), _ in drawn]
    assert of_vae == {
        "upper bound of -log p(x) [nats]": {"vae/loss": "training", "val_loss": "validation"},
        "KL(q(z | x) || p(z)) [nats]": {"vae/kl": "training", "val_kl": "validation"},
    }
    assert of_gan == {
        "energy distance of samples and data": {"val_loss": "validation"},
        "loss of the discriminator [nats]": {
            "discriminator/loss": "training", "val_discriminator_loss": "validation"
        },
        "loss of the generator [nats]": {"generator/loss": "training"},
        "logit of D(x), mean": {
            "discriminator/fake_logit": "fake logit, training",
            "discriminator/real_logit": "real logit, training",
        },
    }  # fmt: skip
    assert next(iter(of_bits)) == "-log p(x) [nats]"
    of_one_stage = {"best": "val_loss", "after": 0}
    assert drawn[2][1] == {"second": {"-log p(x) [nats]": ("bits/dim", 0.25)}} | of_one_stage
    # The best step is one of the last stage.
    assert drawn[0][1] == {"second": {}, "best": "val_loss", "after": 5}
    # The value of a loss that only has the right gradient is not shown, nor is a best step without a density.
    assert of_machine == {"-log pseudo-likelihood [nats]": {"val_loss": "validation"}}
    assert [options.get("best") for _, options in drawn] == ["val_loss", None, "val_loss", "val_loss"]
    weighed = VAE((8, 8, 1), latent_size=2, hidden=(4,), beta=4.0)
    save_curves(VAE_ROWS, tmp_path, weighed)
    assert "weighed loss [nats]" in drawn[-1][0][1]


def test_models_that_do_not_sample_show_their_views_alone():
    pictures = tensorboard_pictures(cli_toys.Scorer((4, 4, 1)), cli_toys.label_data())
    assert set(pictures) == {"filters", "chain"}
    assert all(p.dtype == "uint8" and p.shape[-1] == 3 for p in pictures.values())


def test_images_are_brought_into_0_to_1():
    model = VAE((8, 8, 1), latent_size=2, hidden=(4,), likelihood="discretized_logistic", num_values=17)
    np.testing.assert_allclose(as_images(model, np.full((1, 8, 8, 1), 8.0)), 0.5)
    np.testing.assert_allclose(as_images(model, np.full((1, 9, 9, 3), 51, np.uint8)), 0.2)


def test_numbers_are_plots_or_shades(tmp_path):
    """Vectors of reals by their columns; others as a matrix."""
    numbers = VAE((3,), latent_size=2, hidden=(4,), likelihood="gaussian")
    x = np.zeros((5, 3), np.float32)
    assert draw(numbers, [Panel("data", x), Panel("samples", x)]).size == (570, 600)
    assert [p.name for p in save_samples(numbers, tmp_path, 4, 1)][:2] == ["samples.txt", "samples.png"]
    bits = VAE((3,), latent_size=2, hidden=(4,))
    assert draw(bits, [Panel("data", x), Panel("samples", x)]).size == (960, 280)
