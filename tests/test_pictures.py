"""Pictures, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from tfgen.media import pictures


def test_grid_puts_every_pixel_where_it_belongs():
    images = np.random.RandomState(0).randint(0, 256, (5, 3, 2, 3)).astype(np.uint8)
    picture = np.asarray(pictures.grid(images, columns=2, scale=4, gap=3))
    margin, across, down = 7, 2 * 4 + 3, 3 * 4 + 3
    assert picture.shape == (2 * margin + 3 * down - 3, 2 * margin + 2 * across - 3, 3)
    covered = np.zeros(picture.shape[:2], bool)
    for i in range(5):
        top, left = margin + i // 2 * down, margin + i % 2 * across
        for y in range(12):
            for x in range(8):
                np.testing.assert_array_equal(picture[top + y, left + x], images[i, y // 4, x // 4])
        covered[top : top + 12, left : left + 8] = True
    # All else is paper, the sixth place included.
    assert (picture[~covered] == picture[0, 0]).all() and picture[0, 0].min() > 230


@pytest.mark.parametrize(
    ("values", "levels", "expected"),
    [
        (np.array([0.0, 0.5, 1.0], np.float32), 256, [0, 128, 255]),
        (np.array([0, 8, 16], np.uint8), 17, [0, 128, 255]),
        (np.array([0, 1, 1], np.int32), 2, [0, 255, 255]),
        (np.array([False, True, True]), 2, [0, 255, 255]),
        (np.array([0, 77, 255], np.uint8), 256, [0, 77, 255]),
    ],
)
def test_grid_scales_values_to_bytes(values, levels, expected):
    picture = np.asarray(pictures.grid(values.reshape(1, 1, 3, 1), scale=1, gap=0, levels=levels))
    np.testing.assert_array_equal(picture[4, 4:7, 0], expected)
    np.testing.assert_array_equal(picture[4, 4:7, 0], picture[4, 4:7, 2])


@pytest.mark.parametrize(("shape", "factor"), [((8, 8), 8), ((28, 28), 3), ((5, 40), 2)])
def test_grid_enlarges_to_64_pixels_and_is_about_square(shape, factor):
    width, height = pictures.grid(np.zeros((36, *shape, 1), np.uint8), gap=0).size
    tile_height, tile_width = shape[0] * factor, shape[1] * factor
    assert (width - 8) % tile_width == 0 and (height - 8) % tile_height == 0
    assert 0.7 < width / height < 1.5


def test_grid_captions_stay_under_their_tile():
    images = np.zeros((2, 8, 8, 1), np.uint8)
    plain = np.asarray(pictures.grid(images, columns=2, labels=["", ""]))
    long = np.asarray(pictures.grid(images, columns=2, labels=["W" * 60, ""]))
    rows, columns = np.nonzero((plain != long).any(axis=-1))
    assert len(rows) > 50 and rows.min() >= 6 + 64
    assert columns.min() >= 6 and columns.max() < 6 + 64


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((2, 8, 8)), {}, r"shape \(2, 8, 8\)"),
        (np.zeros((0, 8, 8, 1)), {}, "shape"),
        (np.zeros((2, 8, 8, 2)), {}, "shape"),
        (np.full((1, 2, 2, 1), 1.5), {}, "from 1.5 to 1.5"),
        (np.full((1, 2, 2, 1), np.nan), {}, "nan"),
        (np.full((1, 2, 2, 1), 17, np.uint8), {"levels": 17}, "0 to 16"),
        (np.zeros((2, 2, 2, 1)), {"labels": [1]}, "1 captions for 2"),
        (np.zeros((2, 2, 2, 1)), {"columns": 0}, "columns=0"),
    ],
)
def test_grid_refuses(images, options, message):
    with pytest.raises(ValueError, match=message):
        pictures.grid(images, **options)


def _red(picture):
    pixels = np.asarray(picture).astype(int)
    return np.argwhere(pixels[..., 0] - pixels[..., 2] > 60)


def test_scatter_draws_points_where_they_are():
    """Two points in opposite corners of the reference: one mark up right, one down left."""
    reference = np.array([[-1.0, -1.0], [1.0, 1.0]])
    # The legend, which is red too, takes the lowest 40 rows.
    marks = _red(pictures.scatter(np.array([[0.9, 0.9], [-0.9, -0.9]]), reference, size=300))
    marks = marks[marks[:, 0] < 240]
    up_right = (marks[:, 0] < 130) & (marks[:, 1] > 170)
    down_left = (marks[:, 0] > 130) & (marks[:, 1] < 170)
    assert up_right.any() and down_left.any() and (up_right | down_left).all()


def test_scatter_says_how_many_points_lie_outside():
    reference = np.random.RandomState(0).uniform(-1, 1, (50, 2))
    inside, outside = np.zeros((3, 2)), np.array([[0, 0], [9, 9], [np.nan, 0.0]])
    rows = [
        (_red(pictures.scatter(points, reference, size=300))[:, 0] > 240).sum()
        for points in (inside, outside)
    ]
    assert rows[1] > rows[0] + 50


def test_curves_fall_where_values_fall():
    history = {"step": [0, 1, 2, 3], "loss": [4.0, None, 2.0, float("nan")]}
    pixels = np.asarray(pictures.curves(history, ["loss"], size=(400, 300))).astype(int)
    line = np.argwhere(pixels[..., 2] - pixels[..., 0] > 80)  # [row, column], blue
    line = line[line[:, 1] < 200]  # Without the legend.
    first, last = line[line[:, 1].argmin()], line[line[:, 1].argmax()]
    assert last[0] > first[0] + 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pictures.scatter(np.zeros((3, 3))), r"points has shape \(3, 3\)"),
        (lambda: pictures.scatter(np.zeros((3, 2)), np.zeros((0, 2))), "reference"),
        (lambda: pictures.curves({"step": [1]}, ["loss"]), "no column 'loss'"),
        (lambda: pictures.curves({"step": [1], "loss": [1, 2]}, ["loss"]), "2 values for 1"),
    ],
)
def test_figures_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_animation_shows_each_pixel_from_its_time_on(tmp_path):
    images = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32).reshape(1, 2, 2, 1)
    order = np.array([[0, 1], [1, 2]])
    frames = [np.asarray(f)[6:8, 6:8, 0] for f in pictures.reveal(images, order, scale=1)]
    np.testing.assert_array_equal(
        frames, [[[0, 153], [153, 153]], [[0, 255], [255, 153]], [[0, 255], [255, 0]]]
    )
    pictures.save_animation(pictures.reveal(images, order, scale=1), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 3
        animation.seek(2)
        np.testing.assert_array_equal(np.asarray(animation.convert("L"))[6:8, 6:8], [[0, 255], [255, 0]])
    assert len(pictures.reveal(np.zeros((1, 30, 30, 1)), np.arange(900).reshape(30, 30), frames=12)) == 12


def test_save_leaves_the_old_picture_when_it_fails(tmp_path):
    class Torn:
        def save(self, path):
            path.write_bytes(b"half")
            raise OSError("disk full")

    path = tmp_path / "samples.png"
    pictures.save(Image.new("RGB", (2, 2), (1, 2, 3)), path)
    with pytest.raises(OSError, match="disk full"):
        pictures.save(Torn(), path)
    assert np.asarray(Image.open(path))[0, 0].tolist() == [1, 2, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["samples.png"]


def test_save_replaces_the_file_at_once(tmp_path):
    """Who holds the old file open, as a second link does here, keeps the old picture."""
    path, held = tmp_path / "samples.png", tmp_path / "held.png"
    pictures.save(Image.new("RGB", (2, 2), (1, 2, 3)), path)
    held.hardlink_to(path)
    pictures.save(Image.new("RGB", (2, 2), (4, 5, 6)), path)
    assert np.asarray(Image.open(held))[0, 0].tolist() == [1, 2, 3]
    assert np.asarray(Image.open(path))[0, 0].tolist() == [4, 5, 6]


def test_sounds_show_their_pitch_and_their_wave():
    """A high tone beside a low one: the brightest row of each spectrogram is where its frequency is."""
    time = np.arange(4000) / 8000
    waves = np.sin(2 * np.pi * np.array([[500.0], [3000.0]]) * time)
    picture = np.asarray(pictures.sounds(waves, 8000, labels=["low", "high"]))
    assert picture.shape == (230, 520, 3)
    bright = picture[..., 0].astype(int) + picture[..., 1] - picture[..., 2]
    rows = [np.argmax(bright[100:200, half].sum(1)) for half in (slice(60, 240), slice(320, 500))]
    assert rows[0] > rows[1] + 40
    silence = pictures.sounds(np.zeros((1, 3)), 8000)
    assert silence.size == (260, 230)


@pytest.mark.parametrize(
    ("waves", "labels", "message"),
    [
        (np.zeros(5), None, r"waves has shape \(5,\)"),
        (np.zeros((2, 5)), ["a"], "labels has 1 captions for 2"),
    ],
)
def test_sounds_refuse(waves, labels, message):
    with pytest.raises(ValueError, match=message):
        pictures.sounds(waves, 8000, labels)


def test_rows_have_their_captions_before_them():
    images = np.stack([np.zeros((3, 2, 2, 1)), np.ones((3, 2, 2, 1))])
    plain = np.asarray(pictures.rows(images, scale=10).convert("L"))
    captioned = np.asarray(pictures.rows(images, ("a", "longer"), scale=10).convert("L"))
    left = captioned.shape[1] - plain.shape[1]
    assert left > 20
    np.testing.assert_array_equal(captioned[:, left:], plain)
    assert plain[10, 10] == 0 and plain[10 + 22, 10] == 255 and plain[10, 10 + 44] == 0
    for wrong, words in ((images[0], "give .rows, columns"), (images, "captions has 1 lines for 2 rows")):
        with pytest.raises(ValueError, match=words):
            pictures.rows(wrong, ("a",))


def test_long_rows_do_not_get_wider_than_a_page():
    assert pictures.rows(np.zeros((1, 200, 8, 8, 1))).width < 2100


def test_counts_are_bars():
    values = np.array([[0, 9, 3, 0], [1, 1, 1, 1]])
    drawn = np.asarray(pictures.counts(values, labels=("a", "b")))
    assert drawn.shape == (200, 480, 3)
    blue = (np.abs(drawn.astype(int) - [0x2F, 0x6F, 0x9F]).sum(axis=-1) < 12).sum(
        axis=0
    )  # A column's height.
    first = blue[:240]
    # Two bars, the one of 9 three times as high as the one of 3.
    heights = sorted({h for h in first if h > 10}, reverse=True)
    assert heights[0] / min(heights) == pytest.approx(3.0, rel=0.1)
    for names, words in ((("x",), "names has 1 entries for 4"), (None, "give .N, V.")):
        with pytest.raises(ValueError, match=words):
            pictures.counts(values if names else values[0], names)
    assert pictures.counts(values, ("w", "x", "y", "z"), most=2).size == (480, 200)


def test_pictures_side_by_side():
    two = pictures.beside([Image.new("RGB", (3, 5), "red"), Image.new("RGB", (4, 2), "blue")])
    assert two.size == (7, 5) and two.getpixel((2, 4)) == (255, 0, 0) and two.getpixel((3, 1)) == (0, 0, 255)
