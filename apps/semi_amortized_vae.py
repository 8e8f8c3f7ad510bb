"""Semi-amortized VAE (Kim et al. 2018): the encoder's posterior, refined by gradient steps for each x.

python -m apps.semi_amortized_vae --refine_steps=10
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.SemiAmortizedVAE",
    dataset="digits",
    binarize="threshold",
    hidden=(128,),
    refine_steps=10,
    steps=1000,
    batch_size=128,
    learning_rate=1e-3,
    own_data={
        "levels": {"likelihood": "discretized_logistic"},
        "real": {"likelihood": "gaussian"},
    },
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "hidden": (512,),
            "refine_steps": 20,
            "steps": 10_000,
            "importance_samples": 500,
        },
    },
)

if __name__ == "__main__":
    app.run()
