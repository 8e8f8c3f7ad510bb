"""DCGAN: a training step (discriminator, then generator) on 28x28 pictures against PyTorch.

python -m tests.benchmarks.dcgan

PyTorch's side has the same layers (7x7x128 - 14x14x64 - 28x28x1, kernels of 4, stride 2, batch
norm), NCHW, and the same algorithm: new noise for each player. Its tutorial's habit, the
generator's pictures made once and used for both players, is timed beside it.
"""

from tests.benchmarks import measure

BATCH, LATENT, STEPS, ROUNDS = 64, 64, 10, 5


def tensorflow_side():
    """Variants of tfgen, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.adversarial import DCGAN
    from tfgen.update import Step

    seed = random.as_seed(0)
    images = tf.tanh(random.normal(seed, (BATCH, 28, 28, 1)))

    def training_steps(jit):
        model = DCGAN((28, 28, 1), latent_size=LATENT)
        updates = model.updates()
        optimizers = {u.name: keras.optimizers.Adam(2e-4, beta_1=0.5) for u in updates}
        step = Step(updates, optimizers, jit=jit)

        @tf.function
        def train(number):
            return step(lambda i, seed: {"x": images}, seed, number)

        def run():
            for number in range(STEPS):
                scalars = train(tf.constant(number, tf.int64))
            return float(scalars["generator/loss"])

        return run

    return {"tfgen step": training_steps(DCGAN.jit_updates), "tfgen step with XLA": training_steps(True)}


def torch_networks():
    """The same two networks in PyTorch."""
    from torch import nn

    generator = nn.Sequential(
        nn.Linear(LATENT, 128 * 7 * 7, bias=False),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(True),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(True),
        nn.ConvTranspose2d(64, 1, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1),
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2, True),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, 1),
    )
    return generator, discriminator


def torch_side():
    """Variants of PyTorch."""
    import torch
    from torch.nn.functional import softplus

    images = torch.tanh(torch.randn(BATCH, 1, 28, 28))

    def training_steps(reuse):
        generator, discriminator = torch_networks()
        optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
            for network in (discriminator, generator)
        ]

        def run():
            for _ in range(STEPS):
                optimizers[0].zero_grad()
                with torch.set_grad_enabled(reuse):
                    fake = generator(torch.randn(BATCH, LATENT))
                loss = softplus(-discriminator(images)).mean()
                loss = loss + softplus(discriminator(fake.detach())).mean()
                loss.backward()
                optimizers[0].step()
                optimizers[1].zero_grad()
                if not reuse:
                    fake = generator(torch.randn(BATCH, LATENT))
                loss = softplus(-discriminator(fake)).mean()
                loss.backward()
                optimizers[1].step()
            return loss.item()

        return run

    return {"torch step": training_steps(False), "torch step reusing pictures": training_steps(True)}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.dcgan"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    ratio = result.ratio("torch step", "tfgen step")
    measure.report("torch DCGAN step / tfgen's, batch 64", ratio, 1, at_most=False)
    reused = result.ratio("torch step reusing pictures", "tfgen step")
    print(f"for comparison: torch with pictures reused / tfgen's: {reused:.2f}")
    xla = result.ratio("tfgen step with XLA", "tfgen step")
    print(f"for comparison: tfgen with XLA / without: {xla:.2f}")


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
