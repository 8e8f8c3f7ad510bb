"""Data that fit a model, drawn without it."""

import dataclasses

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
    if model.values == "counts":
        return rng.poisson(2.0, shape).astype(np.float32)
    if model.values == "real":
        x = rng.normal(size=shape).astype(np.float32)
        if model.kind == "strokes":
            x[..., 2] = x[..., 2] > 0.0
        return x
    low, high = model.space.value_range
    return rng.uniform(low, high, shape).astype(np.float32)


def field_values(field, num, rng):
    """Valid values of a `Condition`, `[num, *shape]`, drawn without a model."""
    shape = (num, *(3 if size is None else size for size in field.shape))
    if field.kind in ("vector", "image"):
        return rng.normal(size=shape).astype(np.float32)
    lowest = 1 if field.kind == "text" else 0
    return rng.integers(lowest, field.num_classes, shape).astype(np.int32)


def conditions(model, num, seed=0):
    """{"condition": valid conditions `[num, ...]`} for a conditional model, else {}."""
    if model.condition is None:
        return {}
    return {"condition": field_values(model.condition, num, np.random.default_rng(100 + seed))}


def as_served(model, fields):
    """A batch's fields, or its conditions, as signatures take them: texts of a vocabulary as strings."""
    if "condition" not in fields or model.condition.vocabulary is None:
        return fields
    return fields | {"condition": tf.constant(model.condition.decode(fields["condition"]))}


def extras(model, num, seed=0):
    """What else the model reads of each example: arrays by name."""
    rng = np.random.default_rng(200 + seed)
    return {name: field_values(field, num, rng) for name, field in model.extra_fields.items()}


def batch(model, num, seed=0):
    """A batch as objectives take it: a dict of tensors, with lengths for sequences."""
    fields = {"x": examples(model, num, seed)} | conditions(model, num, seed) | extras(model, num, seed)
    if model.event_shape[0] is None:
        fields["lengths"] = np.arange(num, dtype=np.int32) % STEPS + 1
    return {name: tf.constant(field) for name, field in fields.items()}


def training_batch(model, num, seed=0):
    """A batch as a training gives it: with a dict of the same kind for each of the model's streams."""
    streams = {name: _stored(model, num, seed + 10 + i) for i, name in enumerate(model.streams)}
    return _stored(model, num, seed) | streams


def _stored(model, num, seed):
    """A batch with the fields that it may have, but need not."""
    rng = np.random.default_rng(300 + seed)
    optional = {key: field_values(field, num, rng) for key, field in model.optional_fields.items()}
    return batch(model, num, seed) | {key: tf.constant(value) for key, value in optional.items()}


def perturb(model, size=0.1):
    """Moves every trainable weight a little, so that none is zero by initialization; returns the model."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + size * rng.normal(size=variable.shape))
    return model


def dataset(model, num=40):
    """A data set that fits a model: `num` training examples, as many for validation and test."""
    levels = {"levels": model.num_values, "unit": 256, "symmetric": 256}.get(model.values)
    parts = [_split(model, num, seed, levels) for seed in range(3)]
    # Few, and no number that divides a batch: a stream goes round on its own.
    streams = {name: _split(model, 5, 10 + i, levels) for i, name in enumerate(model.streams)}
    if streams:
        parts[0] = dataclasses.replace(parts[0], streams=streams)
    kind = {3: "image", 4: "video"}.get(len(model.event_shape), "vector")
    if model.values == "counts":
        kind = "counts"
    return data.Data("planted", kind, model.event_shape, levels, levels, None, None, *parts)


def _split(model, num, seed, levels):
    fields = {name: field.numpy() for name, field in _stored(model, num, seed).items()}
    x, condition = fields.pop("x"), fields.pop("condition", None)
    if model.values in ("unit", "symmetric"):
        low, high = model.space.value_range
        x = np.round(255 * (x - low) / (high - low))
    label = condition if model.condition is not None and model.condition.kind == "label" else None
    label = fields.pop("label", label)
    if condition is not None and label is None:
        fields[model.condition.kind] = condition
    return data.Split(x.astype(np.float32 if levels is None else np.uint8), label, fields)
