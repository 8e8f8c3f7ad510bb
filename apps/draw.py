"""DRAW (Gregor et al. 2015): pictures drawn step by step, attention for reading and writing.

On MNIST: 84.0 nats (bound, K=20) in 19 minutes on one core.

python -m apps.draw --num_steps=16
python -m apps.draw --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.DRAW",
    binarize="threshold",
    steps=2000,
    batch_size=100,
    learning_rate=2e-3,
    clip_norm=5.0,
    importance_samples=20,
    own_data={
        "levels": {"likelihood": "discretized_logistic"},
        "real": {"likelihood": "gaussian"},
    },
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "num_steps": 16,
            "latent_size": 32,
            "units": 256,
            "read_size": 5,
            "write_size": 5,
            "steps": 12_000,
            "schedule": "cosine",
        },
        # Gregor et al.'s table 3 for MNIST.
        "paper": {
            "num_steps": 64,
            "latent_size": 100,
            "units": 256,
            "read_size": 2,
            "write_size": 5,
            "learning_rate": 1e-3,
        },
    },
)

if __name__ == "__main__":
    app.run()
