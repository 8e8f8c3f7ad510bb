"""Pictures, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from tfgen.media import charts, pictures


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


def _marks(picture, color, most=60):
    """[row, column] of the pixels near a color."""
    pixels = np.asarray(picture).astype(int)
    return np.argwhere(np.abs(pixels - color).sum(axis=-1) < most)


RED, BLUE = (0xC8, 0x55, 0x3D), (0x2F, 0x6F, 0x9F)


def _blobs(marks, gap=12):
    """Middles of marks that lie apart, from top to bottom."""
    found = []
    for mark in marks:
        near = next((blob for blob in found if np.abs(np.mean(blob, axis=0) - mark).max() < gap), None)
        found.append([mark]) if near is None else near.append(mark)
    return np.array([np.mean(blob, axis=0) for blob in found])


def test_scatter_draws_clouds_side_by_side_in_the_same_axes():
    """The same corners in both clouds are in the same places of both panels, large enough to see."""
    corners = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    picture = charts.scatter({"data": corners, "samples": corners[:2] * 0.5}, size=300)
    assert picture.size == (600, 320)
    # Points are paler than the color, as they are drawn over each other.
    pale = [np.array(c) * 0.55 + 255 * 0.45 for c in (BLUE, RED)]
    marks = [_marks(picture, color) for color in pale]
    assert all(len(m) > 60 for m in marks)
    data, samples = (_blobs(m) for m in marks)
    assert len(data) == 3 and len(samples) == 2
    # The upper of the two samples is half as far from the middle as the upper right corner of the data.
    middle = data.mean(axis=0) if len(data) == 2 else (data[0] + data[data[:, 1].argmin()]) / 2
    upper = samples[samples[:, 0].argmin()] - [0, 300]
    np.testing.assert_allclose(upper - middle, (data[data[:, 0].argmin()] - middle) / 2, atol=4)


def test_scatter_says_how_many_points_lie_outside():
    reference = np.random.RandomState(0).uniform(-1, 1, (50, 2))
    inside, outside = np.zeros((3, 2)), np.array([[0, 0], [9, 9], [np.nan, 0.0]])
    shown = [charts.scatter({"data": reference, "samples": p}, size=300) for p in (inside, outside)]
    titles = [np.asarray(picture.crop((300, 0, 600, 24))).astype(int) for picture in shown]
    words = [(title[..., 0] - title[..., 2] > 40).sum() for title in titles]
    assert words[0] == 0 and words[1] > 20


def test_lines_are_drawn_over_the_first_cloud_where_they_are():
    """A square of ink around the middle of the data: as wide as half the data, in pixels."""
    data = np.array([[-1.0, -1.0], [1.0, 1.0]])
    square = 0.5 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    shown = [charts.scatter({"data": data}, lines=lines, size=400) for lines in ([], [square])]
    drawn = np.argwhere((np.asarray(shown[0]) != np.asarray(shown[1])).any(axis=-1))
    corners = _blobs(_marks(shown[0], np.array(BLUE) * 0.55 + 255 * 0.45))
    np.testing.assert_allclose(np.ptp(drawn, axis=0), np.ptp(corners, axis=0) / 2, atol=4)
    np.testing.assert_allclose(drawn.mean(axis=0), corners.mean(axis=0), atol=2)


def test_points_of_a_class_have_its_color():
    points, labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), ("cat", "dog", "cat")
    picture = charts.classes(points, labels, title="posterior means")
    # The colors of a plot of two classes, a little pale.
    blue, orange = (_marks(picture, 0.7 * np.array(c) + 76.5) for c in ((31, 119, 180), (255, 127, 14)))
    assert len(_blobs(blue[blue[:, 1] < 600])) == 2 and len(_blobs(orange[orange[:, 1] < 600])) == 1
    # Each once more in the legend.
    assert (blue[:, 1] > 600).any() and (orange[:, 1] > 600).any()
    with pytest.raises(ValueError, match="labels has 1 classes for 3"):
        charts.classes(points, ("cat",))


def test_pairs_plot_each_column_against_each_other():
    """A column against itself turned around: its cloud falls where the one beside it rises."""
    up = np.linspace(0.0, 1.0, 50)
    table = np.stack([up, 1000.0 * up, -up], axis=1)
    picture = np.asarray(charts.pairs({"data": table, "samples": table[:9]}, ("a", "b", "c")))
    height, width = picture.shape[0] // 3, picture.shape[1] // 3
    slopes = {}
    for i, j in ((1, 0), (2, 0), (2, 1)):
        pane = picture[i * height : (i + 1) * height, j * width : (j + 1) * width]
        marks = _marks(pane, RED, 120)
        slopes[i, j] = np.polyfit(marks[:, 1], -marks[:, 0], 1)[0]
    assert slopes[1, 0] > 0.3 and slopes[2, 0] < -0.3 and slopes[2, 1] < -0.3
    assert charts.pairs({"data": table}, ("a", "b", "c"), most=2).size == (600, 630)
    with pytest.raises(ValueError, match=r"data has shape \(50, 3\): give \[N, 2\]"):
        charts.pairs({"data": table}, ("a", "b"))


def test_shades_have_one_scale_of_colors():
    """The lowest and the highest number of all are the ends of the colors, in whichever panel they are."""
    picture = charts.shades({"data": np.zeros((2, 3)), "samples": np.array([[0.0, 4.0]])})
    dark, bright = (_marks(picture, color, 12) for color in ((68, 1, 84), (253, 231, 36)))
    half = picture.width // 2 - 40
    # All of the data, and the left half of the samples; the color bar stands on the far right.
    assert (dark[:, 1] < half).sum() > 2 * ((dark[:, 1] > half) & (dark[:, 1] < 2 * half)).sum() > 1000
    assert not (bright[:, 1] < half).any() and (bright[:, 1] > half).sum() > 1000


def test_curves_fall_where_values_fall():
    history = {"step": [0, 1, 2, 3], "loss": [4.0, None, 2.0, float("nan")]}
    line = _marks(charts.curves(history, ["loss"], size=(400, 300)), BLUE)
    line = line[line[:, 0] > 40]  # Without the legend above.
    first, last = line[line[:, 1].argmin()], line[line[:, 1].argmax()]
    assert last[0] > first[0] + 50


def test_curves_have_a_panel_for_each_quantity():
    """Numbers of another size do not flatten a line that is drawn elsewhere, and each panel has its words."""
    history = {
        "step": [1, 2, 3],
        "loss": [2.0, 1.0, 0.0],
        "val_loss": [1.0, 2.0, 3.0],
        "share": [900.0, 0, 900],
    }
    panels = {"nats": {"loss": "training", "val_loss": "validation"}, "share": {"share": "training"}}
    picture = charts.curves(history, panels, best="val_loss")
    assert picture.size == (940, 330)
    left, right = picture.crop((0, 40, 470, 290)), picture.crop((470, 40, 940, 290))
    blue = {name: _marks(half, BLUE) for name, half in (("left", left), ("right", right))}
    assert all(np.ptp(marks[:, 0]) > 100 for marks in blue.values())
    red = _marks(left, RED)
    assert len(red) > 100 and not len(_marks(right, RED))
    # The ring around the lowest validation loss, the first: pixels up to 6 from it that are not on the line.
    start = red[red[:, 1] < red[:, 1].min() + 12]
    assert np.ptp(start[:, 0]) >= 9
    # Of another stage it is not the best: the ring is at the second.
    later = _marks(charts.curves(history, panels, best="val_loss", after=1.0).crop((0, 40, 470, 290)), RED)
    middle = (later[:, 1] > 0.5 * (red[:, 1].min() + red[:, 1].max()) - 8) & (
        later[:, 1] < 0.5 * (red[:, 1].min() + red[:, 1].max()) + 8
    )
    begun = later[later[:, 1] < later[:, 1].min() + 12]
    assert np.ptp(begun[:, 0]) < 9 <= np.ptp(later[middle][:, 0])
    both = charts.curves(history, {"nats": panels["nats"]}, second={"nats": ("bits/dim", 0.1)})
    assert both.size == (720, 400)
    # The second axis: its words stand on the far right.
    words = [
        (np.asarray(p.convert("L"))[:, -18:] < 128).sum() for p in (both, charts.curves(history, ["loss"]))
    ]
    assert words[0] > 100 > 10 > words[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: charts.scatter({"points": np.zeros((3, 3))}), r"points has shape \(3, 3\)"),
        (lambda: charts.scatter({"a": np.zeros((3, 2)), "b": np.zeros((0, 2))}), "b has shape"),
        (
            lambda: charts.scatter({"a": np.zeros((3, 2))}, lines=[np.ones((2, 2))], captions=()),
            "0 words for 1",
        ),
        (lambda: charts.shades({"a": np.zeros(3)}), r"a has shape \(3,\)"),
        (lambda: charts.curves({"step": [1]}, ["loss"]), "no column 'loss'"),
        (lambda: charts.curves({"step": [1], "loss": [1, 2]}, ["loss"]), "2 values for 1"),
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
    picture = np.asarray(charts.sounds(waves, 8000, labels=["low", "high"]))
    assert picture.shape == (250, 590, 3)
    bright = picture[..., 0].astype(int) + picture[..., 1] - picture[..., 2]
    rows = [np.argmax(bright[100:210, half].sum(1)) for half in (slice(60, 240), slice(310, 480))]
    # 2.5 of 4 kHz apart, of a spectrogram some 110 pixels high.
    assert 50 < rows[0] - rows[1] < 90
    silence = charts.sounds(np.zeros((1, 3)), 8000)
    assert silence.size == (330, 250)
    assert np.asarray(silence.convert("L"))[130:180, 80:220].mean() < 20


def test_sounds_of_two_groups_stand_below_each_other_in_one_scale():
    """Data above, the same a thousandth as loud below: 60 dB less bright."""
    wave = 0.9 * np.sin(2 * np.pi * 1000.0 * np.arange(2000) / 8000)[None]
    groups = {"data": wave, "samples": np.repeat(wave, 2, axis=0) / 1000.0}
    labels = {"data": None, "samples": ["samples_00.wav", "samples_01.wav"]}
    picture = charts.sounds(groups, 8000, labels)
    assert picture.size == (590, 2 * 250 + 2 * 26)
    # Two panes a row, left of the bars of colors.
    yellow, violet = (
        _marks(picture.crop((60, 0, 480, 552)), color, 40) for color in ((252, 255, 164), (87, 16, 110))
    )
    assert len(yellow) > 100 and yellow[:, 0].max() < 276 and (violet[:, 0] > 276).sum() > 100


@pytest.mark.parametrize(
    ("waves", "labels", "message"),
    [
        (np.zeros(5), None, r"waves has shape \(5,\)"),
        (np.zeros((2, 5)), ["a"], "labels has 1 captions for 2"),
    ],
)
def test_sounds_refuse(waves, labels, message):
    with pytest.raises(ValueError, match=message):
        charts.sounds(waves, 8000, labels)


def test_rows_have_their_captions_before_them():
    images = np.stack([np.zeros((3, 2, 2, 1)), np.ones((3, 2, 2, 1))])
    plain = np.asarray(pictures.rows(images, scale=10).convert("L"))
    captioned = np.asarray(pictures.rows(images, ("a", "longer"), scale=10).convert("L"))
    left = captioned.shape[1] - plain.shape[1]
    assert left > 20
    np.testing.assert_array_equal(captioned[:, left:], plain)
    assert plain[10, 10] == 0 and plain[10 + 22, 10] == 255 and plain[10, 10 + 44] == 0
    wrong = [
        (images[0], ("a",), "give .rows, columns"),
        (images, ("a",), "captions has 1 lines for 2"),
        ([], None, "give .rows, columns"),
    ]
    for rows, captions, words in wrong:
        with pytest.raises(ValueError, match=words):
            pictures.rows(rows, captions)
    with pytest.raises(ValueError, match="heads has 2 lines for 3"):
        pictures.rows(images, heads=("a", "b"))


def test_rows_have_a_title_and_words_above_their_columns_and_need_not_be_equally_long():
    rows = [np.full((2, 8, 8, 1), 0.2), np.full((3, 8, 8, 1), 0.6), np.zeros((0, 8, 8, 1))]
    plain = np.asarray(pictures.rows(rows).convert("L"))
    worded = np.asarray(pictures.rows(rows, title="paths", heads=("0", "1", "2")).convert("L"))
    assert plain.shape == (3 * 66 - 2 + 12, 3 * 66 - 2 + 12)
    np.testing.assert_array_equal(worded[46:], plain)
    assert (worded[:26] < 128).any() and all(
        (worded[26:46, 6 + 66 * j :][:, :64] < 128).any() for j in range(3)
    )
    paper = plain[0, 0]
    levels = [[plain[20 + 66 * i, 20 + 66 * j] for j in range(3)] for i in range(3)]
    assert levels == [[51, 51, paper], [153] * 3, [paper] * 3]
    joined = pictures.rows(np.zeros((2, 3, 8, 8, 1)), gap=0)
    assert joined.size == (3 * 64 + 8, 2 * 64 + 8)


def test_large_images_are_shown_smaller_and_fewer_and_the_title_says_so():
    """A picture for a screen whatever the images: 64 of 300x300 would be 2,400 pixels wide."""
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (64, 300, 300, 3)).astype(np.uint8)
    picture = np.asarray(pictures.grid(images, title="samples"))
    # 49 at half the size, 7 to a row, below a title of 26; a pixel is the mean of four.
    assert picture.shape == (7 * 152 - 2 + 12 + 26, 7 * 152 - 2 + 12, 3)
    mean = images[8].reshape(150, 2, 150, 2, 3).mean(axis=(1, 3))
    tile = picture[26 + 6 + 152 : 26 + 6 + 152 + 150, 6 + 152 : 6 + 152 + 150]
    assert np.abs(tile - mean).max() <= 1.0
    small = np.asarray(pictures.grid(np.zeros((64, 8, 8, 1)), title="samples"))
    assert small.shape[1] == 8 * 66 - 2 + 12 and (picture[:26] < 128).sum() > (small[:26] < 128).sum()
    assert pictures.grid(images, scale=1, columns=8).width == 8 * 302 - 2 + 12


@pytest.mark.filterwarnings("error")
def test_names_of_users_are_no_formulas_and_need_no_letters_of_the_font():
    """A dollar opens a formula in matplotlib, and two of them that make none are an error there."""
    names, x = ("$x_{$", "$\\frac$", "猫"), np.eye(3)
    sizes = [
        charts.pairs({"$_$": x, "samples": x}, names).size,
        charts.scatter({"$_$": x[:, :2]}, names[:2], [x[:, :2]], ("$^$",)).size,
        charts.classes(x[:, :2], names).size,
        charts.counts(x, names, names).size,
        charts.sounds({"$_$": x}, 8000, {"$_$": names}).size,
        charts.curves({"step": [1], "a": [1.0]}, {"$_$": {"a": "$^$"}}).size,
    ]
    assert sizes == [(570, 600), (460, 480), (680, 560), (720, 200), (850, 276), (720, 400)]


def test_classes_are_named_in_the_order_of_their_numbers():
    """The colors of a plot are those of the order 2, 10, b, not of the letters'."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    pale = [0.7 * np.array(c) + 76.5 for c in ((31, 119, 180), (255, 127, 14), (44, 160, 44))]
    places = []
    for color in pale:
        marks = _marks(charts.classes(points, ("10", "b", "2")), color)
        places.append(_blobs(marks[marks[:, 1] < 600])[0])
    two, ten, b = places
    # 2 is up left, 10 down left, b down right.
    assert two[0] < ten[0] - 200 and abs(ten[0] - b[0]) < 3 and b[1] > ten[1] + 200


