"""Figures and pictures of a trained world model: roll-outs beside the truth, and games played by planning."""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.environments import WORLDS
from tfgen.model import View
from tfgen.variational.planning import PLANNER

_Z95 = 1.959964
# Frames that a roll-out begins with, frames that are imagined, and roll-outs whose mean is the prediction.
_SEEN, _IMAGINED, _DREAMS = 5, 10, 16
# Films that are measured at a time, games that are played, and steps of each.
_BATCH, _GAMES, _STEPS = 100, 32, 40
# Films and games that are shown, and how wide a frame of them is on the screen.
_SHOWN, _PLAYED, _WIDTH = 6, 4, 128
_SEEN_COLOR, _IMAGINED_COLOR = (60, 120, 220), (240, 140, 30)


def report_world(model, data, seed):
    """Figures of a world model on a data set's test split, and in the world that the data are from.

    Frames are imagined after the first `_SEEN` of each film, under the film's own actions; a prediction is
    the mean of `_DREAMS` roll-outs. Where `tfgen.environments.WORLDS` has a world by the data's name, games
    from random states are played twice, by planning and at random, and the difference has an interval.

    Args:
      model: A `WorldModel`.
      data: A `tfgen.data.Data`.
      seed: int32 [2].
    """
    errors = rollout_errors(model, data, random.fold_in(seed, 0))
    steps = errors["imagined"].shape[1]
    found = {}
    for name, each in errors.items():
        kind = f"squared error of a pixel, mean over {steps} steps after {_seen(model)} frames, test split"
        found[f"{name}_error"] = _mean(each.mean(axis=1)) | {"kind": kind}
        found[f"{name}_error_last"] = _mean(each[:, -1]) | {"kind": f"the same, of step {steps}"}
    if data.name in WORLDS:
        earned = play(model, WORLDS[data.name], random.fold_in(seed, 1))
        kind = f"reward of {_STEPS} steps, mean of {_GAMES} games"
        found |= {f"{name}_reward": _mean(each) | {"kind": kind} for name, each in earned.items()}
        margin = _mean(earned["planned"] - earned["random"])
        found["planning_margin"] = margin | {"kind": "planned less random reward, of the same games"}
    return found


def _mean(values):
    """Mean with its 95 % interval."""
    mean = float(values.mean())
    half = _Z95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"value": mean, "low": mean - half, "high": mean + half}


