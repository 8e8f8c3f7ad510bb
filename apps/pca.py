"""Probabilistic PCA (Tipping & Bishop 1999): directions, codes, reconstructions, an exact density.

On the 8x8 digits: 16 directions explain 84 % of the variance of test images, in seconds. The last figure of a
run is the number of directions that the validation split likes best.

python -m apps.pca --num_components=40
python -m apps.pca --algorithm=em --steps=40 --dataset=file:table.csv
python -m apps.pca --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.ProbabilisticPCA",
    steps=4,
    batch_size=500,
    checkpoint_every=2,
    presets={
        # Grey levels as numbers in [0, 1]; 25 batches are a pass, and one is enough.
        "mnist": {"dataset": "mnist", "num_components": 200, "batch_size": 2000, "steps": 50},
    },
)

if __name__ == "__main__":
    app.run()
