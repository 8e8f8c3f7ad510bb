"""VQ-VAE-2 (Razavi, van den Oord & Vinyals 2019): two levels of codes, priors of both by class.

python -m apps.vq_vae_2 --num_codes=128
python -m apps.vq_vae_2 --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.VQVAE2",
    dataset="digits",
    binarize="threshold",
    steps=2000,
    batch_size=64,
    learning_rate=1e-3,
    condition="label",
    num_codes=64,
    bottom_codes=4,
    decay=0.95,
    filters=32,
    own_data={
        "levels": {"likelihood": "discretized_logistic"},
        "real": {"likelihood": "gaussian"},
    },
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "steps": 18_000,
            "num_codes": 128,
            "bottom_codes": 8,
            "filters": 48,
            "prior_filters": 48,
            "ema": 0.998,
        },
        # The paper's network for images of 256 x 256 pixels, but for the sizes of its priors.
        "paper": {
            "num_codes": 512,
            "bottom_codes": 512,
            "code_size": 64,
            "filters": 128,
            "hidden": 64,
            "batch_size": 128,
            "learning_rate": 3e-4,
        },
    },
)

if __name__ == "__main__":
    app.run()
