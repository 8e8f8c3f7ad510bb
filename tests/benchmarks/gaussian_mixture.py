"""Expectation maximization of Gaussian mixtures against scikit-learn's.

python -m tests.benchmarks.gaussian_mixture

100,000 points of 16 numbers, 32 components, full covariances. Each variant takes one step of EM: tfgen's is a
pass of its training loop, scikit-learn's an E and an M step, without what `fit` does around them, of float32
points, as tfgen is given, and of float64, its usual input.
"""

import numpy as np

from tests.benchmarks import measure

POINTS, DIMS, COMPONENTS, BATCH, ROUNDS = 100_000, 16, 32, 2000, 7


def points():
    """The same clusters for everybody, float32."""
    draw = np.random.default_rng(0)
    centers = 3.0 * draw.normal(size=(COMPONENTS, DIMS))
    which = draw.integers(0, COMPONENTS, POINTS)
    return (centers[which] + draw.normal(size=(POINTS, DIMS))).astype(np.float32)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen.classical import GaussianMixture
    from tfgen.data import Data, Split

    x = points()
    few = Split(x[:BATCH])
    data = Data("random", "vector", (DIMS,), None, None, None, None, Split(x), few, few)
    model = GaussianMixture(DIMS, COMPONENTS)
    model.means.assign(x[:COMPONENTS])
    return {"tfgen": measure.training(model, data, BATCH, "adam", POINTS // BATCH)}


def sklearn_side():
    """An E and an M step, as `fit` takes them."""
    from sklearn.mixture import GaussianMixture

    def variant(dtype):
        x = points().astype(dtype)
        model = GaussianMixture(COMPONENTS, init_params="random_from_data", random_state=0)
        model._initialize_parameters(x, np.random.RandomState(0))

        def step():
            _, log_responsibilities = model._e_step(x)
            model._m_step(x, log_responsibilities)

        return step

    return {"scikit-learn float32": variant(np.float32), "scikit-learn float64": variant(np.float64)}


def main():
    """Measures and prints the figures."""
    others = ("scikit-learn float32", "scikit-learn float64")
    figures = [(other, "tfgen", "a step of EM", 1.0) for other in others]
    measure.race("tests.benchmarks.gaussian_mixture", ("tensorflow", "sklearn"), ROUNDS, 2, figures)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "sklearn": sklearn_side}, main)
