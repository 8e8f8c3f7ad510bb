"""PixelVAE (Gulrajani et al. 2016): a VAE whose likelihood is a PixelCNN, and whose z is still in use.

python -m apps.pixel_vae --latent_size=16
python -m apps.pixel_vae --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.PixelVAE",
    dataset="digits",
    binarize="threshold",
    steps=600,
    batch_size=64,
    learning_rate=1e-3,
    latent_size=16,
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "steps": 14_000,
            "batch_size": 32,
            "learning_rate": 1e-3,
            "ema": 0.998,
            "beta_warmup": 2000,
            "importance_samples": 100,
        },
    },
)

if __name__ == "__main__":
    app.run()
