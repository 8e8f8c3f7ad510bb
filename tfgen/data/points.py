"""Points in the plane whose density is known: the customary toys of the literature."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out

_TRAIN, _TEST = 20_000, 10_000


def grid_modes() -> tuple[np.ndarray, float]:
    """Centers `[25, 2]` and standard deviation of `gaussians25`."""
    axis = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), 0.05


def ring_modes() -> tuple[np.ndarray, float]:
    """Centers `[8, 2]` and standard deviation of `ring8`."""
    angle = 2.0 * np.pi * np.arange(8) / 8
    return 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=-1), 0.02


@registry.embedded("gaussians25", "points in the plane, 25 Gaussians on a 5x5 grid")
def gaussians25(request: registry.Request) -> Data:
    """Equal Gaussians of sd 0.05 at the 25 points of {-4, -2, 0, 2, 4}^2, labelled by mode.

    20,000 points to train on and hold a tenth out of, drawn from the seed, and a fixed 10,000 to
    test on.

    References:
        Srivastava et al., 2017, VEEGAN, arXiv:1705.07761.
    """
    return _data(request, _mixture(*grid_modes()), 25)


@registry.embedded("ring8", "points in the plane, 8 Gaussians on a ring")
def ring8(request: registry.Request) -> Data:
    """Equal Gaussians of sd 0.02 at 8 points of a circle of radius 2, labelled by mode.

    Sizes as for `gaussians25`.

    References:
        Metz et al., 2016, Unrolled generative adversarial networks, arXiv:1611.02163.
    """
    return _data(request, _mixture(*ring_modes()), 8)


@registry.embedded("moons", "points in the plane, two interleaved half circles")
def moons(request: registry.Request) -> Data:
    """Half circles of radius 1 about (0, 0) and, turned over, about (1, 1/2), with noise of sd 0.1.

    Sizes as for `gaussians25`.
    """
    return _data(request, _moons, 2)


def _mixture(centers: np.ndarray, scale: float):
    def draw(random: np.random.RandomState, count: int) -> Split:
        label = random.randint(0, len(centers), count)
        x = centers[label] + scale * random.standard_normal((count, 2))
        return Split(x.astype(np.float32), label)

    return draw


def _moons(random: np.random.RandomState, count: int) -> Split:
    label = random.randint(0, 2, count)
    angle = np.pi * random.random_sample(count)
    side = 1.0 - 2.0 * label
    curve = np.stack([label + side * np.cos(angle), 0.5 * label + side * np.sin(angle)], axis=-1)
    return Split((curve + 0.1 * random.standard_normal((count, 2))).astype(np.float32), label)


def _data(request: registry.Request, draw, num_classes: int) -> Data:
    # The second word keeps the streams of train and test apart for every seed.
    points = draw(np.random.RandomState([request.seed % 2**32, 0]), _TRAIN)
    train, validation = hold_out(points, request.validation, default=_TRAIN // 10)
    return Data(
        name=request.name,
        kind="vector",
        event_shape=(2,),
        num_values=None,
        levels=None,
        num_classes=num_classes,
        class_names=None,
        train=train,
        validation=validation,
        test=draw(np.random.RandomState([0, 1]), _TEST),
    )
