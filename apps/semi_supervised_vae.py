"""Semi-supervised VAE (Kingma et al. 2014, M2): a classifier from 100 labels, samples of any class.

On the 8x8 digits with 100 labels: 11.4 % of the test labels not found.

python -m apps.semi_supervised_vae --num_labels=50
python -m apps.semi_supervised_vae --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.SemiSupervisedVAE",
    binarize="threshold",
    num_labels=100,
    steps=2000,
    batch_size=100,
    learning_rate=1e-3,
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (500,),
            "classifier_hidden": (500,),
            "latent_size": 50,
            "steps": 20_000,
        },
    },
)

if __name__ == "__main__":
    app.run()
