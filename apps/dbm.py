"""Deep Boltzmann machine (Salakhutdinov & Hinton 2009): layers that hear from both sides, by mean field.

python -m apps.dbm --hidden=128,128
python -m apps.dbm --fine_tuning=discriminative --num_labels=100
python -m apps.dbm --preset=mnist --data_dir=...
"""

from tfgen.cli import App

_LAYER, _CLASSIFIER = {"name": "sgd", "learning_rate": 0.01}, {"name": "adam", "learning_rate": 1e-3}

app = App(
    "tfgen.energy.DeepBoltzmannMachine",
    binarize="threshold",
    steps=20_000,
    batch_size=100,
    learning_rate=0.01,
    optimizer="sgd",
    ema=0.998,
    presets={
        # Two layers of 500 and 1,000: a bound of 84.62 nats by AIS.
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (500, 1000),
            "centring": True,
            "num_gibbs": 5,
            "weight_decay": 2e-4,
            # Centred, all layers together take a higher rate than pairs of them do here.
            "optimizer": {
                "layer_1": _LAYER,
                "layer_2": _LAYER,
                "joint": {"name": "sgd", "learning_rate": 0.04},
            },
            "schedule": "linear",
            "ema": 0.999,
            "steps": 100_000,
        },
        # All labels of the training split, by backpropagation after the layers: 0.95 % errors.
        "discriminative": {
            "dataset": "mnist",
            # The machine learns from draws, the classifier reads the grey levels that they are drawn from.
            "binarize": "dynamic",
            "num_labels": 50_000,
            "hidden": (500, 1000),
            "fine_tuning": "discriminative",
            "optimizer": {
                "layer_1": _LAYER,
                "layer_2": _LAYER,
                "joint": _LAYER,
                "discriminative": _CLASSIFIER,
            },
            "steps": 40_000,
        },
    },
)

if __name__ == "__main__":
    app.run()
