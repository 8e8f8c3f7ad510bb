"""Files of runs, written by hand: what a table is made of, without a training."""

import json


def data(fingerprint="d1", **facts):
    """Description of a data set, as config.json and metrics.json hold it."""
    described = {
        "name": "digits", "fingerprint": fingerprint, "event_shape": [8, 8, 1], "num_values": 2,
        "binarize": "threshold", "examples": {"train": 30, "validation": 10, "test": 20}, "streams": {},
        "class_names": None, "vocabulary": None,
    }  # fmt: skip
    return described | facts


def figure(value, kind="exact density, mean over the test split", half=None):
    """A figure, with an interval of that half width."""
    interval = {} if half is None else {"low": value - half, "high": value + half}
    return {"value": value, "kind": kind} | interval


def write_run(path, figures, losses=(), seed=0, flags=(), step=None, model="tfgen.variational.VAE", **more):
    """Writes config.json, metrics.json and metrics.csv of a finished run.

    Args:
      path: The run's directory.
      figures: {name: figure}.
      losses: val_loss at steps 10, 20, ...
      seed: Its seed.
      flags: Further flags, a dict or pairs.
      step: Of the weights that the figures are of; None for the last.
      model: Its class.
      **more: What else metrics.json holds, or holds otherwise.
    """
    path.mkdir(parents=True, exist_ok=True)
    steps = [10 * (i + 1) for i in range(len(losses))]
    last = steps[-1] if steps else 10
    described = more.get("data", data())
    config = {
        "model": model, "flags": {"seed": seed, **dict(flags)}, "steps": last, "finished": last,
        "arguments": more.pop("arguments", {}), "data": more.pop("trained_on", described),
    }  # fmt: skip
    report = {
        "metrics": figures, "data": described, "step": step or last, "density": "exact", "seed": seed,
        "command": f"tfgen vae --seed={seed}", "parameters": 1234,
        "cost": {"seconds": 5.0, "resumed": False},
    } | more  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    (path / "metrics.json").write_text(json.dumps(report))
    rows = [f"{s},{loss},{-loss}" for s, loss in zip(steps, losses, strict=True)]
    (path / "metrics.csv").write_text("\n".join(["step,val_loss,val_other", *rows]) + "\n")
    return path
