"""Vector quantization: a codebook, the nearest code of a vector, and codes that nobody uses revived."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.keras_model import Layer
from tfgen.update import assign_replica_rows, replica_rows

# Share of its old place that a code always keeps: what is given nothing stays where it is.
_KEPT = 1e-10


@keras.saving.register_keras_serializable("tfgen")
class VectorQuantizer(Layer):
    """Codebook e_1 ... e_K of vectors; a vector z becomes its nearest code, k = argmin_j |z - e_j|.

    learning="ema": each code moves to the mean of the vectors that it was given lately. With n_k the share of
    a batch's vectors that code k is nearest to, and s_k the sum of these divided by the number of all,

      N_k <- decay N_k + (1 - decay) n_k,   m_k <- decay m_k + (1 - decay) s_k,   e_k = m_k / N_k

    so that with decay 0 a batch makes one of Lloyd's steps. learning="gradient": the codes are weights, and
    the objective adds |sg(z) - e_k|^2; N_k is kept all the same.

    A code is dead when N_k falls below `revive` / K. It then takes the place of a vector of the batch before,
    and counts as used as often as the average code.

    Args:
      num_codes: Number of codes K, at least 2.
      learning: "ema" or "gradient".
      decay: Of the averages, from 0 to below 1.
      revive: Share of the average code's use below which a code is dead, from 0 (never) to below 1.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", NIPS 2017,
      arXiv:1711.00937, appendix A.1. Dead codes: Dhariwal et al., 2020, arXiv:2005.00341, section 3.
    """

    def __init__(self, num_codes, learning="ema", decay=0.99, revive=0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_codes = checks.whole("num_codes", num_codes, at_least=2)
        self.learning = checks.one_of("codebook", learning, ("ema", "gradient"))
        self.decay = checks.number("decay", decay, at_least=0, below=1)
        self.revive = checks.number("revive", revive, at_least=0, below=1)

    def build(self, input_shape):
        """Makes the codebook for vectors of `input_shape[-1]` numbers."""
        shape = (self.num_codes, input_shape[-1])

        def add(name, shape, initializer, trainable=False, **kwargs):
            # autocast=False: distances are not of the dtype policy.
            return self.add_weight(
                shape, initializer, trainable=trainable, autocast=False, dtype="float32", name=name, **kwargs
            )

        self.usage = add("usage", shape[:1], keras.initializers.Constant(1.0 / self.num_codes))
        # Each code's next place: rows of the batch before, some of each replica.
        self.fresh = add("fresh", shape, "random_normal", aggregation="sum")
        if self.learning == "ema":
            self.sums = add("sums", shape, keras.initializers.RandomNormal(stddev=1.0 / self.num_codes))
        else:
            self.vectors = add("vectors", shape, keras.initializers.RandomNormal(stddev=1.0), trainable=True)
            self.shift = add("shift", shape, "zeros")
        self.built = True

    def codebook(self):
        """e, float32 `[num_codes, size]`."""
        if self.learning == "ema":
            return self.sums.value / self.usage.value[:, None]
        return self.vectors.value + self.shift.value

    def start(self, z, seed):
        """Sets the codes to vectors of the data.

        Args:
          z: float32 `[..., size]`.
          seed: int32 [2].
        """
        chosen, fresh = random.split(seed)
        z = tf.reshape(z, [-1, z.shape[-1]])
        codes = _some(z, self.num_codes, chosen)
        self.usage.assign(tf.fill([self.num_codes], 1.0 / self.num_codes))
        self.fresh.assign(_some(z, self.num_codes, fresh))
        if self.learning == "ema":
            self.sums.assign(codes / self.num_codes)
        else:
            self.vectors.assign(codes)
            self.shift.assign(tf.zeros_like(codes))

    def nearest(self, z):
        """The nearest code of each vector, of equals the first: int32 `[...]` of float32 z `[..., size]`."""
        codebook = self.codebook()
        # Centered, since |z|^2 + |e|^2 - 2ze loses its digits far from the origin.
        middle = tf.reduce_mean(codebook, axis=0)
        codebook -= middle
        flat = tf.reshape(z, [-1, z.shape[-1]]) - middle
        half_squares = 0.5 * tf.reduce_sum(tf.square(codebook), axis=1)
        codes = tf.argmin(half_squares - tf.matmul(flat, codebook, transpose_b=True), 1, output_type=tf.int32)
        return tf.reshape(codes, tf.shape(z)[:-1])

    def lookup(self, codes):
        """e_k, float32 `[..., size]` of int codes `[...]`."""
        return tf.gather(self.codebook(), codes)

    def call(self, z):
        """The vectors' codes, quantized.

        Args:
          z: float32 `[..., size]`.

        Returns:
          e_k `[..., size]`, whose gradient goes to z as if it were z (straight through); k, int32 `[...]`;
          and what ties both, float32 `[...]`: |z - sg(e_k)|^2, and |sg(z) - e_k|^2, which moves weights in
          learning="gradient" alone.
        """
        codes = self.nearest(z)
        found = self.lookup(codes)
        commitment = tf.reduce_sum(tf.square(z - tf.stop_gradient(found)), axis=-1)
        distance = tf.reduce_sum(tf.square(tf.stop_gradient(z) - found), axis=-1)
        return straight_through(z, found), codes, commitment, distance

    def learn(self, z, codes, seed):
        """Averages, the codes that follow them, and dead codes revived: assignments of an objective.

        They are means over replicas of what each of them assigns, and each gives its own vectors to revive.

        Args:
          z: float32 `[..., size]`, the vectors of a batch.
          codes: Their nearest codes, int32 `[...]`.
          seed: int32 [2].
        """
        z, codes = tf.stop_gradient(tf.reshape(z, [-1, z.shape[-1]])), tf.reshape(codes, [-1])
        usage, place = self.usage.value, tf.stop_gradient(self.codebook())
        dead = usage < self.revive / self.num_codes
        usage = tf.where(dead, 1.0 / self.num_codes, usage)
        place = tf.where(dead[:, None], self.fresh.value, place)
        given = code_shares(codes, self.num_codes) + _KEPT
        if self.learning == "ema":
            total = tf.cast(tf.shape(z)[0], tf.float32)
            sums = tf.math.unsorted_segment_sum(z, codes, self.num_codes) / total + _KEPT * place
            self.sums.assign(self._averaged(usage[:, None] * place, sums))
        else:
            self.shift.assign(place - tf.stop_gradient(self.vectors.value))
        self.usage.assign(self._averaged(usage, given))
        assign_replica_rows(self.fresh, _some(z, replica_rows(self.fresh).shape[0], seed))

    def _averaged(self, average, now):
        return self.decay * average + (1.0 - self.decay) * now

    @property
    def learned(self):
        """The variables that `learn` assigns."""
        return [self.usage, self.fresh, self.sums if self.learning == "ema" else self.shift]


def straight_through(z, quantized):
    """`quantized`, whose gradient is that of z: z + sg(quantized - z).

    References:
      Bengio, Leonard & Courville, "Estimating or propagating gradients through stochastic neurons", 2013,
      arXiv:1308.3432.
    """
    return z + tf.stop_gradient(quantized - z)


def code_shares(codes, num_codes):
    """Which share of all codes each one is: float32 `[num_codes]` of int codes of any shape."""
    codes = tf.reshape(codes, [-1])
    counts = tf.math.unsorted_segment_sum(tf.ones_like(codes, tf.float32), codes, num_codes)
    return counts / tf.cast(tf.size(codes), tf.float32)


def perplexity(shares):
    """exp of the entropy of shares `[num_codes]`: how many codes would tell as much if used equally often."""
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(shares, shares)))


def _some(z, num, seed):
    """`num` rows of z `[N, size]`, drawn with replacement."""
    place = random.uniform(seed, [num]) * tf.cast(tf.shape(z)[0], tf.float32)
    return tf.gather(z, tf.minimum(tf.cast(place, tf.int32), tf.shape(z)[0] - 1))
