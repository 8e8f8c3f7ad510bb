"""Pictures and files that show a model: its samples by their kind, its views, the curves of its training."""

import csv
import io
import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data import Meaning
from tfgen.media import ink, pictures, sounds
from tfgen.media.text import write_counts
from tfgen.training.callbacks import write_text

# So many samples of sounds are written and shown: each is a file. And so many videos and counts are shown.
_SOUNDS, _VIDEOS, _COUNTS = 8, 8, 16
# Frames of a video, at most, in a picture.
_FRAMES = 16


def as_images(model, x):
    """x as floats in [0, 1], or None where it is neither images nor videos.

    Args:
      model: The model that made it.
      x: `[..., *event_shape]` in the model's values; uint8 images are taken as they are.
    """
    x = np.asarray(x)
    if x.dtype == np.uint8 and x.ndim >= 4 and x.shape[-1] in (1, 3):
        return x / 255.0
    if model.kind not in ("image", "video"):
        return None
    low, high = model.space.value_range
    low, high = (low, high) if np.isfinite(high) else (0.0, 1.0)
    return np.clip((x - low) / (high - low), 0.0, 1.0)


def draw(model, x, data=None, labels=None, meaning=None):
    """The picture of some x of a model, or None where their kind has none.

    Args:
      model: The model that made them.
      x: `[num, *event_shape]`, or uint8 images.
      data: The data set: points are drawn over its validation part, or the training part where that is empty.
      labels: `num` captions.
      meaning: `tfgen.data.Meaning` of the data, whose units points are shown in; None takes that of `data`.
    """
    images = as_images(model, x)
    if images is not None and images.ndim == 5:
        few = images[:_VIDEOS]
        shown = np.unique(np.linspace(0, images.shape[1] - 1, _FRAMES).round().astype(int))
        return pictures.rows(few[:, shown], None if labels is None else labels[:_VIDEOS])
    if images is not None:
        return pictures.grid(images, labels=labels)
    if model.kind == "points":
        meaning, reference = meaning or _meaning(data), None
        if data is not None:
            held_out = data.validation if len(data.validation) else data.train
            reference = meaning.original(held_out.x[:2000])
        return pictures.scatter(meaning.original(x), reference)
    if model.kind == "counts":
        names = None if model.text is None else model.text.symbols
        counted = np.reshape(x, (len(x), -1))[:_COUNTS]
        return pictures.counts(counted, names, None if labels is None else labels[:_COUNTS])
    if model.kind == "strokes":
        return ink.picture(model.decode(x), captions=labels)
    if model.kind == "audio":
        return pictures.sounds(model.decode(x)[:_SOUNDS], model.rate, labels and labels[:_SOUNDS])
    return None


def _meaning(data):
    return Meaning() if data is None else data.meaning


def draw_view(model, view, data=None, meaning=None):
    """The pictures of a `View`, more than one for frames; an empty list where its kind has none."""
    array, captions = np.asarray(view.array), view.captions
    images = as_images(model, array)
    if view.layout == "frames":
        found = [draw(model, frame, data, captions, meaning) for frame in array]
    elif view.layout == "rows" and images is not None and images.ndim == 5:
        found = [pictures.rows(images, captions)]
    elif view.layout == "rows":
        found = [draw(model, row, data, meaning=meaning) for row in array]
        found = [None if None in found else pictures.beside(found)]
    else:
        found = [draw(model, array, data, captions, meaning)]
    return [] if None in found else found


def conditions(model, num, data=None):
    """Conditions to show a model by: all labels in turn, else those of the data's test split.

    Args:
      model: The model.
      num: How many.
      data: The data set, for conditions that are no labels.

    Returns:
      {"condition": array `[num, ...]`}; empty for a model without.
    """
    if model.condition is None:
        return {}
    if model.condition.kind == "label":
        sizes = model.condition.num_classes
        several = isinstance(sizes, tuple)
        every = (
            np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), -1)
            if several
            else np.arange(sizes)
        )
        return {"condition": np.resize(every, (num, *every.shape[1:])).astype(np.int32)}
    field = data.test.field(model.condition.kind)
    return {"condition": np.resize(field, (num, *field.shape[1:]))}


