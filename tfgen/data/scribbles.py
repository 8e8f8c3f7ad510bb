"""Short words in a hand of our own: letters drawn from a small table, each word in a style of its own."""

import functools

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out
from tfgen.data.strokes import resample, stroke_data

# Strokes are set apart by ";" and made of pieces set apart by ",", curved ones marked "~". A point is x and
# y, digits of base 36: the baseline is 6, small letters reach c, tall ones i, and tails go down to 0.
_BOWL = "~6b 4c 2c 0a 08 26 46 67"
_LETTERS = {
    "a": _BOWL + ";6c 66", "b": "0i 06;~0a 2c 4c 6a 68 46 26 08", "c": _BOWL, "d": _BOWL + ";6i 66",
    "e": "09 69,~69 6b 4c 2c 0a 08 26 46 67", "f": "~6h 5i 3h 2f,2f 26;0c 5c",
    "g": _BOWL + ";6c 63,~63 51 30 11", "h": "0i 06;~09 2c 4c 6a,6a 66", "i": "0c 06;0g",
    "j": "3c 33,~33 21 00;3g", "k": "0i 06;6c 09 66", "l": "0i 09,~09 16 36",
    "m": "0c 06;~09 1c 3c 4a,4a 46;~49 5c 7c 8a,8a 86", "n": "0c 06;~09 2c 4c 6a,6a 66",
    "o": "~3c 1b 09 17 36 57 69 5b 3c", "p": "0c 00;~0a 2c 4c 6a 68 46 26 08", "q": _BOWL + ";6c 60,60 82",
    "r": "0c 06;~09 1b 3c 5b", "s": "~6b 4c 2c 0b 1a 39 58 67 46 26 07", "t": "2h 28,~28 36 56;0c 5c",
    "u": "0c 08,~08 26 46 68;6c 66", "v": "0c 36 6c", "w": "0c 26 4b 66 8c", "x": "0c 66;6c 06",
    "y": "0c 36;6c 00", "z": "0c 6c 06 66",
}  # fmt: skip
VOCABULARY = ("", " ", *_LETTERS)
_TRAIN, _TEST = 5_000, 1_000
_SHORTEST, _LONGEST = 2, 5
_SPACING = 2.0  # Between two points of a stroke; small letters are 6 high.
_BETWEEN = 6  # Points computed to each piece of a curve.


@registry.embedded("scribbles", "pen strokes: words of 2 to 5 random letters, with their text")
def scribbles(request: registry.Request) -> Data:
    """Random letters a to z, and spaces within, each with its text.

    A word's letters share slant, width, size, slope and spacing; every point of the table is moved a little.
    Strokes have even steps; the origin is where the word begins, on the baseline. 5,000 words to train on and
    hold a tenth out of, drawn from the seed, and a fixed 1,000 to test on.
    """
    drawn = _draw(np.random.RandomState([request.seed % 2**32, 4]), _TRAIN)
    train, validation = hold_out(drawn[0], request.validation, default=_TRAIN // 10)
    cut = len(train)
    test, parts = _draw(np.random.RandomState([0, 5]), _TEST)
    return stroke_data(
        request.name,
        [(train, drawn[1][:cut]), (validation, drawn[1][cut:]), (test, parts)],
        vocabulary=VOCABULARY,
    )


def write(text: str, random: np.random.RandomState) -> list[np.ndarray]:
    """The strokes `[n, 2]` of a text in a random style."""
    slant, slope = 0.1 + 0.15 * random.standard_normal(), 0.03 * random.standard_normal()
    size, width, gap = random.uniform(0.85, 1.15), random.uniform(0.8, 1.2), random.uniform(2.0, 4.0)
    shape = size * np.array([[width, 0.0], [slant, 1.0]])
    left, found = 0.0, []
    for letter in text:
        right = 4.0
        for basis, points in _table().get(letter, ()):
            moved = points + 0.3 * random.standard_normal(points.shape) + [left, -6.0]
            found.append(resample(basis @ moved @ shape, _SPACING))
            right = max(right, points[:, 0].max())
        left += right + gap + 0.4 * random.standard_normal()
    return [stroke + slope * stroke[:, :1] * [0.0, 1.0] for stroke in found]


@functools.cache
def _table():
    """For each letter its strokes: control points `[n, 2]`, and the matrix `[m, n]` to the curve's points."""
    return {
        letter: [_stroke(stroke.split(",")) for stroke in strokes.split(";")]
        for letter, strokes in _LETTERS.items()
    }


def _stroke(pieces):
    points, rows = [], []
    for piece in pieces:
        own = [[int(p[0], 36), int(p[1], 36)] for p in piece.strip("~").split()]
        # A further piece begins with the last point of the one before.
        first = len(points) - 1 if points else 0
        points += own[1:] if points else own
        rows.append((first, _basis(len(own)) if piece.startswith("~") else np.eye(len(own))))
    matrix = np.zeros((sum(len(basis) for _, basis in rows), len(points)))
    row = 0
    for first, basis in rows:
        matrix[row : row + len(basis), first : first + basis.shape[1]] = basis
        row += len(basis)
    return matrix, np.array(points, np.float64)


def _basis(count):
    """Catmull-Rom splines: the matrix from `count` points to points of the curve through them."""
    t = np.arange(_BETWEEN) / _BETWEEN
    weights = np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], -1
    )
    matrix = np.zeros(((count - 1) * _BETWEEN + 1, count))
    for segment in range(count - 1):
        for k in range(4):
            column = np.clip(segment + k - 1, 0, count - 1)
            matrix[segment * _BETWEEN : (segment + 1) * _BETWEEN, column] += weights[:, k] / 2
    matrix[-1, -1] = 1.0
    return matrix


def _draw(random, count):
    """`count` words: a `Split` of their tokens, and the strokes of each."""
    tokens, drawings = np.zeros((count, _LONGEST), np.int32), []
    for row in tokens:
        length = random.randint(_SHORTEST, _LONGEST + 1)
        word = random.randint(2, len(VOCABULARY), length)
        space = random.random_sample(length) < 0.1
        space[[0, -1]] = False
        row[:length] = np.where(space, 1, word)
        drawings.append(write("".join(VOCABULARY[t] for t in row), random))
    return Split(tokens, extra={"text": tokens}), drawings
