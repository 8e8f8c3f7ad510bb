"""Probabilistic PCA (Tipping & Bishop 1999): directions, codes, reconstructions, an exact density.

On the 8x8 digits: 16 directions explain 85 % of the variance of test images, in seconds.

python -m apps.pca --num_components=10
python -m apps.pca --algorithm=em --dataset=file:table.csv
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.ProbabilisticPCA",
    steps=4,
    batch_size=500,
    checkpoint_every=2,
)

if __name__ == "__main__":
    app.run()
