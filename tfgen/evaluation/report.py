"""Figures of a trained model on held-out data, each with its kind."""

import inspect
import math

import numpy as np
import tensorflow as tf

from tfgen import progress, random
from tfgen.estimators.precision import full_float32
from tfgen.evaluation.sample_report import report_labels, report_samples

_Z95 = 1.959964


def evaluate(model, data, seed, importance_samples=100):
    """Evaluates a model on a data set's test split.

    The report depends on `model.density`: exact nats; a bound with its number of importance samples; an
    unnormalized density's nats, or a bound of them, with its partition function; or, without any density,
    distances between samples and data. Conditional models are measured under the test split's conditions; of
    images by label the report says in how many samples a classifier finds the label that was asked for. Then
    comes what the model's `test_metrics` add.

    Args:
      model: A trained `GenerativeModel`.
      data: A `tfgen.data.Data`.
      seed: int32 [2].
      importance_samples: Samples of a bound.

    Returns:
      Dict by name of {"value", "kind"} and, where uncertain, {"low", "high"}: the 95 % interval over test
      examples, which is left out where there is one example only.

    Raises:
      ValueError: If the model does not take the data, or there is no test example.
    """
    _check(model, data)
    with full_float32(), progress.doing("evaluating"):
        return _figures(model, data, seed, importance_samples)


def nats_by_example(model, data, seed, importance_samples=100):
    """Nats of each example of a test split: what the figures of `evaluate` are means of.

    Args:
      model: A trained `GenerativeModel` with a density.
      data: A `tfgen.data.Data`.
      seed: int32 [2].
      importance_samples: Samples of a bound.

    Returns:
      (float64 `[examples]`, error): the nats, or an upper bound of them, and (low, high), by how much all of
      them may be off together where a partition function was estimated, else zeros.

    Raises:
      ValueError: If the model has no density, does not take the data, or there is no test example.
    """
    if model.density == "none":
        raise ValueError(f"{type(model).__name__} has no density: there are no nats of an example.")
    _check(model, data)
    with full_float32():
        if model.density == "exact":
            return -_per_example(model, data, seed, lambda batch, s: model.score(**batch)), (0.0, 0.0)
        score = _per_example(model, data, seed, _bound(model, importance_samples))
        if model.density == "lower_bound":
            return -score, (0.0, 0.0)
        log_z, low, high, _ = _log_partition(model, seed)
        return log_z - score, (low - log_z, high - log_z)


def _check(model, data):
    model.check_data(data)
    if not len(data.test):
        raise ValueError(
            f"{data.name} has no test examples, which figures are of: give its test split one or more."
        )


def _figures(model, data, seed, importance_samples):
    results = {}
    if model.density == "exact":
        nats = -_per_example(model, data, seed, lambda batch, s: model.score(**batch))
        results = _nats(model, "nats", nats, "exact density, mean over the test split")
        if model.event_shape[0] is None:
            results |= _per_step(model, nats, data.test)
    elif model.density == "lower_bound":
        bound = _per_example(model, data, seed, _bound(model, importance_samples))
        sampled = "num_samples" in inspect.signature(model.score).parameters
        samples = f", K={importance_samples}" if sampled else ""
        kind = f"upper bound of the nats{samples}, mean over the test split"
        results = _nats(model, "nats_bound", -bound, kind)
    elif model.density == "unnormalized":
        results = _unnormalized(model, data, seed, "nats", lambda batch, s: model.score(**batch))
    elif model.density == "unnormalized_bound":
        results = _unnormalized(model, data, seed, "nats_bound", _bound(model, importance_samples))
    elif model.samples:
        results = report_samples(model, data, random.fold_in(seed, 1))
    if model.density != "none":
        results |= report_labels(model, data, random.fold_in(seed, 1))
    return doubted(results | model.test_metrics(data, random.fold_in(seed, 1)))