def save_samples(model, directory, num, seed, data=None, meaning=None, **keywords):
    """Draws `num` samples and writes what shows them, and `samples.npy`: the samples as an array.

    The array holds levels and tokens as whole numbers, sounds as waves in [-1, 1], vectors of a table in the
    table's units, and anything else as the model gives it.

    Args:
      model: The model.
      directory: Where `samples.*` go: a picture, and what else the kind of the model's x asks for.
      num: How many.
      seed: Python int or int32 [2].
      data: The data set, to show points against and to take conditions from.
      meaning: `tfgen.data.Meaning` of the data: the names of classes for captions, columns and units of
        vectors; None takes that of `data`.
      **keywords: Passed on to `sample`.

    Returns:
      List of the paths written.
    """
    if "condition" not in keywords:
        keywords |= conditions(model, num, data)
    meaning = meaning or _meaning(data)
    x = model.sample(num, seed=seed, **keywords).numpy()
    paths = _WRITERS[model.kind](model, x, directory, data, keywords, meaning)
    if meaning.columns is not None and model.kind in ("points", "numbers"):
        paths.append(directory / "samples.csv")
        text = io.StringIO()
        csv.writer(text).writerows([meaning.columns, *meaning.original(x).reshape(len(x), -1).tolist()])
        write_text(paths[-1], text.getvalue())
    paths.append(directory / "samples.npy")
    np.save(paths[-1], _array(model, x, meaning))
    return paths


def _array(model, x, meaning):
    if model.kind == "audio":
        return np.stack(model.decode(x))
    if model.kind in ("points", "numbers"):
        x = meaning.original(x)
    if model.values != "levels":
        return x
    return x.astype(np.uint8 if model.space.num_values <= 256 else np.int32)


def save_views(model, directory, num, seed, data=None, meaning=None):
    """Writes a model's `views`: `samples_NAME.png` each, `samples_NAME.gif` for frames, numbers as text.

    Args:
      model: The model.
      directory: Where they go.
      num: How many x each shows.
      seed: Python int or int32 [2]; that of the samples shows what lies behind them.
      data: The data set, or None where it is not at hand.
      meaning: As `save_samples` takes it.

    Returns:
      List of the paths written.
    """
    paths = []
    for name, view in model.views(data, num, random.as_seed(seed)).items():
        path, drawn = directory / f"samples_{name}", draw_view(model, view, data, meaning)
        if not drawn:
            rows = np.asarray(view.array)
            if model.kind == "numbers" and rows.shape[-len(model.event_shape) :] == model.event_shape:
                rows = (meaning or _meaning(data)).original(rows)
            rows = rows.reshape(-1, rows.shape[-1])
            paths.append(path.with_suffix(".txt"))
            write_text(paths[-1], _numbers(rows))
        elif view.layout == "frames":
            paths.append(path.with_suffix(".gif"))
            pictures.save_animation(drawn, paths[-1])
        else:
            paths.append(path.with_suffix(".png"))
            pictures.save(drawn[0], paths[-1])
    return paths


def _write_picture(model, x, directory, data, keywords, meaning):
    paths = [directory / "samples.png"]
    pictures.save(draw(model, x, data, _captions(model, x, keywords, meaning), meaning), paths[0])
    if model.drawing_order is not None and model.kind == "image":
        frames = pictures.reveal(as_images(model, x[:16]), model.drawing_order)
        pictures.save_animation(frames, directory / "samples.gif")
        paths.append(directory / "samples.gif")
    return paths


def _write_videos(model, x, directory, data, keywords, meaning):
    labels, paths = (
        _captions(model, x, keywords, meaning),
        [directory / "samples.gif", directory / "samples.png"],
    )
    videos = as_images(model, x)
    frames = [pictures.grid(videos[:, t], labels=labels) for t in range(videos.shape[1])]
    pictures.save_animation(frames, paths[0], seconds=len(frames) / 10, rest=0.5)
    pictures.save(draw(model, x, data, labels), paths[1])
    return paths


