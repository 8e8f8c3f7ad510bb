"""Convolutional RBM with probabilistic max-pooling (Lee et al. 2009), and stacks of it that draw images.

python -m apps.conv_rbm --filters=32,100
python -m apps.conv_rbm --filters=24 --kernel_size=3 --pooling=2
python -m apps.conv_rbm --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.energy.ConvolutionalRBM",
    binarize="threshold",
    steps=8_000,
    batch_size=100,
    learning_rate=0.05,
    optimizer="sgd",
    ema=0.998,
    filters=(64, 200),
    kernel_size=(5, 2),
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "filters": (24, 40, 400),
            "kernel_size": (5, 5, 4),
            "pooling": (2, 2, 1),
            "learning_rate": 0.01,
            "steps": 30_000,
        },
    },
    own_data={"real": {"values": "real"}},
)

if __name__ == "__main__":
    app.run()
