"""Lloyd's iterations against scikit-learn's.

python -m tests.benchmarks.kmeans

1,000,000 points of 16 numbers in float32, 64 clusters, the same start. Each variant takes so many iterations:
tfgen's as passes of its training loop, scikit-learn's by `fit`, and by its compiled iteration alone, without
anything that `fit` does around it.
"""

import numpy as np

from tests.benchmarks import measure

POINTS, DIMS, CLUSTERS, BATCH, PASSES, ROUNDS = 1_000_000, 16, 64, 20_000, 5, 5


def points():
    """The same clusters for everybody, float32."""
    draw = np.random.default_rng(0)
    centers = 3.0 * draw.normal(size=(CLUSTERS, DIMS))
    return (centers[draw.integers(0, CLUSTERS, POINTS)] + draw.normal(size=(POINTS, DIMS))).astype(np.float32)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen.classical import KMeans
    from tfgen.data import Data, Split

    x = points()
    few = Split(x[:BATCH])
    data = Data("random", "vector", (DIMS,), None, None, None, None, Split(x), few, few)
    model = KMeans(DIMS, CLUSTERS)
    model.centers.assign(x[:CLUSTERS])
    return {"tfgen": measure.training(model, data, BATCH, "adam", PASSES * (POINTS // BATCH))}


def sklearn_side():
    """`fit`, and its iteration as it calls it."""
    import os

    from sklearn.cluster import KMeans
    from sklearn.cluster._k_means_lloyd import lloyd_iter_chunked_dense
    from threadpoolctl import threadpool_limits

    x = points()
    model = KMeans(CLUSTERS, init=x[:CLUSTERS], n_init=1, max_iter=PASSES, tol=0.0, copy_x=False)
    weights, labels = np.ones(POINTS, np.float32), np.zeros(POINTS, np.int32)
    sums, shifts = np.zeros(CLUSTERS, np.float32), np.zeros(CLUSTERS, np.float32)
    state = [x[:CLUSTERS].copy(), np.zeros((CLUSTERS, DIMS), np.float32)]

    def iterations():
        # As `fit` does: its threads are OpenMP's, each with a single one of BLAS.
        with threadpool_limits(1, user_api="blas"):
            for _ in range(PASSES):
                lloyd_iter_chunked_dense(x, weights, *state, sums, labels, shifts, os.cpu_count())
                state.reverse()

    return {"scikit-learn fit": lambda: model.fit(x), "scikit-learn iteration alone": iterations}


def main():
    """Measures and prints the figures."""
    others = ("scikit-learn fit", "scikit-learn iteration alone")
    figures = [(other, "tfgen", f"{PASSES} iterations", 1.0) for other in others]
    measure.race("tests.benchmarks.kmeans", ("tensorflow", "sklearn"), ROUNDS, 1, figures)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "sklearn": sklearn_side}, main)
