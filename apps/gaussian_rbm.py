"""Gaussian-Bernoulli RBM (Hinton & Salakhutdinov 2006; Cho et al. 2011): real x, binary features, variances.

Whitened patches of natural images give local, oriented filters; docs/RESULTS.md shows them and says how the
patches are cut.

python -m apps.gaussian_rbm
python -m apps.gaussian_rbm --preset=patches --dataset=file:patches.npy
"""

from tfgen.cli import App

app = App(
    "tfgen.energy.GaussianBernoulliRBM",
    steps=10_000,
    batch_size=100,
    learning_rate=0.001,
    optimizer="adam",
    presets={
        "patches": {
            "num_hidden": 100,
            "estimator": "cd",
            "optimizer": "sgd:momentum=0.9",
            "learning_rate": 0.05,
            "schedule": "cosine",
            "steps": 15_000,
        },
        "mnist": {"dataset": "mnist", "num_hidden": 500, "steps": 30_000},
    },
)

if __name__ == "__main__":
    app.run()
