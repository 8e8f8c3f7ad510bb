"""Pictures of a model's samples."""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.media import ink, pictures, sounds
from tfgen.training.callbacks import write_text

# So many samples of sounds are written and shown: each is a file.
_SOUNDS = 8


def as_images(model, x):
    """x as floats in [0, 1], or None where it is not an image.

    Args:
      model: The model that made it.
      x: `[num, *event_shape]` in the model's values.
    """
    if model.kind != "image":
        return None
    low, high = model.space.value_range
    low, high = (low, high) if np.isfinite(high) else (0.0, 1.0)
    return np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)


def draw(model, x, data=None, labels=None):
    """The picture of some samples: a grid, or points over the data in the plane; None for anything else."""
    images = as_images(model, x)
    if images is not None:
        return pictures.grid(images, labels=labels)
    if model.kind == "points":
        reference = data.validation.x[:2000] if data is not None else None
        return pictures.scatter(np.asarray(x), reference)
    return None


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


def save_samples(model, directory, num, seed, data=None, **keywords):
    """Draws `num` samples and writes what shows them.

    Args:
      model: The model.
      directory: Where `samples.*` go: a picture, and what else the kind of the model's x asks for.
      num: How many.
      seed: Python int or int32 [2].
      data: The data set, to show points against and to take conditions from.
      **keywords: Passed on to `sample`.

    Returns:
      List of the paths written.
    """
    if "condition" not in keywords:
        keywords |= conditions(model, num, data)
    x = model.sample(num, seed=seed, **keywords).numpy()
    paths = _WRITERS[model.kind](model, x, directory, data, keywords)
    if hasattr(model, "mean_rows"):
        means = draw(model, model.mean_rows(random.rows(random.as_seed(seed), num), **keywords))
        if means is not None:
            pictures.save(means, directory / "samples_mean.png")
            paths.append(directory / "samples_mean.png")
    return paths


def _write_picture(model, x, directory, data, keywords):
    paths = [directory / "samples.png"]
    pictures.save(draw(model, x, data, _captions(model, x, keywords)), paths[0])
    if hasattr(model, "drawing_order") and model.kind == "image":
        frames = pictures.reveal(as_images(model, x[:16]), model.drawing_order)
        pictures.save_animation(frames, directory / "samples.gif")
        paths.append(directory / "samples.gif")
    return paths


def _captions(model, x, keywords):
    """The label of each sample, or None without labels."""
    if model.condition is None or model.condition.kind != "label":
        return None
    labels = np.broadcast_to(keywords["condition"], (len(x), *model.condition.shape))
    return [" ".join(str(int(part)) for part in np.ravel(label)) for label in labels]


def _write_numbers(model, x, directory, data, keywords):
    lines = [" ".join(f"{v:.6g}" for v in row) for row in x.reshape(len(x), -1)]
    write_text(directory / "samples.txt", "\n".join(lines) + "\n")
    return [directory / "samples.txt"]


def _write_texts(model, x, directory, data, keywords):
    texts = model.decode(x)
    if hasattr(model, "decode_condition") and "condition" in keywords:
        condition = np.asarray(model.condition.encode(keywords["condition"]))
        told = model.decode_condition(np.broadcast_to(condition, (len(x), condition.shape[-1])))
        texts = [f"{history}\n> {text}" for history, text in zip(told, texts, strict=True)]
    write_text(directory / "samples.txt", "\n\n----\n\n".join(texts) + "\n")
    return [directory / "samples.txt"]


def _write_strokes(model, x, directory, data, keywords):
    captions, paths = None, [directory / "samples.svg", directory / "samples.png"]
    if model.condition is not None:
        texts = np.asarray(model.condition.encode(keywords["condition"]))
        captions = [model.text.decode(text) for text in np.broadcast_to(texts, (len(x), texts.shape[-1]))]
    for path in paths:
        ink.save(path, model.decode(x), captions=captions)
    return paths


def _write_sounds(model, x, directory, data, keywords):
    waves, captions = model.decode(x)[:_SOUNDS], _captions(model, x, keywords)
    paths = [directory / f"samples_{number:02d}.wav" for number in range(len(waves))]
    for path, sound in zip(paths, waves, strict=True):
        sounds.write(path, sound, model.rate)
    captions = captions and captions[:_SOUNDS]
    pictures.save(pictures.sounds(waves, model.rate, captions), directory / "samples.png")
    return [*paths, directory / "samples.png"]


_WRITERS = {
    "image": _write_picture,
    "points": _write_picture,
    "numbers": _write_numbers,
    "text": _write_texts,
    "strokes": _write_strokes,
    "audio": _write_sounds,
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
    """The same samples at each evaluation, as an array for TensorBoard by name."""
    if model.kind not in ("image", "points"):
        return {}
    x = model.sample(num, seed=random.as_seed(0), **conditions(model, num, data))
    picture = draw(model, x, data)
    return {} if picture is None else {"samples": tf.constant(np.asarray(picture.convert("RGB")))}
