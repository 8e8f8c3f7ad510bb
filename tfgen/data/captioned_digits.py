"""Captioned digits: handwritten digits at nine places of a picture, each with a sentence that says so."""

import itertools

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.digits import digits

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Row by row.
PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
SENTENCES = (
    "the {digit} is at the {place} of the picture",
    "a {digit} is at the {place}",
    "at the {place} of the picture is a {digit}",
)
_SIDE, _DIGIT = 18, 8
# Places lie so many pixels apart, and a digit 0 to 2 pixels below and right of its own.
_APART, _MOVES = 4, 3
_COPIES = 12  # Pictures of each digit's image.


def vocabulary() -> tuple[str, ...]:
    """The words of all captions; the first stands for no word."""
    each = itertools.product(range(len(DIGITS)), range(len(PLACES)), range(len(SENTENCES)))
    words = " ".join(itertools.starmap(caption, each)).split()
    return ("", *dict.fromkeys([*DIGITS, *words]))


def held_out(digit, place):
    """Whether no picture of this digit at this place is trained on: one place of each digit."""
    return place == digit % len(PLACES)


def caption(digit: int, place: int, sentence: int = 0) -> str:
    """A sentence that tells the digit and its place."""
    text = SENTENCES[sentence].format(digit=DIGITS[digit], place=PLACES[place])
    return text.replace("a eight", "an eight")


@registry.embedded(
    "captioned_digits", "digits at places of a picture, with captions; 10 of 90 combinations held out"
)
def captioned_digits(request: registry.Request) -> Data:
    """The digits of `digits` at one of nine places of an 18x18 picture, with captions of three forms.

    Labels are digit and place. Every digit has a place at which it is not seen in training: the training and
    validation parts hold the other 80 of the 90 combinations, the test part the held-out ten. The images of
    each part are those of `digits`, twelve pictures of each of the training part. Places, moves and sentences
    are drawn from the seed, those of the test part from a fixed one.
    """
    source = digits(request)
    random = np.random.RandomState([request.seed % 2**32, 6])
    train = _placed(source.train, random, False, _COPIES)
    validation = _placed(source.validation, random, False, 1)
    test = _placed(source.test, np.random.RandomState([0, 7]), True, 1)
    return Data(
        name=request.name,
        kind="image",
        event_shape=(_SIDE, _SIDE, 1),
        num_values=source.num_values,
        levels=source.levels,
        num_classes=(len(DIGITS), len(PLACES)),
        class_names=(DIGITS, PLACES),
        train=train,
        validation=validation,
        test=test,
        vocabulary=vocabulary(),
        unit="word",
    )


def _placed(images, random, unseen, copies):
    """Pictures of each image at places that are held out, or at places that are not."""
    symbols = vocabulary()
    rows = np.tile(np.arange(len(images)), copies)
    digit, count = images.label[rows].astype(np.int32), len(rows)
    place = digit % len(PLACES)
    if not unseen:
        place = (place + random.randint(1, len(PLACES), count)) % len(PLACES)
    top = (place // 3) * _APART + random.randint(0, _MOVES, count)
    left = (place % 3) * _APART + random.randint(0, _MOVES, count)
    x = np.zeros((count, _SIDE, _SIDE, 1), np.uint8)
    for picture, row, y, z in zip(x, rows, top, left, strict=True):
        picture[y : y + _DIGIT, z : z + _DIGIT] = images.x[row]
    told = [
        caption(d, p, s)
        for d, p, s in zip(digit, place, random.randint(0, len(SENTENCES), count), strict=True)
    ]
    words = [text.split() for text in told]
    text = np.zeros((count, max(map(len, words))), np.int32)
    for tokens, sentence in zip(text, words, strict=True):
        tokens[: len(sentence)] = [symbols.index(word) for word in sentence]
    return Split(x, np.stack([digit, place], axis=-1), {"text": text})
