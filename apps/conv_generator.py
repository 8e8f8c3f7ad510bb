"""Convolutional generator (Dosovitskiy, Springenberg & Brox 2015): pictures from attributes.

python -m apps.conv_generator
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.ConvolutionalGenerator",
    dataset="factors",
    condition_size=9,
    parts=(4, 2, 3),
    steps=2000,
    batch_size=64,
    learning_rate=2e-3,
    schedule="cosine",
)

if __name__ == "__main__":
    app.run()
