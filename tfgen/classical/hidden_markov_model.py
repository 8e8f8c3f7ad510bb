"""Hidden Markov model by Baum and Welch's expectation maximization."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical import trellis
from tfgen.classical.emissions import FAINT, Gaussians, Symbols, by_class, of_class
from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.estimators.matching import matched
from tfgen.media import charts
from tfgen.media.text import tokens_of
from tfgen.model import GenerativeModel, Signature, Update, View, compiled, few_sizes
from tfgen.space import label_or_vector

tfd = tfp.distributions

# Steps that the start is made of, at most.
_BEGIN_STEPS = 100_000
# Probability that stands for none in weights, which hold logarithms.
_LEAST_SHARE = 1e-30
# Sequences, classes and symbols that pictures show, at most.
_SEQUENCES, _CLASSES, _SYMBOLS = 4, 12, 40


@keras.saving.register_keras_serializable("tfgen")
class HiddenMarkovModel(GenerativeModel):
    """Hidden Markov model p(x | T) = sum_z p(z_1) p(x_1 | z_1) prod_t p(z_t | z_(t-1)) p(x_t | z_t).

    States z_t are summed out by the forward recursion; Baum-Welch, which is expectation maximization, fits
    all parameters. A pass over the data sums the expected starts, transitions and emissions by p(z_t | x) and
    p(z_(t-1), z_t | x), which the forward and backward recursions give; their shares are the next parameters.
    Without `smoothing` and `regularization` the likelihood never falls. Symbols have a row of probabilities
    for each state, vectors a Gaussian or a mixture of Gaussians. Under a condition
    every class has parameters of its own, and `classes` inverts them by Bayes' rule.

    EM needs a start: `begin(batch, seed)` makes one, of vectors by clusters, of left-right chains by even
    parts of each sequence. Training calls it; before `fit`, call it first.

    Args:
      event_shape: (None,) for symbols as floats, (None, D) for vectors of D numbers.
      num_states: Number of states.
      transitions: "full", or "left_right": a chain that begins in state 0 and never goes back.
      jump: Most states that a left-right chain goes on by in a step.
      tied: Whether all states stay with one probability, and leave for each state in reach alike.
      covariance: "diag" or "full", of the Gaussians.
      num_components: Number of Gaussians of a state.
      regularization: Added to the variances in each step of EM.
      smoothing: Count added to each start, transition and symbol in each step of EM.
      length: How many steps a sample has, unless `sample` is told.
      condition: "none" or "label".
      num_classes: Number of labels.
      vocabulary: The symbols, or None for bare numbers.
      unit: What a symbol is: "character" or "word".
      num_values: Number of symbols; None for the vocabulary's, or for 2 without one.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Baum, Petrie, Soules & Weiss, "A maximization technique occurring in the statistical analysis of
      probabilistic functions of Markov chains", 1970. Rabiner, "A tutorial on hidden Markov models and
      selected applications in speech recognition", Proceedings of the IEEE, 1989.
    """

    density = "exact"
    # Of whole sequences, also where others have it by the step.
    quantities = {"loss": "-log p(x) [nats]"}  # noqa: RUF012

    def __init__(
        self,
        event_shape=(None,),
        num_states=4,
        transitions="full",
        jump=1,
        tied=False,
        covariance="diag",
        num_components=1,
        regularization=1e-6,
        smoothing=0.0,
        length=100,
        condition="none",
        num_classes=None,
        vocabulary=None,
        unit="character",
        num_values=None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        if self.event_shape[0] is not None or len(self.event_shape) > 2:
            raise ValueError(f"event_shape must be (None,) or (None, D), sequences, got {event_shape!r}.")
        self.num_states = checks.whole("num_states", num_states)
        checks.one_of("transitions", transitions, ("full", "left_right"))
        checks.one_of("condition", condition, ("none", "label"))
        checks.one_of("covariance", covariance, ("diag", "full"))
        checks.whole("num_components", num_components)
        checks.whole("jump", jump)
        checks.number("regularization", regularization, at_least=0)
        self.smoothing = checks.number("smoothing", smoothing, at_least=0)
        self.length, self.tied = checks.whole("length", length), bool(tied)
        self.condition = label_or_vector(condition, num_classes)
        if self.condition is not None and self.condition.shape:
            raise ValueError(f"num_classes must be one number, got {num_classes!r}.")
        classes = () if self.condition is None else (num_classes,)

        ahead = np.arange(self.num_states) - np.arange(self.num_states)[:, None]
        self.allowed = np.ones_like(ahead, bool) if transitions == "full" else (ahead >= 0) & (ahead <= jump)
        self.codec = None
        if len(self.event_shape) == 1:
            self.codec, self.num_values = tokens_of(vocabulary, unit, num_values)
            self.num_values = checks.whole("num_values", self.num_values, at_least=2)
            if num_components != 1:
                raise ValueError(f"num_components={num_components} is of vectors, but x are symbols.")
            self.emission = Symbols(classes, num_states, self.num_values, smoothing)
        else:
            self.values, self.num_values = "real", None
            size = self.event_shape[1]
            self.emission = Gaussians(classes, num_states, size, num_components, covariance, regularization)
        if self.codec is not None:
            self.kind, self.text = self.codec.kind, self.codec.vocabulary
            # An attribute of the model's own, so that an export brings it along.
            self.table_of_texts = self.text.table

        def add(name, shape, initializer):
            # autocast=False: densities are float32 under every dtype policy.
            return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)

        noise = keras.initializers.RandomNormal(stddev=1.0)
        self.class_logits = add("class_logits", classes, "zeros") if classes else None
        self.start_logits = add("start_logits", (*classes, num_states), noise) if self._starts else None
        self.transition_logits = add("transition_logits", (*classes, num_states, num_states), noise)

    @property
    def _starts(self):
        """Whether a chain may begin in any state."""
        return bool(self.allowed.all())

    def chain(self, condition=None):
        """log p(z_1) and log p(z_t | z_(t-1)), of every class or of each row of conditions, as `Chain`."""
        transitions = tf.nn.log_softmax(tf.where(self.allowed, self.transition_logits.value, -np.inf))
        if not self._starts:
            start = tf.math.log(tf.one_hot(0, self.num_states))
            start = tf.broadcast_to(start, tf.shape(transitions)[:-1])
        else:
            # As the scaled recursion takes them.
            least = np.log(trellis.LEAST).astype(np.float32)
            start = tf.maximum(tf.nn.log_softmax(self.start_logits.value), least)
            transitions = tf.maximum(transitions, least)
        return trellis.Chain(of_class(start, condition), of_class(transitions, condition), self.allowed)

    def evidence(self, x, lengths=None, condition=None):
        """log p(x_t | z_t), as `Evidence`; steps beyond the lengths are not observed.

        Raises:
          ValueError: If a sequence has no steps, or a symbol never occurred in training; in a graph,
            InvalidArgumentError.
        """
        return self._evidence(self._require(x, lengths, condition), lengths, condition)

    def _evidence(self, x, lengths, condition):
        observed = None if lengths is None else tf.transpose(tf.sequence_mask(lengths, tf.shape(x)[1]))
        table, take = self.emission.table(_steps_first(x), condition)
        return trellis.Evidence(table, take, observed)

    def _require(self, x, lengths, condition):
        """x, checked for steps and for symbols that occurred in training."""
        name = type(self).__name__
        steps = tf.fill(tf.shape(x)[:1], tf.shape(x)[1]) if lengths is None else lengths
        message, remedy = f"{name}: sequences must have steps", "leave out those of length 0"
        checked = checks.require(tf.reduce_all(steps > 0), steps, message, remedy)
        with tf.control_dependencies([checked]):
            x = tf.identity(x)
        if self.values == "levels" and not self.smoothing:
            unseen = self.emission.unseen(x, condition)
            if lengths is not None:
                unseen &= tf.sequence_mask(lengths, tf.shape(x)[1])
            # The symbols in question, for the message.
            shown = tf.where(unseen, x, tf.reduce_max(tf.where(unseen, x, -1.0)))
            message = f"{name}: x must hold symbols that occurred in training"
            remedy = "leave them out, or train with smoothing"
            checked = checks.require(~tf.reduce_any(unseen), shown, message, remedy)
            with tf.control_dependencies([checked]):
                x = tf.identity(x)
        return x

    def begin(self, batch, seed):
        """Starts at clusters of vectors, at random preferences of symbols, or at even parts of sequences.

        Args:
          batch: Dict with "x", and as there are "lengths" and "condition": a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If there are fewer steps than states, or a covariance is singular.
        """
        rows = max(1, _BEGIN_STEPS // batch["x"].shape[1])
        chosen = np.unique(np.linspace(0, len(batch["x"]) - 1, rows).round().astype(int))
        x, condition = (
            None if batch.get(name) is None else tf.gather(batch[name], chosen) for name in ("x", "condition")
        )
        lengths = batch.get("lengths", tf.fill(tf.shape(batch["x"])[:1], tf.shape(batch["x"])[1]))
        lengths = tf.gather(lengths, chosen)
        observed = tf.transpose(tf.sequence_mask(lengths, x.shape[1])).numpy()
        if observed.sum() < self.num_states:
            raise ValueError(
                f"num_states={self.num_states} needs as many steps in the data, got {observed.sum()}: use "
                "fewer, or give more data."
            )
        x = _steps_first(x)
        first, second = random.split(random.as_seed(seed))
        if self._starts:
            states = self.emission.guess(x, observed, condition, first)
        else:
            part = tf.range(tf.shape(x)[0])[:, None] * self.num_states // tf.maximum(lengths, 1)
            states = tf.one_hot(part, self.num_states)
        states = tf.where(observed[..., None], states, 0.0)
        self.emission.begin(x, states, condition, second)
        classes = self.class_logits.shape if self.condition is not None else ()
        found = trellis.Smoothed(states, tf.einsum("tbi,tbj->bij", states[:-1], states[1:]))
        if not classes:
            found = found._replace(transitions=tf.reduce_sum(found.transitions, axis=0))
        # One of each more, so that EM finds no way closed.
        self._estimate_chain(self._sums_of_chain(found, condition), at_least=1.0)

    def updates(self):
        """One step of Baum-Welch for each pass over the data."""
        chain = [self.class_logits, self.start_logits, self.transition_logits]
        moved = [*(weight for weight in chain if weight is not None), *self.emission.variables]
        return [
            Update("em", statistics=self._statistics, apply=self._maximize, variables=moved, over="epoch")
        ]

    def _statistics(self, batch, seed, step):
        del seed, step
        if "lengths" in batch:
            # What the batch is filled up with need not be computed; XLA compiles for each number of steps.
            batch = batch | {"x": batch["x"][:, : few_sizes(tf.reduce_max(batch["lengths"]))]}
        batch = batch | {"x": self._require(**{"lengths": None, "condition": None} | batch)}
        return compiled(self._expected)(**batch)

    def expected(self, x, lengths=None, condition=None):
        """Expected counts under p(z | x) and log p(x): the sums over a batch that EM needs, float64.

        Args:
          x: float32 `[batch, T, ...]`, unchecked.
          lengths: int32 `[batch]`, or None.
          condition: int32 `[batch]`, or None.
        """
        return self._expected(self._require(x, lengths, condition), lengths, condition)

    def _expected(self, x, lengths=None, condition=None):
        chain, evidence = self.chain(condition), self._evidence(x, lengths, condition)
        forward = trellis.forward(chain, evidence)
        found = trellis.backward(chain, evidence, forward)
        if evidence.observed is not None:
            found = found._replace(states=tf.where(evidence.observed[..., None], found.states, 0.0))
        x = _steps_first(x)
        sums = self._sums_of_chain(found, condition) | self.emission.sums(x, found.states, condition)
        log_p = tf.reduce_sum(tf.cast(forward.log_p, tf.float64))
        return sums | {"log_p": log_p, "sequences": tf.cast(tf.shape(x)[1], tf.float64)}

    def _sums_of_chain(self, found, condition):
        """Expected starts and transitions by class, and how many sequences there are of each class."""
        classes = () if self.condition is None else tuple(self.class_logits.shape)
        starts = found.states[0] if classes else tf.reduce_sum(found.states[0], axis=0)
        sums = {"starts": starts, "transitions": found.transitions}
        sums |= {"classes": tf.ones_like(condition, tf.float32)} if classes else {}
        return {k: by_class(tf.cast(v, tf.float64), condition, classes) for k, v in sums.items()}

    def _maximize(self, sums):
        """Assigns the weights that the sums ask for; reports -mean log p(x) of the weights before."""
        self.emission.estimate(sums)
        self._estimate_chain(sums)
        return {"loss": -sums["log_p"] / sums["sequences"]}

    def _estimate_chain(self, sums, at_least=0.0):
        present = self.chain()
        counts = tf.where(self.allowed, sums["transitions"] + self.smoothing + at_least, 0.0)
        if self.tied:
            counts = self._tied(counts)
        self.transition_logits.assign(_log_shares(counts, present.transitions))
        if self._starts:
            starts = sums["starts"] + self.smoothing + at_least
            self.start_logits.assign(_log_shares(starts, present.start))
        if self.condition is not None:
            logits = _log_shares(sums["classes"], tf.nn.log_softmax(self.class_logits.value))
            self.class_logits.assign(logits)

    def _tied(self, counts):
        """Counts `[*classes, S, S]` whose shares are those of one probability of staying for all states."""
        others = self.allowed.sum(axis=1) - 1.0
        # A state that cannot be left says nothing of how long states last.
        leaves = others > 0
        stays = tf.reduce_sum(tf.linalg.diag_part(counts) * leaves, axis=-1)[..., None, None]
        total = tf.reduce_sum(counts * leaves[:, None], axis=[-2, -1], keepdims=True)
        each = (total - stays) / np.maximum(others, 1.0)[:, None]
        return (
            tf.where(np.eye(self.num_states, dtype=bool), tf.where(leaves[:, None], stays, 1.0), each)
            * self.allowed
        )

    def score(self, x, lengths=None, condition=None):
        """log p(x | T), or log p(x | T, c), of unchecked x: float32 `[batch]`, in nats."""
        return trellis.forward(
            self.chain(condition), self.evidence(x, lengths, condition), filtered=False
        ).log_p

    def log_joint(self, x, lengths=None):
        """log p(x, c | T) of each class c, float32 `[batch, classes]`, of unchecked x."""
        classes, rows = self.class_logits.shape[0], tf.shape(x)[0]
        each = tf.repeat(tf.range(classes), rows)
        # Static where it is known, as XLA wants it.
        x = tf.tile(x, [classes, *[1] * (x.shape.rank - 1)])
        scored = self.score(x, None if lengths is None else tf.tile(lengths, [classes]), each)
        scored = tf.transpose(tf.reshape(scored, [classes, rows]))
        return scored + tf.nn.log_softmax(self.class_logits.value)

    def classes(self, x, lengths=None):
        """p(c | x) by Bayes' rule, a `Categorical` over the labels of batch shape `[batch]`.

        Args:
          x: As for `log_prob`.
          lengths: As there.

        Raises:
          ValueError: If x does not fit, or the model has no labels.
        """
        if self.condition is None:
            raise ValueError(f"{type(self).__name__} has no labels: make it with condition='label'.")
        checked = self.check_fields({"x": x, "condition": self._any_label(x), "lengths": lengths})
        return tfd.Categorical(logits=self.log_joint(checked["x"], checked.get("lengths")))

    def _any_label(self, x):
        return tf.zeros(tf.shape(tf.convert_to_tensor(x))[:1], tf.int32)

    def posterior(self, x, lengths=None, condition=None):
        """p(z_t | x), a `Categorical` over the states of batch shape `[batch, T]`.

        Args:
          x: As for `log_prob`.
          lengths: As there; beyond them, states are predicted.
          condition: As there.
        """
        chain, evidence = self._checked(x, lengths, condition)
        found = trellis.backward(chain, evidence, trellis.forward(chain, evidence))
        return tfd.Categorical(probs=tf.transpose(found.states, (1, 0, 2)))

    def filter(self, x, lengths=None, condition=None):
        """p(z_t | x_1..t), a `Categorical` over the states of batch shape `[batch, T]`.

        Args:
          x: As for `log_prob`.
          lengths: As there; beyond them, states are predicted.
          condition: As there.
        """
        chain, evidence = self._checked(x, lengths, condition)
        found = tf.transpose(trellis.forward(chain, evidence).filtered, (1, 0, 2))
        return tfd.Categorical(probs=found) if chain.dense else tfd.Categorical(probs=tf.exp(found))

    def states(self, x, lengths=None, condition=None):
        """The most probable path of states (Viterbi 1967), int32 `[batch, T]`; -1 beyond the length.

        Args:
          x: As for `log_prob`.
          lengths: As there.
          condition: As there.
        """
        chain, evidence = self._checked(x, lengths, condition)
        found = trellis.viterbi(chain, evidence)
        if evidence.observed is not None:
            found = tf.where(evidence.observed, found, -1)
        return tf.transpose(found)

    def _checked(self, x, lengths, condition):
        fields = self.check_fields({"x": x, "lengths": lengths, "condition": condition})
        return self.chain(fields.get("condition")), self.evidence(**fields)

    def initial_distribution(self, condition=None):
        """p(z_1): a `Categorical` over the states."""
        return tfd.Categorical(logits=self.chain(condition).start)

    def transition_distribution(self, condition=None):
        """p(z_t | z_(t-1)): a `Categorical` of batch shape `[S]`, or `[batch, S]` under conditions."""
        return tfd.Categorical(logits=self.chain(condition).transitions)

    def emission_distribution(self, condition=None):
        """p(x_t | z_t): a distribution of batch shape `[S]`, or `[batch, S]` under conditions."""
        return self.emission.distribution(condition)

    def distribution(self, condition=None, length=None):
        """The model as a TFP distribution over sequences of one length.

        Args:
          condition: Labels `[*batch_shape]`, for a conditional model.
          length: Steps of an event; None for the model's `length`.
        """
        return ModelDistribution(self, condition, length)

    def sample_rows(self, seeds, length=None, condition=None):
        """A path of states, then x of each state, for each row of seeds.

        Args:
          seeds: int32 `[n, 2]`.
          length: Number of steps, an int; None for the model's `length`.
          condition: int32 `[n]`, for a conditional model.
        """
        # Seeds of the steps: a sequence begins alike, however long it gets.
        each = random.fold_in(seeds[:, None], tf.range(length or self.length))
        which, seeds = random.split(each)
        uniforms = tf.transpose(random.uniform(which, []))
        states = tf.transpose(trellis.draw(self.chain(condition), uniforms))
        return self.emission.draw(states, seeds, condition)

    def decode(self, x):
        """Strings that samples of symbols `[num, T]` stand for.

        Raises:
          ValueError: If there is no vocabulary.
        """
        if self.codec is None:
            raise ValueError(f"{type(self).__name__} has no vocabulary: its samples are numbers.")
        return self.codec.decode(x)

    def check_data(self, data):
        """Also checks that sequences have steps and that no split holds symbols that training never sees.

        Args:
          data: A `tfgen.data.Data`.

        Raises:
          ValueError: If the data do not fit; names the split and its first row that does not.
        """
        super().check_data(data)
        name, seen = type(self).__name__, None
        for part, split in (("training", data.train), ("validation", data.validation), ("test", data.test)):
            where = f"the {part} split of {data.name}"
            lengths = split.extra.get("lengths", np.full(len(split), split.x.shape[1]))
            empty = np.flatnonzero(lengths == 0)
            if len(empty):
                raise ValueError(
                    f"{name}: sequences must have steps, row {empty[0]} of {where} has none: leave it out."
                )
            if self.values != "levels" or self.smoothing:
                continue
            counted = np.arange(split.x.shape[1]) < lengths[:, None]
            seen = np.unique(split.x[counted]) if seen is None else seen
            foreign = counted & ~np.isin(split.x, seen)
            if foreign.any():
                row, step = np.argwhere(foreign)[0]
                symbol = int(split.x[row, step])
                shown = symbol if self.text is None else repr(self.text.symbols[symbol])
                raise ValueError(
                    f"{name}: symbol {shown} in row {row}, step {step} of {where} never occurs in training: "
                    "train with smoothing (--smoothing=0.1), or leave it out."
                )

    def test_metrics(self, data, seed):
        """How often the most probable path is the planted one, and the most probable label the true one.

        States are matched one to one to those in `extra["states"]`; there are none without.
        """
        found, split = {}, data.test
        fields = {k: v for k, v in self.fields(split).items() if v is not None}
        x = self.space.from_data(fields["x"], data, seed)
        fields |= {"x": x, "lengths": fields.get("lengths", np.full(len(split), split.x.shape[1], np.int32))}
        states = split.extra.get("states")
        if states is not None and states.max() < self.num_states:
            path = self._by_parts(split, fields, self.states)
            counted = path >= 0
            table = np.zeros([self.num_states] * 2)
            np.add.at(table, (states[counted], path[counted]), 1)
            share = {"value": matched(table)[0], "kind": "share of the test split's steps, states matched"}
            found["state_accuracy"] = share
        if self.condition is not None and split.label is not None:
            fields.pop("condition")
            joint = self._by_parts(split, fields, self.log_joint, self.class_logits.shape[0])
            found["label_accuracy"] = _share(np.argmax(joint, axis=1) == split.label)
        return found

    def _by_parts(self, split, fields, function, times=1):
        """A function of fields on a split, so many rows at once as are evaluated together."""
        compiled, rows = (
            tf.function(function, autograph=False, reduce_retracing=True),
            self.rows_at_once(split),
        )
        size = max(1, rows // times)
        parts = [
            compiled(**{k: tf.convert_to_tensor(v[start : start + size]) for k, v in fields.items()}).numpy()
            for start in range(0, len(split), size)
        ]
        return np.concatenate(parts)

    def signatures(self):
        """Adds `states`, `posterior` and `filter`, and with labels `classify`; of texts, all take strings.

        `log_prob_of_tokens` is then `log_prob` as other models have it.
        """
        served = super().signatures()
        inputs, example = served["log_prob"].inputs, "the"
        if self.text is not None:
            inputs = {"text": tf.TensorSpec([None], tf.string)} | self.condition_spec()
            example = self.text.example()
            served["log_prob_of_tokens"] = served["log_prob"]

        def serve(answer, inputs=inputs):
            return Signature(lambda **given: answer(**self._encoded(given)), inputs, example)

        if self.text is not None:
            served["log_prob"] = serve(lambda **given: {"log_prob": self.log_prob(**given)})
            served["serving_default"] = served["log_prob"]
        served["states"] = serve(lambda **given: {"states": self.states(**given)})
        for name, function in (("posterior", self.posterior), ("filter", self.filter)):
            served[name] = serve(lambda f=function, **given: {"probabilities": f(**given).probs_parameter()})
        if self.condition is not None:
            served["classify"] = serve(
                self._classify, {k: spec for k, spec in inputs.items() if k != "condition"}
            )
        return served

    def _encoded(self, given):
        if "text" not in given:
            return given
        x, lengths = self.codec.encode_graph(given.pop("text"))
        return given | {"x": x, "lengths": lengths}

    def _classify(self, **given):
        found = self.classes(**given).probs_parameter()
        return {"probabilities": found, "label": tf.argmax(found, axis=-1, output_type=tf.int32)}

    def views(self, data, num, seed):
        """Most probable and posterior states beside sequences, transitions, emissions; each class its own.

        Args:
          data: A `tfgen.data.Data`, whose first test sequences are shown; None shows samples.
          num: How many sequences at most; no more than 4 are.
          seed: int32 [2].
        """
        num = min(num, _SEQUENCES)
        if data is None or not len(data.test):
            conditions = {} if self.condition is None else {"condition": np.arange(num) % self._num_classes}
            fields = {"x": self.sample(num, seed=seed, **conditions).numpy()} | conditions
        else:
            split = data.test.take(slice(0, num))
            fields = {k: v for k, v in self.fields(split).items() if v is not None}
            fields["x"] = self.space.from_data(fields["x"], data, seed).numpy()
        lengths = fields.get("lengths", np.full(len(fields["x"]), fields["x"].shape[1], np.int32))
        paths, probabilities = (
            self.states(**fields).numpy(),
            self.posterior(**fields).probs_parameter().numpy(),
        )
        symbols = None if self.text is None else self.text.symbols
        shown = [
            charts.states(x[:n], path[:n], chances[:n], symbols)
            for x, path, chances, n in zip(fields["x"], paths, probabilities, lengths, strict=True)
        ]
        names = None
        classes = range(1)
        if self.condition is not None:
            classes = range(min(self._num_classes, _CLASSES))
            known = (None if data is None else data.class_names) or tuple(range(self._num_classes))
            names = [str(known[c]) for c in classes]
        of_class = [{} if self.condition is None else {"condition": np.array([c], np.int32)} for c in classes]
        transitions = [
            charts.matrix(self._first(self.transition_distribution(**c).probs_parameter())) for c in of_class
        ]
        emissions = [self._picture_of_emissions(data, **c) for c in of_class]
        told = "p(x | state)" if self.values == "levels" else "means of x by state"
        return {
            "states": View(_stacked(shown), title="most probable states as colors, posterior below"),
            "transitions": View(
                _stacked(transitions), captions=names, title="transitions from row to column"
            ),
            "emissions": View(_stacked(emissions), captions=names, title=told),
        }

    @property
    def _num_classes(self):
        return self.condition.num_classes

    def _first(self, values):
        """The values of the one condition that they were made for, as an array."""
        values = np.asarray(values)
        return values if self.condition is None else values[0]

    def _picture_of_emissions(self, data, condition=None):
        law = self.emission_distribution(condition)
        if self.values == "levels":
            table = self._first(law.probs_parameter())
            symbols = [str(i) for i in range(self.num_values)] if self.text is None else self.text.symbols
            often = np.argsort(-table.max(axis=0), kind="stable")[:_SYMBOLS]
            return charts.matrix(table[:, often], columns=[symbols[i] for i in often], numbers=False)
        mean = self._first(law.mean())
        if mean.shape[1] != 2:
            return charts.matrix(mean, numbers=False, signed=True)
        reference = None
        if data is not None:
            split = data.test.take(slice(0, _SEQUENCES * 10))
            lengths = split.extra.get("lengths", np.full(len(split), split.x.shape[1]))
            reference = split.x[np.arange(split.x.shape[1]) < lengths[:, None]]
        components = law.components_distribution
        parts = self._first(components.mean()), self._first(components.covariance())
        return charts.ellipses(*parts, reference)


def _steps_first(x):
    """`[T, batch, ...]` of `[batch, T, ...]`."""
    return tf.transpose(x, (1, 0, *range(2, x.shape.rank)))


def _log_shares(counts, present):
    """log of counts over their sum along the last axis, float32; where there are none, what is present."""
    total = tf.reduce_sum(counts, axis=-1, keepdims=True)
    share = tf.math.log(tf.maximum(counts / tf.maximum(total, FAINT), _LEAST_SHARE))
    present = tf.maximum(tf.cast(present, tf.float64), np.log(_LEAST_SHARE))
    return tf.cast(tf.where(total > FAINT, share, present), tf.float32)


def _share(right):
    """Share of trues as a figure, with Wilson's 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    figure = {"value": float(right.mean()), "low": float(interval.low), "high": float(interval.high)}
    return figure | {"kind": "share of the test split, by Bayes' rule"}


def _stacked(images):
    """Pictures of any sizes as one uint8 array `[num, H, W, 3]`, white beyond their edges."""
    arrays = [np.asarray(image, np.uint8) for image in images]
    size = np.max([a.shape for a in arrays], axis=0)
    filled = [
        np.pad(a, [(0, s - t) for s, t in zip(size, a.shape, strict=True)], constant_values=255)
        for a in arrays
    ]
    return np.stack(filled)
