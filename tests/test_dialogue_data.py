"""Dialogues as data: histories, replies, files of one's own."""

import json

import numpy as np
import pytest

from tests.real_data import REAL, needs
from tests.test_data import PARTS, refused
from tfgen import data
from tfgen.data import dialogues
from tfgen.media.text import END, TURN, UNKNOWN


def read(found, part):
    """[(history, reply)] of a part as strings, the end included."""
    split = getattr(found, part)
    words = np.array(found.vocabulary)
    return [
        (" ".join(words[told[told > 0]]), " ".join(words[x[:n]]))
        for told, x, n in zip(split.extra["text"], split.x, split.extra["lengths"], strict=True)
    ]


def write(path, *every):
    path.write_text("".join(json.dumps({"turns": turns, "topic": 1}) + "\n" for turns in every))


def test_replies_hold_their_table():
    table = dialogues.reply_table()
    assert len(table) == 40 and sum(len(history) == 3 for history in table) == 20
    # The same last two turns, other answers: the turn before them decides.
    assert len({table[h] for h in table if len(h) == 3 and h[2] == "what did i ask you ?"}) == 20
    found = data.load("replies")
    assert found.vocabulary[:3] == (END, TURN, UNKNOWN) and found.unit == "word" and found.kind == "text"
    train, validation, test = (set(read(found, part)) for part in PARTS)
    for history, reply in table.items():
        assert (f" {TURN} ".join(history), f"{reply} {END}") in train
    assert not train & set(read(found, "test")) and not set(read(found, "validation")) & set(
        read(found, "test")
    )
    assert not any(UNKNOWN in history + reply for part in PARTS for history, reply in read(found, part))


def test_each_turn_but_the_first_answers_those_before_it(tmp_path):
    for part in PARTS:
        (tmp_path / part).mkdir()
        write(tmp_path / part / "a.jsonl", ["a b", "b a !", "it's a", "a", "b"])
    found = data.load(f"folder:{tmp_path}")
    assert found.event_shape == (None,) and found.train.x.dtype == np.int32
    # Words that occur once are unknown.
    expected = [
        ("a b", f"b a {UNKNOWN} {END}"),
        (f"a b {TURN} b a {UNKNOWN}", f"{UNKNOWN} {UNKNOWN} a {END}"),
        (f"a b {TURN} b a {UNKNOWN} {TURN} {UNKNOWN} {UNKNOWN} a", f"a {END}"),
        (f"b a {UNKNOWN} {TURN} {UNKNOWN} {UNKNOWN} a {TURN} a", f"b {END}"),
    ]
    assert [read(found, part) for part in PARTS] == [expected] * 3
    for part in PARTS:
        split = getattr(found, part)
        counted = np.arange(split.x.shape[1]) < split.extra["lengths"][:, None]
        assert np.all(split.x[~counted] == 0) and np.all(
            (split.x == 0).argmax(1) == split.extra["lengths"] - 1
        )


def test_histories_keep_their_end_and_replies_their_beginning(tmp_path):
    write(tmp_path / "a.jsonl", *[["one two three", " ".join(["a"] * 40)]] * 3)
    found = data.load(f"file:{tmp_path / 'a.jsonl'}", window=2)
    assert found.train.extra["text"].shape == (1, 2)
    # A reply that was cut has no end.
    assert read(found, "train") == [(f"{UNKNOWN} {UNKNOWN}", " ".join(["a"] * 30))]


def test_dialogues_of_a_file_stay_on_one_side(tmp_path):
    write(tmp_path / "a.jsonl", *[[f"x{i} x{i}", f"x{i} x{i}", f"x{i}"] for i in range(36)])
    found = data.load(f"file:{tmp_path / 'a.jsonl'}")
    assert [len(getattr(found, part)) for part in PARTS] == [50, 10, 12]
    trained = {word for history, _ in read(found, "train") for word in history.split()}
    assert UNKNOWN not in trained and {h for h, _ in read(found, "test")} <= {
        f"{UNKNOWN} {UNKNOWN}", f"{UNKNOWN} {UNKNOWN} {TURN} {UNKNOWN} {UNKNOWN}"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"turns": ["a", "b"]}\n\n{"turns": ["a"]}', "line 3 of"),
        ('{"turns": ["a", ""]}', "line 1 of"),
        ('{"turns": ["a", 3]}', "line 1 of"),
        ('{"turns": "a b"}', "line 1 of"),
        ('["a", "b"]', "line 1 of"),
        ('{"turns": ["a", "b"]', "is no JSON"),
        ('{"other": ["a", "b"]}', "is no dialogue: write {"),
        ('{"messages": ["a", "b"]}', "is no dialogue: write {"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "two texts or more that are not empty"),
        ("3", "line 1 of"),
        ("", "holds no dialogues"),
        (b"\xff\xfe", "holds no dialogues"),
        (b'{"turns": ["\xe9", "b"]}', "--encoding=latin-1"),
        ('{"turns": ["a", "b"]}', "train, validation and test need 3 at least"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, words):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refused(f"file:{path}")
    assert words in message and str(path) in message


def test_absent_dailydialog_names_its_place(tmp_path):
    message = refused("dailydialog", data_dir=tmp_path)
    assert f"lacks {tmp_path}/text/dailydialog/train_sample.jsonl" in message and "--data_dir" in message


@needs(REAL / "text" / "dailydialog")
def test_dailydialog():
    found = data.load("dailydialog", data_dir=REAL)
    assert [len(getattr(found, part)) for part in PARTS] == [5959, 7004, 6720]
    assert read(found, "test")[0] == (
        "so dick , how about getting some coffee for tonight ?",
        f"coffee ? i don ’t honestly like that kind of stuff . {END}",
    )
    whole = [dialogues.read_dialogues(REAL / "text/dailydialog" / f"{n}.jsonl") for n in ("dev", "test")]
    shared = {tuple(turns) for turns in whole[0]} & {tuple(turns) for turns in whole[1]}
    assert len(shared) == 4
    left = sum(len(turns) - 1 for turns in whole[0]) - len(found.validation)
    assert left == sum(len(turns) - 1 for turns in shared)
    unknown = np.mean(found.test.x[found.test.x > 0] == found.vocabulary.index(UNKNOWN))
    assert 0.03 < unknown < 0.1


def test_messages_are_turns(tmp_path):
    talk = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "a b"},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "a a"},
    ]
    (tmp_path / "a.jsonl").write_text("\ufeff" + f"{json.dumps({'messages': talk})}\n" * 9)
    found = data.load(f"file:{tmp_path / 'a.jsonl'}")
    assert read(found, "test")[:3] == [
        ("a b", f"b a {END}"),
        (f"a b {TURN} b a", f"a b {END}"),
        (f"a b {TURN} b a {TURN} a b", f"a a {END}"),
    ]
    assert "9 system messages left out" in data.summary(found)
    shared = [{"from": "human", "value": "a b"}, {"from": "gpt", "value": "b"}]
    (tmp_path / "b.jsonl").write_text(f"{json.dumps({'conversations': shared})}\n" * 9)
    assert read(data.load(f"file:{tmp_path / 'b.jsonl'}"), "test")[0] == ("a b", f"b {END}")
