"""One gate for data: every door casts alike, and refuses with the same sentence."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import FewLabels, sgd, with_stream
from tfgen import checks, random, stored
from tfgen.adversarial import GAN
from tfgen.autoregressive import CharRNN
from tfgen.data import Data, Split
from tfgen.data.stream import Stream
from tfgen.model import Condition, GenerativeModel, Update
from tfgen.space import Space
from tfgen.training import train
from tfgen.variational import VAE

X = np.random.default_rng(0).integers(0, 2, (8, 2, 2, 1)).astype(np.float32)
Y = np.arange(8) % 3


class Image(GenerativeModel):
    """Images whose entries have one mean, -|x - mean|^2 / 2 up to a constant."""

    density = "unnormalized"

    def __init__(self, values="levels", num_values=2, condition=None, event_shape=(2, 2, 1), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.values = values
        self.num_values = num_values
        self.condition = condition
        self.mean = self.add_weight(shape=(), initializer="zeros", name="mean")

    def score(self, x, condition=None):
        return -0.5 * tf.reduce_sum((x - self.mean.value) ** 2, axis=(1, 2, 3))

    def updates(self):
        return [Update("fit", lambda b, s, t: (-tf.reduce_mean(self.score(**b)), {}), [self.mean])]

    def sample_rows(self, seeds, condition=None):
        return random.normal(seeds, self.event_shape)


def compiled(model):
    model.compile(sgd(0.1), jit_compile=False)
    return model


def weights(model):
    """Bytes of all variables but `stage`, into which `fit` writes what it is about to train."""
    return {v.path: v.numpy().tobytes() for v in model.variables if v is not model.stage}


def batches(fields):
    return tf.data.Dataset.from_tensor_slices(fields).batch(8)


def served(model, fields):
    """What an export answers, its assertions read as Keras' methods read them."""
    signature = model.signatures()["serving_default"]
    fields = {k: tf.convert_to_tensor(v) for k, v in fields.items()}
    fields = {k: tf.cast(v, signature.inputs[k].dtype) for k, v in fields.items()}
    with checks.plainly():
        return -tf.function(signature.function, autograph=False)(**fields)["free_energy"]


def plain(fields):
    """Fields as Keras takes them by position: x and y."""
    return fields["x"], fields.get("condition")


DOORS = {
    "log_prob": lambda m, f: m.log_prob(**f),
    "log_prob of a dict": lambda m, f: m.log_prob(f),
    "model(x)": lambda m, f: m(**f),
    "predict": lambda m, f: m.predict(f, verbose=0),
    "predict_on_batch": lambda m, f: m.predict_on_batch(f),
    "fit": lambda m, f: m.fit(*plain(f), verbose=0),
    "fit of a dict": lambda m, f: m.fit(f, verbose=0),
    "fit of a data set": lambda m, f: m.fit(batches(f), verbose=0),
    "train_on_batch": lambda m, f: m.train_on_batch(*plain(f)),
    "evaluate": lambda m, f: m.evaluate(*plain(f), verbose=0),
    "test_on_batch": lambda m, f: m.test_on_batch(*plain(f)),
    "served": served,
}
SCORING = ("log_prob", "log_prob of a dict", "model(x)", "predict", "predict_on_batch", "served")

LEVELS = compiled(Image())
BYTES = compiled(Image(num_values=256))
UNIT = compiled(Image("unit"))
SYMMETRIC = compiled(Image("symmetric"))
REAL = compiled(Image("real"))
COUNTS = compiled(Image("counts"))
LABELLED = compiled(Image(condition=Condition("label", (), 3)))
VECTOR = compiled(Image(condition=Condition("vector", (2,))))


def holed(x, value=np.nan):
    """x with one entry of its last row replaced."""
    x = np.array(x, np.float32)
    x[-1, 0, 0, 0] = value
    return x


