"""HandwritingRNN (Graves 2013): pen strokes that write a text.

On the embedded scribbles: -2.2 to -2.6 nats a step, by processor (exact density, test split, seed 0), a
minute and a half on two cores, all told; the words drawn can mostly be read.

python -m apps.handwriting
python -m apps.handwriting sample --run_dir=runs/handwriting --prompt="hello" --num=16 --temperature=0.5
python -m apps.handwriting --preset=omniglot --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.autoregressive.HandwritingRNN",
    dataset="scribbles",
    steps=600,
    batch_size=64,
    learning_rate=3e-3,
    ema=0.99,
    condition="text",
    presets={"omniglot": {"dataset": "omniglot_strokes", "condition": "none", "steps": 3000}},
)

if __name__ == "__main__":
    app.run()
