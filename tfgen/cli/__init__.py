"""From a constructor's signature to a command with flags."""

from tfgen.cli.app import App

__all__ = ["App"]
