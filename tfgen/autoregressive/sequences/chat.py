"""Talking with a dialogue model in a terminal, or through a pipe."""

import sys

from tfgen import random


def chat(model, temperature=None, seed=0):
    """Answers line by line, with the turns before as the history; the oldest are forgotten first.

    Ends with the input, or at an empty line. A line that alone is longer than the memory is not answered.

    Args:
      model: A `DialogueModel`.
      temperature: None answers by beam search; a number draws replies, 0 the greedy one.
      seed: Python int or int32 [2].
    """
    seed, history = random.as_seed(seed), []
    # Without a terminal nothing but the replies is written.
    shown = "> " if sys.stdin.isatty() else ""
    for number in range(1 << 30):
        try:
            line = input(shown).strip()
        except (EOFError, KeyboardInterrupt):
            break
        if not line:
            break
        try:
            kept = remembered(model, [*history, line])
        except ValueError as error:
            print(error, flush=True)
            continue
        said = {"method": "beam"} if temperature is None else {"method": "sample", "temperature": temperature}
        answer = model.reply(kept, seed=random.fold_in(seed, number), **said)
        print(answer, flush=True)
        # A reply without words is no turn to look back at.
        history = [*kept, answer] if answer else kept


def remembered(model, turns):
    """The last of the turns that fit into a model's memory, the newest always among them.

    Raises:
      ValueError: If the newest one alone does not fit.
    """
    turns = turns[-model.turns :]
    while True:
        try:
            model.condition.encode(model.join(turns))
            return turns
        except ValueError:
            if len(turns) == 1:
                raise
            turns = turns[1:]
