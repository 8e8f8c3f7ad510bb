"""Pictures and files that show a model: samples beside data, its views, the curves of its training."""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data import Meaning
from tfgen.media import charts, ink, pictures, sounds
from tfgen.media.text import TURN, write_counts
from tfgen.training.callbacks import write_text

# So many samples of sounds are written and shown: each is a file. And so many are shown of others.
_SOUNDS, _VIDEOS, _COUNTS, _DRAWINGS = 8, 8, 16, 24
# Frames of a video, at most, in a picture.
_FRAMES = 16
# Of points and real vectors a picture shows so many samples, since a cloud of few says little, and data.
_CLOUD, _REAL, _MOST_ENTRIES, _FEWEST = 1000, 2000, 2**24, 200
# Labels up to so many have a row of a picture each; more have their captions under each tile.
_LABEL_ROWS = 20


@dataclasses.dataclass(frozen=True)
class Panel:
    """A group of x that a picture shows together.

    Args:
      title: What they are: "data", "samples".
      x: `[num, *event_shape]` in the model's values, or uint8 images.
      captions: `num` strings, or None.
    """

    title: str
    x: np.ndarray
    captions: Sequence[str] | None = None

    def first(self, num):
        """The same with the first `num` x."""
        return Panel(self.title, self.x[:num], self.captions and self.captions[:num])


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


