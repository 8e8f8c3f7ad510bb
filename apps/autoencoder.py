"""Autoencoder, denoising too (Vincent et al. 2010): codes, reconstructions, a classifier from few labels.

On the 8x8 digits with 100 labels (--preset=few_labels): 7.5 % of the test labels not found.

python -m apps.autoencoder --corruption=mask --corruption_level=0.4
python -m apps.autoencoder --hidden= --output_activation=linear
python -m apps.autoencoder --preset=few_labels
python -m apps.autoencoder --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.Autoencoder",
    steps=2000,
    batch_size=100,
    learning_rate=1e-3,
    own_data={"real": {"output_activation": "linear"}},
    presets={
        "few_labels": {
            "num_labels": 100,
            "hidden": (256, 256, 128),
            "activation": "tanh",
            "corruption": "salt_and_pepper",
            "corruption_level": 0.3,
            "fine_tune": 0.1,
            "steps": 3300,
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
