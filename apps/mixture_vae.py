"""VAE with a mixture of Gaussians as its posterior, by samples of each (Morningstar et al. 2020).

python -m apps.mixture_vae
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.MixturePosteriorVAE",
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
        "mnist": {"dataset": "mnist", "binarize": "fixed", "steps": 20_000, "importance_samples": 500},
    },
)

if __name__ == "__main__":
    app.run()
