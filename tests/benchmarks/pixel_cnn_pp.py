"""PixelCNN++: drawing images against forward passes, and training steps against PyTorch.

python -m tests.benchmarks.pixel_cnn_pp

PyTorch's side is the same network: the same convolutions in the same order, the same mixture.
"""

import numpy as np

from tests.benchmarks import measure

ROUNDS, STEPS, BATCH = 5, 2, 16
SHAPE, LEVELS = (28, 28, 1), 256


def tensorflow_side():
    """Variants of tfgen, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import PixelCNNPlusPlus
    from tfgen.update import Step

    model = PixelCNNPlusPlus(SHAPE, num_values=LEVELS)
    color = PixelCNNPlusPlus((32, 32, 3), num_values=LEVELS)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, LEVELS, (BATCH, *SHAPE)), tf.float32)
    colored = tf.constant(rng.integers(0, LEVELS, (16, 32, 32, 3)), tf.float32)
    forward = [tf.function(m.raw, autograph=False) for m in (model, color)]
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
        "tfgen forward 16": lambda: forward[0](images[:16]).numpy(),
        "tfgen sample 16": lambda: model.sample(16, seed=1).numpy(),
        "tfgen forward 16 of 32x32x3": lambda: forward[1](colored).numpy(),
        "tfgen sample 16 of 32x32x3": lambda: color.sample(16, seed=1).numpy(),
        "tfgen training steps": steps,
    }


def torch_network(filters=64, num_blocks=2, components=5, resolutions=3):
    """The same network in PyTorch, after the paper."""
    import torch
    from torch import nn
    from torch.nn import functional

    def elu(h):
        return functional.elu(torch.cat([h, -h], 1))

    class Shifted(nn.Module):
        def __init__(self, inputs, outputs, size, down, stride=1, strict=False):
            super().__init__()
            left, top = size[1] // 2 if down else size[1] - 1, size[0] - 1
            self.pad = [left, left if down else 0, top, 0]
            if strict:
                self.pad = [left, left, top + 1, -1] if down else [left + 1, -1, top, 0]
            self.convolution = nn.Conv2d(inputs, outputs, size, stride)

        def forward(self, x):
            return self.convolution(functional.pad(x, self.pad))

    class Gated(nn.Module):
        def __init__(self, down, sides):
            super().__init__()
            size = (2, 3) if down else (2, 2)
            self.first = Shifted(2 * filters, filters, size, down)
            self.side = nn.Conv2d(2 * filters * sides, filters, 1, bias=False) if sides else None
            self.second = Shifted(2 * filters, 2 * filters, size, down)

        def forward(self, h, *sides):
            hidden = self.first(elu(h))
            if sides:
                hidden = hidden + self.side(torch.cat([elu(s) for s in sides], 1))
            a, b = self.second(elu(hidden)).chunk(2, 1)
            return h + a * torch.sigmoid(b)

    def pairs(count, shortcut):
        made = [nn.ModuleList([Gated(True, shortcut), Gated(False, 1 + shortcut)]) for _ in range(count)]
        return nn.ModuleList(made)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            inputs, self.levels = SHAPE[2] + 1, nn.ModuleList()
            self.enter = nn.ModuleList(
                [
                    Shifted(inputs, filters, (2, 3), True, strict=True),
                    Shifted(inputs, filters, (1, 3), True, strict=True),
                    Shifted(inputs, filters, (2, 1), False, strict=True),
                ]
            )
            for k in range(resolutions):
                lowest = k == resolutions - 1
                level = nn.ModuleDict({"encode": pairs(num_blocks, 0)})
                level["decode"] = pairs(num_blocks + (not lowest), 1)
                if not lowest:
                    sizes = ((2, 3), True), ((2, 2), False)
                    shrink = [Shifted(filters, filters, size, down, 2) for size, down in sizes]
                    grow = [nn.ConvTranspose2d(filters, filters, size, 2) for size, _ in sizes]
                    level["shrink"], level["grow"] = nn.ModuleList(shrink), nn.ModuleList(grow)
                self.levels.append(level)
            self.last = nn.Conv2d(filters, 3 * components, 1)

        def through(self, k, down, right):
            level, kept, (height, width) = self.levels[k], [(down, right)], down.shape[2:]
            for first, second in level["encode"]:
                down = first(down)
                right = second(right, down)
                kept.append((down, right))
            if "shrink" in level:
                low = [shrink(h) for shrink, h in zip(level["shrink"], (down, right), strict=True)]
                low = self.through(k + 1, *low)
                down, right = (grow(h) for grow, h in zip(level["grow"], low, strict=True))
                down, right = down[:, :, :height, 1 : width + 1], right[:, :, :height, :width]
            else:
                kept.pop()
            for first, second in level["decode"]:
                short_down, short_right = kept.pop()
                down = first(down, short_down)
                right = second(right, down, short_right)
            return down, right

        def forward(self, x):
            x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
            down, above, left = (layer(x) for layer in self.enter)
            return self.last(functional.elu(self.through(0, down, above + left)[1]))

    return Network()


def torch_log_prob(raw, x):
    """Mixture of discretized logistics of one channel, x in [-1, 1]."""
    import torch
    from torch.nn import functional

    logits, loc, log_scale = raw.chunk(3, 1)
    inverse, half = torch.exp(-log_scale.clamp(-7.0, 7.0)), 1.0 / (LEVELS - 1)
    above, below = inverse * (x - loc + half), inverse * (x - loc - half)
    mass = torch.log(-torch.expm1(-2.0 * half * inverse))
    top, bottom = x > 1.0 - half, x < -1.0 + half
    zero = torch.zeros(())
    log_mass = torch.where(top, zero, functional.logsigmoid(above))
    log_mass = log_mass + torch.where(bottom, zero, functional.logsigmoid(-below))
    log_mass = log_mass + torch.where(top | bottom, zero, mass)
    return torch.logsumexp(torch.log_softmax(logits, 1) + log_mass, 1)


def torch_side():
    """Variants of PyTorch."""
    import torch

    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    images = torch.randint(0, LEVELS, (BATCH, 1, *SHAPE[:2])).float() * (2.0 / (LEVELS - 1)) - 1.0

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = -torch_log_prob(network(images), images).sum() / BATCH
            loss.backward()
            optimizer.step()
        return loss.item()

    return {"torch training steps": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.pixel_cnn_pp"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    for size in ("", " of 32x32x3"):
        ratio = result.ratio(f"tfgen sample 16{size}", f"tfgen forward 16{size}")
        measure.report(f"sample 16{size} / forward 16{size}", ratio, 8)
    steps = result.ratio("torch training steps", "tfgen training steps")
    measure.report("torch training step / tfgen's, batch 16", steps, 1.0, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
