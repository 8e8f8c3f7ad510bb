"""Trained runs, opened: for notebooks, for tasks, and for models that hold other models."""

from typing import NamedTuple


class Run(NamedTuple):
    """A trained run.

    Args:
      model: Its `GenerativeModel`, with its best weights.
      data: Its `tfgen.data.Data`.
      config: Its `config.json`.
    """

    model: object
    data: object
    config: dict


def open_run(path: str, checkpoint: str | None = None, data_dir: str | None = None, download=False):
    """Opens a run: its model with trained weights, its data and its configuration.

    Args:
      path: The run's directory.
      checkpoint: "best" or "last"; None for the best, or the last where there is no density to choose by.
      data_dir: Where the data lie; None for where they lay when the run was trained.
      download: Whether a TFDS set that is absent may be fetched.

    Returns:
      `Run`: (model, data, config).

    Raises:
      ValueError: If there is no trained run, or its data are no longer what it was trained on.
    """
    from tfgen.cli import commands, run_models
    from tfgen.cli.run_directory import RunDirectory

    run = RunDirectory(path)
    config = run.config()
    model = run_models.restored(config, run, checkpoint, log=None)
    place = data_dir or config.get("data_dir")
    data = commands.load_data(config["flags"], {"data_dir": place, "download": download})
    commands.check_same_data(config, run, data)
    return Run(model, data, config)
