"""PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016): Diagonal BiLSTM or Row LSTM over an image.

On the 8x8 digits: 16.7 nats (exact, test split, seed 0) with diagonal layers, a minute and a half on two
cores, all told.

python -m apps.pixel_rnn --layer=row
python -m apps.pixel_rnn --preset=mnist --data_dir=... --steps=20000
"""

from tfgen.cli import App

MNIST = {"dataset": "mnist", "binarize": "fixed", "steps": 1500, "batch_size": 16, "num_layers": 7}

app = App(
    "tfgen.autoregressive.PixelRNN",
    dataset="digits",
    binarize="threshold",
    steps=400,
    batch_size=32,
    learning_rate=3e-3,
    num_layers=2,
    hidden=32,
    presets={
        "mnist": MNIST | {"layer": "diagonal"},
        "mnist_row": MNIST | {"layer": "row"},
        # The 12-layer network for 256-level CIFAR-10.
        "paper": {
            "hidden": 128,
            "num_layers": 12,
            "head": 1024,
            "batch_size": 16,
            "dataset": "cifar10",
            "binarize": "none",
        },
    },
)

if __name__ == "__main__":
    app.run()
