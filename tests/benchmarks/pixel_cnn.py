"""PixelCNN: drawing images against forward passes and against PyTorch, and training steps against PyTorch.

python -m tests.benchmarks.pixel_cnn

PyTorch's side is the same network, and the usual way of drawing from it: one pass of the whole network for
each pixel. Of the 784 passes a part is timed and scaled.
"""

import numpy as np

from tests.benchmarks import measure

PIXELS, PASSES = 28 * 28, {16: 28, 64: 14}
ROUNDS, STEPS = 5, 2


def tensorflow_side():
    """Variants of tfgen, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import PixelCNN
    from tfgen.update import Step

    model, large = PixelCNN((28, 28, 1)), PixelCNN((56, 56, 1))
    images = tf.constant(np.random.default_rng(0).integers(0, 2, (64, 28, 28, 1)), tf.float32)
    forward = tf.function(model.raw)
    plain = tf.function(
        model.sample_rows, input_signature=[tf.TensorSpec([None, 2], tf.int32)], autograph=False
    )
    updates = model.updates()
    step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=model.jit_updates)

    @tf.function(autograph=False)
    def train(number):
        return step(lambda i, seed: {"x": images}, random.as_seed(0), number)

    def steps():
        for number in range(STEPS):
            scalars = train(tf.constant(number, tf.int64))
        return [float(s) for s in scalars.values()]

    seeds = random.rows(random.as_seed(1), 16)
    return {
        "tfgen forward 16": lambda: forward(images[:16]).numpy(),
        "tfgen sample 16": lambda: model.sample(16, seed=1).numpy(),
        "tfgen sample 64": lambda: model.sample(64, seed=1).numpy(),
        "tfgen sample 16 of 56x56": lambda: large.sample(16, seed=1).numpy(),
        "tfgen sample 16 without XLA": lambda: plain(seeds).numpy(),
        "tfgen training steps": steps,
    }


def torch_network(filters=64, num_blocks=8, hidden=32, head=32):
    """The same network in PyTorch, after the paper."""
    import torch
    from torch import nn

    class Masked(nn.Conv2d):
        def __init__(self, inputs, outputs, size, center):
            super().__init__(inputs, outputs, size, padding=size // 2)
            mask = torch.ones(size * size)
            mask[size * size // 2 + center :] = 0.0
            self.register_buffer("mask", mask.reshape(1, 1, size, size))

        def forward(self, x):
            return self._conv_forward(x, self.weight * self.mask, self.bias)

    class Block(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    def block():
        layers = (nn.Conv2d(filters, hidden, 1), Masked(hidden, hidden, 3, 1), nn.Conv2d(hidden, filters, 1))
        return Block(*(part for layer in layers for part in (nn.ReLU(), layer)))

    return nn.Sequential(
        Masked(1, filters, 7, 0),
        *(block() for _ in range(num_blocks)),
        nn.ReLU(),
        nn.Conv2d(filters, head, 1),
        nn.ReLU(),
        nn.Conv2d(head, 1, 1),
    )


def torch_side():
    """Variants of PyTorch."""
    import torch

    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    images = torch.randint(0, 2, (64, 1, 28, 28)).float()

    @torch.no_grad()
    def draw(num):
        x = torch.zeros(num, 1, 28, 28)
        for i in range(PASSES[num]):
            row, column = divmod(i, 28)
            probs = torch.sigmoid(network(2.0 * x - 1.0)[:, 0, row, column])
            x[:, 0, row, column] = torch.bernoulli(probs)

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits = network(2.0 * images - 1.0)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, images, reduction="sum") / 64
            loss.backward()
            optimizer.step()
        return loss.item()

    return {
        "torch passes 16": lambda: draw(16),
        "torch passes 64": lambda: draw(64),
        "torch training steps": steps,
    }


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.pixel_cnn"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    sample, ratio = "tfgen sample 16", result.ratio
    measure.report("sample 16 / forward 16", ratio(sample, "tfgen forward 16"), 4)
    measure.report("sample 56x56 / 28x28", ratio("tfgen sample 16 of 56x56", sample), 4.5)
    measure.report(
        "without XLA: sample 16 / forward 16", ratio("tfgen sample 16 without XLA", "tfgen forward 16"), 60
    )
    for num, target in {16: 200, 64: 500}.items():
        passes = ratio(f"torch passes {num}", f"tfgen sample {num}") * PIXELS / PASSES[num]
        measure.report(f"torch's 784 passes / sample, {num} images", passes, target, at_most=False)
    steps = ratio("torch training steps", "tfgen training steps")
    measure.report("torch training step / tfgen's, batch 64", steps, 1.5, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
