"""Deep convolutional inverse graphics network (Kulkarni et al. 2015): a latent variable for each factor.

python -m apps.dc_ign
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.DCIGN",
    dataset="factors",
    steps=4500,
    batch_size=64,
    learning_rate=2e-3,
    schedule="cosine",
)

if __name__ == "__main__":
    app.run()
