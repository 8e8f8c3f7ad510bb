"""From a model to what TensorFlow Serving loads: `export`, and `check` of what was written."""

from tfgen.serving.check import check
from tfgen.serving.export import export

__all__ = ["check", "export"]
