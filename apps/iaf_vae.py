"""VAE whose posterior goes through inverse autoregressive flows (Kingma et al. 2016).

python -m apps.iaf_vae
python -m apps.iaf_vae --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.IAFVAE",
    dataset="digits",
    binarize="threshold",
    steps=2000,
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
            "steps": 40_000,
            "importance_samples": 500,
            "latent_size": 32,
            "num_flows": 4,
            "flow_hidden": 256,
            "flow_context": 64,
        },
    },
)

if __name__ == "__main__":
    app.run()
