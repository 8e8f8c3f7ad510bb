"""K-means clustering (Lloyd 1982; k-means++), of points, tables or images; assignments, outliers, centers.

On the 8x8 digits: mean squared distance 2.6 to the nearest of 10 centers, in seconds.

python -m apps.kmeans --num_clusters=20
python -m apps.kmeans --algorithm=mini_batch --dataset=file:table.csv
python -m apps.kmeans --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.KMeans",
    steps=40,
    batch_size=1000,
    checkpoint_every=4,
    presets={
        # 25 batches are a pass.
        "mnist": {"dataset": "mnist", "num_clusters": 100, "batch_size": 2000, "steps": 800},
    },
)

if __name__ == "__main__":
    app.run()