def test_words_that_are_too_wide_are_cut_and_letters_of_many_scripts_are_there():
    font = pictures.font_of(13)
    assert pictures.shorten("кошка", font, 100) == "кошка"
    cut = pictures.shorten("w" * 99, font, 100)
    assert cut.endswith("…") and 80 < font.getlength(cut) <= 100
    # A letter that the font lacks would be drawn as the box of an unknown one.
    boxes = [np.asarray(font.getmask(letter)).tobytes() for letter in "\ue000жλñع"]
    assert len(set(boxes)) == 5


def test_long_rows_do_not_get_wider_than_a_page():
    assert pictures.rows(np.zeros((1, 200, 8, 8, 1))).width < 2100


def test_histograms_leave_out_what_is_far_from_all():
    """One number far off changes the words in the corner and no bar."""
    values = np.random.RandomState(0).randn(200)
    plain, far = (
        np.asarray(charts.histograms({"a": group}, "x"))
        for group in (values, np.append(values, [7e3, np.inf]))
    )
    np.testing.assert_array_equal(plain[120:], far[120:])
    assert not np.array_equal(plain[:120], far[:120])
    moved = np.asarray(charts.histograms({"a": values + (values > 1.0)}, "x"))
    assert not np.array_equal(plain[120:], moved[120:])
    with pytest.raises(ValueError, match="group 'b' holds no finite number"):
        charts.histograms({"a": values, "b": [np.nan]}, "x")


