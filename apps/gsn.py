"""Generative stochastic network (Bengio et al. 2014): a Markov chain learned by walking back from corruption.

On the 8x8 digits, binarized: digit-FID 9.2, where training examples have 1.4. On grey MNIST the Parzen figure
is 211.5 (214 in the paper), that of training examples 244.1: it is no likelihood.

python -m apps.gsn --noise=2 --corruption=0.4
python -m apps.gsn --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.denoising.GenerativeStochasticNetwork",
    binarize="threshold",
    steps=2500,
    batch_size=100,
    # 64 pixels bear less noise than MNIST's 784, and a longer walk finds more of what is spurious.
    corruption=0.5,
    noise=0.5,
    num_walkback=5,
    own_data={"levels": {"visible": "intensity"}},
    presets={
        # Grey values as probabilities, which the paper's Parzen figure is of, too.
        "mnist": {
            "dataset": "mnist",
            "binarize": "none",
            "visible": "intensity",
            "hidden": (1000, 1000),
            "num_walkback": 4,
            "noise": 2.0,
            "corruption": 0.4,
            "steps": 20_000,
        },
        # Two layers of 1,500 tanh units for MNIST. The authors' gradient of means over pixels and sums over
        # the walk, at a rate of 0.25 and a momentum that also scales the gradient, is ours at 6.4e-4.
        "paper": {
            "visible": "intensity",
            "hidden": (1500, 1500),
            "num_walkback": 4,
            "noise": 2.0,
            "corruption": 0.4,
            "optimizer": "sgd:momentum=0.5",
            "learning_rate": 6.4e-4,
            "batch_size": 100,
        },
    },
)

if __name__ == "__main__":
    app.run()
