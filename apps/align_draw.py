"""AlignDRAW (Mansimov et al. 2015): pictures from captions, drawn step by step.

python -m apps.align_draw
python -m apps.align_draw sample --run_dir=runs/align_draw --prompt="a three is at the top left" --num=16
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.AlignDRAW",
    dataset="captioned_digits",
    binarize="threshold",
    num_steps=8,
    latent_size=10,
    units=128,
    steps=3000,
    batch_size=100,
    learning_rate=2e-3,
    clip_norm=5.0,
    importance_samples=20,
)

if __name__ == "__main__":
    app.run()
