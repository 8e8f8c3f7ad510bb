"""WaveNet: drawing a second of sound against recomputing the receptive field; training against PyTorch.

python -m tests.benchmarks.wavenet

Both sides: 10 layers of 32 filters, skip connections of 64, 256 levels as one-hot vectors, batches of 8
windows of 1,024 samples, Adam. Of the 8,000 passes over a receptive field a part is timed and scaled.
"""

import numpy as np

from tests.benchmarks import measure

DRAWN, PASSES, WINDOW, BATCH = 8000, 80, 1024, 8
FILTERS, LAYERS, HEAD, LEVELS = 32, 10, 64, 256
ROUNDS, STEPS = 5, 2


def windows():
    """A batch of random levels."""
    return np.random.default_rng(0).integers(0, LEVELS, (BATCH, WINDOW))


def tensorflow_side():
    """Variants of tfgen, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import WaveNet
    from tfgen.update import Step

    model = WaveNet()
    x, updates = tf.constant(windows(), tf.float32), model.updates()
    step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=model.jit_updates)
    forward = tf.function(model.raw, autograph=False)
    field = x[:1, : model.receptive_field]
    plain = tf.function(
        model.sample_rows, input_signature=[tf.TensorSpec([None, 2], tf.int32)], autograph=False
    )
    seeds = random.rows(random.as_seed(1), 1)

    @tf.function(autograph=False)
    def train(number):
        return step(lambda i, seed: {"x": x}, random.as_seed(0), number)

    def steps():
        for number in range(STEPS):
            scalars = train(tf.constant(number, tf.int64))
        return [float(s) for s in scalars.values()]

    def passes():
        for _ in range(PASSES):
            raw = forward(field)
        return raw.numpy()

    return {
        "tfgen sample 8000": lambda: model.sample(1, seed=1).numpy(),
        "tfgen sample 8000 without XLA": lambda: plain(seeds).numpy(),
        "tfgen passes": passes,
        "tfgen training steps": steps,
    }


def torch_network():
    """The same network in PyTorch, after the paper."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Layer(nn.Module):
        def __init__(self, dilation, last):
            super().__init__()
            self.pad, self.last = dilation, last
            self.conv = nn.Conv1d(FILTERS, 2 * FILTERS, 2, dilation=dilation)
            self.out = nn.Conv1d(FILTERS, HEAD if last else HEAD + FILTERS, 1)

        def forward(self, h):
            a, b = self.conv(functional.pad(h, (self.pad, 0))).chunk(2, 1)
            out = self.out(torch.tanh(a) * torch.sigmoid(b))
            return h if self.last else h + out[:, HEAD:], out[:, :HEAD]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(LEVELS, FILTERS, 2)
            self.layers = nn.ModuleList(Layer(2**i, i == LAYERS - 1) for i in range(LAYERS))
            self.head, self.last = nn.Conv1d(HEAD, HEAD, 1), nn.Conv1d(HEAD, LEVELS, 1)

        def forward(self, x):
            one_hot = functional.one_hot(x, LEVELS).float().transpose(1, 2)
            h, skip = self.first(functional.pad(one_hot, (2, 0))[:, :, :-1]), 0.0
            for layer in self.layers:
                h, more = layer(h)
                skip = skip + more
            return self.last(torch.relu(self.head(torch.relu(skip))))  # [B, levels, T]

    return Network()


def torch_side():
    """Variants of PyTorch."""
    import torch

    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    x = torch.tensor(windows())

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x), x)
            loss.backward()
            optimizer.step()
        return loss.item()

    return {"torch training steps": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.wavenet"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    scale = DRAWN / PASSES
    compiled = scale * result.ratio("tfgen passes", "tfgen sample 8000")
    measure.report("recomputing the receptive field / drawing, 8,000 samples", compiled, 100, at_most=False)
    plain = scale * result.ratio("tfgen passes", "tfgen sample 8000 without XLA")
    measure.report("the same without XLA", plain, 1, at_most=False)
    steps = result.ratio("torch training steps", "tfgen training steps")
    measure.report("torch training step / tfgen's, batch 8 x 1,024", steps, 1, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
