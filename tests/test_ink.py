"""Drawings: strokes, SVG and pictures."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from tfgen.media import ink

SVG = "{http://www.w3.org/2000/svg}"
# A corner, a dot, and a stroke that was not ended.
DRAWING = np.array(
    [[1, 2, 0], [3, 0, 0], [0, -1, 1], [2, 2, 1], [-1, 0, 0], [0, 4, 0]],
    np.float32,
)  # fmt: skip


def paths(text):
    return ElementTree.fromstring(text).findall(f".//{SVG}path")


def coordinates(path):
    return np.array(re.findall(r"-?[\d.]+(?:e-?\d+)?", path.get("d")), float).reshape(-1, 2)


def test_strokes_are_cut_at_lifts_and_hold_cumulative_sums():
    parts = ink.strokes(DRAWING)
    assert [len(part) for part in parts] == [3, 1, 2]
    np.testing.assert_allclose(np.concatenate(parts), np.cumsum(DRAWING[:, :2], axis=0))
    assert ink.strokes(np.zeros((0, 3))) == []


def test_steps_are_the_inverse():
    closed = DRAWING.copy()
    closed[-1, 2] = 1.0
    np.testing.assert_allclose(ink.steps(ink.strokes(DRAWING)), closed)
    assert ink.steps(ink.strokes(DRAWING)).dtype == np.float32


def test_an_svg_has_a_path_for_each_stroke_with_its_points():
    drawn = paths(ink.svg([DRAWING]))
    points = np.cumsum(DRAWING[:, :2], axis=0)
    assert len(drawn) == 3
    np.testing.assert_allclose(coordinates(drawn[0]), points[:3])
    np.testing.assert_allclose(coordinates(drawn[1]), points[[3, 3]])
    np.testing.assert_allclose(coordinates(drawn[2]), points[4:])


def test_y_grows_upwards_and_drawings_stay_in_their_cells():
    text = ink.svg([DRAWING, 10 * DRAWING, DRAWING], columns=2)
    root = ElementTree.fromstring(text)
    width, height = int(root.get("width")), int(root.get("height"))
    groups = root.findall(f"{SVG}g")
    assert len(groups) == 3
    for number, group in enumerate(groups):
        a, b, c, d, e, f = map(float, re.findall(r"-?[\d.]+", group.get("transform")))
        assert a > 0 and b == c == 0 and d == -a
        points = np.concatenate([coordinates(p) for p in group]) * [a, d] + [e, f]
        column, row = number % 2, number // 2
        low = np.array([column * width / 2, row * height / 2])
        assert np.all(points > low) and np.all(points < low + [width / 2, height / 2])


def test_captions_and_lifts_are_drawn():
    text = ink.svg([DRAWING, DRAWING], captions=["a<b", "c"], lifts=True)
    root = ElementTree.fromstring(text)
    assert [e.text for e in root.findall(f"{SVG}text")] == ["a<b", "c"]
    circles = root.findall(f".//{SVG}circle")
    ends = [part[-1] for part in ink.strokes(DRAWING)]
    np.testing.assert_allclose([[float(c.get("cx")), float(c.get("cy"))] for c in circles[:3]], ends)
    assert len(circles) == 6
    plain, marked = (np.asarray(ink.picture([DRAWING], lifts=on)) for on in (False, True))
    assert plain.shape == marked.shape and not np.array_equal(plain, marked)


def test_a_picture_is_dark_on_its_strokes_and_not_between_them():
    # Two level lines: one low, one high, with a lift between.
    lines = np.array([[0, 0, 0], [10, 0, 1], [-10, 5, 0], [10, 0, 1]], np.float32)
    pixels = np.asarray(ink.picture([lines]).convert("L"))
    dark = np.flatnonzero((pixels < 128).sum(axis=1) > pixels.shape[1] / 2)
    assert np.ptp(dark) > 50 and len(dark) < 10
    middle = pixels[dark[0] + 10 : dark[-1] - 10]
    assert middle.min() > 128


def test_ink_and_captions_of_every_drawing_stay_whole_within_its_cell():
    """Drawings of all proportions: nothing dark touches an edge of a cell, each has ink and words."""
    random = np.random.default_rng(0)
    drawings = [
        np.column_stack([random.normal(size=(30, 2)) * [wide, high], random.random(30) < 0.2])
        for wide, high in [(1, 1), (50, 1), (1, 50), (1e-3, 1e-3), (200, 200), (9, 3)]
    ]
    captions = ["a", "a caption that is much wider than a cell", "W" * 40, "", "gpqy", "e"]
    picture = ink.picture(drawings, captions, columns=3, title="samples", lifts=True)
    dark = np.asarray(picture.convert("L")) < 200
    width, height, top = 200, 110 + 26, 34
    assert dark.shape == (top + 2 * height, 3 * width)
    assert dark[5 : top - 5, :120].any()  # The title.
    for number, caption in enumerate(captions):
        y, x = top + number // 3 * height, number % 3 * width
        cell, words = dark[y : y + 110, x : x + width], dark[y + 110 : y + height, x : x + width]
        assert cell[8:-8, 8:-8].any() and words.any() == bool(caption)
        # The margin is 12, of which half a pen and a mark of a lift may take some.
        edges = [cell[:6], cell[:, :6], cell[:, -6:], words[-2:], words[:, :3], words[:, -3:]]
        assert not any(edge.any() for edge in edges), caption


def test_letters_have_one_size_where_they_fit():
    """Squares of two sizes in one scale, and a line of squares too long for it in a scale of its own."""
    square = [[0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 1]]
    word, long = np.array(square * 1, float), np.array((square + [[2, 0, 1]]) * 40, float)

    def scales(drawings, like=None):
        groups = ElementTree.fromstring(ink.svg(drawings, like=like)).findall(f"{SVG}g")
        return [float(re.findall(r"-?[\d.]+", group.get("transform"))[0]) for group in groups]

    first, second, third = scales([word, 2 * word, long])
    assert first == second == pytest.approx(86 / 2) and third < first / 10
    # Beside others the scale is theirs.
    assert scales([word], like=[4 * word]) == [pytest.approx(86 / 4)]


def test_saving_leaves_the_file_alone(tmp_path):
    ink.save(tmp_path / "drawing.svg", [DRAWING], captions=["one"])
    ink.save(tmp_path / "drawing.png", [DRAWING] * 5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drawing.png", "drawing.svg"]
    assert len(paths((tmp_path / "drawing.svg").read_text())) == 3
    with Image.open(tmp_path / "drawing.png") as image:
        assert image.size == (400, 330)


def test_what_no_drawing_is_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        ink.svg([np.zeros(3)])
    with pytest.raises(ValueError, match="not finite"):
        ink.svg([np.full((2, 3), np.nan)])
    with pytest.raises(ValueError, match="1 lines for 2 drawings"):
        ink.svg([DRAWING, DRAWING], captions=["x"])
    with pytest.raises(ValueError, match="at least one"):
        ink.picture([])
    ink.picture([np.zeros((0, 3))])


def test_a_codec_of_pens_leaves_out_the_zeros_at_the_end_and_takes_no_strings():
    x = np.zeros((2, 4, 3), np.float32)
    x[0, 1], x[0, 2, 2] = (0.5, 0.0, 0.0), 1.0
    first, second = ink.Pen().decode(x)
    np.testing.assert_array_equal(first, x[0, :3])
    assert second.shape == (0, 3)
    with pytest.raises(ValueError, match=r"prompt must be steps \[P, 3\], .* got text 'ab': give numbers"):
        ink.Pen().encode("ab")
