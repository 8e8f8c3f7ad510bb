"""Data that fit a model, drawn without it."""

import numpy as np
import tensorflow as tf

from tfgen import data

# Steps of an example, for models of sequences.
STEPS = 4


def examples(model, num, seed=0):
    """Valid x for a model, drawn without it: float32 `[num, *event_shape]`, sequences of `STEPS` steps."""
    rng = np.random.default_rng(seed)
    shape = (num, *model.space.shape_of(STEPS))
    if model.values == "levels":
        return rng.integers(0, model.num_values, shape).astype(np.float32)
    if model.values == "real":
        x = rng.normal(size=shape).astype(np.float32)
        if model.kind == "strokes":
            x[..., 2] = x[..., 2] > 0.0
        return x
    low, high = model.space.value_range
    return rng.uniform(low, high, shape).astype(np.float32)


def conditions(model, num, seed=0):
    """{"condition": valid conditions `[num, ...]`} for a conditional model, else {}."""
    kind, rng = model.condition, np.random.default_rng(100 + seed)
    if kind is None:
        return {}
    shape = (num, *(3 if size is None else size for size in kind.shape))
    if kind.kind == "vector":
        return {"condition": rng.normal(size=shape).astype(np.float32)}
    lowest = 1 if kind.kind == "text" else 0
    return {"condition": rng.integers(lowest, kind.num_classes, shape).astype(np.int32)}


def batch(model, num, seed=0):
    """A batch as objectives take it: a dict of tensors, with lengths for sequences."""
    fields = {"x": examples(model, num, seed)} | conditions(model, num, seed)
    if model.event_shape[0] is None:
        fields["lengths"] = np.arange(num, dtype=np.int32) % STEPS + 1
    return {name: tf.constant(field) for name, field in fields.items()}


def perturb(model, size=0.1):
    """Moves every trainable weight a little, so that none is zero by initialization; returns the model."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + size * rng.normal(size=variable.shape))
    return model


def dataset(model, num=40):
    """A data set that fits a model: `num` training examples, as many for validation and test."""
    levels = {"levels": model.num_values, "unit": 256, "symmetric": 256, "real": None}[model.values]
    parts = [_split(model, num, seed, levels) for seed in range(3)]
    kind = "image" if len(model.event_shape) == 3 else "vector"
    return data.Data("planted", kind, model.event_shape, levels, levels, None, None, *parts)


def _split(model, num, seed, levels):
    fields = {name: field.numpy() for name, field in batch(model, num, seed).items()}
    x, condition = fields.pop("x"), fields.pop("condition", None)
    if model.values in ("unit", "symmetric"):
        low, high = model.space.value_range
        x = np.round(255 * (x - low) / (high - low))
    kind = getattr(model.condition, "kind", None)
    if kind not in (None, "label"):
        fields[kind] = condition
    return data.Split(
        x.astype(np.float32 if levels is None else np.uint8), condition if kind == "label" else None, fields
    )
