"""Dialogues: each example is a reply with the turns before it as its text condition."""

import collections
import functools
import os
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import PARTS, Data, DataError, Split
from tfgen.data.folder import Listing
from tfgen.data.reading import read_json_lines
from tfgen.data.splits import a_sixth, hold_out, stratified_order
from tfgen.data.text import class_note, tokens_data
from tfgen.media.text import END, TURN, UNKNOWN, split

# Of a history: its last turns, and of these the last tokens. Of a reply: the first tokens, its end included.
_TURNS, _MEMORY, _REPLY = 3, 60, 30
_MOST_WORDS, _LEAST_OFTEN = 5_000, 2

_QUESTIONS = {
    "hello .": "hi , how can i help you ?",
    "who are you ?": "i am a small model .",
    "what is your name ?": "they call me echo .",
    "how old are you ?": "i was trained a minute ago .",
    "where do you live ?": "in the memory of a machine .",
    "what do you eat ?": "numbers , mostly .",
    "do you sleep ?": "only between two steps .",
    "what time is it ?": "time to learn .",
    "how is the weather ?": "dry and warm in here .",
    "do you like music ?": "yes , i like waves .",
    "can you sing ?": "not yet , ask me next year .",
    "can you dance ?": "no , i have no feet .",
    "what is your favorite color ?": "grey , in 17 levels .",
    "do you have friends ?": "a few models of my family .",
    "what do you read ?": "the same forty lines again and again .",
    "are you happy ?": "my loss is low , so yes .",
    "what is two plus two ?": "four .",
    "what is the capital of france ?": "paris .",
    "who wrote hamlet ?": "shakespeare did .",
    "goodbye .": "goodbye , come back soon .",
}
_RECALL = "what did i ask you ?"


def reply_table() -> dict[tuple[str, ...], str]:
    """The answers of the embedded `replies`: history of turns -> reply, 40 of them.

    Twenty questions alone have their answers; after each of them, "what did i ask you ?" is answered by the
    question, which is the turn before the last.
    """
    table = {(question,): answer for question, answer in _QUESTIONS.items()}
    return table | {(q, a, _RECALL): f"you said : {q}" for q, a in _QUESTIONS.items()}


@registry.embedded("replies", "questions and answers, some of which depend on the question before")
def replies(request: registry.Request) -> Data:
    """`reply_table` five times over, and questions after others: 40 of these validate and 40 test."""
    table = list(reply_table().items())
    pairs = [((q, a, other), _QUESTIONS[other]) for q, a in _QUESTIONS.items() for other in _QUESTIONS]
    pairs = [pairs[i] for i in stratified_order(len(pairs))]
    parts = ([*pairs[80:], *5 * table], pairs[40:80], pairs[:40])
    texts = [turn for history, reply in parts[0] for turn in (*history, reply)]
    return dialogue_data(request, texts, *parts)


@registry.on_disk("dailydialog", "text/dailydialog/*.jsonl: everyday English (CC BY-NC-SA)")
def dailydialog(request: registry.Request) -> Data:
    """The files of DATA_DIR/text/dailydialog: `train_sample` to train on, `dev` less what `test` holds too.

    References:
        Li et al., 2017, DailyDialog: a manually labelled multi-turn dialogue dataset, arXiv:1710.03957.
    """
    root = pathlib.Path(request.data_dir or ".", "text", "dailydialog")
    parts = []
    for part in ("train_sample", "dev", "test"):
        path = root / f"{part}.jsonl"
        if not path.is_file():
            raise DataError(
                f"data set 'dailydialog' lacks {path}: say with --data_dir where text/dailydialog lies"
            )
        parts.append(read_dialogues(path))
    train, dev, test = parts
    tested = {tuple(turns) for turns in test}
    dev = [turns for turns in dev if tuple(turns) not in tested]
    return _of_dialogues(request, train, dev, test)


def folder_of_dialogues(listing: Listing, request: registry.Request) -> Data:
    """Files with a dialogue a line, as `read_dialogues` takes them; folders of splits are obeyed.

    Where the folder does not say, a fixed sixth of the dialogues tests, and a sixth of the rest validates.

    Raises:
        DataError: Naming file and line, if one is no dialogue.
    """
    parts, notes = {part: [] for part in PARTS}, [*listing.notes, *class_note(listing)]
    for number, path in enumerate(listing.paths):
        part = "train" if listing.split is None else str(listing.split[number])
        parts[part] += read_dialogues(path, request.encoding, notes)
    for part in ("test", "validation"):
        every = parts["train"]
        if not parts[part]:
            if len(every) < 2:
                raise DataError(
                    f"data set {request.name!r} has too few dialogues to cut a {part} part off: "
                    "train, validation and test need 3 at least"
                )
            order = stratified_order(len(every))
            cut = a_sixth(len(every))
            parts[part], parts["train"] = ([every[i] for i in part] for part in (order[:cut], order[cut:]))
    return _of_dialogues(request, *parts.values(), notes=notes)


