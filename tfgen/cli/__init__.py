"""From signatures to commands with flags, and from a run's directory back to its model."""

from tfgen.cli.app import App
from tfgen.cli.runs import Run, open_run
from tfgen.cli.task_app import TaskApp

__all__ = ["App", "Run", "TaskApp", "open_run"]