def real_panel(model, data, num, seed, meaning=None):
    """Examples that samples are shown beside, as the model reads them.

    They are of the validation split, or of the training split where that holds too few. A model with a
    condition that is no label is shown beside the test examples whose conditions `conditions` takes.

    Args:
      model: The model.
      data: The data set.
      num: How many are wanted.
      seed: int32 [2], for dynamic binarization.
      meaning: `tfgen.data.Meaning` of the data, for the names of labels; None takes that of `data`.
    """
    # As many as there are samples, so that both have one layout; a cloud of few says little.
    least = min(_FEWEST if _plotted(model) else num, len(data.train))
    name = "validation" if len(data.validation) >= least else "train"
    kind = None if model.condition is None else model.condition.kind
    if kind not in (None, "label"):
        name = "test"
    if kind == "label" or _plotted(model):
        # Of each label as many as of its samples: they are chosen when the picture is drawn.
        num = max(num, min(_REAL, _MOST_ENTRIES // math.prod(data.train.x.shape[1:])))
    part = getattr(data, name).take(slice(0, num))
    x = np.asarray(model.space.from_data(part.x, data, seed))
    captions = None
    if kind == "label" and part.label is not None:
        captions = [(meaning or data.meaning).caption(label) for label in part.label]
    elif kind == "text":
        captions = _told(model, len(x), {"condition": part.field("text")})
    name = "training" if name == "train" else name
    return Panel(f"data ({name})", x, captions)


def _plotted(model):
    """Whether x are vectors of reals, each a point of a plot."""
    vector = len(model.event_shape) == 1 and model.event_shape[0] is not None
    return model.kind == "points" or (model.kind == "numbers" and vector and model.values != "levels")


def draw(model, panels, meaning=None):
    """The picture of some x of a model, or None where their kind has none.

    Args:
      model: The model that made them.
      panels: One `Panel`, or several, shown side by side in one scale and layout: data, then samples. Or an
        array of x alone.
      meaning: `tfgen.data.Meaning` of the data, whose units and columns points are shown in.
    """
    meaning = meaning or Meaning()
    if not isinstance(panels, (Panel, list)):
        panels = Panel("" if as_images(model, panels) is not None else "x", np.asarray(panels))
    panels = [panels] if isinstance(panels, Panel) else panels
    if as_images(model, panels[-1].x) is not None:
        shown = [dataclasses.replace(panel, x=as_images(model, panel.x)) for panel in panels]
        return _draw_videos(shown) if shown[-1].x.ndim == 5 else _draw_images(shown)
    if _plotted(model):
        clouds = {panel.title: meaning.original(panel.x) for panel in panels}
        names = meaning.columns or [f"x[{i}]" for i in range(*model.event_shape)]
        return (charts.scatter if model.kind == "points" else charts.pairs)(clouds, names)
    if model.kind == "counts":
        return _draw_counts(model, panels)
    if model.kind == "numbers":
        return charts.shades({p.title: np.reshape(p.x, (len(p.x), -1)) for p in panels})
    if model.kind == "strokes":
        return _draw_strokes(model, [panel.first(_DRAWINGS) for panel in panels])
    if model.kind == "audio":
        few = [
            panel.first(_SOUNDS if i == len(panels) - 1 else _SOUNDS // 2) for i, panel in enumerate(panels)
        ]
        waves = {panel.title: np.stack(model.decode(panel.x)) for panel in few}
        return charts.sounds(waves, model.rate, {panel.title: panel.captions for panel in few})
    return None


def _draw_images(panels):
    """Grids in one scale; a row for each label where there are a few, each with several samples."""
    samples = panels[-1]
    names = None if samples.captions is None else list(dict.fromkeys(samples.captions))
    page = 1200 if len(panels) == 1 else 1000
    if names is not None and 1 < len(names) <= min(_LABEL_ROWS, len(samples.x) // 2):
        height, width = samples.x.shape[1:3]
        found = []
        for panel in panels:
            each = [np.flatnonzero([c == name for c in panel.captions or ()]) for name in names]
            found.append([panel.x[index] for index in each])
        columns = min(max(map(len, found[-1])), max(1, page // max(width, 64)))
        found = [[row[:columns] for row in each] for each in found]
        if all(any(map(len, each)) for each in found):
            return pictures.beside(
                [
                    pictures.rows(each, names, title=panel.title, page=page)
                    for each, panel in zip(found, panels, strict=True)
                ],
                gap=16,
            )
    title = f"{samples.title}: {names[0]}" if names is not None and len(names) == 1 else samples.title
    captions = samples.captions if names is not None and len(names) > 1 else None
    if captions is None and names is not None:
        # Those of the one label that was asked for.
        panels = [_of_caption(panel, names[0]) for panel in panels[:-1]] + [samples]
        panels = [panel for panel in panels if len(panel.x)]
    grids = []
    for panel in panels:
        panel = panel.first(len(samples.x))
        told = panel.captions if captions is not None else None
        named = title if len(grids) == len(panels) - 1 else panel.title
        grids.append(pictures.grid(panel.x, labels=told, title=named, page=page))
    return pictures.beside(grids, gap=16)


def _of_caption(panel, caption):
    index = [c == caption for c in panel.captions or [None] * len(panel.x)]
    return Panel(f"{panel.title}: {caption}", panel.x[index])


def _draw_videos(panels):
    drawn = []
    for panel in panels:
        few = panel.first(_VIDEOS)
        shown = np.unique(np.linspace(0, few.x.shape[1] - 1, _FRAMES).round().astype(int))
        heads = [str(t) for t in shown]
        drawn.append(
            pictures.rows(
                few.x[:, shown], few.captions, heads=heads, title=f"{few.title}, by frame", page=1000
            )
        )
    return pictures.beside(drawn, gap=16)


def _draw_strokes(model, panels):
    columns, like = 3 if len(panels) > 1 else None, model.decode(panels[0].x)
    drawn = [ink.picture(model.decode(p.x), p.captions, columns, title=p.title, like=like) for p in panels]
    return pictures.beside(drawn, gap=24)


def _draw_counts(model, panels):
    names = None if model.text is None else model.text.symbols
    values, labels = [], []
    for panel in panels:
        few = panel.first(_COUNTS // len(panels))
        told = few.captions or [str(i) for i in range(len(few.x))]
        values.append(np.reshape(few.x, (len(few.x), -1)))
        labels += [f"{few.title}: {caption}" for caption in told]
    return charts.counts(np.concatenate(values), names, labels)


def _meaning(data):
    return Meaning() if data is None else data.meaning


def draw_view(model, view, data=None, meaning=None):
    """The pictures of a `View`, more than one for frames; an empty list where its kind has none."""
    if view.layout == "text":
        return []
    array, captions, meaning = np.asarray(view.array), view.captions, meaning or _meaning(data)
    images = as_images(model, array)
    title = view.title or ("x" if images is None else "")
    if view.layout == "plane":
        return [charts.classes(array, captions, view.heads or ("z[0]", "z[1]"), view.title)]
    if view.layout == "curves":
        return _draw_curves(model, view, data, meaning)
    if view.layout == "frames":
        heads = view.heads or [None] * len(array)
        titles = [" ".join(filter(None, [title, head])) for head in heads]
        found = [
            draw(model, Panel(told, frame, captions), meaning)
            for told, frame in zip(titles, array, strict=True)
        ]
    elif view.layout == "rows" and images is not None:
        options = {} if images.ndim == 6 else {"heads": view.heads}
        flat = images.reshape(-1, *images.shape[-4:]) if images.ndim == 6 else images
        found = [pictures.rows(flat, captions if flat is images else None, title=view.title, **options)]
    elif view.layout == "rows":
        told = captions or [f"{title} {i}" for i in range(len(array))]
        found = [draw(model, [Panel(t, row) for t, row in zip(told, array, strict=True)], meaning)]
    else:
        panels = [Panel(title, array, captions)]
        if _plotted(model) and data is not None:
            panels.insert(0, real_panel(model, data, _REAL, random.as_seed(0)))
        found = [draw(model, panels, meaning)]
    return [] if None in found else found


def _draw_curves(model, view, data, meaning):
    if model.kind != "points":
        return []
    array = np.asarray(view.array)
    moving = array.ndim == 4
    frames = [[meaning.original(line) for line in lines] for lines in (array if moving else array[None])]
    names = meaning.columns or ("x[0]", "x[1]")
    real = None if data is None else real_panel(model, data, _REAL, random.as_seed(0))
    found = []
    for number, lines in enumerate(frames):
        title = ": ".join(filter(None, [view.title, view.heads[number] if moving and view.heads else None]))
        if real is None:
            cloud = {title or "points of the curves": np.concatenate(lines)}
        else:
            cloud = {f"{title},\nover {real.title}" if title else real.title: meaning.original(real.x)}
        found.append(charts.scatter(cloud, names, lines, view.captions, size=640))
    return found


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
    asked = keywords.keys() & {"condition", "given", "mask", "prompt"}
    drawn = max(num, _CLOUD) if _plotted(model) and not asked else num
    if "condition" not in keywords:
        keywords |= conditions(model, drawn, data)
    meaning, seed = meaning or _meaning(data), random.as_seed(seed)
    every = model.sample(drawn, seed=seed, **keywords).numpy()
    x, samples = every[:num], Panel("samples", every, _captions(model, every, keywords, meaning))
    panels = [samples]
    # What was asked for by itself has no examples beside it, but for labels.
    if data is not None and (not asked or getattr(model.condition, "kind", None) == "label"):
        real = real_panel(model, data, num, seed, meaning)
        if _plotted(model):
            samples = samples.first(max(num, len(real.x)))
        panels = [real, samples]
    paths = _WRITERS[model.kind](model, x, directory, panels, meaning)
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
        path = directory / f"samples_{name}"
        if view.layout == "text":
            paths.append(path.with_suffix(".txt"))
            write_text(paths[-1], "\n".join(view.array) + "\n")
            continue
        drawn = draw_view(model, view, data, meaning)
        if not drawn:
            rows = np.asarray(view.array)
            if model.kind == "numbers" and rows.shape[-len(model.event_shape) :] == model.event_shape:
                rows = (meaning or _meaning(data)).original(rows)
            rows = rows.reshape(-1, rows.shape[-1])
            paths.append(path.with_suffix(".txt"))
            write_text(paths[-1], _numbers(rows))
        elif len(drawn) > 1:
            paths.append(path.with_suffix(".gif"))
            pictures.save_animation(drawn, paths[-1])
        else:
            paths.append(path.with_suffix(".png"))
            pictures.save(drawn[0], paths[-1])
    return paths


def _save_drawn(model, panels, directory, meaning):
    path = directory / "samples.png"
    pictures.save(draw(model, panels, meaning), path)
    return path


def _write_picture(model, x, directory, panels, meaning):
    paths = [_save_drawn(model, panels, directory, meaning)]
    if model.drawing_order is not None and model.kind == "image":
        title = "samples as they are drawn"
        frames = pictures.reveal(as_images(model, x[:16]), model.drawing_order, title=title)
        pictures.save_animation(frames, directory / "samples.gif")
        paths.append(directory / "samples.gif")
    return paths


def _write_videos(model, x, directory, panels, meaning):
    videos = [(panel, as_images(model, panel.first(len(x)).x)) for panel in panels]
    frames = [
        pictures.beside(
            [pictures.grid(v[:, t], title=p.title, page=700 // len(videos)) for p, v in videos], gap=16
        )
        for t in range(videos[0][1].shape[1])
    ]
    pictures.save_animation(frames, directory / "samples.gif", seconds=len(frames) / 10, rest=0.5)
    return [directory / "samples.gif", _save_drawn(model, panels, directory, meaning)]


def _write_counts(model, x, directory, panels, meaning):
    names = None if model.text is None else model.text.symbols
    lines = [write_counts(row, names) for row in x.reshape(len(x), -1)]
    write_text(directory / "samples.txt", "\n".join(lines) + "\n")
    return [directory / "samples.txt", _save_drawn(model, panels, directory, meaning)]


def _captions(model, x, keywords, meaning):
    """The class of each sample, or the text that it was told; None without."""
    kind = None if model.condition is None else model.condition.kind
    if kind == "text":
        return _told(model, len(x), keywords)
    if kind != "label":
        return None
    labels = np.broadcast_to(keywords["condition"], (len(x), *model.condition.shape))
    return [meaning.caption(label) for label in labels]


def _write_numbers(model, x, directory, panels, meaning):
    write_text(directory / "samples.txt", _numbers(meaning.original(x).reshape(len(x), -1)))
    return [directory / "samples.txt", _save_drawn(model, panels, directory, meaning)]


def _numbers(rows):
    return "".join(" ".join(f"{v:.6g}" for v in row) + "\n" for row in rows)


def _told(model, num, keywords):
    """The strings that samples were conditioned on, or None without any that can be read."""
    if model.condition is None or model.condition.kind != "text" or model.condition.vocabulary is None:
        return None
    tokens = np.asarray(model.condition.encode(keywords["condition"]))
    return model.condition.decode(np.broadcast_to(tokens, (num, tokens.shape[-1])))


def _write_texts(model, x, directory, panels, meaning):
    texts, told = model.decode(x), panels[-1].captions
    if told is not None:
        # Each turn of a dialogue has a line, and so has the answer.
        before = ["".join(f"- {turn}\n" for turn in history.split(f" {TURN} ")) for history in told]
        texts = [f"{history}> {text}" for history, text in zip(before, texts, strict=True)]
    write_text(directory / "samples.txt", "\n\n----\n\n".join(texts) + "\n")
    return [directory / "samples.txt"]


def _write_strokes(model, x, directory, panels, meaning):
    ink.save(directory / "samples.svg", model.decode(x), captions=panels[-1].captions)
    return [directory / "samples.svg", _save_drawn(model, panels, directory, meaning)]


def _write_sounds(model, x, directory, panels, meaning):
    *real, samples = panels
    waves = model.decode(x)[:_SOUNDS]
    paths = [directory / f"samples_{number:02d}.wav" for number in range(len(waves))]
    for path, sound in zip(paths, waves, strict=True):
        sounds.write(path, sound, model.rate)
    told = samples.captions or [""] * len(waves)
    captions = [f"{c}, {path.name}" if c else path.name for c, path in zip(told, paths, strict=False)]
    shown = [*real, Panel(samples.title, samples.x[: len(waves)], captions)]
    return [*paths, _save_drawn(model, shown, directory, meaning)]


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


def save_curves(rows, directory, model=None):
    """Writes `curves.png`: the history over the steps, a panel for each quantity, training beside validation.

    Args:
      rows: The history that `train` returned.
      directory: Where it goes.
      model: What was trained: its density and its `quantities` say what the columns measure; None shows them
        by their names.

    Returns:
      Its path.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    history = {name: [row.get(name) for row in rows] for name in columns}
    panels, second = _panels(model, [name for name in columns if name != "step"]), {}
    for words, lines in panels.items():
        if {"val_loss", "val_bits_per_dim"} <= history.keys() and "val_loss" in lines:
            pairs = zip(history["val_loss"], history["val_bits_per_dim"], strict=True)
            ratio = next((bits / nats for nats, bits in pairs if nats and bits), None)
            if ratio:
                second[words] = ("bits/dim", ratio)
    options = {}
    if model is not None and model.density != "none":
        # Stages minimize losses of their own, and the last one's best weights are kept.
        options = {"best": "val_loss", "after": int(model.stage.numpy()[1])}
    pictures.save(charts.curves(history, panels, second=second, **options), directory / "curves.png")
    return directory / "curves.png"


# What the loss of a model of that density is.
_LOSSES = {
    "exact": "-log p(x)",
    "lower_bound": "upper bound of -log p(x)",
    "unnormalized": "loss",
    "unnormalized_bound": "loss",
    "none": "loss",
}
# The loss in other units or with another sign.
_LOSS_AGAIN = ("nats", "nats_per_step", "bits_per_dim", "elbo")
_NATS = ("kl", "reconstruction", "free_energy", "free_energy_gap", "pseudo_nats")
_MOST_PANELS = 6


def _panels(model, columns):
    """Panels of `curves.png`: the words at the axis of each, its columns, the names of their lines."""
    measured, surrogates, density = {}, set(), "none"
    if model is not None:
        measured, density = dict(model.quantities), model.density
        surrogates = {u.name for stage in model.stages() for u in stage.updates if u.surrogate}
    several = len({name.partition("/")[0] for name in columns if "/" in name}) > 1
    panels = {}
    for column in columns:
        update, _, scalar = column.rpartition("/")
        split = "training" if update else "validation"
        scalar = scalar if update else scalar.removeprefix("val_")
        if scalar == "loss" and update in surrogates:
            continue  # Its gradient means something, its value does not.
        words = _words(model, density, update if several else "", scalar)
        words = measured.get(column, measured.get(scalar, words))
        if words is not None:
            panels.setdefault(words, []).append((column, scalar, split))
    order = list(dict.fromkeys(measured.values()))

    def place(words):
        first = any(column == "val_loss" for column, *_ in panels[words])
        return not first, order.index(words) if words in order else len(order)

    return {words: _names(panels[words]) for words in sorted(panels, key=place)[:_MOST_PANELS]}


def _names(lines):
    """Names of the lines of one panel by column: as short as sets them apart."""
    names = [split for _, _, split in lines]
    if len(set(names)) < len(names):
        names = [f"{scalar.replace('_', ' ')}, {split}" for _, scalar, split in lines]
    if len(set(names)) < len(names):
        names = [column.replace("_", " ") for column, *_ in lines]
    return {column: name for (column, *_), name in zip(lines, names, strict=True)}


def _words(model, density, update, scalar):
    """The words at the axis of a scalar that its model says nothing of; None leaves it out."""
    if scalar in _LOSS_AGAIN and density in ("exact", "lower_bound"):
        return None
    if scalar == "loss":
        words = _LOSSES[density]
        unit = "nats / step" if model is not None and model.space.sequence else "nats"
        if density in ("exact", "lower_bound"):
            return f"{words} [{unit}]"
        return f"{update} {words}".strip()
    words = scalar.replace("_", " ")
    return f"{words} [nats]" if scalar in _NATS else words


def tensorboard_pictures(model, data, views=True, num=64):
    """The same samples at each evaluation, and the model's views, as arrays for TensorBoard by name.

    Only samples that a picture shows are drawn, and of frames the last is shown.

    Args:
      model: A `GenerativeModel`.
      data: A `tfgen.data.Data`, for what stands beside the samples.
      views: Whether the views are drawn too; those of a model without samples always are.
      num: How many samples.
    """
    seed, drawn = random.as_seed(0), {}
    if model.samples and (model.kind in ("image", "video", "counts") or _plotted(model)):
        num = _CLOUD if _plotted(model) else num
        keywords = conditions(model, num, data)
        x = model.sample(num, seed=seed, **keywords).numpy()
        samples = Panel("samples", x, _captions(model, x, keywords, data.meaning))
        drawn["samples"] = [draw(model, [real_panel(model, data, num, seed), samples], data.meaning)]
    if views or not drawn:
        drawn |= {name: draw_view(model, view, data) for name, view in model.views(data, num, seed).items()}
    return {n: tf.constant(np.asarray(each[-1].convert("RGB"))) for n, each in drawn.items() if each}
