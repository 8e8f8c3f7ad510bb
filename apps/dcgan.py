"""Deep convolutional GAN (Radford, Metz & Chintala 2015).

Recognizable digits in 1,000 steps, under a minute on two cores; pictures of 28x28, 32x32 and 64x64 with
--dataset. --preset=paper is the published configuration, which was made for 64x64 pictures.

python -m apps.dcgan --base_filters=32
python -m apps.dcgan --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.adversarial.DCGAN",
    dataset="digits",
    steps=1000,
    batch_size=64,
    learning_rate=5e-4,
    optimizer={"name": "adam", "beta_1": 0.5},
    presets={
        "mnist": {"dataset": "mnist", "steps": 6000, "base_filters": 32, "learning_rate": 2e-4},
        "paper": {
            "latent_size": 100,
            "base_filters": 128,
            "kernel_size": 5,
            "batch_size": 128,
            "learning_rate": 2e-4,
        },
    },
)

if __name__ == "__main__":
    app.run()
