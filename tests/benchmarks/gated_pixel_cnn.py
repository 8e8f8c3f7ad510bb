"""Gated PixelCNN: drawing images against forward passes, and training steps against PyTorch.

python -m tests.benchmarks.gated_pixel_cnn

PyTorch's side is the same network: the same cropped convolutions, links, gates and skip connections.
"""

import numpy as np

from tests.benchmarks import measure

ROUNDS, STEPS, BATCH = 5, 2, 32


def tensorflow_side():
    """Variants of tfgen, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import GatedPixelCNN
    from tfgen.update import Step

    model = GatedPixelCNN((28, 28, 1))
    images = tf.constant(np.random.default_rng(0).integers(0, 2, (BATCH, 28, 28, 1)), tf.float32)
    forward = tf.function(model.raw, autograph=False)
    updates = model.updates()
    step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=model.jit_updates)

    @tf.function(autograph=False)
    def train(number):
        return step(lambda i, seed: {"x": images}, random.as_seed(0), number)

    def steps():
        for number in range(STEPS):
            scalars = train(tf.constant(number, tf.int64))
        return [float(s) for s in scalars.values()]

    return {
        "tfgen forward 16": lambda: forward(images[:16]).numpy(),
        "tfgen sample 16": lambda: model.sample(16, seed=1).numpy(),
        "tfgen training steps": steps,
    }


def torch_network(filters=32, num_layers=8, head=32):
    """The same network in PyTorch, after the paper."""
    import torch
    from torch import nn
    from torch.nn import functional

    def gated(h):
        a, b = h.chunk(2, 1)
        return torch.tanh(a) * torch.sigmoid(b)

    class Layer(nn.Module):
        def __init__(self, inputs, size, first, last):
            super().__init__()
            self.radius, self.first, self.last = size // 2, first, last
            self.vertical = nn.Conv2d(inputs, 2 * filters, (self.radius + (not first), size))
            self.link = nn.Conv2d(2 * filters, 2 * filters, 1, bias=False)
            self.horizontal = nn.Conv2d(inputs, 2 * filters, (1, self.radius + (not first)))
            self.skip = nn.Conv2d(filters, head, 1)
            self.residual = None if last else nn.Conv2d(filters, filters, 1)

        def forward(self, v, h):
            r, crop = self.radius, -int(self.first)
            above = self.vertical(functional.pad(v, [r, r, r, crop]))
            out = gated(self.horizontal(functional.pad(h, [r, crop, 0, 0])) + self.link(above))
            if self.last:
                return None, None, self.skip(out)
            residual = self.residual(out)
            return gated(above), residual if self.first else residual + h, self.skip(out)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            last = num_layers - 1
            layers = [Layer(filters if i else 1, 3 if i else 7, i == 0, i == last) for i in range(num_layers)]
            self.layers = nn.ModuleList(layers)
            self.head, self.last = nn.Conv2d(head, head, 1), nn.Conv2d(head, 1, 1)

        def forward(self, x):
            v, h, skip = x, x, 0.0
            for layer in self.layers:
                v, h, more = layer(v, h)
                skip = skip + more
            return self.last(torch.relu(self.head(torch.relu(skip))))

    return Network()


def torch_side():
    """Variants of PyTorch."""
    import torch

    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    images = torch.randint(0, 2, (BATCH, 1, 28, 28)).float()

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits = network(2.0 * images - 1.0)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, images, reduction="sum")
            (loss / BATCH).backward()
            optimizer.step()
        return loss.item()

    return {"torch training steps": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.gated_pixel_cnn"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    measure.report("sample 16 / forward 16", result.ratio("tfgen sample 16", "tfgen forward 16"), 4)
    steps = result.ratio("torch training steps", "tfgen training steps")
    measure.report("torch training step / tfgen's, batch 32", steps, 1.0, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
