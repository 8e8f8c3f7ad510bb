"""A linear-Gaussian model, whose evidence and posteriors have closed forms, as a VAE."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfgen.variational import VAE

SEED = tf.constant([7, 8])
W = np.array([[1.0, 0.8], [-0.7, -0.5], [0.6, 1.1]], np.float32)  # [x, z]
OFFSET, SD = np.array([0.1, -0.2, 0.3], np.float32), 0.6
PRECISION = np.eye(2, dtype=np.float32) + W.T @ W / SD**2  # of z given x
GAP = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])


def raw(scale):
    """What `positive_scale` turns into `scale`."""
    return np.log(np.expm1(np.asarray(scale) - 1e-4)) - np.log(np.e - 1)


def linear_vae(posterior, **kwargs):
    """x = W z + OFFSET + SD noise, with the best posterior of its family."""
    vae = VAE(3, latent_size=2, hidden=(), likelihood="gaussian", posterior=posterior, **kwargs)
    decoder = np.zeros([2, 3, 2], np.float32)  # [z, x, (loc, raw scale)]
    decoder[..., 0] = W.T
    bias = np.stack([OFFSET, np.full(3, raw(SD))], axis=-1)
    vae.decoder.set_weights([decoder.reshape(2, 6), bias.reshape(6)])
    map_to_mean = np.linalg.solve(PRECISION, W.T / SD**2).T  # [x, z]
    if posterior == "diagonal":
        spread = raw(1 / np.sqrt(np.diag(PRECISION)))
    else:
        lower = np.linalg.cholesky(np.linalg.inv(PRECISION))
        lower[np.diag_indices(2)] = raw(np.diag(lower))
        spread = tfp.math.fill_triangular_inverse(lower).numpy()
    kernel = np.concatenate([map_to_mean, np.zeros([3, len(spread)])], axis=1)
    vae.encoder.set_weights([kernel, np.concatenate([-OFFSET @ map_to_mean, spread])])
    return vae


def evidence(x):
    covariance = W @ W.T + SD**2 * np.eye(3)
    return stats.multivariate_normal(OFFSET, covariance).logpdf(x).astype(np.float32)


def linear_data(num):
    noise = np.random.RandomState(0).randn(num, 5).astype(np.float32)
    return noise[:, :2] @ W.T + OFFSET + SD * noise[:, 2:]


def objective(vae, x, step=0, seed=SEED):
    (update,) = vae.updates()
    return update.objective({"x": tf.convert_to_tensor(x)}, seed, tf.constant(step, tf.int64))
