"""K-means: clusters by Lloyd's iterations over passes of the data, or by mini-batches."""

import math
import os

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical.start import STARTS, clusters, nearest
from tfgen.model import GenerativeModel, Signature, Update, View

tfd, tfb = tfp.distributions, tfp.bijectors

_MIN_COUNT = 10.0 * np.finfo(np.float64).eps
# Parts of a batch that are summed at the same time; distances that a part holds at once, so that they stay in
# the cache.
_PARTS, _CACHED = min(os.cpu_count() or 1, 8), 1 << 15


@keras.saving.register_keras_serializable("tfgen")
class KMeans(GenerativeModel):
    """K-means clustering: centers c_k that make the inertia, sum_n min_k |x_n - c_k|^2, small.

    "lloyd" takes exact passes: each x goes to its nearest center, and after the pass each center to the mean
    of its x, so that the inertia never rises. "mini_batch" moves a center after every batch to the mean of
    all x it was ever given, for data that are too many for passes.

    A center that got no x is moved into the cluster with the largest sum of squared distances, a standard
    deviation off its center in a random direction.

    Samples are a center, drawn by its cluster's share n_k / N, plus round Gaussian noise of the cluster's
    spread, s_k^2 = sum of squared distances / (n_k dims) + regularization. `log_prob` is exactly the density
    of these samples, p(x) = sum_k (n_k / N) N(x; c_k, s_k^2 I). It is not what k-means maximizes, which gives
    every x to one cluster alone; `GaussianMixture` maximizes such a density.

    The start is chosen by `begin(batch, seed)`. Training calls it; before `fit`, call it first. While passes
    run, distances are float32 about the mean of the centers; those that are asked for are float64.

    Args:
      event_shape: Shape of one x.
      num_clusters: Number of clusters.
      algorithm: "lloyd" or "mini_batch".
      start: How the first centers are chosen, "k-means++" or "k-means||".
      regularization: Added to the variances of samples.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Lloyd, "Least squares quantization in PCM", 1982. Sculley, "Web-scale k-means clustering", 2010.
      k-means++: Arthur & Vassilvitskii, 2007. k-means||: Bahmani et al., 2012, arXiv:1203.6402.
    """

    density = "exact"
    values = "real"
    num_values = None
    quantities = {"loss": "squared distance to the nearest center"}  # noqa: RUF012
    jit_updates = False

    def __init__(
        self,
        event_shape,
        num_clusters=10,
        algorithm="lloyd",
        start="k-means++",
        regularization=1e-6,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.num_clusters = checks.whole("num_clusters", num_clusters)
        self.algorithm = checks.one_of("algorithm", algorithm, ("lloyd", "mini_batch"))
        self.start = checks.one_of("start", start, STARTS)
        self.regularization = checks.number("regularization", regularization, at_least=0)
        self.size = math.prod(self.event_shape)

        def add(name, shape, initializer, dtype):
            # autocast=False: distances are not of the dtype policy.
            shape = (num_clusters, *shape)
            return self.add_weight(
                shape, initializer, dtype=dtype, trainable=False, autocast=False, name=name
            )

        self.centers = add("centers", (self.size,), keras.initializers.RandomNormal(stddev=1.0), "float32")
        # What each center was given: how many x, and their squared distances to it. Whole numbers beyond 2^24
        # need float64.
        self.counts = add("counts", (), "zeros", "float64")
        self.scatters = add("scatters", (), "zeros", "float64")

    def begin(self, batch, seed):
        """Chooses the centers: the best of five starts, after ten of Lloyd's iterations on x.

        Args:
          batch: Dict with "x", `[num, *event_shape]`, a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If there are fewer x than clusters, or x are not finite.
        """
        x = np.asarray(batch["x"], np.float64).reshape(-1, self.size)
        if len(x) < self.num_clusters:
            raise ValueError(f"num_clusters={self.num_clusters} needs as many x, got {len(x)}.")
        centers, _ = clusters(x, self.num_clusters, seed, start=self.start, iterations=10)
        self.centers.assign(centers.astype(np.float32))
        labels, squared = nearest(x, self.centers.numpy())
        self.counts.assign(np.bincount(labels, minlength=self.num_clusters).astype(np.float64))
        self.scatters.assign(np.bincount(labels, squared, minlength=self.num_clusters))

    def updates(self):
        """A Lloyd iteration for each pass over the data, or a move for each batch."""
        moved = [self.centers, self.counts, self.scatters]
        lloyd = self.algorithm == "lloyd"
        return [
            Update(
                self.algorithm,
                statistics=self._statistics,
                apply=self._to_means if lloyd else self._to_running_means,
                variables=moved,
                over="epoch" if lloyd else "batch",
            )
        ]

    def _statistics(self, batch, seed, step):
        """Of each cluster how many x, the sums of x - c_k and |x - c_k|^2; when, and in how many parts."""
        del seed
        x, centers = tf.reshape(batch["x"], [-1, self.size]), tf.convert_to_tensor(self.centers.value)
        # XLA computes on one thread: parts of the batch take one each.
        ends = [tf.shape(x)[0] * part // _PARTS for part in range(_PARTS + 1)]
        parts = [x[first:end] for first, end in zip(ends[:-1], ends[1:], strict=True)]
        sums = zip(*(_cluster_sums(part, centers) for part in parts), strict=True)
        count, scatter, shift = (tf.add_n(each) for each in sums)
        return {
            "count": count,
            "scatter": scatter,
            "shift": shift,
            "step": tf.cast(step, tf.float64),
            "parts": tf.constant(1.0, tf.float64),
        }

    def _to_means(self, sums):
        """Lloyd's iteration: each center to the mean of its x; reports the mean squared distance before."""
        self._assign(sums["shift"], sums["count"], sums["scatter"], sums)
        return {"loss": tf.reduce_sum(sums["scatter"]) / tf.reduce_sum(sums["count"])}

    def _to_running_means(self, sums):
        """Sculley's step: each center to the mean of all x it was ever given.

        With the rate 1 / (how many it was given so far) for one x after another, that is where it ends.
        """
        count = self.counts.value + sums["count"]
        self._assign(sums["shift"], count, self.scatters.value + sums["scatter"], sums)
        return {"loss": tf.reduce_sum(sums["scatter"]) / tf.reduce_sum(sums["count"])}

    def _assign(self, shift, count, scatter, sums):
        """Moves each center by shift / count; the scatter about it falls by |shift|^2 / count."""
        given = tf.maximum(count, 1.0)
        centers = tf.cast(self.centers.value, tf.float64) + shift / given[:, None]
        scatter = tf.nn.relu(scatter - tf.reduce_sum(tf.square(shift), axis=1) / given)
        # An empty cluster's rank among the empty ones names the cluster it goes into, by scatter.
        empty = count == 0.0
        rank = tf.cumsum(tf.cast(empty, tf.int32), exclusive=True)
        home = tf.gather(tf.argsort(-scatter, stable=True), rank)
        steps = tf.cast(sums["step"] / sums["parts"], tf.int64)
        seeds = random.rows(random.fold_in(random.as_seed(0), steps), self.num_clusters)
        direction = tf.math.l2_normalize(tf.cast(random.normal(seeds, [self.size]), tf.float64), axis=1)
        spread = tf.sqrt(tf.gather(scatter / given, home) / self.size)
        beside = tf.gather(centers, home) + spread[:, None] * direction
        moves = (empty & (spread > 0.0))[:, None]
        self.centers.assign(tf.cast(tf.where(moves, beside, centers), tf.float32))
        self.counts.assign(count)
        self.scatters.assign(scatter)

    def _squared_distances(self, x):
        """|x - c_k|^2, float64 `[batch, clusters]`, of checked x."""
        x = tf.cast(tf.reshape(x, [-1, self.size]), tf.float64)
        centers = tf.cast(self.centers.value, tf.float64)
        middle = tf.reduce_mean(centers, axis=0)
        x, centers = x - middle, centers - middle
        products = tf.matmul(x, centers, transpose_b=True)
        squares = tf.reduce_sum(tf.square(x), axis=1, keepdims=True) + tf.reduce_sum(
            tf.square(centers), axis=1
        )
        return tf.nn.relu(squares - 2.0 * products)

    def distances(self, x):
        """Euclidean distances to all centers, float32 `[batch, clusters]`."""
        return tf.cast(tf.sqrt(self._squared_distances(self.space.check(x))), tf.float32)

    def assign(self, x):
        """The nearest center of each x, int32 `[batch]`; of equals the first."""
        return tf.argmin(self._squared_distances(self.space.check(x)), axis=1, output_type=tf.int32)

    def outlier_scores(self, x):
        """Distance to the nearest center, over what is usual in its cluster: float32 `[batch]`.

        What is usual is the root of the mean squared distance: about 1 for an x of the cluster, above 2 or 3
        for an outlier.
        """
        squared = self._squared_distances(self.space.check(x))
        k = tf.argmin(squared, axis=1)
        usual = tf.gather(self._variances() * self.size, k)
        return tf.cast(tf.sqrt(tf.gather(squared, k, axis=1, batch_dims=1) / usual), tf.float32)

    def inertia(self, x):
        """Mean over x of the squared distance to the nearest center, a float32 scalar."""
        return tf.cast(tf.reduce_mean(self._nearest_squared(self.space.check(x))), tf.float32)

    def _nearest_squared(self, x):
        return tf.reduce_min(self._squared_distances(x), axis=1)

    def _variances(self):
        """s_k^2, float64 `[clusters]`; 1 where a cluster was given nothing."""
        given = self.counts.value > 0.0
        variances = self.scatters.value / (tf.maximum(self.counts.value, 1.0) * self.size)
        # Never 0: a single x has a density of its own only where it is given some room.
        least = max(self.regularization, np.finfo(np.float32).tiny)
        return tf.where(given, variances, 1.0) + least

    def _log_shares(self):
        counts = self.counts.value + _MIN_COUNT
        return tf.math.log(counts / tf.reduce_sum(counts))

    def distribution(self):
        """p(x) of the samples, a TFP mixture of round Gaussians over `event_shape`."""
        spread = tf.cast(tf.sqrt(self._variances()), tf.float32)
        components = tfd.MultivariateNormalDiag(
            tf.convert_to_tensor(self.centers.value), tf.repeat(spread[:, None], self.size, axis=1)
        )
        if self.event_shape != (self.size,):
            components = tfb.Reshape(self.event_shape, [self.size])(components)
        shares = tfd.Categorical(logits=tf.cast(self._log_shares(), tf.float32))
        return tfd.MixtureSameFamily(shares, components)

    def score(self, x):
        """log p(x) of the samples' density."""
        variances = self._variances()
        log_p = -0.5 * self._squared_distances(x) / variances
        log_p += self._log_shares() - 0.5 * self.size * tf.math.log(2.0 * math.pi * variances)
        return tf.cast(tf.reduce_logsumexp(log_p, axis=1), tf.float32)

    def sample_rows(self, seeds):
        """A center by its share, plus round noise of its cluster's spread, for each row of seeds."""
        which, noise = random.split(seeds)
        logits = tf.tile(tf.cast(self._log_shares(), tf.float32)[None], [tf.shape(seeds)[0], 1])
        k = random.categorical(which, logits)
        spread = tf.gather(tf.cast(tf.sqrt(self._variances()), tf.float32), k)
        x = tf.gather(self.centers.value, k) + spread[:, None] * random.normal(noise, [self.size])
        return tf.reshape(x, [-1, *self.event_shape])

    def validation_metrics(self, batch, seed):
        """The mean squared distance to the nearest center, by which the best checkpoint is chosen; nats."""
        del seed
        return {
            "loss": tf.cast(tf.reduce_mean(self._nearest_squared(batch["x"])), tf.float32),
            "nats": -tf.reduce_mean(self.score(batch["x"])),
        }

    def test_metrics(self, data, seed):
        """The inertia of the test split and, where it has labels, how much clusters tell of them."""
        from sklearn.metrics import normalized_mutual_info_score

        x = self.space.from_data(data.test.x, data, seed)
        squared = self._squared_distances(x).numpy()
        found = {
            "inertia": {
                "value": float(squared.min(axis=1).mean()),
                "kind": "squared distance to the nearest center, mean over the test split",
            }
        }
        if data.test.label is not None and data.test.label.ndim == 1:
            shared = normalized_mutual_info_score(data.test.label, squared.argmin(axis=1))
            kind = "normalised mutual information of clusters and labels, test split"
            found["mutual_information"] = {"value": float(shared), "kind": kind}
        return found

    def views(self, data, num, seed):
        """The centers, that of the largest cluster first, with their shares."""
        del data, seed
        shares = np.exp(self._log_shares().numpy())
        first = np.argsort(-shares, kind="stable")[:num]
        centers = self.centers.numpy()[first].reshape(-1, *self.event_shape)
        captions = [f"{100 * share:.1f} %" for share in shares[first]]
        return {"centers": View(centers, captions=captions, title="centers, by the shares of their clusters")}

    def signatures(self):
        """Adds `assign`: the nearest center, the distances to all, and the outlier score."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")

        def assign(x):
            return {
                "cluster": self.assign(x),
                "distances": self.distances(x),
                "outlier_score": self.outlier_scores(x),
            }

        return super().signatures() | {"assign": Signature(assign, {"x": x})}


# Compiled whatever the rest of the training is: distances then never leave the cache.
@tf.function(jit_compile=True, autograph=False)
def _cluster_sums(x, centers):
    """Count, scatter and shift of each cluster, float64 `[clusters]` or `[clusters, dims]`, of float32 x."""
    num, (clusters, dims) = tf.shape(x)[0], centers.shape
    parts = tf.maximum(1, -(-num // max(1, _CACHED // max(clusters, dims))))
    rows = -(-num // parts)
    filled = tf.reshape(tf.pad(x, [[0, parts * rows - num], [0, 0]]), [parts, rows, dims])
    # Centered, since |x|^2 + |c|^2 - 2xc loses its digits far from the origin.
    middle = tf.reduce_mean(centers, axis=0)
    around = centers - middle
    halves = 0.5 * tf.reduce_sum(tf.square(around), axis=1)[:, None]
    numbers = tf.range(clusters)[:, None]

    def add(i, *sums):
        x = filled[i]
        # Clusters in rows: a minimum over rows is taken for many x at once.
        scores = halves - tf.matmul(around, x - middle, transpose_b=True)
        lowest = tf.reduce_min(scores, axis=0)
        k = tf.reduce_min(tf.where(scores <= lowest, numbers, clusters - 1), axis=0)
        shift = x - tf.gather(centers, k)
        scatter = tf.reduce_sum(tf.square(shift), axis=1)
        # What x is filled up with is of no cluster.
        k = tf.where(i * rows + tf.range(rows) < num, k, -1)
        # A sum each: rows that begin where a register does are added fastest.
        each = (tf.ones_like(scatter), scatter, shift)
        added = [tf.math.unsorted_segment_sum(tf.cast(v, tf.float64), k, clusters) for v in each]
        return i + 1, *(a + b for a, b in zip(sums, added, strict=True))

    none = [tf.zeros(shape, tf.float64) for shape in ([clusters], [clusters], [clusters, dims])]
    return tf.while_loop(lambda i, *_: i < parts, add, (0, *none))[1:]
