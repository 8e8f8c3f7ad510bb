"""Gaussian mixture by expectation maximization."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.model import GenerativeModel, Signature, Update, View

tfd, tfb = tfp.distributions, tfp.bijectors

_MIN_COUNT = 10.0 * np.finfo(np.float64).eps


@keras.saving.register_keras_serializable("tfgen")
class GaussianMixture(GenerativeModel):
    """Gaussian mixture p(x) = sum_k pi_k N(x; mu_k, Sigma_k), fitted by expectation maximization.

    A pass sums, with responsibilities r_nk = p(k | x_n), the counts N_k, the shifts sum_n r_nk (x_n - mu_k)
    and the scatters sum_n r_nk (x_n - mu_k)(x_n - mu_k)', all about the present means and in float64, so that
    data far from the origin lose no digits. Then pi_k = N_k / N and so on, with `regularization` added to the
    variances. Given r, that maximizes E_r log p(x, k) - (regularization / 2) sum_k N_k tr Sigma_k^-1; without
    regularization the likelihood never falls.

    EM needs a start: `begin(batch, seed)` clusters x by k-means. Training calls it; before `fit`, call it
    first.

    Args:
      event_shape: Shape of one x.
      num_components: Number of Gaussians.
      covariance: "diag" or "full".
      regularization: Added to the variances in each step.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
      k-means++: Arthur & Vassilvitskii, 2007.
    """

    density = "exact"
    values = "real"
    num_values = None
    jit_updates = False

    def __init__(self, event_shape, num_components=10, covariance="full", regularization=1e-6, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.num_components = checks.whole("num_components", num_components)
        self.covariance = checks.one_of("covariance", covariance, ("diag", "full"))
        self.regularization = checks.number("regularization", regularization, at_least=0)
        self.size = math.prod(self.event_shape)

        def add(name, shape, initializer):
            # autocast=False: densities are float32 under every dtype policy.
            shape = (num_components, *shape)
            return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)

        self.logits = add("logits", (), keras.initializers.Constant(-math.log(num_components)))
        self.means = add("means", (self.size,), keras.initializers.RandomNormal(stddev=1.0))
        shape = (self.size,) if covariance == "diag" else (self.size, self.size)
        # Standard deviations, or the Cholesky factors of the covariances.
        self.scales = add("scales", shape, _unit_scales)

    def begin(self, batch, seed):
        """Starts at the clusters that scikit-learn's k-means (k-means++, the best of 5) finds in x.

        Args:
          batch: Dict with "x", `[num, *event_shape]`, a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If there are fewer x than components.
        """
        from sklearn.cluster import KMeans

        x = np.asarray(batch["x"], np.float64).reshape(-1, self.size)
        if len(x) < self.num_components:
            raise ValueError(f"num_components={self.num_components} needs as many x, got {len(x)}.")
        words = np.random.RandomState(random.as_seed(seed).numpy().view(np.uint32))
        found = KMeans(self.num_components, n_init=5, random_state=words).fit(x - x.mean(0))
        self.means.assign(found.cluster_centers_ + x.mean(0))
        self._maximize(self._moments(tf.constant(x), tf.one_hot(found.labels_, self.num_components)))

    def updates(self):
        """One step of EM for each pass over the data."""
        moved = [self.logits, self.means, self.scales]
        return [
            Update("em", statistics=self._statistics, apply=self._maximize, variables=moved, over="epoch")
        ]

    def _statistics(self, batch, seed, step):
        del seed, step
        x = tf.cast(tf.reshape(batch["x"], [-1, self.size]), tf.float64)
        joint = self._joint(x)
        log_p = tf.reduce_logsumexp(joint, axis=-1, keepdims=True)
        return self._moments(x, tf.exp(joint - log_p)) | {"log_p": tf.reduce_sum(log_p)}

    def _moments(self, x, responsibilities):
        r = tf.cast(responsibilities, tf.float64)
        centered = x[:, None] - tf.cast(self.means.value, tf.float64)
        weighted = r[..., None] * centered
        products = {"diag": "nkd,nkd->kd", "full": "nkd,nke->kde"}[self.covariance]
        return {
            "count": tf.reduce_sum(r, axis=0),
            "shift": tf.reduce_sum(weighted, axis=0),
            "scatter": tf.einsum(products, weighted, centered),
        }

    def _maximize(self, sums):
        """Assigns the weights that the sums ask for; reports -mean log p(x) of the weights before."""
        count = sums["count"] + _MIN_COUNT
        total = tf.reduce_sum(count)
        shift = sums["shift"] / count[:, None]
        if self.covariance == "diag":
            variance = sums["scatter"] / count[:, None] - tf.square(shift)
            scales = tf.sqrt(tf.nn.relu(variance) + self.regularization)
        else:
            covariance = sums["scatter"] / count[:, None, None] - shift[:, :, None] * shift[:, None]
            scales = tf.linalg.cholesky(
                covariance + self.regularization * tf.eye(self.size, dtype=tf.float64)
            )
        self.scales.assign(tf.cast(scales, tf.float32))
        self.means.assign(tf.cast(tf.cast(self.means.value, tf.float64) + shift, tf.float32))
        self.logits.assign(tf.cast(tf.math.log(count / total), tf.float32))
        return {"loss": -sums["log_p"] / total} if "log_p" in sums else {}

    def _components(self, dtype):
        means = tf.cast(self.means.value, dtype)
        scales = tf.cast(self.scales.value, dtype)
        if self.covariance == "diag":
            return tfd.MultivariateNormalDiag(means, scales)
        return tfd.MultivariateNormalTriL(means, scales)

    def _joint(self, x):
        """log pi_k + log N(x; mu_k, Sigma_k), `[batch, components]`, of flat x in its dtype."""
        joint = tf.cast(self.logits.value, x.dtype) + self._components(x.dtype).log_prob(x[:, None])
        # Of a single component its static shape says nothing.
        return tf.ensure_shape(joint, [None, self.num_components])

    def distribution(self):
        """p(x), a TFP mixture over `event_shape`."""
        components = self._components(tf.float32)
        if len(self.event_shape) > 1:
            components = tfb.Reshape(self.event_shape, [self.size])(components)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=self.logits.value), components)

    def score(self, x):
        """log p(x)."""
        return tf.reduce_logsumexp(self._joint(tf.reshape(x, [-1, self.size])), axis=-1)

    def responsibilities(self, x):
        """p(k | x), float32 `[batch, components]`."""
        return tf.nn.softmax(self._joint(tf.reshape(self.space.check(x), [-1, self.size])))

    def classify(self, x):
        """The most probable component of each x, int32 `[batch]`."""
        return tf.argmax(self.responsibilities(x), axis=-1, output_type=tf.int32)

    def sample_rows(self, seeds):
        """A component, then a Gaussian draw of it, for each row of seeds."""
        which, noise = random.split(seeds)
        logits = tf.tile(self.logits.value[None], [tf.shape(seeds)[0], 1])
        k = random.categorical(which, logits)
        z = random.normal(noise, [self.size])
        products = {"diag": "kd,nd->nkd", "full": "kde,ne->nkd"}[self.covariance]
        x = self.means.value + tf.einsum(products, self.scales.value, z)
        return tf.reshape(tf.gather(x, k, axis=1, batch_dims=1), [-1, *self.event_shape])

    def views(self, data, num, seed):
        """Ellipses of two standard deviations about the means, of points; of others the means, by weight.

        Args:
          data: Not needed.
          num: How many components, of others than points; the heaviest.
          seed: Not needed.
        """
        del data, seed
        weights = tf.nn.softmax(self.logits.value).numpy()
        if self.kind == "points":
            angle = tf.linspace(0.0, 2.0 * math.pi, 65)
            circle = 2.0 * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
            scales = tf.linalg.diag(self.scales.value) if self.covariance == "diag" else self.scales.value
            ellipses = self.means.value[:, None] + tf.einsum("kde,ne->knd", scales, circle)
            title = "components, two standard deviations about their means"
            return {"components": View(ellipses, "curves", title=title)}
        order = np.argsort(-weights, kind="stable")[:num]
        means = tf.reshape(tf.gather(self.means.value, order), [-1, *self.event_shape])
        words = [f"{100 * weights[k]:.1f} %" for k in order]
        return {"components": View(means, captions=words, title="means of the components, by weight")}

    def signatures(self):
        """Adds `classify`: the responsibilities and the most probable component."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")

        def classify(x):
            found = self.responsibilities(x)
            return {"probabilities": found, "component": tf.argmax(found, -1, output_type=tf.int32)}

        return super().signatures() | {"classify": Signature(classify, {"x": x})}


def _unit_scales(shape, dtype=None):
    return tf.ones(shape, dtype) if len(shape) == 2 else tf.eye(shape[1], batch_shape=shape[:1], dtype=dtype)
