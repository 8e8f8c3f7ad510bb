"""Gaussian mixture by expectation maximization (Dempster, Laird & Rubin 1977).

On gaussians25: 0.06 nats on the test split, the entropy of the data's own distribution, in seconds.

python -m apps.gmm --num_components=25
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.GaussianMixture",
    dataset="gaussians25",
    steps=360,
    batch_size=1000,
    num_components=25,
)

if __name__ == "__main__":
    app.run()
