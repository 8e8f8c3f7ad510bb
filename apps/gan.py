"""Generative adversarial network of dense layers (Goodfellow et al. 2014).

Rough digits after 3,000 steps, in about a minute on two cores; apps.dcgan draws better ones. With
--preset=gaussians25 the data are points of 25 Gaussians in the plane.

python -m apps.gan --loss=minimax
"""

from tfgen.cli import App

app = App(
    "tfgen.adversarial.GAN",
    dataset="digits",
    steps=3000,
    batch_size=64,
    learning_rate=5e-4,
    # The last steps' own weights swing about, and with them what the samples are worth.
    ema=0.999,
    optimizer={"name": "adam", "beta_1": 0.5},
    presets={
        "gaussians25": {
            "dataset": "gaussians25",
            "latent_size": 4,
            "hidden": (128, 128, 128),
            "steps": 6000,
            "batch_size": 256,
            "learning_rate": 1e-3,
            "ema": None,
        },
    },
)

if __name__ == "__main__":
    app.run()
