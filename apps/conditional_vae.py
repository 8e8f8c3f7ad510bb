"""Conditional variational autoencoder (Sohn, Lee & Yan 2015): samples of a class, or of any vector.

python -m apps.conditional_vae
python -m apps.conditional_vae sample --run_dir=runs/conditional_vae --label=3
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.ConditionalVAE",
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
