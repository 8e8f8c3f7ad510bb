"""Probabilistic principal component analysis: a Gaussian of few directions and noise."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.model import GenerativeModel, Signature, Update, View

tfd, tfb = tfp.distributions, tfp.bijectors

# Directions where the user does not say, directions and examples in a picture, rows that are scored together.
_USUAL, _SHOWN, _ROWS = 16, 10, 1000


@keras.saving.register_keras_serializable("tfgen")
class ProbabilisticPCA(GenerativeModel):
    """Probabilistic PCA: z ~ N(0, I), x | z ~ N(W z + mu, s^2 I), so x ~ N(mu, W W' + s^2 I).

    "closed_form" reaches the maximum likelihood after one pass, from the eigenvalues l_1 >= l_2 >= ... and
    eigenvectors U of the covariance of x (divided by N): s^2 is the mean of the eigenvalues left out, and W =
    U (L - s^2 I)^(1/2). "em" takes a step of expectation maximization for each pass and never lowers the
    likelihood; without missing entries its sums grow with the dimensions of x, not with their square. It
    estimates the covariance of z as well and takes it into W (parameter expansion), without which steps
    become as small as the noise.

    With `missing=True` a NaN in x says that the entry is not known: it is integrated out, in training, in
    `log_prob`, in `posterior` and in what is served; `reconstruct` fills it in. That takes "em".

    The best of fewer directions follow from the weights: `evidence` says what each number of them gives held
    out x, `with_components` makes the model of so many.

    All of it is computed in float64, and about the present mean.

    Args:
      event_shape: Shape of one x.
      num_components: Number of directions, below the number of entries of x; None for 16, or as many as fit.
      algorithm: "closed_form", "em", or "auto": "em" where entries may be missing.
      missing: Whether NaN stands for an entry that is not known.
      regularization: Least noise variance s^2.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Tipping & Bishop, "Probabilistic principal component analysis", JRSS B 1999. Missing entries: Ilin &
      Raiko, "Practical approaches to PCA in the presence of missing values", JMLR 2010. Parameter expansion:
      Liu, Rubin & Wu, Biometrika 1998.
    """

    density = "exact"
    values = "real"
    num_values = None
    jit_updates = False

    def __init__(
        self,
        event_shape,
        num_components: int | None = None,
        algorithm="auto",
        missing=False,
        regularization=1e-6,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.size = math.prod(self.event_shape)
        if num_components is None:
            num_components = max(1, min(_USUAL, self.size - 1))
        self.num_components = checks.whole("num_components", num_components)
        if self.num_components >= self.size:
            raise ValueError(
                f"num_components={num_components} must be below the number of entries of x, {self.size}: "
                "what is left over is the noise."
            )
        checks.one_of("algorithm", algorithm, ("auto", "closed_form", "em"))
        self.missing = bool(missing)
        if self.missing and algorithm == "closed_form":
            raise ValueError("algorithm='closed_form' needs every entry of x: with missing=True take 'em'.")
        self.algorithm = ("em" if self.missing else "closed_form") if algorithm == "auto" else algorithm
        self.regularization = checks.number("regularization", regularization, above=0)
        # autocast=False: densities are float32 under every dtype policy.
        add = functools.partial(self.add_weight, trainable=False, autocast=False)
        self.mean = add((self.size,), "zeros", name="mean")
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.loadings = add((self.size, self.num_components), small, name="loadings")
        self.noise = add((), "ones", name="noise")

    def begin(self, batch, seed):
        """Starts at the mean of x, half its variance in the noise and half in random directions.

        Args:
          batch: Dict with "x", `[num, *event_shape]`, a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If x varies nowhere, or an entry is missing in every x.
        """
        x = np.asarray(batch["x"], np.float64).reshape(-1, self.size)
        known = np.isfinite(x)
        if not self.missing and not known.all():
            row, column = np.argwhere(~known)[0]
            raise ValueError(
                f"x must hold finite values, got {x[row, column]} in row {row}, column {column}: replace it, "
                "or take missing=True."
            )
        counts = known.sum(axis=0)
        if not counts.all():
            column = int(np.argmin(counts))
            raise ValueError(f"column {column} of x is missing in all {len(x)} rows: leave it out.")
        mean = np.where(known, x, 0.0).sum(axis=0) / counts
        variance = (np.square(np.where(known, x - mean, 0.0)).sum(axis=0) / counts).mean()
        if variance == 0.0:
            raise ValueError(f"all {len(x)} rows of x are the same: give rows that differ.")
        self.mean.assign(mean)
        self.noise.assign(max(0.5 * variance, self.regularization))
        scale = math.sqrt(0.5 * variance / self.num_components)
        self.loadings.assign(scale * random.normal(random.as_seed(seed), self.loadings.shape))

    def updates(self):
        """The closed form after a pass over the data, or a step of EM."""
        moved = [self.mean, self.loadings, self.noise]
        statistics, apply = {
            "closed_form": (self._moments, self._solve),
            "em": (self._expectations, self._maximize),
        }[self.algorithm]
        return [Update(self.algorithm, statistics=statistics, apply=apply, variables=moved, over="epoch")]

    def _moments(self, batch, seed, step):
        """The sums of y = x - mu and of y y', and of log p(x)."""
        del seed, step
        y, known = self._centered(batch["x"])
        return {
            "count": tf.cast(tf.shape(y)[0], tf.float64),
            "first": tf.reduce_sum(y, axis=0),
            "second": tf.matmul(y, y, transpose_a=True),
            "log_p": tf.reduce_sum(_log_prob(y, known, self.loadings.value, self.noise.value)),
        }

    def _solve(self, sums):
        """The maximum of the likelihood; reports -mean log p(x) of the weights before."""
        shift = sums["first"] / sums["count"]
        covariance = sums["second"] / sums["count"] - shift[:, None] * shift
        eigenvalues, vectors = tf.linalg.eigh(covariance)
        left = self.size - self.num_components
        noise = tf.maximum(tf.reduce_mean(eigenvalues[:left]), self.regularization)
        kept, vectors = eigenvalues[left:][::-1], vectors[:, left:][:, ::-1]
        # A direction and its opposite make the same model: the largest entry is taken positive.
        largest = tf.argmax(tf.abs(vectors), axis=0)
        signs = tf.sign(tf.gather(tf.transpose(vectors), largest, axis=1, batch_dims=1))
        self._assign(shift, vectors * signs * tf.sqrt(tf.nn.relu(kept - noise)), noise)
        return {"loss": -sums["log_p"] / sums["count"]}

    def _expectations(self, batch, seed, step):
        """With u = (z, 1): sums of E[u u'], of all x and of those that know an entry; of y u' and y^2."""
        del seed, step
        y, known = self._centered(batch["x"])
        mean, inverse = _posterior(y, known, self.loadings.value, self.noise.value)
        second = tf.matmul(inverse, inverse, transpose_a=True) + mean[:, :, None] * mean[:, None]
        one = tf.ones_like(mean[:, :1])
        u = tf.concat([mean, one], axis=1)
        uu = tf.concat([tf.concat([second, mean[:, None]], axis=1), u[:, :, None]], axis=2)
        wide = self.num_components + 1
        every = tf.reduce_sum(uu, axis=0)
        uu = tf.matmul(one if known is None else known, tf.reshape(uu, [-1, wide**2]), transpose_a=True)
        seen = tf.size(y) if known is None else tf.reduce_sum(known)
        return {
            "count": tf.cast(tf.shape(y)[0], tf.float64),
            "entries": tf.cast(seen, tf.float64),
            "all": every,
            "uu": tf.reshape(uu, [-1, wide, wide]),
            "yu": tf.matmul(y, u, transpose_a=True),
            "yy": tf.reduce_sum(tf.square(y)),
            "log_p": tf.reduce_sum(_log_prob(y, known, self.loadings.value, self.noise.value)),
        }

    def _maximize(self, sums):
        """Rows of (W, mu) by least squares, the noise left, the scale of z; reports -mean log p(x)."""
        # An entry that nobody knows gets zeros.
        normal = sums["uu"] + 1e-10 * tf.eye(self.num_components + 1, dtype=tf.float64)
        if self.missing:
            rows = tf.linalg.cholesky_solve(tf.linalg.cholesky(normal), sums["yu"][:, :, None])[:, :, 0]
        else:
            factor = tf.linalg.cholesky(normal[0])
            rows = tf.transpose(tf.linalg.cholesky_solve(factor, tf.transpose(sums["yu"])))
        noise = (sums["yy"] - tf.reduce_sum(rows * sums["yu"])) / sums["entries"]
        # z is taken for N(m, L L') and then made N(0, I) again.
        moments = sums["all"] / sums["count"]
        mean = moments[:-1, -1]
        factor = tf.linalg.cholesky(moments[:-1, :-1] - mean[:, None] * mean)
        shift = rows[:, -1] + tf.linalg.matvec(rows[:, :-1], mean)
        self._assign(shift, tf.matmul(rows[:, :-1], factor), tf.maximum(noise, self.regularization))
        return {"loss": -sums["log_p"] / sums["count"]}

    def _assign(self, shift, loadings, noise):
        self.mean.assign(tf.cast(tf.cast(self.mean.value, tf.float64) + shift, tf.float32))
        self.loadings.assign(tf.cast(loadings, tf.float32))
        self.noise.assign(tf.cast(noise, tf.float32))

    def _centered(self, x):
        """x - mu, float64 `[batch, size]` with 0 where it is not known, and 1 where it is; None if all is."""
        y = tf.cast(tf.reshape(x, [-1, self.size]), tf.float64) - tf.cast(self.mean.value, tf.float64)
        if not self.missing:
            return y, None
        known = tf.cast(~tf.math.is_nan(y), tf.float64)
        return tf.where(known > 0.0, y, 0.0), known

    def score(self, x):
        """log p(x), or of those entries that are known."""
        y, known = self._centered(x)
        return tf.cast(_log_prob(y, known, self.loadings.value, self.noise.value), tf.float32)

    def distribution(self):
        """p(x), a TFP Gaussian over `event_shape`, of x without missing entries."""
        found = tfd.MultivariateNormalDiagPlusLowRankCovariance(
            loc=tf.convert_to_tensor(self.mean.value),
            cov_diag_factor=tf.fill([self.size], tf.convert_to_tensor(self.noise.value)),
            cov_perturb_factor=tf.convert_to_tensor(self.loadings.value),
        )
        return (
            found if self.event_shape == (self.size,) else tfb.Reshape(self.event_shape, [self.size])(found)
        )

    def prior(self):
        """p(z), a TFP distribution over z `[num_components]`."""
        return tfd.MultivariateNormalDiag(tf.zeros([self.num_components]))

    def posterior(self, x):
        """p(z | x), a TFP distribution over z `[num_components]` for each x."""
        y, known = self._centered(self.space.check(x))
        mean, inverse = _posterior(y, known, self.loadings.value, self.noise.value)
        scale = tf.linalg.cholesky(tf.matmul(inverse, inverse, transpose_a=True))
        return tfd.MultivariateNormalTriL(tf.cast(mean, tf.float32), tf.cast(scale, tf.float32))

    def likelihood(self, z):
        """p(x | z), a TFP distribution over x `event_shape` for each z `[batch, num_components]`."""
        return tfd.Independent(
            tfd.Normal(self._decode(tf.cast(z, tf.float32)), tf.sqrt(self.noise.value)), len(self.event_shape)
        )

    def _decode(self, z):
        x = tf.matmul(z, self.loadings.value, transpose_b=True) + self.mean.value
        return tf.reshape(x, [-1, *self.event_shape])

    def encode(self, x):
        """E[z | x], float32 `[batch, num_components]`."""
        y, known = self._centered(self.space.check(x))
        return tf.cast(_posterior(y, known, self.loadings.value, self.noise.value)[0], tf.float32)

    def reconstruct(self, x):
        """W E[z | x] + mu, float32, the shape of x: what the directions tell, of missing entries too."""
        return self._decode(self.encode(x))

    def sample_rows(self, seeds, given=None, mask=None):
        """z, then x, for each row of seeds; of x partly given, z given what is known."""
        first, noise = random.split(seeds)
        z = random.normal(first, [self.num_components])
        if mask is not None:
            known = tf.cast(tf.reshape(mask, [-1, self.size]), tf.float64)
            y = known * (
                tf.cast(tf.reshape(given, [-1, self.size]), tf.float64) - tf.cast(self.mean.value, tf.float64)
            )
            mean, inverse = _posterior(y, known, self.loadings.value, self.noise.value)
            # inverse' inverse is the covariance.
            z = tf.cast(
                mean + tf.reduce_sum(inverse * tf.cast(z, tf.float64)[:, :, None], axis=1), tf.float32
            )
        x = self._decode(z)
        x += tf.sqrt(self.noise.value) * tf.reshape(random.normal(noise, [self.size]), tf.shape(x))
        return x if mask is None else tf.where(mask, given, x)

    def _truncated(self):
        """Loadings float64 `[num_components + 1, size, num_components]` and noises of 0, 1, ... directions.

        From the singular values S of W: l_j = S_j^2 + s^2, and what is left out joins the noise.
        """
        values, vectors, _ = tf.linalg.svd(tf.cast(self.loadings.value, tf.float64))
        eigenvalues = tf.square(values) + tf.cast(self.noise.value, tf.float64)
        numbers = tf.range(self.num_components + 1)[:, None]
        kept = tf.range(self.num_components) < numbers
        left = tf.cast(self.size - self.num_components, tf.float64) * tf.cast(self.noise.value, tf.float64)
        left += tf.reduce_sum(tf.where(kept, 0.0, eigenvalues), axis=1)
        noises = left / tf.cast(self.size - numbers[:, 0], tf.float64)
        scales = tf.sqrt(tf.nn.relu(tf.where(kept, eigenvalues - noises[:, None], 0.0)))
        return vectors * scales[:, None], noises

    def evidence(self, x):
        """Mean log p(x) of the best models of 0, 1, ... directions, float32 `[num_components + 1]`.

        On held-out x its maximum chooses the number of directions.

        Args:
          x: As for `log_prob`.
        """
        y, known = self._centered(self.space.check(x))
        spans = [(first, first + _ROWS) for first in range(0, y.shape[0], _ROWS)]
        sums = []
        for loadings, noise in zip(*map(tf.unstack, self._truncated()), strict=True):
            parts = [
                tf.reduce_sum(_log_prob(y[a:b], None if known is None else known[a:b], loadings, noise))
                for a, b in spans
            ]
            sums.append(tf.add_n(parts))
        return tf.cast(tf.stack(sums) / y.shape[0], tf.float32)

    def with_components(self, num):
        """The best model of fewer directions, a `ProbabilisticPCA` of its own.

        Args:
          num: How many, from 1 to `num_components`.

        Raises:
          ValueError: If there are not so many.
        """
        if checks.whole("num", num) > self.num_components:
            raise ValueError(
                f"num={num} must be at most num_components={self.num_components}: train with more."
            )
        arguments = self.get_config() | {"num_components": num, "name": None}
        fewer = type(self).from_config(arguments)
        loadings, noises = self._truncated()
        fewer.mean.assign(self.mean.value)
        fewer.loadings.assign(tf.cast(loadings[num, :, :num], tf.float32))
        fewer.noise.assign(tf.cast(noises[num], tf.float32))
        return fewer

    def test_metrics(self, data, seed):
        """The variance explained on the test split, and the number of directions that validates best."""
        x = self.space.from_data(data.test.x, data, seed)
        y, known = self._centered(x)
        rest = y - tf.matmul(
            tf.cast(self.encode(x), tf.float64), tf.cast(self.loadings.value, tf.float64), transpose_b=True
        )
        rest = rest if known is None else rest * known
        explained = 1.0 - tf.reduce_sum(tf.square(rest)) / tf.reduce_sum(tf.square(y))
        found = {
            "explained_variance": {
                "value": float(explained),
                "kind": "share of the test split's squared distance to the mean that reconstructions explain",
            }
        }
        if len(data.validation):
            evidence = self.evidence(self.space.from_data(data.validation.x, data, seed)).numpy()
            kind = f"highest mean log p(x) of the validation split, of 0 to {self.num_components} directions"
            found["num_components"] = {"value": int(evidence.argmax()), "kind": kind}
        return found

    def views(self, data, num, seed):
        """What each direction changes, by -2 to 2 standard deviations; examples and their reconstructions."""
        values, vectors, _ = tf.linalg.svd(self.loadings.value)
        count = min(num, self.num_components, _SHOWN)
        moves = np.linspace(-2.0, 2.0, 5)[:, None] * (vectors * values).numpy().T[:count, None]
        found = {
            "components": View(
                (self.mean.numpy() + moves).astype(np.float32).reshape(count, 5, *self.event_shape),
                layout="rows",
                captions=[str(number + 1) for number in range(count)],
                title="what each direction changes, s its deviation",
                heads=["-2 s", "-1 s", "mean", "+1 s", "+2 s"],
            )
        }
        if data is not None:
            held_out = data.validation if len(data.validation) else data.train
            x = self.space.from_data(held_out.x[: min(num, _SHOWN)], data, seed)
            both = tf.stack([tf.where(tf.math.is_nan(x), 0.0, x), self.reconstruct(x)])
            found["reconstructions"] = View(both.numpy(), layout="rows", captions=["x", "reconstructed"])
        return found

    def signatures(self):
        """Adds `encode` and `reconstruct`."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")
        return super().signatures() | {
            "encode": Signature(lambda x: {"z": self.encode(x)}, {"x": x}),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, {"x": x}),
        }


def _posterior(y, known, loadings, noise):
    """p(z | x) of y = x - mu: its mean `[batch, k]` and R `[batch or 1, k, k]`; its covariance is R' R.

    The precision is P = I + W_o' W_o / s^2, of the entries o that are known; R is the inverse of its Cholesky
    factor.
    """
    inverse, white, _ = _whitened(y, known, loadings, noise)
    return tf.reduce_sum(inverse * white[:, :, None], axis=1), inverse


def _log_prob(y, known, loadings, noise):
    """log N(y; 0, C), C = W_o W_o' + s^2 I: |C| = s^(2n) |P| and y' C^-1 y = |y|^2 / s^2 - |white|^2."""
    _, white, log_det = _whitened(y, known, loadings, noise)
    noise = tf.cast(noise, tf.float64)
    entries = tf.cast(y.shape[1], tf.float64) if known is None else tf.reduce_sum(known, axis=1)
    squared = tf.reduce_sum(tf.square(y), axis=1) / noise - tf.reduce_sum(tf.square(white), axis=1)
    return -0.5 * (squared + log_det + entries * tf.math.log(2.0 * math.pi * noise))


def _whitened(y, known, loadings, noise):
    """R, R W_o' y / s^2 and log |P|; all x share them where every entry is known."""
    loadings, noise = tf.cast(loadings, tf.float64), tf.cast(noise, tf.float64)
    k = loadings.shape[1]
    if known is None:
        products = tf.matmul(loadings, loadings, transpose_a=True)[None]
    else:
        outer = tf.reshape(loadings[:, :, None] * loadings[:, None], [-1, k * k])
        products = tf.reshape(tf.matmul(known, outer), [-1, k, k])
    factor = tf.linalg.cholesky(tf.eye(k, dtype=tf.float64) + products / noise)
    unit = tf.eye(k, batch_shape=tf.shape(factor)[:1], dtype=tf.float64)
    inverse = tf.linalg.triangular_solve(factor, unit)
    told = tf.matmul(y, loadings) / noise
    white = tf.reduce_sum(inverse * told[:, None], axis=2)
    log_det = 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factor)), axis=1)
    return inverse, white, log_det
