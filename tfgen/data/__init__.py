"""Data sets of every kind as one object: embedded ones, TFDS names, and files and arrays of one's own.

`load("digits")` needs no network, `load("mnist", data_dir=...)` reads what `tensorflow_datasets`
prepared, `load("folder:path")` a folder of images, texts or recordings, `load("file:path")` a text, a
table or arrays; `Data.from_arrays(x, y)` takes arrays as they are in memory. All give a `Data`, split into
train, validation and test; its arrays are in memory, or on disk where they are large
(`tfgen.data.stream`). `num_labels=100` adds the stream "labelled" to the training part: few examples
beside the many, for training with few labels.

A further data set, or a further kind of file or of TFDS feature, is a new module in this package
that registers a function with `tfgen.data.registry`; every module here is imported below, so
nothing else changes. Modules import scikit-learn, Pillow and TFDS inside functions only.
"""

import importlib
import pkgutil

from tfgen.data.dataset import Data, DataError, Meaning, Split
from tfgen.data.loading import OWN, load, names, on_disk
from tfgen.data.wording import summary

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["OWN", "Data", "DataError", "Meaning", "Split", "load", "names", "on_disk", "summary"]