LEVEL = "binarize it, x > threshold, or make the model for such values."
FINITE = "replace or leave out what is not finite."
BAD = {
    "bytes for bits": (
        LEVELS,
        {"x": X * 255},
        f"Image: x must hold integer values 0 to 1; the values given range from 0 to 255: {LEVEL}",
    ),
    "greys for bits": (
        LEVELS,
        {"x": X / 2},
        f"Image: x must hold integer values 0 to 1; the values given range from 0 to 0.5: {LEVEL}",
    ),
    "one NaN": (
        LEVELS,
        {"x": holed(X)},
        f"Image: x must hold integer values 0 to 1; the values given range from 0 to 1, and 1 NaN: {LEVEL}",
    ),
    "NaN alone": (
        REAL,
        {"x": X[:4] * np.nan},
        f"Image: x must hold finite values; the values given are all NaN: {FINITE}",
    ),
    "an infinity": (
        REAL,
        {"x": holed(X, -np.inf)},
        f"Image: x must hold finite values; the values given range from -inf to 1: {FINITE}",
    ),
    "bytes for [0, 1]": (
        UNIT,
        {"x": (X * 255).astype("uint8")},
        "Image: x must hold values in [0, 1]; the values given range from 0 to 255: scale it, bytes as "
        "x / 255.",
    ),
    "0 to 16 for [-1, 1]": (
        SYMMETRIC,
        {"x": X * 16},
        "Image: x must hold values in [-1, 1]; the values given range from 0 to 16: scale it, bytes as "
        "x / 127.5 - 1.",
    ),
    "an infinite count": (
        COUNTS,
        {"x": holed(X, np.inf)},
        "Image: x must hold counts, 0, 1, 2 ...; the values given range from 0 to inf: count in "
        "whole numbers.",
    ),
    "a negative count": (
        COUNTS,
        {"x": holed(X, -1)},
        "Image: x must hold counts, 0, 1, 2 ...; the values given range from -1 to 1: count in "
        "whole numbers.",
    ),
    "another shape": (
        LEVELS,
        {"x": np.zeros((8, 3, 2, 1))},
        "Image: x must have shape [batch, 2, 2, 1], got (8, 3, 2, 1): reshape it, or make the model "
        "for such x.",
    ),
    "a single x": (
        LEVELS,
        {"x": X[0]},
        "Image: x must have shape [batch, 2, 2, 1], got (2, 2, 1): of one x, give x[None].",
    ),
    "words": (
        LEVELS,
        {"x": np.full((8, 2, 2, 1), "a")},
        "Image: x must be numeric, got dtype string: give an array of numbers.",
    ),
    "no label": (
        LABELLED,
        {"x": X},
        "Image needs a condition (label), got condition=None: give condition=, y in Keras' methods, or "
        "'label' in a dict.",
    ),
    "labels from 1 on": (
        LABELLED,
        {"x": X, "condition": Y + 1},
        "Image: condition must hold 0 to 2; the values given range from 1 to 3: labels are numbers from 0 "
        "on, and the model knows 3 of them.",
    ),
    "half a label": (
        LABELLED,
        {"x": X, "condition": Y / 2},
        "Image: condition must hold 0 to 2; the values given range from 0 to 1: labels are numbers from 0 "
        "on, and the model knows 3 of them.",
    ),
    "one-hot labels": (
        LABELLED,
        {"x": X, "condition": np.eye(3)[Y]},
        "Image: condition must have shape [batch], got (8, 3): give class indices, of one-hot rows "
        "their argmax.",
    ),
    "fewer labels than x": (
        LABELLED,
        {"x": X, "condition": Y[:3]},
        "Image: condition holds 3 rows for 8 of x: give one for each.",
    ),
    "an infinite condition": (
        VECTOR,
        {"x": X, "condition": np.full((8, 2), np.inf)},
        f"Image: condition must hold finite values; the values given range from inf to inf: {FINITE}",
    ),
    "a vector that is too long": (
        VECTOR,
        {"x": X, "condition": np.zeros((8, 3))},
        "Image: condition must have shape [batch, 2], got (8, 3): reshape it, one row for each x.",
    ),
}
# Tried at every door; the others at two.
EVERYWHERE = (
    "bytes for bits",
    "one NaN",
    "another shape",
    "no label",
    "labels from 1 on",
    "fewer labels than x",
)
# What a door cannot be given: inputs of an export have dtypes and shapes, and tf.data zips equal numbers.
IMPOSSIBLE = {
    ("fit of a data set", "fewer labels than x"),
    ("served", "another shape"),
    ("served", "no label"),
}