def read_dialogues(path: os.PathLike, encoding: str | None = None, notes=None) -> list[list[str]]:
    """The dialogues of a file, each a list of its turns.

    On each line stands a JSON object: {"turns": ["...", "..."]} with two strings or more; or {"messages":
    [{"role": "user", "content": "..."}, ...]}, of which system messages are left out and messages of one role
    after the other are one turn; or {"conversations": [{"from": "human", "value": "..."}, ...]}. What else
    the object holds is ignored, empty lines too.

    Args:
        path: The file.
        encoding: As `tfgen.data.reading.read_text` takes it.
        notes: A list that is told what was left out, or None.

    Raises:
        DataError: Naming file and line.
    """
    dialogues, systems = [], 0
    for number, value in read_json_lines(path, encoding, "dialogues"):
        turns, left_out = _turns(value)
        systems += left_out
        if turns is None or len(turns) < 2:
            raise DataError(
                f'line {number} of {path} is no dialogue: write {{"turns": ["...", "..."]}} or {{"messages": '
                '[{"role": "user", "content": "..."}, ...]}, two texts or more that are not empty'
            )
        dialogues.append(turns)
    if not dialogues:
        raise DataError(f'{path} holds no dialogues: write one a line, {{"turns": ["...", "..."]}}')
    if systems and notes is not None:
        notes.append(f"{systems} system messages left out")
    return dialogues


def _turns(value: dict) -> tuple[list[str] | None, int]:
    """The turns of a JSON object, None where it is no dialogue, and how many system messages it has."""
    if "turns" in value:
        turns = value["turns"]
        good = isinstance(turns, list) and all(isinstance(turn, str) and turn.strip() for turn in turns)
        return (turns if good else None), 0
    messages = value.get("messages", value.get("conversations"))
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return None, 0
    turns, before, systems = [], None, 0
    for message in messages:
        role, text = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if isinstance(text, list):
            # Parts, as [{"type": "text", "text": "..."}]; those of other types have no text.
            parts = [part.get("text") if isinstance(part, dict) else None for part in text]
            text = " ".join(parts) if all(isinstance(part, str) for part in parts) else None
        if not isinstance(text, str) or not text.strip() or not isinstance(role, str):
            return None, 0
        if role in ("system", "developer"):
            systems += 1
        elif role == before:
            turns[-1] += f"\n{text}"
        else:
            turns.append(text)
            before = role
    return turns, systems


def _examples(dialogues):
    """Every turn but the first, with the turns before it: [(history, reply)]."""
    return [
        (tuple(turns[max(0, i - _TURNS) : i]), turns[i]) for turns in dialogues for i in range(1, len(turns))
    ]


def _of_dialogues(request, train, validation, test, notes=()):
    texts = [turn for turns in train for turn in turns]
    parts = (_examples(part) for part in (train, validation, test))
    return dialogue_data(request, texts, *parts, notes=notes)


def dialogue_data(request: registry.Request, texts, train, validation, test, notes=()) -> Data:
    """Histories and replies as tokens, words whatever `request.unit` says.

    Token 0 ends a reply and fills up, 1 stands between two turns, 2 for unknown words. A history keeps its
    last `request.window` tokens (by default 60), a reply its first 30: one that is longer has no end.

    Args:
        request: The request.
        texts: What the vocabulary is made of: at most 5,000 words, each of which occurs twice or more.
        train: [(history of turns, reply)].
        validation: The same.
        test: The same.
        notes: What was done to the data.
    """
    counts = collections.Counter(word for text in texts for word in split(text, "word"))
    special = (END, TURN, UNKNOWN)
    common = [w for w, n in counts.most_common(_MOST_WORDS) if n >= _LEAST_OFTEN and w not in special]
    vocabulary = (*special, *sorted(common))
    numbers = {word: number for number, word in enumerate(vocabulary) if word not in (END, TURN)}
    width = request.window or _MEMORY
    train, validation, test = (_split(part, numbers, width) for part in (train, validation, test))
    held_out = hold_out(train, request.validation, len(validation), published=validation)
    return tokens_data(request.name, [*held_out, test], vocabulary, "word", notes=tuple(notes))


def _split(examples, numbers, width):
    @functools.cache
    def encode(text):
        return [numbers.get(word, numbers[UNKNOWN]) for word in split(text, "word")]

    x, text = np.zeros((len(examples), _REPLY), np.int32), np.zeros((len(examples), width), np.int32)
    lengths = np.zeros(len(examples), np.int32)
    for row, (history, reply) in enumerate(examples):
        told = [token for turn in history for token in (1, *encode(turn))][1:][-width:]
        answer = [*encode(reply), 0][:_REPLY]
        x[row, : len(answer)], text[row, : len(told)], lengths[row] = answer, told, len(answer)
    return Split(x, None, {"lengths": lengths, "text": text})
