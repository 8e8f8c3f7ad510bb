"""A run's directory: what is in it, and when it may be written."""

import contextlib
import json
import math
import os
import pathlib
import re
import shutil

from tfgen.cli.constructor import public_path

FILES = ("config.json", "metrics.csv", "metrics.json", "curves.png")
FOLDERS = ("checkpoints", "tensorboard", "export", "models", "evaluations", "samples")


class RunDirectory:
    """The directory of one run.

    Args:
      path: Where it is.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    @property
    def holds_run(self):
        """Whether a run was begun here."""
        return (self.path / "config.json").exists()

    def config(self):
        """Content of `config.json`, its model under the name by which users import it.

        Raises:
          ValueError: If there is no run here, or the file is broken.
        """
        if not self.holds_run:
            raise ValueError(f"run_dir={self.path} holds no run; train one first, or name another --run_dir.")
        try:
            config = json.loads((self.path / "config.json").read_text())
            if not isinstance(config, dict) or not {"model", "flags"} <= config.keys():
                raise ValueError("it is not a run's configuration")
        except ValueError as error:
            raise ValueError(
                f"{self.path / 'config.json'} cannot be read ({error}); train with --overwrite."
            ) from error
        return config | {"model": public_path(config["model"])}

    def check_free(self, overwrite):
        """Whether a new run may begin here.

        Raises:
          ValueError: If it holds a run and `overwrite` is not set.
        """
        if self.holds_run and not overwrite:
            raise ValueError(
                f"run_dir={self.path} already holds a run; go on with --resume, replace it with --overwrite, "
                "or name another --run_dir."
            )

    def begin(self, config, overwrite, save_models=None):
        """Makes the directory ready for a new run.

        Args:
          config: What `config.json` is to hold; it is written last.
          overwrite: Whether to replace a run that is there.
          save_models: `f(directory)` that writes the weights of models this run takes from others, or None.

        Raises:
          ValueError: If it holds a run and `overwrite` is not set, or it cannot be written.
        """
        self.check_free(overwrite)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if overwrite:
                self.clear()
            if save_models:
                (self.path / "models").mkdir(exist_ok=True)
                save_models(self.path / "models")
            self.write_json("config.json", config)
        except OSError as error:
            raise ValueError(f"run_dir={self.path} cannot be written: {error.strerror}.") from error

    def forget_unless_saved(self):
        """Takes away what a training made that came to nothing: no checkpoint is there to go on from."""
        if not list(self.path.glob("checkpoints/ckpt-*.index")):
            self.clear()
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def clear(self):
        """Takes away what a run makes; the user's own files beside it stay."""
        for name in FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (*FILES, *(p.name for p in self.path.glob("samples*.*"))):
            (self.path / name).unlink(missing_ok=True)

    def read_json(self, name):
        """Content of a JSON file; an empty dict where it is absent or broken."""
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return {}

    def write_json(self, name, content):
        """Writes a JSON file by rename; a number that is not finite, which JSON does not know, as null."""
        self.write_text(name, json.dumps(_finite(content), indent=2, sort_keys=True, allow_nan=False) + "\n")

    def write_text(self, name, text):
        """Writes a file by rename: it is never seen half written."""
        path = self.path / name
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text)
        os.replace(temporary, path)

    def place(self, folder, name, suggestion, suffix=""):
        """Where a later command writes, beside what the training left.

        Args:
          folder: "evaluations" or "samples".
          name: The name that the user gives; None takes the first free one that begins with `suggestion`.
          suggestion: A name; what no file is called by is replaced.
          suffix: Of the file; "" makes a directory.

        Returns:
          Path, which is not there yet; its folder is.

        Raises:
          ValueError: If something has the user's name, or it is no name.
        """
        if name is not None and not re.fullmatch(r"[\w.,=-]+", name):
            raise ValueError(f"--output={name}: takes letters, digits and any of . , = - _")
        (self.path / folder).mkdir(exist_ok=True)
        if name is not None:
            path = self.path / folder / f"{name}{suffix}"
            if path.exists():
                raise ValueError(f"--output={name}: {path} is there already; choose another name.")
        else:
            stem, number = re.sub(r"[^\w.,=-]+", "_", suggestion).strip("_"), 1
            path = self.path / folder / f"{stem}{suffix}"
            while path.exists():
                number += 1
                path = path.with_name(f"{stem}-{number}{suffix}")
        if not suffix:
            path.mkdir()
        return path


def _finite(content):
    """Nested dicts and lists as JSON has them, numbers that are not finite as null."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