def _write_counts(model, x, directory, data, keywords, meaning):
    labels, paths = (
        _captions(model, x, keywords, meaning),
        [directory / "samples.txt", directory / "samples.png"],
    )
    names = None if model.text is None else model.text.symbols
    write_text(paths[0], "\n".join(write_counts(row, names) for row in x.reshape(len(x), -1)) + "\n")
    pictures.save(draw(model, x, data, labels), paths[1])
    return paths


def _captions(model, x, keywords, meaning):
    """The class of each sample, or None without labels."""
    if model.condition is None or model.condition.kind != "label":
        return None
    labels = np.broadcast_to(keywords["condition"], (len(x), *model.condition.shape))
    return [meaning.caption(label) for label in labels]


def _write_numbers(model, x, directory, data, keywords, meaning):
    write_text(directory / "samples.txt", _numbers(meaning.original(x).reshape(len(x), -1)))
    return [directory / "samples.txt"]


def _numbers(rows):
    return "".join(" ".join(f"{v:.6g}" for v in row) + "\n" for row in rows)


def _told(model, num, keywords):
    """The strings that samples were conditioned on, or None without any that can be read."""
    if model.condition is None or model.condition.kind != "text" or model.condition.vocabulary is None:
        return None
    tokens = np.asarray(model.condition.encode(keywords["condition"]))
    return model.condition.decode(np.broadcast_to(tokens, (num, tokens.shape[-1])))


def _write_texts(model, x, directory, data, keywords, meaning):
    texts = model.decode(x)
    told = _told(model, len(x), keywords)
    if told is not None:
        texts = [f"{history}\n> {text}" for history, text in zip(told, texts, strict=True)]
    write_text(directory / "samples.txt", "\n\n----\n\n".join(texts) + "\n")
    return [directory / "samples.txt"]


def _write_strokes(model, x, directory, data, keywords, meaning):
    captions, paths = _told(model, len(x), keywords), [directory / "samples.svg", directory / "samples.png"]
    for path in paths:
        ink.save(path, model.decode(x), captions=captions)
    return paths


def _write_sounds(model, x, directory, data, keywords, meaning):
    waves = model.decode(x)[:_SOUNDS]
    paths = [directory / f"samples_{number:02d}.wav" for number in range(len(waves))]
    for path, sound in zip(paths, waves, strict=True):
        sounds.write(path, sound, model.rate)
    captions = _captions(model, x, keywords, meaning)
    pictures.save(draw(model, x, data, captions), directory / "samples.png")
    return [*paths, directory / "samples.png"]


_WRITERS = {
    "image": _write_picture,
    "video": _write_videos,
    "points": _write_picture,
    "numbers": _write_numbers,
    "text": _write_texts,
    "strokes": _write_strokes,
    "audio": _write_sounds,
    "counts": _write_counts,
}


def save_curves(rows, directory):
    """Writes `curves.png`: the validation loss, and the training loss of each update, over the steps.

    Args:
      rows: The history that `train` returned.
      directory: Where it goes.

    Returns:
      Its path.
    """
    names = [
        n for n in dict.fromkeys(n for row in rows for n in row) if n == "val_loss" or n.endswith("/loss")
    ]
    history = {n: [row.get(n) for row in rows] for n in ("step", *names)}
    pictures.save(pictures.curves(history, names), directory / "curves.png")
    return directory / "curves.png"


def tensorboard_pictures(model, data, num=64):
    """The same samples at each evaluation, and the model's views, as arrays for TensorBoard by name.

    Only samples that a picture shows are drawn, and of frames the last is shown.
    """
    seed, drawn = random.as_seed(0), {}
    if model.samples and model.kind in ("image", "video", "points", "counts"):
        x = model.sample(num, seed=seed, **conditions(model, num, data))
        drawn["samples"] = [draw(model, x, data)]
    drawn |= {name: draw_view(model, view, data) for name, view in model.views(data, num, seed).items()}
    return {n: tf.constant(np.asarray(each[-1].convert("RGB"))) for n, each in drawn.items() if each}
