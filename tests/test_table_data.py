"""Tables and arrays of one's own, in files and in memory."""

import numpy as np
import pytest

from tests.test_data import PARTS, refused
from tfgen import data


def every(found):
    """x of all splits in the data's own units, and labels, sorted by x."""
    x = np.concatenate([found.meaning.original(getattr(found, part).x) for part in PARTS])
    labels = [getattr(found, part).label for part in PARTS]
    order = np.lexsort(x.reshape(len(x), -1)[:, ::-1].T)
    return x[order], None if labels[0] is None else np.concatenate(labels)[order]


def table(path, text, **options):
    path.write_text(text, **options)
    return f"file:{path}"


NUMBERS = np.column_stack([np.arange(24.0) * 3 + 1, 1e6 + np.arange(24) % 5 / 8])


def rows(form="{:g},{:.3f}", header="age,weight\n"):
    return header + "\n".join(form.format(*row) for row in NUMBERS) + "\n"


def test_columns_are_standardised_by_the_training_split(tmp_path):
    found = data.load(table(tmp_path / "t.csv", rows()))
    assert (found.kind, found.event_shape, found.levels, found.columns) == (
        "vector",
        (2,),
        None,
        ("age", "weight"),
    )
    assert [len(getattr(found, part)) for part in PARTS] == [17, 3, 4]
    assert found.train.x.dtype == np.float32
    np.testing.assert_allclose(found.train.x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.train.x.std(0), 1, rtol=1e-5)
    assert abs(found.test.x.mean(0)).max() > 0.01
    # Far from the origin, an eighth of a unit is still there.
    np.testing.assert_allclose(every(found)[0], NUMBERS.astype(np.float32), rtol=0, atol=0.07)
    assert "standardised by the training split" in data.summary(found)


def test_units_belong_to_the_fingerprint(tmp_path):
    first = data.load(table(tmp_path / "a.csv", rows()))
    second = data.load(table(tmp_path / "b.csv", rows("{:g},{:.4f}").replace("1000000", "2000000")))
    np.testing.assert_allclose(first.train.x, second.train.x, atol=1e-5)
    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (rows(), "utf-8-sig"),
        (rows(), "utf-16"),
        (rows("{:g};{:.3f}", "age;weight\n"), "utf-8"),
        (rows("{:g};{:.3f}", "age;weight\n").replace(".", ","), "utf-8"),
        (rows("{:g}\t{:.3f}", "age\tweight\n"), "utf-8"),
        (rows('"{:g}", "{:.3f}"', '"age", "weight"\n').replace("\n", "\r\n"), "utf-8"),
        (rows() + "\n\n,\n", "utf-8"),
    ],
)
def test_spellings_of_a_table(tmp_path, text, encoding):
    found = data.load(table(tmp_path / "t.csv", text, encoding=encoding))
    assert found.columns == ("age", "weight")
    np.testing.assert_allclose(every(found)[0], NUMBERS.astype(np.float32), atol=0.07)


def test_a_table_without_names(tmp_path):
    assert data.load(table(tmp_path / "t.csv", rows(header=""))).columns == ("column 1", "column 2")


def test_a_column_is_the_class(tmp_path):
    lines = ["n,kind,x"] + [f"{i},{'cat' if i % 3 else 'dog'},{i * i}" for i in range(24)]
    name = table(tmp_path / "t.csv", "\n".join(lines))
    found = data.load(name, label_column="kind")
    x, label = every(found)
    assert found.class_names == ("cat", "dog") and found.columns == ("n", "x")
    np.testing.assert_array_equal(label, np.arange(24) % 3 == 0)
    np.testing.assert_allclose(x[:, 1], np.arange(24) ** 2, atol=1e-3)
    assert "left out: kind (--label_column=kind makes it the class)" in data.summary(data.load(name))
    assert "did you mean 'kind'?" in refused(name, label_column="kinds")
    numbers = ["y,x"] + [f"{(10, 9, 2)[i % 3]}.0,{i}" for i in range(24)]
    found = data.load(table(tmp_path / "n.csv", "\n".join(numbers)), label_column="y")
    assert found.class_names == ("2", "9", "10")
    np.testing.assert_array_equal(every(found)[1], [(2, 1, 0)[i % 3] for i in range(24)])


def test_columns_that_count_the_rows_or_hold_text_are_left_out_and_named(tmp_path):
    lines = [",city,x"] + [f"{i},town {i},{i % 7}" for i in range(20)]
    found = data.load(table(tmp_path / "t.csv", "\n".join(lines)))
    assert found.columns == ("x",)
    told = data.summary(found)
    assert "column '' left out, it counts the rows" in told and "text left out: city" in told