def test_counts_are_bars():
    values = np.array([[0, 9, 3, 0], [1, 1, 1, 1]])
    drawn = np.asarray(charts.counts(values, labels=("a", "b")))
    assert drawn.shape == (200, 480, 3)
    blue = (np.abs(drawn.astype(int) - BLUE).sum(axis=-1) < 12).sum(axis=0)  # A column's height.
    first = blue[:240]
    # Two bars, the one of 9 three times as high as the one of 3.
    heights = sorted({h for h in first if h > 10}, reverse=True)
    assert heights[0] / min(heights) == pytest.approx(3.0, rel=0.1)
    for names, words in ((("x",), "names has 1 entries for 4"), (None, "give .N, V.")):
        with pytest.raises(ValueError, match=words):
            charts.counts(values if names else values[0], names)
    assert charts.counts(values, ("w", "x", "y", "z"), most=2).size == (480, 200)


def test_pictures_side_by_side():
    two = pictures.beside([Image.new("RGB", (3, 5), "red"), Image.new("RGB", (4, 2), "blue")])
    assert pictures.beside([two, two], gap=5).size == (19, 5)
    assert two.size == (7, 5) and two.getpixel((2, 4)) == (255, 0, 0) and two.getpixel((3, 1)) == (0, 0, 255)
