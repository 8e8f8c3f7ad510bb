"""World model (Ha & Schmidhuber 2018): a world learnt from films of it, dreamt on, and played by planning.

On films of a bouncing ball: planning earns 2.1 in 40 steps, a random player -0.9; 10 imagined frames
have a quarter of the last frame's error (seed 0, docs/RESULTS.md). More steps make the dreams sharper.

python -m apps.world_model
python -m apps.world_model --steps=20000
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.WorldModel",
    dataset="bouncing",
    steps=4500,
    batch_size=16,
    learning_rate=4e-3,
    schedule="cosine",
    clip_norm=100.0,
    latent_size=12,
    beta_warmup=800,
    dynamics_share=1.5,
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
            "free_bits": 0.5,
        },
    },
)

if __name__ == "__main__":
    app.run()