@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD)
def test_every_door_refuses_with_the_same_sentence(bad):
    model, fields, sentence = BAD[bad]
    before = weights(model)
    for door in DOORS if bad in EVERYWHERE else ("log_prob", "fit"):
        if (door, bad) in IMPOSSIBLE:
            continue
        with pytest.raises(ValueError) as caught:
            DOORS[door](model, fields)
        # A batch of a data set may be of any size.
        wanted = sentence.replace("got (8,", "got (None,") if door == "fit of a data set" else sentence
        assert str(caught.value) == wanted, door
    assert weights(model) == before


TAKEN = {
    "uint8": (LEVELS, {"x": X.astype("uint8")}, {"x": X}),
    "bool": (LEVELS, {"x": X > 0}, {"x": X}),
    "float64": (REAL, {"x": X.astype("float64")}, {"x": X}),
    "int64": (BYTES, {"x": (255 * X).astype("int64")}, {"x": 255 * X}),
    "a missing channel": (LEVELS, {"x": X[..., 0].astype("uint8")}, {"x": X}),
    "labels [n, 1]": (LABELLED, {"x": X, "condition": Y[:, None]}, {"x": X, "condition": Y}),
    "labels of uint8": (LABELLED, {"x": X, "condition": Y.astype("uint8")}, {"x": X, "condition": Y}),
    "labels as floats": (LABELLED, {"x": X, "condition": Y.astype("float32")}, {"x": X, "condition": Y}),
    "a vector of ints": (
        VECTOR,
        {"x": X, "condition": np.ones((8, 2), int)},
        {"x": X, "condition": np.ones((8, 2))},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("taken", TAKEN)
def test_every_door_takes_what_can_be_taken(taken):
    model, fields, meant = TAKEN[taken]
    model.mean.assign(0.25)
    wanted = -0.5 * ((meant["x"] - 0.25) ** 2).sum(axis=(1, 2, 3))
    for door in DOORS if taken in ("uint8", "a missing channel", "labels [n, 1]") else ("log_prob", "fit"):
        found = DOORS[door](model, fields)
        if door in SCORING:
            np.testing.assert_allclose(found, wanted, rtol=1e-6, err_msg=door)
        if door.startswith(("fit", "train")):
            assert np.isfinite(model.mean.numpy()) and model.mean.numpy() != 0.25
            model.mean.assign(0.25)
        if door in ("evaluate", "test_on_batch"):
            np.testing.assert_allclose(found[0], -wanted.mean(), rtol=1e-6)


def test_features_as_tfds_has_them():
    """Of {"image", "label"} a model takes what it reads; where there is an x, names are its own."""
    features = {"image": X.astype("uint8"), "label": Y, "id": np.arange(8)}
    for model, meant in ((LEVELS, {"x": X}), (LABELLED, {"x": X, "condition": Y})):
        wanted = model.log_prob(**meant).numpy()
        for door in ("log_prob of a dict", "predict", "predict_on_batch"):
            np.testing.assert_array_equal(DOORS[door](model, features), wanted)
        np.testing.assert_array_equal(model(features), wanted)
        model.fit(batches(features), validation_data=batches(features), verbose=0)
    with pytest.raises(ValueError, match=r"Image reads x, got 'picture', 'label': name it 'x'\."):
        LEVELS.fit({"picture": X, "label": Y}, verbose=0)
    with pytest.raises(ValueError, match=r"Image reads no label: leave it out\."):
        LEVELS.log_prob({"x": X, "label": Y})
    with pytest.raises(
        ValueError, match=r"Image takes no condition, got condition=int64 \(8,\): leave it out\."
    ):
        LEVELS.log_prob(X, Y)
    with pytest.raises(ValueError, match=r"Image takes no condition, got y=int64 \(8,\): leave it out"):
        LEVELS.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="y is the condition, and x holds another"):
        LABELLED.fit({"x": X, "condition": Y}, Y, verbose=0)
    with pytest.raises(ValueError, match="Image reads x, got nothing"):
        LEVELS.fit(None)


def test_held_out_arrays_are_checked_before_the_first_step():
    model = compiled(Image())
    rows = np.repeat(X[:1], 10_001, axis=0)
    for bad in (holed(X), holed(rows), {"x": holed(X)}, (holed(X),)):
        with pytest.raises(ValueError, match="1 NaN"):
            model.fit(X, validation_data=bad, verbose=0)
    assert int(model.step) == 0
    # What comes batch by batch is met when it comes, and never averaged.
    with pytest.raises(ValueError, match="1 NaN"):
        model.fit(X, validation_data=batches({"x": holed(X)}), verbose=0)
    assert int(model.step) == 1


def test_numbers_of_rows_that_only_the_graph_knows():
    def pairs():
        yield {"x": X[:4], "condition": Y[:3]}

    spec = {"x": tf.TensorSpec([None, 2, 2, 1]), "condition": tf.TensorSpec([None], tf.int64)}
    unequal = tf.data.Dataset.from_generator(pairs, output_signature=spec)
    with pytest.raises(ValueError, match="condition must hold as many rows as x; .* from 3 to 4"):
        LABELLED.fit(unequal, verbose=0)


def test_a_graph_of_ones_own_says_the_words():
    score = tf.function(LEVELS.log_prob, input_signature=[tf.TensorSpec([None, 2, 2, 1])])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"0 to 1; the values given range from\] \[0\] \[to\] \[255\]"
    ):
        score(X * 255)
    # XLA keeps no assertions, and compiles what is left.
    fast = tf.function(LEVELS.log_prob, jit_compile=True)
    np.testing.assert_allclose(fast(X), LEVELS.log_prob(X), rtol=1e-6)


