"""Pictures of a model's samples."""

import numpy as np
import tensorflow as tf

from tfgen import pictures, random


def as_images(model, x):
    """x as floats in [0, 1], or None where it is not an image.

    Args:
      model: The model that made it.
      x: `[num, *event_shape]` in the model's values.
    """
    if len(model.event_shape) != 3 or model.event_shape[-1] not in (1, 3):
        return None
    low, high = model.value_range
    low, high = (low, high) if np.isfinite(high) else (0.0, 1.0)
    return np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)


def draw(model, x, data=None):
    """The picture of some samples: a grid, or points over the data in the plane; None for anything else."""
    images = as_images(model, x)
    if images is not None:
        return pictures.grid(images)
    if model.event_shape == (2,):
        reference = data.validation.x[:2000] if data is not None else None
        return pictures.scatter(np.asarray(x), reference)
    return None


def save_samples(model, directory, num, seed, data=None, **keywords):
    """Draws `num` samples and writes what shows them.

    Args:
      model: The model.
      directory: Where `samples.npy` and, where there is one, `samples.png` go.
      num: How many.
      seed: Python int or int32 [2].
      data: The data set, to show points against.
      **keywords: Passed on to `sample`.

    Returns:
      List of the paths written.
    """
    x = model.sample(num, seed=seed, **keywords).numpy()
    picture = draw(model, x, data)
    paths = []
    if hasattr(model, "mean_rows"):
        means = draw(model, model.mean_rows(random.rows(random.as_seed(seed), num), **keywords))
        if means is not None:
            pictures.save(means, directory / "samples_mean.png")
            paths.append(directory / "samples_mean.png")
    if picture is None:
        path = directory / "samples.txt"
        lines = [" ".join(f"{v:.6g}" for v in row) for row in x.reshape(len(x), -1)]
        temporary = path.with_name(".samples.txt.tmp")
        temporary.write_text("\n".join(lines) + "\n")
        temporary.replace(path)
        return [path]
    pictures.save(picture, directory / "samples.png")
    return [directory / "samples.png", *paths]


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
    x = model.sample(num, seed=random.as_seed(0))
    picture = draw(model, x, data)
    return {} if picture is None else {"samples": tf.constant(np.asarray(picture.convert("RGB")))}
