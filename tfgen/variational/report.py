"""Measures and pictures of a trained latent variable model on a data set's test split."""

import tensorflow as tf

from tfgen import random
from tfgen.model import View

_BATCH = 250
# Examples that are reconstructed, paths and their steps, points of a plane of latent variables, and rows and
# columns of its lattice.
_RECONSTRUCTED, _PATHS, _STEPS, _ENCODED, _SIDE = 16, 8, 9, 2000, 20


def report_terms(model, data, seed):
    """The ELBO's parts and the number of active units, averages over the test split.

    Args:
      model: A `LatentVariableModel`.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "kind"}.
    """

    def measure(seed, x, condition=None):
        terms = model.terms(x, seed, condition)
        return terms, None if model.latent_shape is None else model.encode(x, condition)[0]

    measure = tf.function(measure, autograph=False, reduce_retracing=True)
    size = len(data.test.x)
    totals = dict.fromkeys(("elbo", "reconstruction", "kl"), 0.0)
    means = []
    for start in range(0, size, _BATCH):
        for_data, for_z = random.split(random.fold_in(seed, start))
        rows = _examples(model, data, start, _BATCH, for_data)
        terms, mean = measure(for_z, **rows)
        share = len(rows["x"]) / size
        totals = {name: total + float(terms[name]) * share for name, total in totals.items()}
        means.append(mean)
    kind = f"nats, {model.num_samples} samples of z for each x, mean over the test split"
    found = {name: {"value": total, "kind": kind} for name, total in totals.items()}
    if model.latent_shape is None:
        return found
    active = int(count_varying(tf.concat(means, axis=0)))
    units = {"value": active, "kind": "latent variables whose posterior mean has a variance over 0.01"}
    return found | {"active_units": units}


def _examples(model, data, start, num, seed):
    """Test examples as `encode` takes them: {"x": ...} and, for a conditional model, "condition"."""
    fields = model.fields(data.test)
    x = model.space.from_data(fields["x"][start : start + num], data, seed)
    told = fields.get("condition")
    return {"x": x} | ({} if told is None else {"condition": tf.constant(told[start : start + num])})


def count_varying(means, threshold=0.01):
    """How many entries of codes `[num, ...]` vary by more than `threshold`: int32 scalar.

    References:
      Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2015, arXiv:1509.00519, section 5.2.
    """
    return tf.reduce_sum(tf.cast(tf.math.reduce_variance(means, axis=0) > threshold, tf.int32))


def report_views(model, data, num, seed):
    """Reconstructions of test examples, and paths between them; as `LatentVariableModel.views`.

    Args:
      model: A `LatentVariableModel`.
      data: A `tfgen.data.Data`.
      num: How many x to show, at most.
      seed: int32 [2].
    """
    if model.latent_shape is None:
        return {}
    points = model.kind == "points"
    # Of vectors more fit into a picture than of images.
    most = num if model.kind in ("points", "numbers") else min(num, _RECONSTRUCTED)
    rows = _examples(model, data, 0, max(most, 2 * _PATHS), seed)
    x, few = rows["x"], rows["x"][:most]
    again = model.reconstruct(**{name: field[:most] for name, field in rows.items()})
    title = "test examples and their reconstructions"
    if points:  # Both ends of a line.
        shown = View(tf.stack([few, again], axis=1), "curves", title=title)
    else:
        shown = View(tf.stack([few, again]), "rows", ("data", "reconstructed"), title)
    found = {"reconstructions": shown}
    if model.condition is None and len(x) > 1 and (points or model.kind in ("image", "video")):
        paths = min(_PATHS, len(x) // 2)
        found["interpolations"] = _interpolations(model, x[:paths], x[paths : 2 * paths])
    if model.latent_shape == (2,):
        every = data.test.take(slice(0, _ENCODED))
        means = model.encode(**_examples(model, data, 0, _ENCODED, seed))[0]
        labels = None if every.label is None else [data.meaning.caption(label) for label in every.label]
        found["latent"] = View(means, "plane", labels, "posterior means of test examples", ("z[0]", "z[1]"))
    return found


def interpolate(start, end, steps):
    """Points at even steps on the line from `start` to `end`: float32 `[num, steps, ...]`.

    Args:
      start: `[num, ...]`.
      end: `[num, ...]`.
      steps: Number of points of a line, both ends included.
    """
    weight = tf.linspace(0.0, 1.0, steps)[:, None]
    weight = tf.reshape(weight, [steps] + [1] * (start.shape.rank - 1))
    return (1.0 - weight) * start[:, None] + weight * end[:, None]


def _interpolations(model, start, end):
    z = interpolate(model.encode(start)[0], model.encode(end)[0], _STEPS)
    x = model.decode(tf.reshape(z, [-1, *model.latent_shape]))
    x = tf.reshape(x, [len(start), _STEPS, *model.event_shape])
    if model.kind == "points":
        return View(x, "curves", title="paths between test examples")
    heads = ["data", *(f"{i / (_STEPS - 1):.2f}" for i in range(_STEPS)), "data"]
    x = tf.concat([start[:, None], x, end[:, None]], axis=1)
    return View(x, "rows", title="from one test example to another, in even steps of z", heads=heads)


def label_view(model, data, num, seed):
    """E(x | z, label): a row for each label, a column for each of at most `_STEPS` z, the same in all rows.

    Args:
      model: A `LatentVariableModel` by label.
      data: A `tfgen.data.Data`, whose names of labels are shown, or None.
      num: How many z, at most.
      seed: int32 [2].
    """
    seeds = random.rows(seed, min(num, _STEPS))
    labels = range(model.condition.num_classes)
    rows = [model.mean_rows(seeds, condition=tf.fill(tf.shape(seeds)[:1], label)) for label in labels]
    names = [str(label) if data is None else data.meaning.caption(label) for label in labels]
    title = "means E(x | z, label): a column has one z, a row one label"
    return View(tf.stack(rows), "rows", names, title)


def manifold_view(model):
    """E(x | z) on a lattice of two latent variables, at even quantiles of a standard normal.

    Args:
      model: A VAE of two latent variables.

    References:
      Kingma & Welling, "Auto-encoding variational Bayes", 2013, arXiv:1312.6114, figure 4.
    """
    quantiles = (tf.range(_SIDE, dtype=tf.float32) + 0.5) / _SIDE
    z = tf.math.ndtri(quantiles)
    # The second variable grows upwards.
    first, second = tf.meshgrid(z, z[::-1])
    x = model.decode(tf.reshape(tf.stack([first, second], axis=-1), [-1, 2]))
    words = [f"{value:.1f}" for value in z.numpy()]
    return View(
        tf.reshape(x, [_SIDE, _SIDE, *model.event_shape]),
        "rows",
        words[::-1],
        "means E(x | z): z[0] to the right, z[1] upwards",
        words,
    )