@pytest.mark.slow
def test_the_models_of_the_catalogue_stand_behind_the_gate():
    vae = VAE((2, 2, 1), latent_size=2, hidden=(3,))
    gan = GAN((2, 2, 1), latent_size=2, hidden=(3,))
    text = CharRNN(num_values=3, vocabulary=None, length=4, units=3, embedding=2)
    for model, bad, words in (
        (vae, X * 255, "VAE: x must hold integer values 0 to 1; the values given range from 0 to 255"),
        (gan, X * 16, r"GAN: x must hold values in \[-1, 1\]; the values given range from 0 to 16"),
        (
            text,
            np.full((8, 4), 3),
            "CharRNN: x must hold integer values 0 to 2; the values given range from 3 to 3",
        ),
    ):
        model.compile("sgd", jit_compile=False)
        before = weights(model)
        with pytest.raises(ValueError, match=words):
            model.fit(bad, verbose=0)
        with pytest.raises(ValueError, match=words):
            model(bad)
        assert weights(model) == before
    lengths = {"x": np.zeros((2, 4), "uint8"), "lengths": np.array([[4], [2]], "uint8")}
    np.testing.assert_array_equal(text.log_prob(lengths), text.log_prob(np.zeros((2, 4)), lengths=[4, 2]))


def held(x, label=None, other=None, **changes):
    """A data set of bits whose splits hold x, but for the test split."""
    split = Split(x, label)
    facts = {"num_values": 2, "levels": 2} | changes
    rest = {"num_classes": None, "class_names": None}
    other = split if other is None else Split(other, label)
    return Data("mine", "image", x.shape[1:], **facts, **rest, train=split, validation=split, test=other)


def begun(model, data):
    return train(model, data, 1, batch_size=4, optimizer=sgd(0.1), jit="off", log=lambda line: None)


