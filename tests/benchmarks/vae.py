"""MLP VAE and IWAE training against pythae's trainer and against a plain PyTorch loop with its DataLoader.

python -m tests.benchmarks.vae

784-512-2x16 and back, Bernoulli, Adam, batch 128; a round is one pass over 12,800 random binary images. IWAE
with 5 samples of z, a fifth of the images a round.
"""

import math
import tempfile

import numpy as np

from tests.benchmarks import measure

SIZE, BATCH, STEPS, ROUNDS = (28, 28), 128, 100, 7
SAMPLES, IWAE_STEPS = 5, 20


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
    iwae = VAE(shape, objective="iwae", num_samples=SAMPLES)
    return {
        "tfgen": measure.training(VAE(shape), data, BATCH, "adam", STEPS),
        "tfgen, IWAE": measure.training(iwae, data, BATCH, "adam", IWAE_STEPS),
    }


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

        def importance_weighted(self, x):
            mean, log_var = self.encoder(x).chunk(2, dim=1)
            noise = torch.randn(SAMPLES, *mean.shape)
            z = mean + torch.exp(0.5 * log_var) * noise
            logits = self.decoder(z)
            log_p = -functional.binary_cross_entropy_with_logits(
                logits, x.expand_as(logits), reduction="none"
            ).sum(-1)
            log_w = log_p + 0.5 * (noise**2 + log_var - z**2).sum(-1)
            return -(torch.logsumexp(log_w, dim=0) - math.log(SAMPLES)).mean()

    return Network()


def torch_side():
    """A plain PyTorch loop, and pythae's trainer with its own DataLoader and callbacks."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.tensor(images(), dtype=torch.float32)
    network = torch_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loader = DataLoader(TensorDataset(x.reshape(-1, 784)), BATCH, shuffle=True)

    few = DataLoader(TensorDataset(x[: IWAE_STEPS * BATCH].reshape(-1, 784)), BATCH, shuffle=True)

    def plain(loader, loss):
        for (batch,) in loader:
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

    def theirs(model, x):
        config = BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            num_epochs=1,
            learning_rate=1e-3,
            per_device_train_batch_size=BATCH,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        trainer = BaseTrainer(model, BaseDataset(x[:, None], torch.zeros(len(x))), training_config=config)
        trainer.prepare_training()
        return lambda: trainer.train_step(epoch=1)

    options = {"input_dim": (1, *SIZE), "latent_dim": 16, "reconstruction_loss": "bce"}
    iwae = IWAE(IWAEConfig(number_samples=SAMPLES, **options))
    return {
        "PyTorch with DataLoader": lambda: plain(loader, network),
        "PyTorch with DataLoader, IWAE": lambda: plain(few, network.importance_weighted),
        "pythae": theirs(VAE(VAEConfig(**options)), x),
        "pythae, IWAE": theirs(iwae, x[: IWAE_STEPS * BATCH]),
    }


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.vae"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS, warmup=2)
    print(result.table())
    for model in ("", ", IWAE"):
        for library, target in {"pythae": 1.8, "PyTorch with DataLoader": 1.3}.items():
            ratio = result.ratio(f"{library}{model}", f"tfgen{model}")
            measure.report(f"tfgen / {library}{model}, images a second", ratio, target, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
