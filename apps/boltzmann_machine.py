"""General Boltzmann machine (Ackley, Hinton & Sejnowski 1985): visible and hidden units all coupled.

Gibbs sampling takes the units one after the other, so it is for small pictures and for comparison with the
RBM, which is what remains without the connections within a layer.

python -m apps.boltzmann_machine
python -m apps.boltzmann_machine --nohidden_connections --num_hidden=64
"""

from tfgen.cli import App

app = App(
    "tfgen.energy.BoltzmannMachine",
    binarize="threshold",
    steps=4000,
    batch_size=100,
    learning_rate=0.02,
    optimizer="sgd",
    presets={
        # Without R and S: an RBM, for comparison.
        "rbm": {"visible_connections": False, "hidden_connections": False},
        # Ackley et al. infer hidden units by Gibbs sampling with data clamped.
        "paper": {"inference": "gibbs", "num_gibbs": 10},
    },
)

if __name__ == "__main__":
    app.run()
