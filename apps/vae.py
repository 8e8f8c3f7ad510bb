"""Variational autoencoder (Kingma & Welling 2013): samples, codes, a lower bound of log p(x).

On the 8x8 digits: 17.4 nats (bound, K=100, test split) after 2,000 steps, 17 s in all on two cores. On MNIST:
89.1 nats (bound, K=500) in 18 minutes on one core.

python -m apps.vae --latent_size=16
python -m apps.vae --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.VAE",
    dataset="digits",
    binarize="threshold",
    steps=2000,
    batch_size=128,
    learning_rate=1e-3,
    own_data={
        "levels": {"likelihood": "discretized_logistic"},
        "real": {"likelihood": "gaussian"},
    },
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (500, 500),
            "latent_size": 50,
            # With it 25 of 50 latent variables stay active, without it (and in 100,000 steps) 16.
            "beta_warmup": 20_000,
            # What keeps it from learning its 50,000 images by heart: worth 2 nats of the ELBO.
            "optimizer": "adamw:weight_decay=0.1",
            "steps": 150_000,
            "schedule": "cosine",
            "importance_samples": 500,
        },
        # Kingma & Welling's MNIST decoder and encoder, with their tanh.
        "paper": {"hidden": (500,), "activation": "tanh", "latent_size": 20, "batch_size": 100},
        # Burda, Grosse & Salakhutdinov 2015, to go on from a run of "mnist": --start_from=RUN.
        "iwae": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (500, 500),
            "latent_size": 50,
            "objective": "iwae",
            "num_samples": 5,
            "optimizer": "adamw:weight_decay=0.1",
            "batch_size": 100,
            "learning_rate": 5e-4,
            "steps": 48_000,
            "schedule": "cosine",
            "importance_samples": 500,
        },
    },
)

if __name__ == "__main__":
    app.run()
