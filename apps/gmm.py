"""Mixture of Gaussians, or of Bernoullis, by expectation maximization (Dempster, Laird & Rubin 1977).

On gaussians25: 0.06 nats on the test split, the entropy of the data's own distribution, in seconds. A mixture
of Bernoullis is the classic baseline of binarized MNIST.

python -m apps.gmm --num_components=25
python -m apps.gmm --preset=digits
python -m apps.gmm --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.GaussianMixture",
    dataset="gaussians25",
    steps=360,
    batch_size=1000,
    num_components=25,
    presets={
        "digits": {
            "dataset": "digits",
            "binarize": "threshold",
            "likelihood": "bernoulli",
            "num_components": 40,
            "steps": 80,
        },
        # Larochelle & Murray 2011 have 500 components, too.
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "likelihood": "bernoulli",
            "num_components": 500,
            "batch_size": 2000,
            "steps": 800,
        },
    },
)

if __name__ == "__main__":
    app.run()
