"""What an energy-based model shows and what is measured of it beyond its density."""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.media import charts
from tfgen.model import View

# Examples that are reconstructed and completed; chains that are shown, and after how many sweeps.
_FEW, _CHAINS, _SWEEPS = 16, 8, (1, 2, 5, 10, 20, 50, 100, 200, 500)
# States in each histogram of energies, at most, and rows that are classified at once.
_HISTOGRAM, _ROWS = 500, 250
# Of reverse annealing.
_TEMPERATURES_FROM_ABOVE, _CHAINS_FROM_ABOVE = 2000, 100


def report_views(model, data, num, seed):
    """The views of an `EnergyModel`, as its `views` describes them."""
    every, few = tf.range(num), min(num, _FEW)
    labels = {} if model.condition is None else {"condition": every % model.condition.width}
    # Of the samples' first chains as many as the program that draws samples serves, too.
    sweeps = [*(k for k in _SWEEPS if k < model.chain_steps), model.chain_steps]
    drawn = [model.sample(num, seed=seed, num_steps=k, **labels) for k in sweeps]
    title = "chains of Gibbs sampling from independent units on, by sweep"
    heads = [str(k) for k in sweeps]
    shown = {
        "chains": View(tf.stack([x[:_CHAINS] for x in drawn], 1), "rows", title=title, heads=heads),
        "walk": View(tf.stack(drawn), "frames", title="after Gibbs sweeps", heads=[f"{k}" for k in heads]),
    }
    if model.kind == "image" and model.filters is not None:
        shown["filters"] = _filters(np.asarray(model.filters), num, model.event_shape)
    if data is None:
        return shown
    x = model.space.from_data(data.test.x[:few], data, seed)
    given = _labels_of(model, data.test, few)
    shown["reconstructions"] = View(
        tf.stack([x, model.reconstruct(x, **given)]),
        "rows",
        ("data", "reconstructed"),
        "test examples and the means of v given the means of h",
    )
    if model.kind == "image":
        shown["completions"] = _completions(model, x, given, seed)
    shown["energies"] = _energies(model, data, drawn[-1], labels, seed)
    return shown


def _labels_of(model, split, num):
    if model.condition is None:
        return {}
    return {"condition": tf.constant(np.asarray(model.fields(split)["condition"][:num]))}


def _filters(kernel, num, event_shape):
    """Weights of the hidden units whose weights are largest, all in one scale, grey where they are 0."""
    largest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[:num]
    # The few weights that stand out take nothing away from the others.
    limit = max(float(np.quantile(np.abs(kernel), 0.995)), 1e-12)
    grey = np.rint(127.5 + 127.5 * np.clip(kernel[:, largest] / limit, -1.0, 1.0))
    title = f"weights of hidden units, black -{limit:.2g} to white {limit:.2g}"
    return View(grey.T.reshape(-1, *event_shape).astype(np.uint8), title=title)


def _completions(model, x, given, seed):
    """Test examples, their covered lower halves drawn by clamped Gibbs sampling."""
    rows = tf.range(model.event_shape[0])[:, None, None] < (model.event_shape[0] + 1) // 2
    mask = tf.broadcast_to(rows, x.shape)
    found = model.sample(len(x), seed=seed, given=x, mask=mask, **given)
    return View(
        tf.stack([x, tf.where(mask, x, tf.zeros_like(x)), found]),
        "rows",
        ("data", "given", "completed"),
        f"test examples, and their lower halves after {model.chain_steps:,} sweeps, the upper ones clamped",
    )


def _energies(model, data, samples, labels, seed):
    """Histogram of free energies of test examples, samples and independent units at the base rates."""
    num = min(len(data.test), _HISTOGRAM)
    x = model.space.from_data(data.test.x[:num], data, seed)
    noise = model.joint.start(model.visible, random.fold_in(seed, 1), num)
    by_name = {
        "data (test)": (x, _labels_of(model, data.test, num)),
        "samples": (samples, labels),
        "independent units": (
            tf.reshape(noise[model.visible[0]], [-1, *model.event_shape]),
            {} if not labels else {"condition": tf.range(num) % model.condition.width},
        ),
    }
    name = "free energy" + (", bound above it" if model.density == "unnormalized_bound" else "")
    values = {key: -model.log_prob(x, **given).numpy() for key, (x, given) in by_name.items()}
    return View(np.asarray(charts.histograms(values, f"{name} [nats]"))[None])


def report_metrics(model, data, seed):
    """The figures of an `EnergyModel`'s `test_metrics`."""
    found = {}
    if model.condition is not None:
        labels = np.asarray(model.fields(data.test)["condition"])
        classify = tf.function(model.classify, autograph=False, reduce_retracing=True)
        hits = []
        for start in range(0, len(labels), _ROWS):
            x = model.space.from_data(data.test.x[start : start + _ROWS], data, seed)
            hits.append(np.argmax(classify(x), axis=1) == labels[start : start + _ROWS])
        share = np.mean(np.concatenate(hits))
        half = 1.959964 * math.sqrt(share * (1.0 - share) / len(labels))
        found["accuracy"] = {
            "value": float(share),
            "low": float(share - half),
            "high": float(share + half),
            "kind": "exact p(y | v), mean over the test split",
        }

    def clamped(x, seed, **label):
        return model.clamped(model.observed(x, **label), seed)

    return found | log_partition_from_above(model, model, clamped, data, seed)


def log_partition_from_above(model, machine, states, data, seed):
    """log Z by reverse annealing, the figure "log_partition_upper"; none where log Z is exact.

    Chains may not leave the mode they begin in, so some begin at independent units and some at test examples,
    and the higher estimate counts: on average it is at least the log of the mass of what its chains see.

    Args:
      model: The model of the data.
      machine: The `EnergyModel` whose log Z it is.
      states: `f(x, seed, [condition]) -> flat states of the machine's kept groups`.
      data: A `tfgen.data.Data`.
      seed: int32 [2].
    """
    try:
        machine.joint.enumerable()
    except ValueError:
        x = model.space.from_data(data.test.x[:_CHAINS_FROM_ABOVE], data, random.fold_in(seed, 2))
        begun = states(x, random.fold_in(seed, 3), **_labels_of(model, data.test, len(x)))
        found = {
            place: machine.anneal(
                _TEMPERATURES_FROM_ABOVE,
                _CHAINS_FROM_ABOVE,
                random.fold_in(seed, 1),
                reverse=True,
                begun=first,
            )
            for place, first in (("independent units", None), ("test examples", begun))
        }
        place, upper = max(found.items(), key=lambda item: float(item[1].estimate))
        kind = (
            f"reverse annealed importance sampling from Gibbs chains of 1,000 sweeps begun at {place}, the "
            f"higher of two estimates; effective sample size {float(upper.effective_sample_size):.1f} of "
            f"{_CHAINS_FROM_ABOVE}"
        )
        figure = {"value": float(upper.estimate), "low": float(upper.low), "high": float(upper.high)}
        return {"log_partition_upper": figure | {"kind": kind}}
    return {}