def test_train_checks_the_whole_data_set_before_the_first_step():
    bits = X.astype("uint8")
    wrong = bits.copy()
    wrong[5] = 7
    told = (
        "{}: x must hold integer values 0 to 1; the values given in row 5 of the {} split of mine range "
        "from 7 to 7: mine has levels=2, give as many as it has."
    )
    model = Image()
    for options, part in (({}, "training"), ({"other": wrong}, "test")):
        with pytest.raises(ValueError) as caught:
            held(bits if options else wrong, **options)
        assert str(caught.value) == told.format("Data", part)
        # Of what is read as it is needed the values are looked at where it is used.
        streams = {key: Stream.of(value) for key, value in options.items()}
        with pytest.raises(ValueError) as caught:
            begun(model, held(bits if options else Stream.of(wrong), **streams))
        assert str(caught.value) == told.format("Image", part)
    not_finite = "x must hold finite values; .* in row 7 of the training split of mine"
    with pytest.raises(ValueError, match=f"Data: {not_finite}"):
        held(holed(X), num_values=None, levels=None)
    with pytest.raises(ValueError, match=f"Image: {not_finite}"):
        begun(Image("real"), held(Stream.of(holed(X)), num_values=None, levels=None))
    labelled = Image(condition=Condition("label", (), 3))
    with pytest.raises(
        ValueError, match="0 to 2; the values given in row 2 of the training split of mine .* 3 to 3"
    ):
        begun(labelled, held(bits, Y + 1))
    with pytest.raises(ValueError, match=r"Image needs a condition \(label\), but mine has none"):
        begun(labelled, held(bits))
    assert int(model.step) == int(labelled.step) == 0
    # And takes what can be taken.
    begun(model, held(bits[..., 0]))
    begun(labelled, held(bits, Y[:, None]))
    assert int(model.step) == int(labelled.step) == 1
    few = FewLabels()
    streamed = with_stream(few)
    labels = dataclasses.replace(streamed.train.streams["labelled"], label=np.full(5, 2))
    streamed = dataclasses.replace(
        streamed, train=dataclasses.replace(streamed.train, streams={"labelled": labels})
    )
    with pytest.raises(ValueError, match="row 0 of the stream labelled of the training split of planted"):
        begun(few, streamed)


COUNTS = {"kind": "counts", "levels": None, "num_values": None}
PAIRS = np.stack([Y, Y], 1)


@pytest.mark.parametrize(
    ("split", "facts", "told"),
    [
        ({"x": X * 3}, {"levels": 3, "num_values": 3}, "x must hold integer values 0 to 2; .* row 0 of the"),
        ({"x": X / 2}, {}, "x must hold integer values 0 to 1"),
        ({"x": X.astype("U1")}, {}, "train holds str32 values: give numbers"),
        ({"x": np.round(X - 1)}, COUNTS, "x must hold counts"),
        ({"x": X, "label": Y}, {"num_classes": 2}, "label must hold 0 to 1; .* mine has num_classes=2"),
        ({"x": X, "label": Y - 1}, {"num_classes": 3}, "label must hold 0 to 2; .* range from -1 to -1"),
        ({"x": X, "label": PAIRS}, {"num_classes": 3}, r"label must have shape \[rows\], got"),
        ({"x": X, "label": Y}, {"num_classes": (3, 3)}, r"label must have shape \[rows, 2\], got"),
        ({"x": X, "label": PAIRS}, {"num_classes": (3, 2)}, r"label must hold 0 to \(2, 1\)"),
        ({"x": X, "extra": {"lengths": np.full(8, 3)}}, {}, "lengths must hold 0 to the steps of x"),
        ({"x": X, "extra": {"text": np.full((8, 2), 4)}}, {"vocabulary": ("", "a")}, "text must hold"),
    ],
)  # fmt: skip
def test_a_data_set_refuses_what_it_is_not_said_to_hold(split, facts, told):
    good, wrong = Split(X), Split(**split)
    every = {"kind": "image", "num_values": 2, "levels": 2, "num_classes": None, "class_names": None} | facts
    with pytest.raises(ValueError, match=told):
        Data("mine", event_shape=(2, 2, 1), **every, train=wrong, validation=good, test=good)
    few = dataclasses.replace(good, streams={"few": wrong})
    with pytest.raises(ValueError, match=told.replace("train holds", "stream 'few' of validation holds")):
        Data("mine", event_shape=(2, 2, 1), **every, train=good, validation=few, test=good)


