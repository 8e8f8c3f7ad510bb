"""Shapes drawn from factors that are known: what a shape is, where it lies, its angle, size and shade."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out

SHAPES = ("rectangle", "ellipse", "triangle", "half disc")
FACTORS = ("x", "y", "angle", "size", "shade")
# Groups of the stream "clamped" by what varies in them: each of FACTORS, and the shape (intrinsic) most. The
# paper's faces, far more various than four shapes, had ten of these to one of a factor.
GROUPS = (500,) * len(FACTORS) + (1000,)
GROUP_SIZE = 8  # Pictures of a group.
_SIDE, _REACH = 16, 3.2
_TRAIN, _TEST = 6_000, 1_000


def held_out(shape, factors):
    """Whether no picture of this shape of such size and shade is trained on: one mix of each shape.

    The rectangle is never small and dark, the ellipse never small and bright, the triangle never large and
    dark and the half disc never large and bright: a size or shade below 0 is small or dark.

    Args:
        shape: Numbers of `SHAPES`, `[N]`.
        factors: `[N, 5]`, as `draw` takes them.
    """
    return 2 * (factors[:, 3] > 0) + (factors[:, 4] > 0) == shape


def attributes(shape, factors):
    """What a picture is conditioned on: the shape one-hot, then the factors; float32 `[N, 9]`."""
    return np.concatenate([np.eye(len(SHAPES))[shape], factors], axis=1).astype(np.float32)


def draw(shape, factors) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and their segmentation masks.

    A pixel is covered by 1/2 minus the distance of its center to the shape's edge, in pixels, within [0, 1],
    and as bright as it is covered times the shade.

    Args:
        shape: Numbers of `SHAPES`, `[N]`.
        factors: `[N, 5]`, each in [-1, 1]: x from 3.2 pixels left of the picture's center to 3.2 right of it,
            y from 3.2 above to 3.2 below, the angle from -45 to 45 degrees clockwise, half the length from
            2.6 to 4.4 pixels, the shade from 0.4 to 1.

    Returns:
        uint8 `[N, 16, 16, 1]` from 0 to 255, and the share of each pixel that the shape covers, float32.
    """
    shade, cover = 0.7 + 0.3 * factors[:, 4, None, None], _cover(shape, factors)
    x = np.round(255 * shade * cover).astype(np.uint8)
    return x[..., None], cover[..., None].astype(np.float32)


def _cover(shape, factors):
    """Share of each pixel that the shapes cover, `[N, 16, 16]`."""
    x, y, angle, size = (factors[:, i, None, None] for i in range(4))
    center = np.arange(_SIDE) + 0.5 - _SIDE / 2
    right, down = center[None, None, :] - _REACH * x, center[None, :, None] - _REACH * y
    cos, sin, r = np.cos(np.pi / 4 * angle), np.sin(np.pi / 4 * angle), 3.5 + 0.9 * size
    u, v = cos * right + sin * down, cos * down - sin * right  # Along the shape and across it.
    distance = np.empty(u.shape)
    for number, edge in enumerate((_rectangle, _ellipse, _triangle, _half_disc)):
        rows = shape == number
        distance[rows] = edge(u[rows], v[rows], r[rows])
    return np.clip(0.5 - distance, 0.0, 1.0)


def _rectangle(u, v, r):
    return np.maximum(np.abs(u) - r, np.abs(v) - 0.55 * r)


def _ellipse(u, v, r):
    # To first order: (f - 1) / |grad f|, f the norm in which the ellipse is the unit circle.
    a, b = r, 0.6 * r
    f, slope = np.hypot(u / a, v / b), np.hypot(u / a**2, v / b**2)
    return np.where(f > 1e-9, f * (f - 1) / np.maximum(slope, 1e-9), -b)


def _triangle(u, v, r):
    # Isosceles: its top at -r, its base at r, 1.4 r wide.
    side = (2 * np.abs(u) - 0.7 * (v + r)) / np.hypot(2, 0.7)
    return np.maximum(side, v - r)


def _half_disc(u, v, r):
    v = v + 0.4 * r
    return np.maximum(np.hypot(u, v) - r, -v)


@registry.embedded("factors", "16x16 shapes of known position, angle, size and shade; 4 of 16 mixes held out")
def factors(request: registry.Request) -> Data:
    """Grey pictures of one of four shapes, with what they were drawn from.

    Every factor is uniform in [-1, 1], for itself. Each shape has a half of sizes and a half of shades that
    are not seen together in training (`held_out`): the training and validation parts and the stream hold the
    other 12 of the 16 mixes of shape, size and shade, the test part the held-out four. The label is the
    shape. "factors" are the five factors, "vector" the `attributes`, "mask" the share of each pixel that the
    shape covers.

    The stream "clamped" of the training part has groups of 8 pictures that stay together, in each of which
    one thing alone differs: "varied" tells which of `FACTORS`, or 5 where it is the shape, and "group"
    numbers the groups. One group in seven varies each factor, two vary the shape.

    Training pictures are drawn from the seed, those of the test part from a fixed one.
    """
    random = np.random.RandomState([request.seed % 2**32, 8])
    train, validation = hold_out(_part(random, _TRAIN, False), request.validation, default=_TRAIN // 10)
    train = Split(train.x, train.label, train.extra, {"clamped": _groups(random)})
    return Data(
        name=request.name,
        kind="image",
        event_shape=(_SIDE, _SIDE, 1),
        num_values=256,
        levels=256,
        num_classes=len(SHAPES),
        class_names=SHAPES,
        train=train,
        validation=validation,
        test=_part(np.random.RandomState([0, 9]), _TEST, True),
    )


def _part(random, count, unseen):
    """Pictures of mixes that are held out, or that are not, with all that is known of them."""
    shape, found = _mixes(random, count, unseen)
    x, mask = draw(shape, found)
    extra = {"factors": found.astype(np.float32), "vector": attributes(shape, found), "mask": mask}
    return Split(x, shape, extra)


def _mixes(random, count, unseen):
    """Shapes `[count]` and factors `[count, 5]`, drawn until they are held out, or until they are not."""
    shape = random.randint(len(SHAPES), size=count)
    found = random.uniform(-1, 1, (count, len(FACTORS)))
    while (again := held_out(shape, found) != unseen).any():
        found[again, 3:] = random.uniform(-1, 1, (again.sum(), 2))
    return shape, found


def _groups(random):
    """The stream of groups in which one thing differs."""
    varied = np.repeat(np.arange(len(GROUPS)), GROUPS)
    shape, found = (np.repeat(each, GROUP_SIZE, axis=0) for each in _mixes(random, len(varied), False))
    group, varied = np.repeat(np.arange(len(varied)), GROUP_SIZE), np.repeat(varied, GROUP_SIZE)
    again = np.ones(len(varied), bool)
    while again.any():
        for number in range(len(FACTORS)):
            rows = again & (varied == number)
            found[rows, number] = random.uniform(-1, 1, rows.sum())
        rows = again & (varied == len(FACTORS))
        shape[rows] = random.randint(len(SHAPES), size=rows.sum())
        again = held_out(shape, found)
    extra = {"varied": varied.astype(np.int32), "group": group.astype(np.int32)}
    extra["factors"] = found.astype(np.float32)
    return Split(draw(shape, found)[0], shape, extra, group_size=GROUP_SIZE)
