"""NADE: drawing images against its own density, and training steps against PyTorch.

python -m tests.benchmarks.nade

784 entries, 500 hidden units. PyTorch's side is the loop over entries as it is usually written (and as
pytorch-generative has it): the activations of one entry follow from those of the entry before, autograd
keeps them all.
"""

import numpy as np

from tests.benchmarks import measure

ENTRIES, HIDDEN, BATCH, IMAGES = 784, 500, 100, 64
ROUNDS, STEPS = 5, 2


def images(num):
    """The same random binary images for everybody, float32."""
    return (np.random.default_rng(0).random((num, ENTRIES)) < 0.2).astype(np.float32)


def tensorflow_side():
    """Variants of tfgen."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import NADE
    from tfgen.update import Step

    model = NADE((ENTRIES,), hidden=(HIDDEN,))
    many = NADE((ENTRIES,), hidden=(HIDDEN,), order="random", num_orders=8)
    few, batch = tf.constant(images(IMAGES)), {"x": tf.constant(images(BATCH))}
    compiled = tf.function(model.score, autograph=False, jit_compile=True)
    plain = tf.function(model.score, autograph=False)
    updates = model.updates()
    step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=model.jit_updates)

    @tf.function(autograph=False)
    def train(number):
        return step(lambda i, seed: batch, random.as_seed(0), number)

    def steps():
        for number in range(STEPS):
            scalars = train(tf.constant(number, tf.int64))
        return [float(s) for s in scalars.values()]

    return {
        "tfgen log_prob": lambda: compiled(few).numpy(),
        "tfgen log_prob without XLA": lambda: plain(few).numpy(),
        "tfgen sample": lambda: model.sample(IMAGES, seed=1).numpy(),
        "tfgen sample, 8 orders": lambda: many.sample(IMAGES, seed=1).numpy(),
        "tfgen training steps": steps,
    }


def torch_side():
    """The loop over entries in PyTorch."""
    import torch
    from torch import nn

    kernel, readout = (nn.Parameter(0.05 * torch.randn(ENTRIES, HIDDEN)) for _ in range(2))
    bias, hidden_bias = nn.Parameter(torch.zeros(ENTRIES)), nn.Parameter(torch.zeros(HIDDEN))
    parameters = [kernel, readout, bias, hidden_bias]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    x, few = torch.tensor(images(BATCH)), torch.tensor(images(IMAGES))

    def nats(x):
        a, logits = hidden_bias.expand(len(x), HIDDEN), []
        for i in range(ENTRIES):
            logits.append(torch.sigmoid(a) @ readout[i] + bias[i])
            a = a + x[:, i : i + 1] * kernel[i]
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(torch.stack(logits, 1), x, reduction="sum") / len(x)

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            value = nats(x)
            value.backward()
            optimizer.step()
        return value.item()

    @torch.no_grad()
    def log_prob():
        return nats(few).item()

    return {"torch log_prob": log_prob, "torch training steps": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.nade"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    ratio = result.ratio
    measure.report("NADE: sample 64 / log_prob 64", ratio("tfgen sample", "tfgen log_prob"), 4)
    measure.report(
        "NADE, 8 orders: sample 64 / log_prob of one",
        ratio("tfgen sample, 8 orders", "tfgen log_prob"),
        8,
    )
    steps = ratio("torch training steps", "tfgen training steps")
    measure.report("NADE: torch training step / tfgen's", steps, 1, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