def test_pens_of_a_data_set_are_0_or_1():
    strokes = np.zeros((3, 2, 3), np.float32)
    strokes[1, 0, 2] = 0.5
    facts = {"num_values": None, "levels": None, "num_classes": None, "class_names": None}
    split = Split(strokes)
    with pytest.raises(ValueError, match="Data: pens, .* must hold values 0 or 1; .* in row 1 of"):
        Data("mine", "strokes", (None, 3), **facts, train=split, validation=split, test=split)


def test_stored_conditions_and_pens():
    text = Condition("text", (None,), 5)
    good = np.array([[1, 2, 0], [4, 0, 0]])
    text.check_stored(good, "M", "condition", "there")
    with pytest.raises(ValueError, match="zeros after the text; the values given in row 1 of there"):
        text.check_stored(np.array([[1, 2, 0], [0, 4, 0]]), "M", "condition", "there")
    several = Condition("label", (2,), (2, 5))
    several.check_stored(np.array([[1, 4]]), "M", "condition", "there")
    with pytest.raises(ValueError, match=r"must hold 0 to \(1, 4\); the values given in row 1 of there"):
        several.check_stored(np.array([[1, 4], [2, 4]]), "M", "condition", "there")
    pens = Space("M", (None, 3), "real", None, "strokes")
    strokes = np.zeros((3, 2, 3), np.float32)
    real = types.SimpleNamespace(levels=None, num_values=None, name="mine")
    pens.check_stored(strokes, real, "there")
    strokes[2, 1, 2] = 0.5
    with pytest.raises(ValueError, match=r"pens, x\[..., 2\], must have values 0 or 1; .* in row 2 of there"):
        pens.check_stored(strokes, real, "there")


def test_the_first_bad_row_of_large_and_small_arrays(monkeypatch):
    monkeypatch.setattr(stored, "_LOOKED_AT", 12)
    for dtype in ("uint8", "int64", "float32"):
        array = np.ones((20, 4), dtype)
        assert stored.first_bad_row(array, 0, 1, True) is None
        array[[13, 17], 2] = 2
        assert stored.first_bad_row(array, 0, 1, True) == 13
    floats = np.ones((20, 4), np.float32)
    for wrong in (np.nan, np.inf, -np.inf, 0.5):
        floats[11, 3] = wrong
        assert stored.first_bad_row(floats, -np.inf, np.inf, True) == 11
    assert stored.first_bad_row(floats, 0, 1, False) is None
    # Whoever asks a stream again does not read it again.
    read = []
    stream = Stream(lambda numbers: read.append(len(numbers)) or floats[numbers], 20, (4,), np.float32)
    assert [stored.first_bad_row(stream, 0, 1, True) for _ in range(3)] == [11] * 3
    assert sum(read) == 12
    assert stored.first_bad_row(np.zeros((0, 4)), 0, 1, True) is None
    assert stored.first_bad_row(np.full((2, 3), 255, np.uint8), 0, 255, True) is None


def test_samples_take_as_many_conditions_as_there_are_samples():
    assert LABELLED.sample(4, condition=[[0], [1], [2], [0]], seed=1).shape == (4, 2, 2, 1)
    assert LABELLED.sample(4, condition=1.0, seed=1).shape == (4, 2, 2, 1)
    with pytest.raises(
        ValueError, match="condition holds 1 rows for 4 samples: give one for all, or one for each"
    ):
        LABELLED.sample(4, condition=[1])


def test_what_is_known_only_by_chance_is_not_taken_for_a_channel():
    """A single x that could be a batch without a channel is refused as a single one."""
    space = Space("M", (1, 1, 1), "levels", 2, "image")
    with pytest.raises(ValueError, match=r"of one x, give x\[None\]"):
        space.check(np.ones((1, 1, 1)))
    assert space.check(np.ones((3, 1, 1))).shape == (3, 1, 1, 1)
    row = Space("M", (None, 1), "real", None, "numbers")
    with pytest.raises(ValueError, match="of one x"):
        row.check(np.ones((5, 1)))
    assert row.check(np.ones((2, 5))).shape == (2, 5, 1)
    assert keras.backend.standardize_dtype(row.check(np.ones((2, 5))).dtype) == "float32"
