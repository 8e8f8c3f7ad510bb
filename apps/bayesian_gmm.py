"""Bayesian Gaussian mixture by mean-field variational inference (Attias 1999; Hoffman et al. 2013).

On gaussians25: of 40 components 25 stay, as the bound has it and no held-out set.

python -m apps.bayesian_gmm --inference=svi
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.BayesianGaussianMixture",
    dataset="gaussians25",
    steps=3600,
    batch_size=1000,
    num_components=40,
    concentration=1e-3,
    mean_strength=0.01,
    prior_scale=0.01,
)

if __name__ == "__main__":
    app.run()
