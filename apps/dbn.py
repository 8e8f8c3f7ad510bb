"""Deep belief net (Hinton, Osindero & Teh 2006): layers of RBMs, one trained after the other.

python -m apps.dbn --hidden=128,128
python -m apps.dbn --fine_tuning=discriminative --num_labels=100
python -m apps.dbn --preset=mnist --data_dir=...
"""

from tfgen.cli import App

_LAYER, _CLASSIFIER = {"name": "sgd", "learning_rate": 0.05}, {"name": "adam", "learning_rate": 1e-3}

app = App(
    "tfgen.energy.DeepBeliefNet",
    binarize="threshold",
    steps=20_000,
    batch_size=100,
    learning_rate=0.02,
    optimizer="sgd",
    ema=0.998,
    presets={
        # Salakhutdinov & Murray 2008: 500 and 2,000 hidden units, a bound of 84.55 nats by AIS.
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (500, 2000),
            # The upper layer leaves the data at the lower one's rate: log Z finds its mass elsewhere.
            "optimizer": {
                "layer_1": {"name": "sgd", "learning_rate": 0.02},
                "layer_2": {"name": "sgd", "learning_rate": 0.005},
            },
            "schedule": "linear",
            "ema": 0.999,
            "steps": 360_000,
        },
        # Labels at the top and wake-sleep after the layers: 1.25 % errors on MNIST (Hinton et al. 2006).
        "paper": {
            "hidden": (500, 500, 2000),
            "condition": "label",
            "estimator": "cd",
            "fine_tuning": "up_down",
            "learning_rate": 0.05,
            "steps": 240_000,
        },
        # All labels of the training split, by backpropagation after the layers: about 1.2 % errors.
        "discriminative": {
            "dataset": "mnist",
            # The net learns from draws, the classifier reads the grey levels that they are drawn from.
            "binarize": "dynamic",
            "num_labels": 50_000,
            "hidden": (500, 500, 2000),
            "estimator": "cd",
            "fine_tuning": "discriminative",
            "optimizer": {
                "layer_1": _LAYER,
                "layer_2": _LAYER,
                "layer_3": _LAYER,
                "discriminative": _CLASSIFIER,
            },
            "steps": 80_000,
            "checkpoint_every": 2000,
        },
    },
)

if __name__ == "__main__":
    app.run()
