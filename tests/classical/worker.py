"""Trainings of all classical models by one of several workers; it says their weights in one line of JSON.

python -m tests.classical.worker, with TF_CONFIG set.
"""

import contextlib
import json

import numpy as np

from tfgen.classical import (
    BayesianGaussianMixture,
    GaussianMixture,
    HiddenMarkovModel,
    KMeans,
    LatentDirichletAllocation,
    ProbabilisticPCA,
)
from tfgen.data import Data
from tfgen.training import make_strategy, train


def cases():
    """(function that makes a model, its data) of each; a pass is three batches, the last one smaller."""
    draw = np.random.default_rng(0)
    points = Data.from_arrays(
        np.concatenate([draw.normal(3.0 * k, 0.5, (20, 2)) for k in range(2)]),
        test=np.ones((2, 2)),
        validation=0,
    )
    counts = Data.from_arrays(
        draw.poisson(2.0, (40, 5)), test=np.ones((2, 5), int), validation=0, kind="counts"
    )
    sequences = [draw.normal(size=(steps, 2)) for steps in draw.integers(2, 6, 40)]
    sequences = Data.from_arrays(sequences, test=sequences[:2], validation=0, kind="sequence")
    return {
        "KMeans": (lambda: KMeans(2, 3), points),
        "ProbabilisticPCA": (lambda: ProbabilisticPCA(2, 1, algorithm="em"), points),
        "GaussianMixture": (lambda: GaussianMixture(2, 2), points),
        "BayesianGaussianMixture": (lambda: BayesianGaussianMixture(2, 3), points),
        "HiddenMarkovModel": (lambda: HiddenMarkovModel((None, 2), 2), sequences),
        "LatentDirichletAllocation": (lambda: LatentDirichletAllocation(5, 2), counts),
    }


def trained(strategy=None):
    """Weights of each after two passes: {name: {name of a weight: its values}}."""
    found = {}
    for name, (make, data) in cases().items():
        with strategy.scope() if strategy else contextlib.nullcontext():
            model = make()
        train(
            model, data, steps=6, batch_size=16, strategy=strategy, checkpoint_every=6, log=lambda line: None
        )
        found[name] = {weight.name: weight.numpy().tolist() for weight in model.weights}
    return found


if __name__ == "__main__":
    print(json.dumps(trained(make_strategy("multi_worker"))))
