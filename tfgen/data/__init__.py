"""Data sets of every kind as one object: embedded ones, TFDS names and folders of files.

`load("digits")` needs no network, `load("mnist", data_dir=...)` reads what
`tensorflow_datasets` prepared, and `load("folder:path")` reads a folder of images. All give a
`Data` whose arrays are in memory, split into train, validation and test. `num_labels=100` adds the
stream "labelled" to the training part: few examples beside the many, for training with few labels.

A further data set, or a further kind of file or of TFDS feature, is a new module in this package
that registers a function with `tfgen.data.registry`; every module here is imported below, so
nothing else changes. Modules import scikit-learn, Pillow and TFDS inside functions only.
"""

import importlib
import pkgutil

from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.loading import load, names

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Data", "DataError", "Split", "load", "names"]
