"""WaveNet (van den Oord et al. 2016): sound sample by sample, exact likelihood, WAV files.

On the embedded tones: 2.13 bits a sample (exact, test split, seed 0), a minute and a half on two cores, all
told; all sounds drawn have one of the three pitches.

python -m apps.wavenet
python -m apps.wavenet sample --run_dir=runs/wavenet --length=16000 --temperature=0.9
python -m apps.wavenet --condition=label
python -m apps.wavenet --dataset=folder:recordings --window=4096
python -m apps.wavenet --preset=spoken_digits --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.autoregressive.WaveNet",
    dataset="tones",
    steps=1000,
    batch_size=8,
    learning_rate=4e-3,
    clip_norm=1.0,
    ema=0.99,
    num_layers=8,
    presets={
        "spoken_digits": {
            "dataset": "spoken_digits",
            "condition": "label",
            "num_layers": 10,
            "num_stacks": 2,
            "steps": 5000,
            "batch_size": 4,
            "learning_rate": 1e-3,
            "length": 4096,
        },
    },
)

if __name__ == "__main__":
    app.run()