def test_missing_values_are_refused_by_row_and_column(tmp_path):
    lines = rows().splitlines()
    lines[3], lines[7], lines[9] = "7,", "NA,3", "x,4"
    name = table(tmp_path / "t.csv", "\n".join(lines))
    message = refused(name)
    for words in (
        "3 of 24 rows", "row 3 (line 4), column 'weight' is missing", "row 7 (line 8), column 'age' is mis",
        "row 9 (line 10), column 'age' is 'x', no number", "--skip_bad",
    ):  # fmt: skip
        assert words in message
    found = data.load(name, skip_bad=True)
    assert len(every(found)[0]) == 21 and "3 of 24 rows left out" in data.summary(found)


def test_missing_values_stay_where_they_are_asked_for(tmp_path):
    """What is given is standardised by what is given; what is no number is refused as ever."""
    lines = rows().splitlines()
    lines[3], lines[7] = "7,", "NA,1000000.125"
    found = data.load(table(tmp_path / "t.csv", "\n".join(lines)), missing=True)
    expected = NUMBERS.copy()
    expected[2, 1] = expected[6, 0] = np.nan
    expected = expected[np.lexsort(expected[:, ::-1].T)]
    np.testing.assert_allclose(every(found)[0], expected, atol=1e-3)
    np.testing.assert_allclose(np.nanmean(found.train.x, axis=0), 0.0, atol=1e-5)
    assert "2 of 48 values are missing" in data.summary(found)
    lines[9] = "x,4"
    message = refused(table(tmp_path / "u.csv", "\n".join(lines)), missing=True)
    assert "lacks values in 1 of 24 rows: row 9 (line 10), column 'age' is 'x', no number" in message
    arrays = NUMBERS.copy()
    arrays[3, 0] = np.nan
    np.save(tmp_path / "a.npy", arrays)
    assert "1 of 48 values are missing" in data.summary(data.load(f"file:{tmp_path / 'a.npy'}", missing=True))
    assert "misses values, nan in row 4, column 1" in refused(f"file:{tmp_path / 'a.npy'}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is blank"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n3\n4,5", "1 values in row 2 (line 3) for 2 columns"),
        ("a,a\n1,2\n", "two columns called 'a'"),
        ("a,b\nx,y\nz,u\n", "no column of numbers"),
        ("a,b\n1,2\n3,4\n", "holds 2 examples"),
        ('a,b\n"1,5",2\n2,2\n3,3\n4,4\n5,5', "column 'a' is '1,5', no number"),
        ("a,b\n1_0,2\n3,2\n4,3\n4,4\n5,5", "column 'a' is '1_0', no number"),
        ("a\n1\ninf\n3\n4\n5", "row 2 (line 3), column 'a' is 'inf'"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, words):
    assert words in refused(table(tmp_path / "t.csv", text))


def test_measurements_are_no_classes(tmp_path):
    text = "x,y\n" + "\n".join(f"{i},{1.5 if i == 3 else i % 2}" for i in range(8))
    name = table(tmp_path / "t.csv", text)
    assert "label_column='y' holds 1.5, which is no class" in refused(name, label_column="y")


def test_tables_of_splits(tmp_path):
    for part, count in (("train", 9), ("valid", 4), ("test", 5)):
        table(tmp_path / f"{part}.csv", "a,b\n" + "\n".join(f"{i},{count}" for i in range(count)))
    found = data.load(f"folder:{tmp_path}")
    assert [len(getattr(found, part)) for part in PARTS] == [9, 4, 5]
    assert set(found.meaning.original(found.test.x)[:, 1]) == {5.0}
    assert "column b never changes" in data.summary(found) and found.deviation[1] == 1.0
    table(tmp_path / "test.csv", "a,c\n1,2\n")
    assert "has other columns than" in refused(f"folder:{tmp_path}")


def test_other_data_are_measured_in_the_units_of_the_training(tmp_path):
    trained = data.load(table(tmp_path / "a.csv", rows()))
    other = data.load(table(tmp_path / "b.csv", rows("{:g},{:.3f}").replace("\n1", "\n5")))
    scaled = other.rescaled(trained.meaning)
    np.testing.assert_allclose(
        scaled.test.x, (other.meaning.original(other.test.x) - trained.mean) / trained.deviation, atol=1e-2
    )
    assert scaled.meaning == trained.meaning
    with pytest.raises(data.DataError, match="has other columns than age, weight"):
        data.load(table(tmp_path / "c.csv", rows(header="a,b\n"))).rescaled(trained.meaning)


# Arrays.


def pictures(count, shape=(4, 5), seed=0, dtype=np.uint8):
    return np.random.RandomState(seed).randint(0, 256, (count, *shape)).astype(dtype)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return f"file:{path}"


def test_npz_as_keras_datasets_writes_them(tmp_path):
    x, y = pictures(12), np.arange(12) % 10
    name = saved(tmp_path / "m.npz", x_train=x, y_train=y, x_test=x[:5] + 1, y_test=y[:5])
    found = data.load(name)
    assert (found.kind, found.event_shape, found.levels) == ("image", (4, 5, 1), 256)
    np.testing.assert_array_equal(found.test.x[..., 0], x[:5] + 1)
    np.testing.assert_array_equal(found.test.label, y[:5])
    assert len(found.train) == 10 and len(found.validation) == 2 and found.class_names == tuple("0123456789")
    held = data.load(saved(tmp_path / "v.npz", x_train=x, x_valid=x[:3], x_test=x[:5]))
    np.testing.assert_array_equal(held.validation.x[..., 0], x[:3])
    assert len(held.train) == 12
    assert len(data.load(f"file:{tmp_path / 'v.npz'}", validation=4).validation) == 4


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"), ("X", "Y"), ("images", "labels"), ("data", "target"), ("arr_0", "arr_1"),
        ("train_images", "train_labels"), ("features", "targets"), ("train_x", "train_y"),
    ],
)  # fmt: skip
def test_names_of_arrays(tmp_path, names):
    x, y = pictures(9), np.arange(9)[:, None] % 2
    found = data.load(saved(tmp_path / "a.npz", **dict(zip(names, (x, y), strict=True))))
    assert sum(len(getattr(found, part)) for part in PARTS) == 9 and found.num_classes == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": pictures(5), "foo": np.zeros(5)}, "holds an array called foo: name them x and y"),
        ({"y": np.zeros(5)}, "holds y of train and no x"),
        ({"x": pictures(5), "images": pictures(5)}, "two arrays for x of train"),
        ({"x": pictures(5), "y": np.zeros(4)}, "y of train has 4 rows for 5 of x"),
        ({"x": pictures(5), "y": np.arange(5) / 2}, "y holds 0.5, which is no class"),
        ({"x_train": pictures(5), "y_train": np.zeros(5), "x_test": pictures(5)}, "test has no y"),
        ({"x_train": pictures(5), "x_test": pictures(5, (3, 3))}, "differ in shape"),
        ({"x": np.array([[1.0, 2.0], [3.0, np.nan], [4.0, 5.0]])}, "nan in row 2, column 2"),
        ({"x": np.array([["a"], ["b"]])}, "holds str"),
        ({"x": np.zeros((5, 4, 4, 4), np.uint8)}, "images have 4 channels, one transparent"),
        ({"x": np.zeros((5, 4, 4, 7))}, "images have shape (4, 4, 7)"),
        ({"x": np.zeros((5, 4, 4, 4, 4, 4))}, "examples have shape (4, 4, 4, 4, 4)"),
        ({"x": np.array([[1], "ab"], object)}, "holds Python objects"),
    ],
)
def test_what_is_wrong_with_arrays_is_named(tmp_path, arrays, words):
    assert words in refused(saved(tmp_path / "a.npz", **arrays))


