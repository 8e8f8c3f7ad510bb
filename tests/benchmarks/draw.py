"""DRAW training steps against PyTorch of the same layers.

python -m tests.benchmarks.draw

28x28 Bernoulli pixels, 16 steps, LSTMs of 256, 32 latent variables a step, 5x5 filters, Adam, batch 100.
"""

import numpy as np

from tests.benchmarks import measure

SIZE, BATCH, STEPS, ROUNDS = 28, 100, 4, 7
ARGUMENTS = {"num_steps": 16, "latent_size": 32, "units": 256, "read_size": 5, "write_size": 5}


def images():
    """The same random binary images for everybody, uint8."""
    return (np.random.default_rng(0).random((STEPS * BATCH, SIZE, SIZE)) < 0.2).astype(np.uint8)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen.data import Data, Split
    from tfgen.variational import DRAW

    x, shape = images()[..., None], (SIZE, SIZE, 1)
    few = Split(x[:BATCH])
    data = Data("random", "image", shape, 2, 2, None, None, Split(x), few, few)
    return {"tfgen": measure.training(DRAW(shape, **ARGUMENTS), data, BATCH, "adam", STEPS)}


def torch_network():
    """The same network in PyTorch; its forward pass returns the loss."""
    import torch
    from torch import nn
    from torch.nn import functional

    steps, latent, units, grid = (ARGUMENTS[n] for n in ("num_steps", "latent_size", "units", "read_size"))
    places = torch.arange(1, SIZE + 1, dtype=torch.float32)
    offsets = torch.arange(1, grid + 1, dtype=torch.float32) - grid / 2 - 0.5

    def window(raw):
        gx, gy, log_variance, log_stride, log_intensity = raw.unbind(-1)
        stride = (SIZE - 1) / (grid - 1) * log_stride.exp()

        def filters(g):
            means = (SIZE + 1) / 2 * (g + 1)[:, None] + offsets * stride[:, None]
            squares = (places - means[..., None]) ** 2
            return torch.softmax(-squares / (2 * log_variance.exp()[:, None, None]), -1)

        return filters(gy), filters(gx), log_intensity.exp()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.place, self.code = nn.Linear(units, 5), nn.Linear(units, 2 * latent)
            self.writer = nn.Linear(units, 5 + grid**2)
            self.encoder, self.decoder = nn.LSTMCell(2 * grid**2 + units, units), nn.LSTMCell(latent, units)

        def forward(self, x):
            zeros = x.new_zeros(len(x), units)
            encoder, decoder = (zeros, zeros), (zeros, zeros)
            canvas, kl = torch.zeros_like(x), 0.0
            for _ in range(steps):
                h = decoder[0]
                rows, columns, intensity = window(self.place(h))
                both = torch.stack([x, x - torch.sigmoid(canvas)], 1)
                patches = rows[:, None] @ both @ columns[:, None].transpose(2, 3)
                read = (intensity[:, None, None, None] * patches).flatten(1)
                encoder = self.encoder(torch.cat([read, h], 1), encoder)
                mean, log_deviation = self.code(encoder[0]).chunk(2, 1)
                z = mean + log_deviation.exp() * torch.randn_like(mean)
                kl = kl + 0.5 * (mean**2 + (2 * log_deviation).exp() - 2 * log_deviation - 1).sum()
                decoder = self.decoder(z, decoder)
                raw = self.writer(decoder[0])
                rows, columns, intensity = window(raw[:, :5])
                patch = raw[:, 5:].reshape(-1, grid, grid)
                canvas = canvas + rows.transpose(1, 2) @ patch @ columns / intensity[:, None, None]
            loss = functional.binary_cross_entropy_with_logits(canvas, x, reduction="sum")
            return (loss + kl) / len(x)

    return Network()


def torch_side():
    """A plain PyTorch loop with its DataLoader."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.tensor(images(), dtype=torch.float32)
    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loader = DataLoader(TensorDataset(x), BATCH, shuffle=True)

    def plain():
        for (batch,) in loader:
            optimizer.zero_grad()
            network(batch).backward()
            optimizer.step()

    return {"PyTorch": plain}


def main():
    """Measures and prints the figure."""
    figures = [("PyTorch", "tfgen", "a training step", 1.0)]
    measure.race("tests.benchmarks.draw", ("tensorflow", "torch"), ROUNDS, 2, figures)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