def doubted(results):
    """Figures that rest on an estimate of log Z say so where the estimate from above contradicts it.

    Annealing that passes a mode by gives too small a log Z with a narrow interval. Where the interval of
    "log_partition_upper" lies above that of "log_partition", what rests on the latter tells by how much.

    Args:
      results: {name: {"value", "low", "high", "kind"}}.
    """
    below, above = results.get("log_partition"), results.get("log_partition_upper")
    if below is None or above is None or above["low"] <= below.get("high", below["value"]):
        return results
    told = f"; in doubt: log Z is {above['value'] - below['value']:.3g} nats higher by reverse annealing"
    resting = [name for name in ("nats", "nats_bound", "log_partition") if name in results]
    return results | {name: results[name] | {"kind": results[name]["kind"] + told} for name in resting}


def interval(values):
    """Mean of per-example values with its 95 % interval, as {"value", "low", "high", "examples"}.

    One value says nothing of how values differ: there is no "low" and no "high" then.
    """
    values = np.asarray(values, np.float64)
    mean = values.mean()
    return _within(mean, values, 1.0) | {"examples": len(values)}


def _within(value, each, scale):
    """A figure and its 95 % interval, from `scale` times the figure of each example, but for a shift."""
    if len(each) < 2:
        return {"value": value}
    half = _Z95 * each.std(ddof=1) / (scale * math.sqrt(len(each)))
    return {"value": value, "low": value - half, "high": value + half}


def _nats(model, name, nats, kind):
    results = {name: interval(nats) | {"kind": kind}}
    if model.values == "levels" and model.kind in ("image", "video") and None not in model.event_shape:
        per_bit = math.prod(model.event_shape) * math.log(2)
        results[name.replace("nats", "bits_per_dim")] = interval(nats / per_bit) | {"kind": kind}
    return results


def _per_step(model, nats, split):
    """Nats, and bits for tokens, of one step: all nats over all steps, with the ratio's interval."""
    steps = model.fields(split).get("lengths", np.full(len(nats), split.x.shape[1]))
    ratio = nats.sum() / steps.sum()
    found = _within(ratio, nats - ratio * steps, steps.mean())
    kind, scales = "exact density, mean over the test split's steps", {"nats_per_step": 1.0}
    scales |= {"bits_per_step": 1.0 / math.log(2.0)} if model.values == "levels" else {}
    return {
        name: {key: value * scale for key, value in found.items()} | {"kind": kind}
        for name, scale in scales.items()
    }


def _bound(model, importance_samples):
    """`score` of a batch and a seed, by so many samples where the model's bound takes samples."""
    taken = inspect.signature(model.score).parameters

    def score(batch, seed):
        given = {"num_samples": importance_samples, "seed": seed}
        return model.score(**batch, **{name: value for name, value in given.items() if name in taken})

    return score


def _log_partition(model, seed):
    """log Z of a model, its interval, and what kind of figure that is."""
    try:
        log_z = float(model.log_partition())
        return log_z, log_z, log_z, "exact partition function, mean over the test split"
    except ValueError:
        # Too large to enumerate, as its message says: annealed importance sampling with its own interval.
        log_z, low, high = (float(v) for v in model.log_partition(method="ais", seed=seed))
        kind = "partition function estimated by annealed importance sampling, mean over the test split"
        return log_z, low, high, kind


def _unnormalized(model, data, seed, name, score):
    score = _per_example(model, data, seed, score)
    log_z, low, high, kind = _log_partition(model, seed)
    of_z = kind.partition(",")[0]
    nats = interval(log_z - score)
    if "low" in nats:
        nats["low"] += low - log_z
        nats["high"] += high - log_z
    if name == "nats_bound":
        kind = f"upper bound of the nats, from a bound of the free energy, {kind}"
    log_partition = {"value": log_z, "kind": of_z} | ({"low": low, "high": high} if high > low else {})
    return {name: nats | {"kind": kind}, "log_partition": log_partition}


def _per_example(model, data, seed, function):
    compiled = tf.function(function, autograph=False, reduce_retracing=True)
    fields, parts, rows = model.fields(data.test), [], model.rows_at_once(data.test)
    for start in progress.through(range(0, len(data.test.x), rows), "test examples"):
        batch = {name: tf.convert_to_tensor(field[start : start + rows]) for name, field in fields.items()}
        batch["x"] = model.space.from_data(batch["x"], data, random.fold_in(seed, start))
        parts.append(compiled(batch, random.fold_in(seed, start, 1)).numpy())
    return np.concatenate(parts)