def test_a_folder_of_npy_files(tmp_path):
    x, y = pictures(10), np.arange(10) % 2
    for name, array in (("x_train", x), ("y_train", y), ("x_test", x[:4]), ("y_test", y[:4])):
        np.save(tmp_path / f"{name}.npy", array)
    found = data.load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(found.test.label, y[:4])
    (tmp_path / "in").mkdir()
    for part in ("Train", "test"):
        (tmp_path / "in" / part).mkdir()
        np.save(tmp_path / "in" / part / "x.npy", x[: 9 if part == "Train" else 3])
    found = data.load(f"folder:{tmp_path / 'in'}", validation=0)
    assert (len(found.train), len(found.test)) == (9, 3)


@pytest.mark.parametrize(
    ("x", "kind", "shape", "levels", "note"),
    [
        (pictures(9), "image", (4, 5, 1), 256, None),
        (pictures(9, (4, 5, 3)), "image", (4, 5, 3), 256, None),
        (pictures(9, (3, 4, 5)), "image", (4, 5, 3), 256, "channels moved from the first place to the last"),
        (pictures(9, dtype=np.int64), "image", (4, 5, 1), 256, "whole numbers up to 255 are 256 levels"),
        (pictures(9, dtype=np.float32), "image", (4, 5, 1), 256, "whole numbers up to 255 are 256 levels"),
        (pictures(9) / 255.0, "image", (4, 5, 1), 256, "values in [0, 1] rounded to 256 levels"),
        (pictures(9) / 127.5 - 1, "image", (4, 5, 1), None, None),
        (pictures(9) > 127, "image", (4, 5, 1), 2, None),
        (pictures(9, (2, 4, 5, 3)), "video", (2, 4, 5, 3), 256, None),
        (pictures(9, (7,)), "vector", (7,), 256, None),
        (pictures(9, (7,)).astype(float), "vector", (7,), None, None),
        (pictures(9, ()).astype(float), "vector", (1,), None, None),
        (np.eye(9, dtype=int), "vector", (9,), 2, None),
    ],
)
def test_what_shapes_and_values_mean(x, kind, shape, levels, note):
    found = data.Data.from_arrays(x)
    assert (found.kind, found.event_shape, found.levels) == (kind, shape, levels)
    assert (note or "") in data.summary(found) and bool(found.notes) == bool(note)
    assert found.train.x.dtype == (np.float32 if levels is None else np.uint8)
    if levels == 256 and kind == "image":
        scaled = np.rint(np.asarray(x, float) * (255 if x.max() <= 1 else 1))
        scaled = np.moveaxis(scaled, 1, -1) if note and "channels" in note else scaled
        stored = np.concatenate([getattr(found, part).x for part in PARTS]).astype(float)
        assert sorted(row.sum() for row in stored) == sorted(row.sum() for row in scaled)


