"""A run's directory: what is in it, and when it may be written."""

import json
import os
import pathlib
import shutil

FILES = ("config.json", "metrics.csv", "metrics.json", "curves.png")
FOLDERS = ("checkpoints", "tensorboard", "export")


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
        """What `config.json` says.

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
        return config

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

    def begin(self, config, overwrite):
        """Makes the directory ready for a new run.

        Raises:
          ValueError: If it holds a run and `overwrite` is not set, or it cannot be written.
        """
        self.check_free(overwrite)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if overwrite:
                self._clear()
            self.write_json("config.json", config)
        except OSError as error:
            raise ValueError(f"run_dir={self.path} cannot be written: {error.strerror}.") from error

    def _clear(self):
        # Only what a run makes: the user's own files beside it stay.
        for name in FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (*FILES, *(p.name for p in self.path.glob("samples*.*"))):
            (self.path / name).unlink(missing_ok=True)

    def read_json(self, name):
        """What a JSON file holds; an empty dict where it is absent or broken."""
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return {}

    def write_json(self, name, content):
        """Writes a JSON file by rename."""
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        os.replace(temporary, self.path / name)
