"""RBM training by PCD-1 against scikit-learn's BernoulliRBM and against a plain PyTorch loop.

python -m tests.benchmarks.rbm

784 visible and 500 hidden units, batch 100, gradient descent with rate 0.01: each variant takes one pass
over 10,000 random binary images. scikit-learn is given float64, its usual input; its float32 is shown beside.
"""

import numpy as np

from tests.benchmarks import measure

VISIBLE, HIDDEN, BATCH, STEPS, ROUNDS, RATE = 784, 500, 100, 100, 7, 0.01


def images():
    """The same random binary images for everybody, uint8."""
    return (np.random.default_rng(0).random((STEPS * BATCH, VISIBLE)) < 0.2).astype(np.uint8)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    import keras

    from tfgen.data import Data, Split
    from tfgen.energy import RBM

    x = images()
    few = Split(x[:BATCH])
    data = Data("random", "image", (VISIBLE,), 2, 2, None, None, Split(x), few, few)
    model = RBM(VISIBLE, HIDDEN, num_chains=BATCH)
    return {"tfgen": measure.training(model, data, BATCH, keras.optimizers.SGD(RATE), STEPS)}


def torch_side():
    """PCD-1 written out in PyTorch: the same sums, the hidden units of the chains kept."""
    import torch

    torch.manual_seed(0)
    x = torch.tensor(images(), dtype=torch.float32)
    w = 0.01 * torch.randn(VISIBLE, HIDDEN)
    b, c, h = torch.zeros(VISIBLE), torch.zeros(HIDDEN), torch.zeros(BATCH, HIDDEN)

    @torch.no_grad()
    def steps():
        order = torch.randperm(len(x))
        for i in range(0, len(x), BATCH):
            data = x[order[i : i + BATCH]]
            on = torch.sigmoid(torch.addmm(c, data, w))
            v = torch.bernoulli(torch.sigmoid(torch.addmm(b, h, w.T)))
            on_chain = torch.sigmoid(torch.addmm(c, v, w))
            h.copy_(torch.bernoulli(on_chain))
            w.addmm_(data.T, on, alpha=RATE / BATCH).addmm_(v.T, on_chain, alpha=-RATE / BATCH)
            b.add_((data - v).mean(0), alpha=RATE)
            c.add_((on - on_chain).mean(0), alpha=RATE)

    return {"PyTorch": steps}


def sklearn_side():
    """BernoulliRBM's own update, its pass over the data without the pseudo-likelihood it can report."""
    from sklearn.neural_network import BernoulliRBM

    def variant(dtype):
        x = images().astype(dtype)
        model = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0)
        return lambda: model.fit(x)

    return {"scikit-learn float64": variant(np.float64), "scikit-learn float32": variant(np.float32)}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.rbm"
    with (
        measure.Worker(name, "tensorflow") as ours,
        measure.Worker(name, "torch") as torch,
        measure.Worker(name, "sklearn") as sklearn,
    ):
        variants = ours.variants() | torch.variants() | sklearn.variants()
        result = measure.alternate(variants, ROUNDS, warmup=2)
    print(result.table())
    for variant, target in {"scikit-learn float64": 4.0, "PyTorch": 1.5}.items():
        ratio = result.ratio(variant, "tfgen")
        measure.report(f"tfgen / {variant}, images a second", ratio, target, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side, "sklearn": sklearn_side}, main)
