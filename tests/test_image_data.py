"""Images as they come: alpha, grey among colour, 16 bits, CMYK, palettes, bad files."""

import numpy as np
import pytest
from PIL import Image

from tests.test_data import PARTS, refused
from tfgen import data

SIZE = (6, 5)


def colourful(mode="RGB", seed=0):
    shape = (5, 6) if mode == "L" else (5, 6, len(mode))
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8), mode)


def folder(root, image, suffix=".png", count=3, **options):
    """A folder of `count` images, all the same."""
    root.mkdir(exist_ok=True)
    for i in range(count):
        image.save(root / f"{i}{suffix}", **options)
    return f"folder:{root}"


def test_an_opaque_alpha_channel_is_dropped(tmp_path):
    image = colourful()
    image.putalpha(255)
    found = data.load(folder(tmp_path, image))
    np.testing.assert_array_equal(found.test.x[0], np.asarray(colourful()))
    assert "3 without an alpha channel that was opaque" in data.summary(found)
    grey = Image.new("LA", SIZE, (7, 255))
    assert data.load(folder(tmp_path / "grey", grey)).event_shape == (5, 6, 1)


def test_alpha_lies_on_the_background(tmp_path):
    image = Image.new("RGBA", SIZE, (200, 100, 0, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    image.putpixel((1, 0), (0, 0, 0, 51))
    name = folder(tmp_path, image)
    message = refused(name)
    assert "3 of 3 files" in message and "is transparent in 97% of its pixels" in message
    assert "--background=white" in message
    found = data.load(name, background="#ff8000").test.x[0]
    assert found[0, 0].tolist() == [10, 20, 30] and found[3, 3].tolist() == [255, 128, 0]
    # A fifth of black over the colour.
    np.testing.assert_allclose(found[0, 1], [204, 102, 0], atol=1)
    assert "background='whit' is no colour" in refused(name, background="whit")
    grey = folder(tmp_path / "grey", Image.new("LA", SIZE, (9, 0)))
    assert data.load(grey, background="white").test.x[0].tolist() == np.full((5, 6, 1), 255).tolist()
    assert data.load(grey, background="red").event_shape == (5, 6, 3)


def test_a_transparent_colour_of_a_palette(tmp_path):
    image = Image.new("P", SIZE, 0)
    image.putpalette([0, 0, 0, 90, 90, 90])
    image.putpixel((0, 0), 1)
    name = folder(tmp_path, image, transparency=0)
    assert "is transparent" in refused(name)
    found = data.load(name, background="white").test.x[0]
    assert found[0, 0].tolist() == [90] and found[1, 1].tolist() == [255]


def test_grey_among_colour_is_made_one_by_channels(tmp_path):
    name = folder(tmp_path, colourful())
    Image.new("L", SIZE, 77).save(tmp_path / "grey.png")
    message = refused(name)
    assert "3 6x5 RGB (0.png), 1 6x5 grey (grey.png): --channels=3" in message
    found = data.load(name, channels=3)
    assert found.event_shape == (5, 6, 3) and "1 grey made RGB" in data.summary(found)
    assert any((getattr(found, part).x == 77).all((1, 2, 3)).any() for part in PARTS)
    grey = data.load(name, channels=1)
    assert grey.event_shape == (5, 6, 1) and "3 of colour made grey" in data.summary(grey)
    luminance = np.asarray(colourful().convert("L"))[..., None]
    assert sum((getattr(grey, part).x == luminance).all((1, 2, 3)).sum() for part in PARTS) == 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled_to_8(tmp_path, suffix):
    array = np.linspace(0, 65535, 30).reshape(5, 6).astype(np.uint16)
    found = data.load(folder(tmp_path, Image.fromarray(array), suffix))
    np.testing.assert_array_equal(found.test.x[0, ..., 0], np.rint(array / 257.0))
    assert "3 of 16 bits scaled to 8" in data.summary(found)
    dark = folder(tmp_path / "dark", Image.fromarray(array // 16), suffix)
    assert "the brightest value is 16 of 255" in data.summary(data.load(dark))


def test_floats_and_other_modes(tmp_path):
    array = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    found = data.load(folder(tmp_path / "f", Image.fromarray(array), ".tif"))
    np.testing.assert_array_equal(found.test.x[0, ..., 0], np.rint(array * 255))
    assert "holds floats beyond 0 to 1" in refused(folder(tmp_path / "g", Image.fromarray(array * 9), ".tif"))
    cmyk = data.load(folder(tmp_path / "c", Image.new("CMYK", SIZE, (0, 255, 255, 0)), ".jpg"))
    assert cmyk.event_shape == (5, 6, 3) and "3 of CMYK made RGB" in data.summary(cmyk)
    red = cmyk.test.x[0, 0, 0].astype(int)
    assert red[0] > 200 and red[1] < 50 and red[2] < 50


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_grey_palettes_are_grey_and_others_rgb(tmp_path, suffix):
    grey = colourful("L").convert("P")
    found = data.load(folder(tmp_path / "grey", grey, suffix))
    np.testing.assert_array_equal(found.test.x[0], np.asarray(colourful("L"))[..., None])
    assert data.load(folder(tmp_path / "rgb", colourful().convert("P"), suffix)).event_shape == (5, 6, 3)


@pytest.mark.parametrize("suffix", [".jfif", ".avif", ".webp", ".JPG", ".bmp", ".ppm"])
def test_suffixes(tmp_path, suffix):
    image = Image.new("RGB", SIZE, (180, 60, 20))
    found = data.load(folder(tmp_path, image, suffix))
    np.testing.assert_allclose(found.test.x[0, 2, 2].astype(int), [180, 60, 20], atol=6)


def test_the_cameras_tag_turns_an_image(tmp_path):
    array = np.zeros((5, 8), np.uint8)
    array[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # The first row of the file is the right side of the picture.
    found = data.load(folder(tmp_path, Image.fromarray(array), exif=exif))
    np.testing.assert_array_equal(found.test.x[0, ..., 0], np.rot90(array, -1))
    assert "3 turned by the camera's tag" in data.summary(found)


def test_all_bad_files_are_in_one_report(tmp_path):
    name = folder(tmp_path, colourful(), count=6)
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    (tmp_path / "text.jpg").write_text("no image")
    colourful().save(tmp_path / "moves.gif", save_all=True, append_images=[colourful(seed=1)])
    Image.new("RGBA", SIZE, (1, 2, 3, 0)).save(tmp_path / "glass.png")
    message = refused(name)
    assert "4 of 10 files" in message and "(--skip_bad leaves them out)" in message
    for words in (
        "cut.png cannot be read", "text.jpg cannot be read (is no image)", "moves.gif has 2 frames",
        "glass.png is transparent in 100%",
    ):  # fmt: skip
        assert words in message
    found = data.load(name, skip_bad=True)
    assert sum(len(getattr(found, part)) for part in PARTS) == 6
    assert "4 of 10 files left out (cut.png, glass.png, moves.gif ...)" in data.summary(found)


def test_a_folder_of_bad_files_alone_is_refused_whatever_is_skipped(tmp_path):
    for i in range(30):
        (tmp_path / f"{i:02}.png").write_text("no image")
    message = refused(f"folder:{tmp_path}", skip_bad=True)
    assert "30 of 30 files" in message and "19.png" in message and "and 10 more" in message


def test_scaling_and_its_cost_are_said(tmp_path):
    name = folder(tmp_path, Image.new("RGB", (300, 200), (9, 9, 9)))
    assert "large images, --image_size=64" in data.summary(data.load(name))
    small = data.summary(data.load(name, image_size=8))
    assert "middle squares of 300x200 scaled to 8x8" in small and "--channels=1 makes them grey" in small