def _seen(model):
    return min(_SEEN, model.event_shape[0] // 2)


def rollout_errors(model, data, seed):
    """Squared errors of a pixel by film and step: {"imagined", "copied": float64 `[films, steps]`}.

    "copied" is what comes of taking the last frame seen for all that follow.
    """
    seen = _seen(model)
    steps = min(_IMAGINED, model.event_shape[0] - seen)
    dream = tf.function(model.imagine_rows, autograph=False, reduce_retracing=True)
    low, high = model.space.value_range
    span = high - low if np.isfinite(high) else 1.0
    found = {"imagined": [], "copied": []}
    for start in range(0, len(data.test), _BATCH):
        rows = data.test.take(slice(start, start + _BATCH))
        x = model.space.from_data(rows.x, data, random.fold_in(seed, start))[:, : seen + steps]
        actions = rows.extra["actions"][:, : seen + steps - 1]
        first = tf.repeat(x[:, :seen], _DREAMS, axis=0)
        seeds = random.rows(random.fold_in(seed, start), first.shape[0])
        frames = dream(first, tf.repeat(actions, _DREAMS, axis=0), seeds)["frames"]
        frames = tf.reduce_mean(tf.reshape(frames, [len(x), _DREAMS, *frames.shape[1:]]), axis=1)
        for name, guess in (("imagined", frames), ("copied", x[:, seen - 1 : seen])):
            error = np.asarray(guess - x[:, seen:], np.float64) / span
            found[name].append(np.square(error).mean(axis=(2, 3, 4)))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def play(model, world, seed, games=_GAMES, steps=_STEPS, planner=PLANNER, show=None):
    """Rewards of games from the same random states: {"planned", "random": float64 `[games]`}.

    Args:
      model: A `WorldModel`.
      world: One of `tfgen.environments.WORLDS`.
      seed: int32 [2].
      games: How many.
      steps: Steps of each.
      planner: `tfgen.variational.planning.Planner`.
      show: Called with the frames uint8 `[games, ...]` and the rewards so far of the games that are planned.
    """
    draw = np.random.RandomState(np.asarray(seed).view(np.uint32))
    begun = world.start(draw.random_sample((games, 5)))
    guesses = draw.randint(0, world.num_actions, (steps, games))
    earned = {}
    for name in ("planned", "random"):
        state, total, memory = begun, np.zeros(games), model.start(games)
        for t in range(steps):
            actions = guesses[t]
            if name == "planned":
                frames = world.render(state)
                if show is not None:
                    show(frames, total)
                actions, memory = model.act(memory, frames, random.fold_in(seed, t), planner)
            state, rewards = world.step(state, np.asarray(actions))
            total = total + rewards
        earned[name] = total
    return earned


def report_views(model, data, num, seed):
    """Roll-outs beside the truth, as a film and as strips of frames, and games played by planning, as a film.

    The first frames are seen, and shown as V reconstructs them; one roll-out of each film at temperature 1
    goes on from there under the film's own actions.

    Args:
      model: A `WorldModel`.
      data: A `tfgen.data.Data`.
      num: How many films, at most.
      seed: int32 [2].
    """
    few = data.test.take(slice(0, min(num, _SHOWN)))
    x = model.space.from_data(few.x, data, seed)
    seen = _seen(model)
    dream = model.imagine(x[:, :seen], few.extra["actions"][:, :-1], random.fold_in(seed, 0))["frames"]
    dream = tf.concat([model.reconstruct(x[:, :seen]), dream], axis=1)
    truth, dream = (_pictures(model, film) for film in (x, dream))
    shown = {"rollouts": _films(truth, dream, seen), "strips": _strips(truth, dream, seen)}
    if data.name in WORLDS:
        shown["games"] = _games(model, WORLDS[data.name], random.fold_in(seed, 1))
    return shown


def _pictures(model, x):
    """Frames in the model's values as uint8 `[..., height, width, 3]`."""
    low, high = model.space.value_range
    low, high = (low, high) if np.isfinite(high) else (0.0, 1.0)
    grey = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    grey = grey if grey.shape[-1] == 3 else grey.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    return np.round(255 * grey).astype(np.uint8)


def _enlarged(pictures):
    """Pictures `[..., height, width, 3]` as large as can be seen, each pixel a square."""
    factor = max(1, _WIDTH // pictures.shape[-2])
    return pictures.repeat(factor, axis=-3).repeat(factor, axis=-2)


def _films(truth, dream, seen):
    truth, dream = _enlarged(truth), _enlarged(dream)
    bar = np.empty((*truth.shape[:3], 4, 3), np.uint8)
    bar[:, :seen], bar[:, seen:] = _SEEN_COLOR, _IMAGINED_COLOR
    both = np.swapaxes(np.concatenate([truth, bar, dream], axis=3), 0, 1)
    heads = [f"frame {t + 1}, {'seen' if t < seen else 'imagined'}" for t in range(len(both))]
    return View(both, "frames", title="truth | roll-out,", heads=heads)


def _strips(truth, dream, seen):
    rows = np.stack([truth, dream], axis=1).reshape(-1, *truth.shape[1:])
    heads = [f"{t + 1}" if t < seen else f"{t + 1}*" for t in range(rows.shape[1])]
    title = f"films and roll-outs under the same actions, after {seen} frames (* imagined)"
    return View(rows, "rows", ("truth", "roll-out") * len(truth), title, heads)


def _games(model, world, seed):
    frames, totals = [], []

    def show(pictures, rewards):
        frames.append(_enlarged(np.repeat(255 * pictures, 3, axis=-1)))
        totals.append(int(rewards.sum()))

    play(model, world, seed, _PLAYED, show=show)
    heads = [f"step {t}, reward {total:+d}" for t, total in enumerate(totals)]
    return View(np.stack(frames), "frames", title=f"{_PLAYED} games,", heads=heads)
