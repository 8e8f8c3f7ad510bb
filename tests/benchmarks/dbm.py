"""Joint training of a deep Boltzmann machine against the same updates in plain PyTorch.

python -m tests.benchmarks.dbm

784 visible, 500 and 1,000 hidden units, batch 100, as many persistent chains, mean field until no mean of the
upper layer moves by 1e-2, which takes three sweeps: each variant takes one pass over 5,000 random binary
images from the same weights. The share of a step that its matrix products need says what there is to gain.
"""

import numpy as np

from tests.benchmarks import measure

VISIBLE, FIRST, SECOND, BATCH, STEPS, ROUNDS, RATE = 784, 500, 1000, 100, 50, 25, 0.005
MOST_SWEEPS, TOLERANCE, SWEEPS = 100, 1e-2, 3


def images():
    """The same random binary images for everybody, uint8."""
    return (np.random.default_rng(0).random((STEPS * BATCH, VISIBLE)) < 0.2).astype(np.uint8)


def weights():
    """The same starting weights: W_1 and W_2."""
    rng = np.random.default_rng(1)
    return [0.03 * rng.normal(size=s).astype(np.float32) for s in ((VISIBLE, FIRST), (FIRST, SECOND))]


def tensorflow_side():
    """tfgen's training loop at its defaults, without the stages before."""
    import keras

    from tfgen.data import Data, Split
    from tfgen.energy import DeepBoltzmannMachine

    x = images()
    few = Split(x[:BATCH])
    data = Data("random", "image", (VISIBLE,), 2, 2, None, None, Split(x), few, few)
    model = DeepBoltzmannMachine(VISIBLE, (FIRST, SECOND), pretraining=False, num_chains=BATCH)
    for kernel, start in zip(model.kernels, weights(), strict=True):
        kernel.assign(start)
    training = measure.training(model, data, BATCH, keras.optimizers.SGD(RATE), STEPS)
    return {"tfgen": training, "products": products(x)}


def products(x):
    """The matrix products of so many steps in one compiled loop, each waiting for the one before."""
    import tensorflow as tf

    x = tf.constant(x, tf.float32)

    @tf.function(jit_compile=True, autograph=False)
    def loop(w1, w2, chain):
        def step(i, w1, w2, chain):
            v, h2 = tf.matmul(chain, w1, transpose_b=True), tf.matmul(chain, w2)
            both = tf.concat([tf.slice(x, [i * BATCH, 0], [BATCH, VISIBLE]), v], axis=0)
            below = tf.matmul(both, w1)
            mu2 = tf.matmul(below[:BATCH], w2)
            for _ in range(SWEEPS):
                mu2 = tf.matmul(tf.matmul(mu2, w2, transpose_b=True), w2)
            upper = tf.concat([mu2, h2], axis=0)
            on = below + tf.matmul(upper, w2, transpose_b=True)
            w1 -= 1e-6 * tf.matmul(both, on, transpose_a=True)
            w2 -= 1e-6 * tf.matmul(on, upper, transpose_a=True)
            return i + 1, w1, w2, on[BATCH:]

        start = tf.constant(0), w1, w2, chain
        return tf.while_loop(lambda i, *_: i < STEPS, step, start, maximum_iterations=STEPS)[1:3]

    sizes = [VISIBLE, FIRST], [FIRST, SECOND], [BATCH, FIRST]
    filled = [tf.fill(size, 1e-3) for size in sizes]
    return lambda: [w.numpy() for w in loop(*filled)]


def torch_side():
    """Mean field and one sweep of the chains written out in PyTorch, what v brings computed once."""
    import torch

    torch.manual_seed(0)
    x = torch.tensor(images(), dtype=torch.float32)
    w1, w2 = map(torch.tensor, weights())
    b0, b1, b2 = torch.zeros(VISIBLE), torch.zeros(FIRST), torch.zeros(SECOND)
    chain = torch.bernoulli(torch.full((BATCH, FIRST), 0.5))

    @torch.no_grad()
    def steps():
        order = torch.randperm(len(x))
        for i in range(0, len(x), BATCH):
            data = x[order[i : i + BATCH]]
            below = torch.addmm(b1, data, w1)
            mu1 = torch.sigmoid(2.0 * below - b1)
            mu2 = torch.sigmoid(torch.addmm(b2, mu1, w2))
            for _ in range(MOST_SWEEPS):
                before = mu2
                mu1 = torch.sigmoid(torch.addmm(below, mu2, w2.T))
                mu2 = torch.sigmoid(torch.addmm(b2, mu1, w2))
                if (mu2 - before).abs().max() <= TOLERANCE:
                    break
            mu1 = torch.sigmoid(torch.addmm(below, mu2, w2.T))
            v = torch.bernoulli(torch.sigmoid(torch.addmm(b0, chain, w1.T)))
            h2 = torch.bernoulli(torch.sigmoid(torch.addmm(b2, chain, w2)))
            on = torch.sigmoid(torch.addmm(torch.addmm(b1, v, w1), h2, w2.T))
            chain.copy_(torch.bernoulli(on))
            w1.addmm_(data.T, mu1, alpha=RATE / BATCH).addmm_(v.T, on, alpha=-RATE / BATCH)
            w2.addmm_(mu1.T, mu2, alpha=RATE / BATCH).addmm_(on.T, h2, alpha=-RATE / BATCH)
            b0.add_((data - v).mean(0), alpha=RATE)
            b1.add_((mu1 - on).mean(0), alpha=RATE)
            b2.add_((mu2 - h2).mean(0), alpha=RATE)

    return {"PyTorch": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.dbm"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as torch:
        result = measure.alternate(ours.variants() | torch.variants(), ROUNDS, warmup=2)
    print(result.table())
    ratio = result.ratio("PyTorch", "tfgen")
    measure.report("tfgen / PyTorch, images a second", ratio, 1.3, at_most=False)
    share = result.ratio("products", "tfgen")
    measure.report("matrix products alone / the step", share, 0.9, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
