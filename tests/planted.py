"""Data that fit a model, drawn without it."""

import numpy as np

from tfgen import data


def examples(model, num, seed=0):
    """Valid x for a model, drawn without it: float32 `[num, *event_shape]`."""
    rng = np.random.default_rng(seed)
    shape = (num, *model.event_shape)
    if model.values == "levels":
        return rng.integers(0, model.num_values, shape).astype(np.float32)
    if model.values == "real":
        return rng.normal(size=shape).astype(np.float32)
    low, high = model.value_range
    return rng.uniform(low, high, shape).astype(np.float32)


def perturb(model, size=0.1):
    """Moves every trainable weight a little, so that none is zero by initialization; returns the model."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + size * rng.normal(size=variable.shape))
    return model


def dataset(model, num=40):
    """A data set that fits a model: `num` training examples, as many for validation and test."""
    parts = [examples(model, num, seed) for seed in range(3)]
    levels = {"levels": model.num_values, "unit": 256, "symmetric": 256, "real": None}[model.values]
    if model.values in ("unit", "symmetric"):
        low, high = model.value_range
        parts = [np.round(255 * (p - low) / (high - low)) for p in parts]
    dtype = np.float32 if levels is None else np.uint8
    train, validation, test = (data.Split(p.astype(dtype)) for p in parts)
    return data.Data(
        "planted", "image" if len(model.event_shape) == 3 else "vector", model.event_shape, levels, levels,
        None, None, train, validation, test,
    )  # fmt: skip
