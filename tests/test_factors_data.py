"""The data set `factors`: pictures are of their factors, groups vary in one thing, mixes are held out."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tfgen import data
from tfgen.data.factors import FACTORS, GROUP_SIZE, GROUPS, SHAPES, attributes, draw, held_out

_FINE = 24  # Points of the reference along the side of a pixel.


@pytest.fixture(scope="module")
def loaded():
    return data.load("factors")


def covered(shape, factors):
    """Share of each pixel that a polygon of the shape covers, drawn large by Pillow: `[16, 16]`."""
    x, y, angle, size, _ = factors
    r, turn = 3.5 + 0.9 * size, np.pi / 4 * angle
    round_ = np.linspace(0, 2 * np.pi, 200)
    points = {
        "rectangle": [(-r, -0.55 * r), (r, -0.55 * r), (r, 0.55 * r), (-r, 0.55 * r)],
        "ellipse": np.stack([r * np.cos(round_), 0.6 * r * np.sin(round_)], axis=1),
        "triangle": [(0, -r), (0.7 * r, r), (-0.7 * r, r)],
        "half disc": np.stack([r * np.cos(round_ / 2), r * np.sin(round_ / 2) - 0.4 * r], axis=1),
    }[SHAPES[shape]]
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    places = (np.asarray(points) @ rotation + 3.2 * np.array([x, y]) + 8) * _FINE - 0.5
    picture = Image.new("L", (16 * _FINE, 16 * _FINE))
    ImageDraw.Draw(picture).polygon([tuple(place) for place in places], fill=1)
    return np.asarray(picture, float).reshape(16, _FINE, 16, _FINE).mean(axis=(1, 3))


def test_pictures_are_those_of_their_factors(loaded):
    for part in (loaded.train, loaded.validation, loaded.test, loaded.train.streams["clamped"]):
        assert np.abs(part.extra["factors"]).max() <= 1.0
        again = draw(part.label[:200], part.extra["factors"][:200].astype(float))
        assert np.abs(again[0].astype(int) - part.x[:200]).max() <= 1
    part = loaded.train
    np.testing.assert_array_equal(part.extra["vector"], attributes(part.label, part.extra["factors"]))
    shade = 0.7 + 0.3 * part.extra["factors"][:, 4, None, None, None]
    np.testing.assert_allclose(255 * shade * part.extra["mask"], part.x, atol=0.51)
    off, most = [], 0.0
    for row in range(60):
        wrong = np.abs(covered(part.label[row], part.extra["factors"][row]) - part.extra["mask"][row, ..., 0])
        off.append(wrong.sum() / part.extra["mask"][row].sum())
        most = max(most, wrong.max())
    # Pixels within the shape, and outside it, agree; those at the edge are near, at its corners least.
    assert np.mean(off) < 0.06 and most < 0.45


def test_mixes_of_the_test_part_are_not_trained_on(loaded):
    clamped = loaded.train.streams["clamped"]
    for part in (loaded.train, loaded.validation, clamped):
        assert not held_out(part.label, part.extra["factors"]).any()
    assert held_out(loaded.test.label, loaded.test.extra["factors"]).all()
    size, shade = loaded.test.extra["factors"][:, 3] > 0, loaded.test.extra["factors"][:, 4] > 0
    for number, name in enumerate(SHAPES):
        large, bright = {"rectangle": (0, 0), "ellipse": (0, 1), "triangle": (1, 0), "half disc": (1, 1)}[
            name
        ]
        rows = loaded.test.label == number
        assert rows.sum() > 200 and np.all(size[rows] == large) and np.all(shade[rows] == bright)
        # Each half is trained on with the other halves.
        rows = loaded.train.label == number
        seen = loaded.train.extra["factors"][rows] > 0
        assert {(*pair,) for pair in seen[:, 3:]} == {(0, 0), (0, 1), (1, 0), (1, 1)} - {(large, bright)}


def test_one_thing_alone_varies_in_a_group(loaded):
    clamped = loaded.train.streams["clamped"]
    assert clamped.group_size == GROUP_SIZE and len(clamped) == GROUP_SIZE * sum(GROUPS)
    known = np.concatenate([clamped.extra["factors"], clamped.label[:, None]], axis=1)
    known = known.reshape(-1, GROUP_SIZE, len(FACTORS) + 1)
    varied, group = (clamped.extra[name].reshape(-1, GROUP_SIZE) for name in ("varied", "group"))
    np.testing.assert_array_equal(group, np.repeat(np.arange(len(group))[:, None], GROUP_SIZE, axis=1))
    assert np.all(varied == varied[:, :1])
    differs = known.max(axis=1) > known.min(axis=1)
    for number, count in enumerate(GROUPS):
        rows = varied[:, 0] == number
        assert rows.sum() == count
        np.testing.assert_array_equal(np.delete(differs[rows], number, axis=1), False)
        # The same shape comes eight times now and then.
        assert differs[rows, number].mean() > (0.99 if number < len(FACTORS) else 0.9)
    # The intrinsic ones are most, as in the paper.
    assert {count / GROUPS[-1] for count in GROUPS[:-1]} == {0.5}


def test_the_seed_moves_training_and_not_the_test_part(loaded):
    other = data.load("factors", seed=1, validation=100)
    assert len(other.validation) == 100 and len(other.train) == 5_900
    assert (other.train.x[:100] != loaded.train.x[:100]).any()
    clamped = other.train.streams["clamped"]
    assert (clamped.x[:100] != loaded.train.streams["clamped"].x[:100]).any()
    np.testing.assert_array_equal(other.test.x, loaded.test.x)
    assert other.fingerprint() != loaded.fingerprint()


def test_groups_are_whole_and_make_another_data_set(loaded):
    clamped = loaded.train.streams["clamped"]
    with pytest.raises(ValueError, match="group_size=9 does not divide 28000 examples of x"):
        data.Split(clamped.x, clamped.label, clamped.extra, group_size=9)
    apart = dataclasses.replace(loaded.train, streams={"clamped": dataclasses.replace(clamped, group_size=1)})
    assert dataclasses.replace(loaded, train=apart).fingerprint() != loaded.fingerprint()
    assert clamped.take(slice(0, 8)).group_size == 1 and clamped.join(clamped).group_size == GROUP_SIZE
