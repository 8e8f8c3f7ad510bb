"""Word counts: embedded documents, files and paragraphs of texts, tables and arrays of counts."""

import json

import numpy as np
import pytest

from tfgen import data
from tfgen.data import DataError


def counted(found, split):
    """Each example of a split as {word: count}."""
    return [
        {found.vocabulary[i]: int(row[i]) for i in np.flatnonzero(row)} for row in np.asarray(split.x, int)
    ]


def test_documents_are_paragraphs_of_python_and_none_is_in_two_splits():
    found = data.load("documents")
    assert found.kind == "counts" and found.event_shape == (1000,) == (len(found.vocabulary),)
    rows = [set(map(bytes, np.ascontiguousarray(s.x))) for s in (found.train, found.validation, found.test)]
    assert min(map(len, rows)) > 100 and len(rows[0]) > 500
    assert np.asarray(found.train.x).sum(axis=1).min() > 0
    assert {"statement", "object", "exception"} <= set(found.vocabulary) and "the" not in found.vocabulary


def test_each_file_of_a_folder_is_a_document(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    for i in range(6):
        (tmp_path / "train" / f"{i}.txt").write_text("The apple, the Apple and a pear. " * (i + 1))
    (tmp_path / "train" / "no.txt").write_text("of to a")
    (tmp_path / "test" / "t.txt").write_text("pear, apple, fig")
    found = data.load(f"folder:{tmp_path}", counts=True)
    assert found.vocabulary == ("apple", "pear")
    assert counted(found, found.test) == [{"apple": 1, "pear": 1}]
    every = counted(found, found.train) + counted(found, found.validation)
    assert sorted(row["pear"] for row in every) == [1, 2, 3, 4, 5, 6]
    assert all(row["apple"] == 2 * row["pear"] for row in every)
    assert "1 texts without a counted word left out" in data.summary(found)


def test_each_paragraph_of_a_file_is_a_document(tmp_path):
    words = [f"word{chr(97 + i)}" for i in range(9)]
    text = "\n\n".join(" ".join([word] * 20 + ["common"]) for word in words) + "\n\nshort end"
    (tmp_path / "book.txt").write_text(text)
    found = data.load(f"file:{tmp_path / 'book.txt'}", counts=True)
    every = [counted(found, s) for s in (found.train, found.validation, found.test)]
    assert sum(map(len, every)) == 9
    assert all(max(row.values()) == 20 and row["common"] == 1 for row in every[0])


def test_tables_and_arrays_of_counts(tmp_path):
    x = np.random.RandomState(0).poisson(2.0, (30, 3))
    lines = ["ape,bee,cat"] + [",".join(map(str, row)) for row in x]
    (tmp_path / "zoo.csv").write_text("\n".join(lines))
    np.save(tmp_path / "zoo.npy", x)
    table, array = (data.load(f"file:{tmp_path / n}", counts=True) for n in ("zoo.csv", "zoo.npy"))
    assert table.kind == array.kind == "counts" and table.vocabulary == ("ape", "bee", "cat")
    for found in (table, array):
        every = np.concatenate([s.x for s in (found.train, found.validation, found.test)])
        assert sorted(map(tuple, every)) == sorted(map(tuple, x.astype(float)))
    (tmp_path / "zoo.csv").write_text("ape,bee\n0.5,1\n1,2\n2,2\n3,1\n")
    with pytest.raises(ValueError, match=r"must hold counts, .* training split of file"):
        data.load(f"file:{tmp_path / 'zoo.csv'}", counts=True)


def test_what_cannot_be_counted_is_refused(tmp_path):
    with pytest.raises(DataError, match="counts=True is for texts, tables and arrays, but data set 'digits'"):
        data.load("digits", counts=True)
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text("a b c")
    with pytest.raises(DataError, match="hold no words of three letters or more"):
        data.load(f"folder:{tmp_path}", counts=True)
    (tmp_path / "texts.jsonl").write_text(
        "\n".join(json.dumps({"text": "green apple " * i}) for i in range(1, 9))
    )
    found = data.load(f"file:{tmp_path / 'texts.jsonl'}", counts=True)
    assert (
        found.vocabulary == ("apple", "green")
        and len(found.train) + len(found.test) + len(found.validation) == 8
    )
