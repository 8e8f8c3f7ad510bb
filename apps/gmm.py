"""Gaussian mixture by expectation maximization (Dempster, Laird & Rubin 1977).

python -m apps.gmm --num_components=25
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.gaussian_mixture.GaussianMixture",
    dataset="gaussians25",
    steps=360,
    batch_size=1000,
    num_components=25,
)

if __name__ == "__main__":
    app.run()
