"""RBM training, annealing and sampling, against scikit-learn, learnergy and plain PyTorch loops.

python -m tests.benchmarks.rbm

784 visible and 500 hidden units, batch 100, gradient descent with rate 0.01: each variant takes one pass
over 10,000 random binary images. By PCD-1: tfgen, PyTorch and scikit-learn, which is given float64, its usual
input; its float32 is shown beside. By CD-1: learnergy's own trainer, which knows no PCD, and tfgen. The share
of a step that its matrix products need is that of the same products alone, in one compiled loop.

Annealing: 100 chains, 10,000 temperatures, each a weight and a sweep. Sampling: 64 chains of 1,000 sweeps.
"""

import numpy as np

from tests.benchmarks import measure

VISIBLE, HIDDEN, BATCH, STEPS, ROUNDS, RATE = 784, 500, 100, 100, 7, 0.01
CHAINS, TEMPERATURES, SAMPLES, SWEEPS = 100, 10_000, 64, 1000
LONG_ROUNDS = 2


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
    by_cd = RBM(VISIBLE, HIDDEN, estimator="cd")
    large = RBM(VISIBLE, HIDDEN)
    return {
        "tfgen": measure.training(model, data, BATCH, keras.optimizers.SGD(RATE), STEPS),
        "tfgen by CD-1": measure.training(by_cd, data, BATCH, keras.optimizers.SGD(RATE), STEPS),
        "the matrix products alone": products(x),
        "annealing, tfgen": lambda: large.anneal(TEMPERATURES, CHAINS).estimate.numpy(),
        "sampling, tfgen": lambda: large.sample(SAMPLES, seed=0, num_steps=SWEEPS).numpy(),
    }


def products(x):
    """The matrix products of so many steps of PCD-1 in one compiled loop, each waiting for the one before."""
    import tensorflow as tf

    x = tf.constant(x, tf.float32)

    @tf.function(jit_compile=True, autograph=False)
    def loop(w, h):
        def step(i, w, h):
            v = tf.matmul(h, w, transpose_b=True)
            both = tf.concat([tf.slice(x, [i * BATCH, 0], [BATCH, VISIBLE]), v], axis=0)
            on = tf.matmul(both, w)
            return i + 1, w - 1e-6 * tf.matmul(both, on, transpose_a=True), on[BATCH:]

        return tf.while_loop(lambda i, *_: i < STEPS, step, (tf.constant(0), w, h), maximum_iterations=STEPS)[
            1
        ]

    w, h = tf.fill([VISIBLE, HIDDEN], 1e-3), tf.ones([BATCH, HIDDEN])
    return lambda: loop(w, h).numpy()


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

    @torch.no_grad()
    def sweeps(v, num):
        for _ in range(num):
            h = torch.bernoulli(torch.sigmoid(torch.addmm(c, v, w)))
            v = torch.bernoulli(torch.sigmoid(torch.addmm(b, h, w.T)))
        return v

    @torch.no_grad()
    def annealing():
        base, v = torch.zeros(VISIBLE), torch.bernoulli(torch.full((CHAINS, VISIBLE), 0.5))
        log_w, softplus = torch.zeros(CHAINS, dtype=torch.float64), torch.nn.functional.softplus
        for k in range(TEMPERATURES - 1):
            beta, after = k / (TEMPERATURES - 1), (k + 1) / (TEMPERATURES - 1)
            logits = torch.addmm(c, v, w)
            rise = (after - beta) * (v @ (b - base)) + (
                softplus(after * logits) - softplus(beta * logits)
            ).sum(1)
            log_w += rise.double()
            h = torch.bernoulli(torch.sigmoid(after * logits))
            v = torch.bernoulli(torch.sigmoid((1 - after) * base + after * torch.addmm(b, h, w.T)))
        return torch.logsumexp(log_w, 0)

    return {
        "PyTorch": steps,
        "annealing, PyTorch": annealing,
        "sampling, PyTorch": lambda: sweeps(torch.bernoulli(torch.full((SAMPLES, VISIBLE), 0.5)), SWEEPS),
    }


def learnergy_side():
    """learnergy's RBM by its own `fit`, which also reports the pseudo-likelihood of each batch."""
    import logging

    import torch
    from learnergy.models.bernoulli import RBM
    from torch.utils.data import TensorDataset

    logging.disable(logging.CRITICAL)
    torch.manual_seed(0)
    x = TensorDataset(torch.tensor(images(), dtype=torch.float32), torch.zeros(STEPS * BATCH))
    model = RBM(VISIBLE, HIDDEN, steps=1, learning_rate=RATE)
    return {"learnergy by CD-1": lambda: model.fit(x, batch_size=BATCH, epochs=1)}


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
        measure.Worker(name, "learnergy") as learnergy,
    ):
        variants = ours.variants() | torch.variants() | sklearn.variants() | learnergy.variants()
        long = {key: run for key, run in variants.items() if key.startswith(("annealing", "sampling"))}
        short = {key: run for key, run in variants.items() if key not in long}
        result = measure.alternate(short, ROUNDS, warmup=2)
        slow = measure.alternate(long, LONG_ROUNDS, warmup=1)
    print(result.table())
    print(slow.table())
    for variant, target in {"scikit-learn float64": 4.0, "PyTorch": 1.5}.items():
        ratio = result.ratio(variant, "tfgen")
        measure.report(f"tfgen / {variant}, images a second", ratio, target, at_most=False)
    ratio = result.ratio("learnergy by CD-1", "tfgen by CD-1")
    measure.report("tfgen / learnergy by CD-1, images a second", ratio, 1.5, at_most=False)
    ratio = result.ratio("the matrix products alone", "tfgen")
    measure.report("the matrix products alone / tfgen, seconds of a step", ratio, 0.9, at_most=False)
    measure.report(f"annealing {CHAINS} x {TEMPERATURES}, seconds", slow.median("annealing, tfgen"), 180.0)
    for what, target in {"annealing": 2.0, "sampling": 1.0}.items():
        ratio = slow.ratio(f"{what}, PyTorch", f"{what}, tfgen")
        measure.report(f"{what}: tfgen / PyTorch", ratio, target, at_most=False)


if __name__ == "__main__":
    sides = {"tensorflow": tensorflow_side, "torch": torch_side, "sklearn": sklearn_side}
    measure.run(sides | {"learnergy": learnergy_side}, main)
