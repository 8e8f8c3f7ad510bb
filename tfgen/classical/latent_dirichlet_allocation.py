"""Topics of documents: latent Dirichlet allocation by variational Bayes, on passes or on batches."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical import conjugate
from tfgen.media import charts
from tfgen.media.text import Vocabulary
from tfgen.model import GenerativeModel, Signature, Update, View, compiled, few_sizes

tfd = tfp.distributions

# Documents that are looked at together, and test documents whose topics a picture shows, at most.
_ROWS, _DOCUMENTS = 500, 32
# Documents whose steps are worth leaving some out.
_MANY = 32
# Of the normal numbers of float32: a count of 0 over it is 0.
_LEAST = 1e-30


@keras.saving.register_keras_serializable("tfgen")
class LatentDirichletAllocation(GenerativeModel):
    """Topic model of word counts: each document mixes topics, each topic is a distribution over words.

      theta ~ Dirichlet(document_concentration),  beta_k ~ Dirichlet(topic_concentration),
      p(x, theta | beta) = p(theta) prod_w (sum_k theta_k beta_kw)^x_w
      q = prod_k Dirichlet(beta_k; lambda_k) prod_d Dirichlet(theta_d; gamma_d) q(z_d)

    `log_prob(x)` is a lower bound of log p of a document's words one after the other (without the multinomial
    coefficient, as perplexities are counted) under the topics' posterior:
    sum_w x_w log sum_k exp(E log theta_k + E log beta_kw) - KL(q(theta) || p(theta)). Batch inference takes a
    whole pass for each step, stochastic inference a natural-gradient step on each batch. Samples have as many
    words as a Poisson draw with the training documents' mean.

    Args:
      event_shape: (V,), the number of different words.
      num_topics: Number of topics K.
      vocabulary: The words, V strings; None for words without names.
      inference: "batch" or "svi".
      document_concentration: Of each topic in a document; None for 1 / num_topics.
      topic_concentration: Of each word in a topic; None for 1 / num_topics.
      delay: The step size of "svi" is (step + delay)^-forgetting.
      forgetting: In (0.5, 1].
      iterations: Most coordinate steps on a document's gamma.
      tolerance: They end when gamma's entries move by less than this in the mean.
      num_examples: Number of training documents, which "svi" needs.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Blei, Ng & Jordan, "Latent Dirichlet allocation", JMLR 2003.
      Hoffman, Blei & Bach, "Online learning for latent Dirichlet allocation", NIPS 2010.
    """

    density = "lower_bound"
    values = "counts"
    num_values = None
    quantities = {  # noqa: RUF012
        "val_loss": "upper bound of -log p(x) [nats]",
        "nats_bound": None,
        "topics/loss": "upper bound, nats of a word",
        "nats_per_word": "upper bound, nats of a word",
    }

    def __init__(
        self,
        event_shape,
        num_topics=10,
        vocabulary=None,
        inference="batch",
        document_concentration: float | None = None,
        topic_concentration: float | None = None,
        delay=10.0,
        forgetting=0.7,
        iterations=100,
        tolerance=1e-3,
        num_examples=None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.kind = "counts"
        if len(self.event_shape) != 1:
            raise ValueError(f"event_shape must be (V,), a number of words, got {self.event_shape!r}.")
        self.num_topics = checks.whole("num_topics", num_topics)
        if vocabulary is not None:
            if len(vocabulary) != self.event_shape[0]:
                raise ValueError(
                    f"vocabulary holds {len(vocabulary)} words for event_shape={self.event_shape!r}: give "
                    "one for each entry."
                )
            self.text = Vocabulary(tuple(vocabulary), "word")
        self.inference = checks.one_of("inference", inference, ("batch", "svi"))
        # Steps on a batch are products over all words, which XLA does not make faster.
        self.jit_updates = self.inference == "batch"

        def concentration(name, value):
            return checks.number(name, 1.0 / num_topics if value is None else value, above=0)

        self.document_concentration = concentration("document_concentration", document_concentration)
        self.topic_concentration = concentration("topic_concentration", topic_concentration)
        self.delay = checks.number("delay", delay, at_least=1)
        self.forgetting = checks.number("forgetting", forgetting, above=0.5, at_most=1)
        self.iterations = checks.whole("iterations", iterations)
        self.tolerance = checks.number("tolerance", tolerance, at_least=0)
        self.num_examples = None if num_examples is None else checks.whole("num_examples", num_examples)

        def add(name, shape, initializer):
            # Sums over many words keep their digits in float64, under every dtype policy.
            return self.add_weight(
                shape, initializer, dtype="float64", trainable=False, autocast=False, name=name
            )

        self.topic_counts = add("topic_counts", (num_topics, *self.event_shape), "ones")
        self.words_per_document = add("words_per_document", (), "ones")
        self.rounds = add("rounds", (), "zeros")

    def begin(self, batch, seed):
        """Starts at topics that differ by chance a little: q(beta) from Gamma(100, 100) counts.

        Args:
          batch: Dict with "x", `[num, V]`, a sample of the documents.
          seed: Python int or int32 [2].
        """
        shape = tf.fill(self.topic_counts.shape, 100.0)
        counts = tf.exp(random.log_gamma(random.as_seed(seed), shape)) / 100.0
        self.topic_counts.assign(tf.cast(counts, tf.float64))
        words = np.sum(batch["x"], dtype=np.float64) / len(batch["x"])
        self.words_per_document.assign(words)
        self.rounds.assign(0.0)

    def updates(self):
        """A coordinate step on the topics for each pass over the documents, or one for each batch."""
        over = "epoch" if self.inference == "batch" else "batch"
        moved = [self.topic_counts, self.words_per_document, self.rounds]
        return [Update("topics", statistics=self._statistics, apply=self._step, variables=moved, over=over)]

    def _statistics(self, batch, seed, step):
        del seed, step
        x = batch["x"]
        found = self._infer(x, self._ascend_by_words if self.inference == "batch" else self._ascend)
        shares = tf.matmul(found["theta"], x / found["mixture"], transpose_a=True)
        return {
            "counts": tf.cast(found["beta"] * shares, tf.float64),
            "bound": tf.reduce_sum(tf.cast(self._bound(x, found), tf.float64)),
            "words": tf.reduce_sum(tf.cast(x, tf.float64)),
            "rows": tf.cast(tf.shape(x)[0], tf.float64),
        }

    def _step(self, sums):
        """Moves q(beta) as the sums ask for; reports -ELBO by word of the q before."""
        if self.inference == "svi" and self.num_examples is None:
            raise ValueError("inference='svi' needs num_examples, the number of documents: give it.")
        total = sums["rows"] if self.inference == "batch" else tf.cast(self.num_examples, tf.float64)
        scale = total / sums["rows"]
        elbo = scale * sums["bound"] - self.divergence()
        counts, words = scale * sums["counts"], sums["words"] / sums["rows"]
        if self.inference == "svi":
            rate = conjugate.robbins_monro(self.rounds.value, self.delay, self.forgetting)
            counts = conjugate.blend(self.topic_counts.value, counts, rate)
            words = conjugate.blend(self.words_per_document.value, words, rate)
        self.topic_counts.assign(counts)
        self.words_per_document.assign(words)
        self.rounds.assign(self.rounds.value + 1.0)
        return {"loss": -elbo / (scale * sums["words"])}

    def _infer(self, x, ascend=None):
        """q(theta) of documents by coordinate ascent, and what the bound and the topics' step need of it.

        Args:
          x: float32 `[batch, V]`.
          ascend: `_ascend`, or what finds the same gamma.

        Returns:
          Dict of float32 tensors: "gamma" `[batch, K]`; "theta" exp(E log theta); "beta" `[K, V]`
          exp(E log beta - shift); "shift" `[V]`, each word's largest E log beta; "mixture" theta beta.
        """
        log_beta = conjugate.expected_log(self.topic_concentration + self.topic_counts.value)
        # Words that are rare in every topic would underflow.
        shift = tf.reduce_max(log_beta, axis=0)
        beta = tf.cast(tf.exp(log_beta - shift), tf.float32)
        words = tf.reduce_sum(x, axis=1, keepdims=True)
        start = self.document_concentration + tf.tile(words / self.num_topics, [1, self.num_topics])
        gamma = (ascend or self._ascend)(x, beta, start)
        theta = tf.exp(conjugate.expected_log(gamma))
        mixture = _mixture(theta, beta)
        shift = tf.cast(shift, tf.float32)
        return {"gamma": gamma, "theta": theta, "beta": beta, "shift": shift, "mixture": mixture}

    def _ascend(self, x, beta, gamma):
        """gamma of documents from where it starts until it stays, by products over all words."""

        def counts_of(theta):
            return tf.matmul(x / _mixture(theta, beta), beta, transpose_b=True)

        return self._steps(counts_of, 0, gamma, tf.fill(tf.shape(x)[:1], True), 0)[1]

    def _ascend_by_words(self, x, beta, gamma):
        """As `_ascend`, by the words that each document has, and without most documents that are done."""
        places = tf.where(x > 0.0)
        rows = tf.shape(x)[0]
        longest = tf.reduce_max(tf.math.count_nonzero(x, axis=1))
        size, width = few_sizes(rows), few_sizes(longest)

        def by_document(values):
            ragged = tf.RaggedTensor.from_value_rowids(
                values, places[:, 0], tf.cast(rows, tf.int64), validate=False
            )
            # Filled up with counts of 0 of the first word, and with documents of such.
            return ragged.to_tensor(shape=tf.stack([size, width]))

        counts, words = by_document(tf.gather_nd(x, places)), by_document(tf.cast(places[:, 1], tf.int32))
        filled = tf.pad(gamma, [[0, size - rows], [0, 0]], constant_values=self.document_concentration)

        def go_on(number, gamma, chosen, moving, counts, words):
            # Leaving documents out compiles anew: when three quarters are done, while there are many.
            few = tf.where(tf.size(chosen) > _MANY, tf.size(chosen) // 4, 0)
            number, found, moving = compiled(self._steps_by_words)(
                beta, counts, words, number, tf.gather(gamma, chosen), moving, few
            )
            gamma = tf.tensor_scatter_nd_update(gamma, chosen[:, None], found)
            # Those that move, and to their number some that are done and stay.
            left = tf.argsort(tf.cast(~moving, tf.int32), stable=True)[:few]
            return number, gamma, *(tf.gather(each, left) for each in (chosen, moving, counts, words))

        begin = (0, filled, tf.range(size), tf.range(size) < rows, counts, words)
        shapes = [(), filled.shape, (None,), (None,), (None, None), (None, None)]
        found = tf.while_loop(
            lambda number, gamma, chosen, moving, *_: (number < self.iterations) & tf.reduce_any(moving),
            go_on,
            begin,
            shape_invariants=tuple(tf.TensorShape(shape) for shape in shapes),
        )[1]
        return found[:rows]

    def _steps_by_words(self, beta, counts, words, *steps):
        """As `_steps`, of documents given by counts `[batch, most words]` and which words these are."""
        of_words = tf.transpose(tf.gather(tf.transpose(beta), words), (0, 2, 1))

        def counts_of(theta):
            shares = counts / _mixture(theta[:, None], of_words)[:, 0]
            return tf.linalg.matvec(of_words, shares)

        return self._steps(counts_of, *steps)

    def _steps(self, counts_of, number, gamma, moving, few):
        """Coordinate steps on gamma until no more than `few` documents move.

        Args:
          counts_of: Function from what is in proportion to exp(E log theta) to sum_w x_w theta_k beta_kw /
            (theta beta)_w over theta_k, both `[batch, K]`.
          number: How many steps were made.
          gamma: Where they start, `[batch, K]`.
          moving: Which documents are to move, bool `[batch]`.
          few: At least 0.

        Returns:
          (steps made, gamma, which documents move still).
        """

        def step(number, gamma, moving):
            theta = conjugate.exp_digamma(gamma)
            new = self.document_concentration + theta * counts_of(theta)
            new = tf.where(moving[:, None], new, gamma)
            return number + 1, new, tf.reduce_mean(tf.abs(new - gamma), axis=1) > self.tolerance

        def unfinished(number, gamma, moving):
            return (number < self.iterations) & (tf.reduce_sum(tf.cast(moving, tf.int32)) > few)

        return tf.while_loop(unfinished, step, (number, gamma, moving))

    def _bound(self, x, found):
        words = tf.reduce_sum(x * (tf.math.log(found["mixture"]) + found["shift"]), axis=1)
        return words - conjugate.dirichlet_kl(found["gamma"], self.document_concentration)

    def divergence(self):
        """KL(q(beta) || p(beta)) in nats, a float64 scalar."""
        counts = self.topic_concentration + self.topic_counts.value
        return tf.reduce_sum(conjugate.dirichlet_kl(counts, self.topic_concentration))

    def score(self, x):
        """A lower bound of log p of each document's words, float32 `[batch]`."""
        return self._bound(x, self._infer(x))

    def elbo(self, x):
        """Evidence lower bound on log p of a whole set of documents, in nats.

        Args:
          x: `[N, V]`.
        """
        return tf.reduce_sum(tf.cast(self.score(self.space.check(x)), tf.float64)) - self.divergence()

    def posterior(self, x):
        """q(theta | x), a `tfd.Dirichlet` over topics.

        Args:
          x: Documents `[batch, V]`.
        """
        return tfd.Dirichlet(self._infer(self.space.check(x))["gamma"])

    def topics(self):
        """E[beta], float32 `[num_topics, V]`: the distribution over words of each topic."""
        counts = self.topic_concentration + self.topic_counts.value
        return tf.cast(counts / tf.reduce_sum(counts, axis=1, keepdims=True), tf.float32)

    def top_words(self, num=10):
        """The most probable words of each topic, lists of `num` words, or of numbers without a vocabulary."""
        order = np.argsort(-self.topics().numpy(), axis=1, kind="stable")[:, :num]
        return [[w if self.text is None else self.text.symbols[w] for w in row.tolist()] for row in order]

    def sample_rows(self, seeds, num_words=None):
        """Documents: topics' shares, a number of words, and each word from the mean topics mixed by them.

        Args:
          seeds: int32 `[n, 2]`.
          num_words: How many words a document has, an int; None draws it.

        Returns:
          float32 `[n, V]`.
        """
        shares, size, words = random.split(seeds, 3)
        rows = tf.shape(seeds)[0]
        theta = random.dirichlet(shares, tf.fill([rows, self.num_topics], self.document_concentration))
        if num_words is None:
            sizes = random.poisson(size, tf.fill([rows], tf.cast(self.words_per_document.value, tf.float32)))
        else:
            sizes = tf.fill([rows], tf.cast(num_words, tf.float32))
        cumulative = tf.cumsum(tf.matmul(theta, self.topics()), axis=1)

        def add_word(t, x):
            uniform = random.uniform(random.fold_in(words, t), [1]) * cumulative[:, -1:]
            # Rounding must not lead past the last word.
            word = tf.minimum(tf.searchsorted(cumulative, uniform)[:, 0], self.event_shape[0] - 1)
            drawn = tf.one_hot(word, self.event_shape[0])
            return t + 1, x + tf.where(tf.cast(t, tf.float32) < sizes, 1.0, 0.0)[:, None] * drawn

        last = tf.cast(tf.reduce_max(tf.concat([sizes, [0.0]], axis=0)), tf.int32)
        none = tf.zeros([rows, self.event_shape[0]])
        return tf.while_loop(lambda t, x: t < last, add_word, (0, none))[1]

    def sample(self, num, num_words=None, **kwargs):
        """Draws `num` documents, as `GenerativeModel.sample` does.

        Args:
          num: Number of documents.
          num_words: How many words each has, an int; None draws it.
          **kwargs: Passed on to `GenerativeModel.sample`.

        Returns:
          float32 `[num, V]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        if num_words is not None:
            kwargs["num_words"] = checks.whole("num_words", num_words)
        return super().sample(num, **kwargs)

    def validation_metrics(self, batch, seed):
        """Nats, an upper bound, of a document and of a word."""
        del seed
        nats = -self.score(**batch)
        words = tf.maximum(tf.reduce_sum(batch["x"]), 1.0)
        return {
            "loss": tf.reduce_mean(nats),
            "nats_bound": tf.reduce_mean(nats),
            "nats_per_word": tf.reduce_sum(nats) / words,
        }

    def test_metrics(self, data, seed):
        """Perplexity of a word on the test split, an upper bound.

        Args:
          data: A `tfgen.data.Data`.
          seed: Not needed.
        """
        del seed
        bound = words = 0.0
        for start in range(0, len(data.test.x), _ROWS):
            part = data.test.x[start : start + _ROWS]
            bound += float(np.sum(self.log_prob(part), dtype=np.float64))
            words += float(np.sum(part, dtype=np.float64))
        perplexity = float(np.exp(-bound / max(words, 1.0)))
        return {"perplexity": {"value": perplexity, "kind": "upper bound, of a word of the test split"}}

    def views(self, data, num, seed):
        """The topics: their most probable words as bars and as text; the topics of test documents.

        Args:
          data: A `tfgen.data.Data`, or None for the topics alone.
          num: How many topics and documents.
          seed: Not needed.
        """
        del seed
        counts = self.topic_counts.value.numpy().sum(axis=1)
        shares = 100.0 * counts / counts.sum()
        first = np.argsort(-shares, kind="stable")
        words = self.top_words()
        lines = [f"topic {k} ({shares[k]:.1f} % of the words): {' '.join(map(str, words[k]))}" for k in first]
        most = first[:num]
        bars = np.round(1000.0 * self.topics().numpy()[most])
        captions = [f"{k} ({shares[k]:.1f} %), in 1,000 words" for k in most]
        found = {
            "words": View(lines, "text"),
            "topics": View(bars, captions=captions, title="topic"),
        }
        if data is not None and len(data.test):
            x = np.asarray(data.test.x[: min(num, _DOCUMENTS)], np.float32)
            shares, title = (
                self.posterior(x).mean().numpy(),
                "shares of the topics (columns) in test documents",
            )
            picture = charts.matrix(shares, columns=range(self.num_topics), title=title, numbers=False)
            found["documents"] = View(np.asarray(picture)[None])
        return found

    def check_data(self, data):
        """As `GenerativeModel.check_data`; of the training documents each must hold a word.

        Raises:
          ValueError: If the data do not fit, or a training document is empty.
        """
        super().check_data(data)
        empty = []
        for start in range(0, len(data.train.x), _ROWS):
            held = np.any(data.train.x[start : start + _ROWS], axis=1)
            empty += (start + np.flatnonzero(~held)).tolist()
        if empty:
            raise ValueError(
                f"{type(self).__name__}: row {empty[0]} of the training split of {data.name} counts no word "
                f"({len(empty)} of {len(data.train.x)} rows): leave such documents out."
            )

    def signatures(self):
        """Adds `topics`: the expected share of each topic, and the largest."""
        x = tf.TensorSpec([None, *self.event_shape], tf.float32, name="x")

        def topics(x):
            shares = self.posterior(x).mean()
            return {"shares": shares, "topic": tf.argmax(shares, -1, output_type=tf.int32)}

        return super().signatures() | {"topics": Signature(topics, {"x": x})}


def _mixture(theta, beta):
    """theta beta; above 0 also of words that a document does not have, and none of its topics."""
    return tf.maximum(tf.matmul(theta, beta), _LEAST)
