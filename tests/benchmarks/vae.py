"""MLP VAE training against pythae's trainer and against a plain PyTorch loop with its DataLoader.

python -m tests.benchmarks.vae

784-512-2x16 and back, Bernoulli, Adam, batch 128; a round is one pass over 12,800 random binary images.
"""

import tempfile

import numpy as np

from tests.benchmarks import measure

SIZE, BATCH, STEPS, ROUNDS = (28, 28), 128, 100, 7


def images():
    """The same random binary images for everybody, uint8."""
    return (np.random.default_rng(0).random((STEPS * BATCH, *SIZE)) < 0.2).astype(np.uint8)


def tensorflow_side():
    """tfgen's training loop at its defaults."""
    from tfgen.data import Data, Split
    from tfgen.variational import VAE

    x = images()[..., None]
    split, shape = Split(x), (*SIZE, 1)
    data = Data("random", "image", shape, 2, 2, None, None, split, Split(x[:BATCH]), Split(x[:BATCH]))
    model = VAE(shape)
    return {"tfgen": measure.training(model, data, BATCH, "adam", STEPS)}


def torch_network():
    """The same network in PyTorch; its forward pass returns the loss."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Network(nn.Module):
        def __init__(self, pixels=784, hidden=512, latent=16):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
            self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

        def forward(self, x):
            mean, log_var = self.encoder(x).chunk(2, dim=1)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            logits = self.decoder(z)
            reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_var - mean**2 - log_var.exp())
            return (reconstruction + kl) / len(x)

    return Network()


def torch_side():
    """A plain PyTorch loop, and pythae's trainer with its own DataLoader and callbacks."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.tensor(images(), dtype=torch.float32)
    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loader = DataLoader(TensorDataset(x.reshape(-1, 784)), BATCH, shuffle=True)

    def plain():
        for (batch,) in loader:
            optimizer.zero_grad()
            network(batch).backward()
            optimizer.step()

    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        learning_rate=1e-3,
        per_device_train_batch_size=BATCH,
        optimizer_cls="Adam",
        no_cuda=True,
    )
    model = VAE(VAEConfig(input_dim=(1, *SIZE), latent_dim=16, reconstruction_loss="bce"))
    trainer = BaseTrainer(model, BaseDataset(x[:, None], torch.zeros(len(x))), training_config=config)
    trainer.prepare_training()
    return {"PyTorch with DataLoader": plain, "pythae": lambda: trainer.train_step(epoch=1)}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.vae"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS, warmup=2)
    print(result.table())
    for variant, target in {"pythae": 1.8, "PyTorch with DataLoader": 1.3}.items():
        ratio = result.ratio(variant, "tfgen")
        measure.report(f"tfgen / {variant}, images a second", ratio, target, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