def test_classes_of_arrays():
    x = pictures(12)
    words = np.array(["b", "a", "c"] * 4)
    found = data.Data.from_arrays(x, words)
    assert found.class_names == ("a", "b", "c") and found.num_classes == 3
    hot = data.Data.from_arrays(x, np.eye(4)[np.arange(12) % 3])
    assert hot.num_classes == 4 and set(hot.train.label) <= {0, 1, 2}
    gaps = data.Data.from_arrays(x, np.array([10, 2, 7] * 4))
    assert gaps.class_names == ("2", "7", "10")
    named = data.Data.from_arrays(x, np.arange(12) % 3, class_names=("x", "y", "z"))
    assert named.class_names == ("x", "y", "z")
    pairs = data.Data.from_arrays(x, np.stack([np.arange(12) % 2 + 1, np.arange(12) % 3], 1))
    assert pairs.num_classes == (2, 3) and pairs.class_names == (("1", "2"), ("0", "1", "2"))
    assert pairs.train.label.shape == (9, 2)
    with pytest.raises(data.DataError, match="y holds 5 for 3 class names"):
        data.Data.from_arrays(x, np.arange(12) % 6, class_names=("x", "y", "z"))
    with pytest.raises(data.DataError, match="'c', none of the class names a, b"):
        data.Data.from_arrays(x, words, class_names=("a", "b"))


def test_arrays_of_other_kinds():
    tokens = np.random.RandomState(0).randint(0, 3, (12, 6))
    text = data.Data.from_arrays(tokens, kind="text", vocabulary="abc")
    assert (text.kind, text.event_shape, text.num_values, text.vocabulary) == (
        "text",
        (None,),
        3,
        tuple("abc"),
    )
    with pytest.raises(data.DataError, match="below 2, the size of the vocabulary"):
        data.Data.from_arrays(tokens, kind="text", vocabulary="ab")
    wave = np.sin(np.arange(60.0).reshape(12, 5))
    sound = data.Data.from_arrays(wave, kind="audio", rate=4000)
    assert (sound.kind, sound.rate, sound.levels) == ("audio", 4000, 256)
    counted = data.Data.from_arrays(tokens, kind="counts", vocabulary=("a",) * 6)
    assert counted.kind == "counts" and counted.levels is None
    with pytest.raises(ValueError, match="must hold counts"):
        data.Data.from_arrays(wave, kind="counts")


def test_splits_of_arrays():
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    found = data.Data.from_arrays(x, y, test=(x[:3], y[:3]), validation=(x[:2], y[:2]), name="mine")
    assert found.name == "mine" and (found.test.x == x[:3]).all() and (found.validation.x == x[:2]).all()
    assert len(found.train) == 20 and found.train.x.mean() == x.mean()
    assert len(data.Data.from_arrays(x, y, validation=0.25).validation) == 4
    standard = data.Data.from_arrays(x, test=x[:4], standardize=True, columns=("a", "b"))
    np.testing.assert_allclose(standard.meaning.original(standard.test.x), x[:4], atol=1e-5)
    for options, words in (
        ({"validation": x[:2]}, "none to test on: give test= too"),
        ({"columns": ("a",)}, "1 columns for vectors of 2"),
        ({"kind": "image"}, "examples have shape"),
        ({"validation": 30}, "validation=30"),
    ):
        with pytest.raises(data.DataError, match=words):
            data.Data.from_arrays(x, **options)
