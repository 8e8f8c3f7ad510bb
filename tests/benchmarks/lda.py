"""A pass of latent Dirichlet allocation by batch variational Bayes against scikit-learn's.

python -m tests.benchmarks.lda

2,000 documents of 150 words in the mean, 2,000 different words, 20 topics; both sides make up to 100 steps on
each document's topic shares, to the same tolerance, and go on from where their last pass ended.
"""

import numpy as np

from tests.benchmarks import measure

DOCUMENTS, WORDS, TOPICS, LENGTH, BATCH, ROUNDS = 2000, 2000, 20, 150, 500, 7


def documents():
    """The same random documents for everybody, int32 `[documents, words]`."""
    draw = np.random.default_rng(0)
    topics = draw.dirichlet(np.full(WORDS, 0.05), TOPICS)
    shares = draw.dirichlet(np.full(TOPICS, 0.1), DOCUMENTS)
    return draw.poisson(LENGTH * shares @ topics).astype(np.int32)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen import random
    from tfgen.classical import LatentDirichletAllocation
    from tfgen.data import Data

    x = documents()
    data = Data.from_arrays(x, test=x[:100], validation=0, kind="counts")
    model = LatentDirichletAllocation((WORDS,), TOPICS)
    model.begin({"x": x.astype(np.float32)}, random.as_seed(0))
    return {"tfgen": measure.training(model, data, BATCH, "adam", DOCUMENTS // BATCH)}


def sklearn_side():
    """scikit-learn's own step of EM over all documents, given as a sparse matrix."""
    import scipy.sparse
    from sklearn.decomposition import LatentDirichletAllocation

    x = scipy.sparse.csr_matrix(documents(), dtype=np.float64)
    model = LatentDirichletAllocation(TOPICS, learning_method="batch", random_state=0)
    model._init_latent_vars(WORDS, dtype=np.float64)
    return {"scikit-learn": lambda: model._em_step(x, total_samples=DOCUMENTS, batch_update=True)}


def main():
    """Measures and prints the figure."""
    figures = [("scikit-learn", "tfgen", "a pass over the documents", 2.0)]
    measure.race("tests.benchmarks.lda", ("tensorflow", "sklearn"), ROUNDS, 2, figures)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "sklearn": sklearn_side}, main)
