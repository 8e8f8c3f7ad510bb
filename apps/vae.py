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
            "steps": 150_000,
            "schedule": "cosine",
            "importance_samples": 500,
        },
        # Kingma & Welling's MNIST decoder and encoder, with their tanh.
        "paper": {"hidden": (500,), "activation": "tanh", "latent_size": 20, "batch_size": 100},
        # Burda, Grosse & Salakhutdinov 2015, one stochastic layer, k = 50; the paper has tanh and 90 times as
        # many passes.
        "iwae": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (200, 200),
            "latent_size": 50,
            "objective": "iwae",
            "num_samples": 50,
            "batch_size": 100,
            "steps": 18_000,
            "schedule": "cosine",
            "importance_samples": 500,
        },
    },
)

if __name__ == "__main__":
    app.run()
