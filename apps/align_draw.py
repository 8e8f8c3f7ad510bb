"""AlignDRAW (Mansimov et al. 2015): pictures from captions, drawn step by step.

On the captioned digits a classifier reads the place that was asked for from 99 % of samples and the digit
from 92 %, also where that digit was never seen at that place (seed 0; chance is 11 and 10 %).

python -m apps.align_draw
python -m apps.align_draw sample --run_dir=runs/align_draw --prompt="a three is at the top left" --num=16
"""

from tfgen.cli import App

app = App(
    "tfgen.variational.AlignDRAW",
    dataset="captioned_digits",
    binarize="threshold",
    num_steps=6,
    latent_size=10,
    units=128,
    steps=12_000,
    batch_size=50,
    learning_rate=3e-3,
    schedule="cosine",
    clip_norm=5.0,
    importance_samples=20,
)

if __name__ == "__main__":
    app.run()
