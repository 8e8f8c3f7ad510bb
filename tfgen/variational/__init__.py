from tfgen.variational.priors import CouplingFlowPrior as CouplingFlowPrior
from tfgen.variational.priors import GaussianMixturePrior as GaussianMixturePrior
from tfgen.variational.vae import VAE as VAE
