"""Autoencoder, denoising too (Vincent et al. 2010): codes, reconstructions, a classifier from few labels.

python -m apps.autoencoder --corruption=mask --corruption_level=0.4
python -m apps.autoencoder --hidden= --output=linear
python -m apps.autoencoder --preset=few_labels
python -m apps.autoencoder --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.Autoencoder",
    steps=2000,
    batch_size=100,
    learning_rate=1e-3,
    own_data={"real": {"output": "linear"}},
    presets={
        "few_labels": {
            "num_labels": 100,
            "corruption": "mask",
            "corruption_level": 0.4,
            "fine_tune": 0.2,
            "steps": 2400,
        },
        "mnist": {
            "dataset": "mnist",
            "hidden": (1000, 500),
            "corruption": "mask",
            "num_labels": 100,
            "fine_tune": 0.05,
            "steps": 21_000,
        },
    },
)

if __name__ == "__main__":
    app.run()
