"""FVBN (Frey 1998): a fully visible Bayes network, one logistic regression for each pixel.

On the 8x8 digits: 18.5 nats (exact, test split, seed 0), 13 seconds on two cores, all told. On MNIST: 97.9
nats at step 16,000; it overfits afterwards.

python -m apps.fvbn
python -m apps.fvbn --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.autoregressive.FVBN",
    binarize="threshold",
    steps=1500,
    batch_size=100,
    learning_rate=3e-3,
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "learning_rate": 1e-3,
            "ema": 0.999,
            "steps": 20_000,
        },
    },
)

if __name__ == "__main__":
    app.run()
