"""VQ-VAE: training steps of the autoencoder against PyTorch's of the same layers.

python -m tests.benchmarks.vq_vae

28x28 images, 7x7 codes of 64, codebook by averages, Adam, batch 64; a round is ten steps.
"""

import numpy as np

from tests.benchmarks import measure

ROUNDS, STEPS, BATCH = 7, 10, 64


def images():
    """The same random binary images for everybody, uint8."""
    return (np.random.default_rng(0).random((STEPS * BATCH, 28, 28, 1)) < 0.2).astype(np.uint8)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen.data import Data, Split
    from tfgen.variational import VQVAE

    x = images()
    split, shape = Split(x), x.shape[1:]
    data = Data("random", "image", shape, 2, 2, None, None, split, Split(x[:BATCH]), Split(x[:BATCH]))
    # A round stays within the first stage.
    return {"tfgen": measure.training(VQVAE(shape), data, BATCH, "adam", STEPS)}


def torch_network(num_codes=64, size=16, filters=64, hidden=32, decay=0.99, commitment=0.25):
    """The same network in PyTorch; its forward pass moves the codebook and returns the loss."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(filters, hidden, 3, padding=1), nn.Conv2d(hidden, filters, 1)

        def forward(self, h):
            return h + self.two(torch.relu(self.one(torch.relu(h))))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            half = filters // 2
            self.encoder = nn.Sequential(
                nn.Conv2d(1, half, 4, 2, 1),
                nn.ReLU(),
                nn.Conv2d(half, filters, 4, 2, 1),
                nn.ReLU(),
                nn.Conv2d(filters, filters, 3, padding=1),
                Block(),
                Block(),
                nn.ReLU(),
                nn.Conv2d(filters, size, 1),
            )
            self.decoder = nn.Sequential(
                nn.Conv2d(size, filters, 3, padding=1),
                Block(),
                Block(),
                nn.ReLU(),
                nn.ConvTranspose2d(filters, half, 4, 2, 1),
                nn.ReLU(),
                nn.ConvTranspose2d(half, 1, 4, 2, 1),
            )
            codes = torch.randn(num_codes, size)
            self.register_buffer("usage", torch.full((num_codes,), 1.0 / num_codes))
            self.register_buffer("sums", codes / num_codes)

        def forward(self, x):
            z = self.encoder(2.0 * x - 1.0).permute(0, 2, 3, 1)
            flat, codes = z.reshape(-1, size), self.sums / self.usage[:, None]
            with torch.no_grad():
                k = (0.5 * (codes**2).sum(1) - flat @ codes.t()).argmin(1)
                ones = torch.ones(len(k))
                usage = torch.zeros(num_codes).index_add_(0, k, ones) / len(k) + 1e-10
                sums = torch.zeros_like(codes).index_add_(0, k, flat) / len(k) + 1e-10 * codes
                self.usage.mul_(decay).add_((1 - decay) * usage)
                self.sums.mul_(decay).add_((1 - decay) * sums)
            e = codes[k].reshape(z.shape)
            logits = self.decoder((z + (e - z).detach()).permute(0, 3, 1, 2))
            nats = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            return (nats + commitment * ((z - e) ** 2).sum()) / len(x)

    return Network()


def torch_side():
    """A plain PyTorch loop over tensors in memory."""
    import torch

    x = torch.tensor(images().reshape(-1, 1, 28, 28), dtype=torch.float32)
    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def steps():
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            optimizer.zero_grad()
            loss = network(x[order[start : start + BATCH]])
            loss.backward()
            optimizer.step()
        return loss.item()

    return {"torch": steps}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.vq_vae"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    measure.report(
        "VQ-VAE: torch step / tfgen's, batch 64", result.ratio("torch", "tfgen"), 1.0, at_most=False
    )


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
