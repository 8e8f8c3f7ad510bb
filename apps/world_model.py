"""World model (Ha & Schmidhuber 2018): a world learnt from films of it, dreamt on, and played by planning.

python -m apps.world_model
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.WorldModel",
    dataset="bouncing",
    steps=3000,
    batch_size=32,
    learning_rate=2e-3,
    schedule="cosine",
    clip_norm=100.0,
    importance_samples=20,
    own_data={
        "levels": {"likelihood": "discretized_logistic"},
        "real": {"likelihood": "gaussian"},
    },
    presets={
        # The paper's sizes for the racing car's 64x64 frames.
        "paper": {
            "latent_size": 32,
            "network": "conv",
            "filters": (32, 64, 128, 256),
            "hidden": (),
            "units": 256,
            "num_components": 5,
        },
    },
)

if __name__ == "__main__":
    app.run()
