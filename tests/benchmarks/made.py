"""MADE: training steps against PyTorch, and drawing images against one pass of the network for each entry.

python -m tests.benchmarks.made

784-500-500-784, batch 100, masks multiplied with the weights in every step on both sides.
"""

import numpy as np

from tests.benchmarks import measure

ENTRIES, HIDDEN, BATCH, IMAGES = 784, 500, 100, 64
ROUNDS, STEPS, PASSES = 5, 20, 56


def images(num):
    """The same random binary images for everybody, float32."""
    return (np.random.default_rng(0).random((num, ENTRIES)) < 0.2).astype(np.float32)


def tensorflow_side():
    """Variants of tfgen."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import MADE
    from tfgen.update import Step

    model = MADE((ENTRIES,), hidden=(HIDDEN, HIDDEN))
    many = MADE((ENTRIES,), hidden=(HIDDEN, HIDDEN), num_masks=8)
    few, batch = tf.constant(images(IMAGES)), {"x": tf.constant(images(BATCH))}

    def training(model, jit):
        updates = model.updates()
        step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=jit)

        @tf.function(autograph=False)
        def train(number):
            return step(lambda i, seed: batch, random.as_seed(0), number)

        def steps():
            for number in range(STEPS):
                scalars = train(tf.constant(number, tf.int64))
            return [float(s) for s in scalars.values()]

        return steps

    compiled = tf.function(model.score, autograph=False, jit_compile=True)
    return {
        "tfgen log_prob": lambda: compiled(few).numpy(),
        "tfgen sample": lambda: model.sample(IMAGES, seed=1).numpy(),
        "tfgen sample, 8 masks": lambda: many.sample(IMAGES, seed=1).numpy(),
        "tfgen training steps": training(model, model.jit_updates),
        "tfgen training steps, other XLA": training(model, not model.jit_updates),
        "tfgen training steps, 8 masks": training(many, many.jit_updates),
    }


def torch_side():
    """The same network in PyTorch."""
    import torch
    from torch import nn

    class Masked(nn.Linear):
        def __init__(self, known, degrees):
            super().__init__(len(known), len(degrees))
            self.register_buffer("mask", (known[None] <= degrees[:, None]).float())

        def forward(self, x):
            return nn.functional.linear(x, self.weight * self.mask, self.bias)

    ranks = torch.arange(ENTRIES)
    first, second = (torch.randint(1, ENTRIES, (HIDDEN,)) for _ in range(2))
    network = nn.Sequential(
        Masked(ranks + 1, first), nn.ReLU(), Masked(first, second), nn.ReLU(), Masked(second, ranks)
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    x = torch.tensor(images(BATCH))

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(network(x), x, reduction="sum") / BATCH
            loss.backward()
            optimizer.step()
        return loss.item()

    @torch.no_grad()
    def passes():
        drawn = torch.zeros(IMAGES, ENTRIES)
        for i in range(PASSES):
            drawn[:, i] = torch.bernoulli(torch.sigmoid(network(drawn)[:, i]))

    return {"torch training steps": steps, "torch passes": passes}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.made"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    ratio = result.ratio
    steps = ratio("torch training steps", "tfgen training steps")
    measure.report("MADE: torch training step / tfgen's", steps, 1, at_most=False)
    passes = ratio("torch passes", "tfgen sample") * ENTRIES / PASSES
    measure.report("MADE: torch's 784 passes / sample, 64 images", passes, 5, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
