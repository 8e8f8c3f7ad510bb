"""Deep belief net."""

import functools
import math

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.distributions.draw import draw
from tfgen.energy.estimators import gibbs_chain, pseudo_likelihood
from tfgen.energy.layerwise import greedy_stages
from tfgen.energy.rbm import RBM
from tfgen.energy.report import log_partition_from_above, report_views
from tfgen.estimators.importance import seeds_of
from tfgen.estimators.precision import full_float32
from tfgen.model import Condition, GenerativeModel, Signature, Stage, Update
from tfgen.networks.classifier import (
    by_errors,
    discriminative_stage,
    label_losses,
    report_label_error,
    sigmoid_classifier,
)
from tfgen.space import label_or_vector
from tfgen.variational.belief_layers import BeliefLayers


@keras.saving.register_keras_serializable("tfgen")
class DeepBeliefNet(GenerativeModel):
    """Deep belief net: binary layers generated downwards from a restricted Boltzmann machine at the top.

    p(x, h_1, ..., h_L) = p(x | h_1) p(h_1 | h_2) ... p(h_{L-2} | h_{L-1}) p(h_{L-1}, h_L), where the last
    factor is an RBM and the others are products of Bernoullis.

    It is trained one layer after the other, each an RBM of what q(h_1, ..., h_{L-1} | x), also a chain of
    Bernoullis, makes of x by the layers below. Where a layer has hidden units enough it starts as the one
    below turned over, and then the bound does not fall while it learns:

      log p(x) >= E_q [log p(x | h_1) + ... + log p(h_{L-2} | h_{L-1}) - F(h_{L-1}) - log q(h | x)] - log Z,

    F and Z those of the top. `log_prob` is this without log Z (`log_partition`), averaged over samples of q.

    fine_tuning="up_down": all layers learn on together by the contrastive form of wake-sleep: generative
    weights from q's samples of x, recognition weights from dreams that begin `num_gibbs` sweeps of the top
    away from data.
    fine_tuning="discriminative": a classifier begins as the net's way up and learns from the labelled stream
    (`num_labels`); the net itself stays as it is. Of data that are drawn anew each time (dynamic
    binarization) it reads the probabilities of a one.

    Args:
      event_shape: Shape of one x.
      hidden: Sizes of the hidden layers h_1, ..., h_L.
      estimator: Gradient of each RBM, as in `RBM`.
      num_gibbs: Gibbs sweeps in each step.
      num_chains: Persistent chains of each RBM, for "pcd" and "pt".
      transposed: Start each RBM as the one below turned over, where it has hidden units enough.
      centring: Whether each RBM couples deviations of its units from their offsets, as `RBM`.
      fine_tuning: "none", "up_down" or "discriminative", a stage of its own.
      condition: "none", or "label": the top RBM joins h_{L-1} and the label, as one-hot units, to h_L, so
        that `log_prob` is of x and its label, and samples are drawn given one.
      num_classes: Number of labels, for "label" and for "discriminative".
      num_sweeps: Gibbs sweeps of the top behind a sample, in exports too, unless a call says otherwise.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Hinton, Osindero & Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18, 2006.
      Bound by AIS: Salakhutdinov & Murray, "On the quantitative analysis of deep belief networks", ICML 2008.
    """

    density = "unnormalized_bound"
    jit_sampler = True
    visible = ("v",)
    quantities = {  # noqa: RUF012
        "loss": "-log p(x), pseudo-likelihood of the layer that learns [nats]",
        "pseudo_nats": None,
        "reconstruction_error": "mean squared reconstruction error",
        "discriminative/loss": "cross-entropy of labels [nats]",
        "label_nats": "cross-entropy of labels [nats]",
        "label_error": "share of labels not found",
    }

    def __init__(
        self,
        event_shape,
        hidden=(128, 128),
        estimator="pcd",
        num_gibbs=1,
        num_chains=100,
        transposed=True,
        centring=False,
        fine_tuning="none",
        condition="none",
        num_classes: int | None = None,
        num_sweeps=1000,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        hidden = checks.sizes("hidden", hidden)
        if len(hidden) < 2:
            raise ValueError(f"hidden={hidden} must hold two layers or more: of one it is an RBM.")
        self.transposed = transposed
        self.fine_tuning = checks.one_of("fine_tuning", fine_tuning, ("none", "up_down", "discriminative"))
        self.num_gibbs = checks.whole("num_gibbs", num_gibbs)
        self.chain_steps = checks.whole("num_sweeps", num_sweeps)
        self.condition = label_or_vector(
            checks.one_of("condition", condition, ("none", "label")), num_classes
        )
        if self.condition is not None and fine_tuning == "discriminative":
            raise ValueError(
                "fine_tuning='discriminative' learns labels apart from p(x), condition='label' at the top: "
                "leave one of them out."
            )
        sizes = (math.prod(self.event_shape), *hidden)
        self.generative = BeliefLayers(sizes[:-1], "down", name="generative")
        self.recognition = BeliefLayers(sizes[:-1], "up", name="recognition")
        # Those below the top hand their weights on when they are done.
        options = {"estimator": estimator, "num_gibbs": num_gibbs, "num_chains": num_chains}
        options |= {"centring": centring}
        self.machines = [RBM(*pair, **options) for pair in zip(sizes[:-2], sizes[1:-1], strict=True)]
        labels = {} if self.condition is None else {"condition": "label", "num_classes": num_classes}
        self.machines.append(RBM(*sizes[-2:], **options, **labels))
        self.classifier = None
        if fine_tuning == "discriminative":
            checks.whole("num_classes", num_classes)
            self.optional_fields = {"label": Condition("label", num_classes=num_classes)}
            self.streams, self.reads_means = ("labelled",), True
            self.quantities = by_errors(self.quantities)
            self.classifier = sigmoid_classifier(sizes[0], hidden, num_classes, self.dtype_policy)

    @property
    def joint(self):
        """Energy of x and h_1, the lowest RBM's, whose independent units at base rates are noise."""
        return self.machines[0].joint

    @property
    def filters(self):
        """Weights of the first hidden layer, `[visible, n_1]`."""
        return self.machines[0].filters

    @property
    def top(self):
        """The RBM of the two highest layers."""
        return self.machines[-1]

    def flat(self, x):
        """x `[batch, *event_shape]` as `[batch, visible]`."""
        return tf.reshape(x, [-1, self.machines[0].num_visible])

    def stages(self):
        """A stage for each layer, and one of fine-tuning."""
        stages = greedy_stages(self.machines, self.inputs, self.hand_on, self.transposed)
        if self.fine_tuning == "up_down":
            moved = [*self.generative.trainable_variables, *self.recognition.trainable_variables]
            moved += self.top.updates()[0].variables
            stages.append(Stage("up_down", 1.0, [Update("up_down", self.up_down, moved, surrogate=True)]))
        if self.fine_tuning == "discriminative":
            stages.append(discriminative_stage(self.classifier, self.flat, self.start_classifier))
        return stages

    def updates(self):
        """The last stage's."""
        return self.stages()[-1].updates

    def hand_on(self, k):
        """Makes RBM k - 1, which is done, the link of h_{k-1} and h_k in both directions."""
        if k:
            done = self.machines[k - 1]
            self.generative.kernels[k - 1].assign(tf.transpose(done.kernel.value))
            self.generative.biases[k - 1].assign(done.joint.bias_without_offsets("v"))
            self.recognition.kernels[k - 1].assign(done.kernel.value)
            self.recognition.biases[k - 1].assign(done.joint.bias_without_offsets("h"))

    def start_classifier(self):
        """Makes the way up the hidden layers of the classifier."""
        kernels = [*self.recognition.kernels, self.top.kernel]
        biases = [bias.value for bias in self.recognition.biases]
        biases.append(self.top.joint.bias_without_offsets("h"))
        for layer, kernel, bias in zip(self.classifier.layers, kernels, biases, strict=False):
            layer.kernel.assign(kernel.value)
            layer.bias.assign(bias)

    def up(self, x, seed):
        """A sample of q(h_1, ..., h_{L-1} | x) for each flat x: list of h_0 = x, ..., h_{L-1}, and log q.

        Args:
          x: float32 `[batch, visible]`.
          seed: int32 `[2]`, or one for each x.

        Returns:
          (list of float32 `[batch, n_l]`, list of log q(h_l | h_{l-1}), float32 `[batch]`).
        """
        chain = self.recognition.following(x)
        h = tf.stop_gradient(draw(chain, seed))
        return [x, *chain.layers(h)], chain.layer_log_probs(h)

    def down(self, h, seed, temperature=1.0):
        """A sample of p(x, ..., h_{L-2} | h_{L-1}): list of x, ..., h_{L-2}, h_{L-1}."""
        chain = self.generative.following(h)
        return [*chain.layers(tf.stop_gradient(draw(chain, seed, temperature=temperature))), h]

    def inputs(self, k, x, seed):
        """What machine k learns: x for the lowest, else a sample of h_k from q."""
        x = self.flat(x)
        return self.up(x, seed)[0][k] if k else x

    def log_ratio_below(self, states, log_q, k):
        """log p(x, ..., h_{k-1} | h_k) - log q(h_1, ..., h_k | x) of what `up` gives: float32 `[batch]`."""
        log_p = self.generative.log_probs(states)
        return sum(log_p[:k], 0.0) - sum(log_q[:k], 0.0)

    def up_down(self, batch, seed, step):
        """Contrastive wake-sleep (Hinton et al. 2006, appendix B); as `Update`.

        Its gradient is the delta rule: of -log p(h_{l-1} | h_l) at q's samples, of -log q(h_l | h_{l-1}) at
        dreams, and the RBM's own at h_{L-1}.
        """
        del step
        wake, top, dream, down = random.split(seed, 4)
        states, _ = self.up(self.flat(batch["x"]), wake)
        labels = {k: batch[k] for k in ("condition",) if k in batch}
        described = -tf.reduce_mean(tf.add_n(self.generative.log_probs(states)))
        (update,) = self.top.updates()
        contrast, scalars = update.objective({"x": states[-1]} | labels, top, None)
        chain = gibbs_chain(self.top, self.top_state(states[-1], **labels), dream, self.num_gibbs)
        dreamt = self.down(self.top.joint.unpack(chain, self.top.kept)["v"], down)
        recognized = -tf.reduce_mean(tf.add_n(self.recognition.log_probs(dreamt)))
        scalars |= {"wake": described, "sleep": recognized}
        return described + contrast + recognized, scalars

    def top_state(self, h, condition=None):
        """h_{L-1} and the label, if there is one, as a flat state of the top RBM's chains."""
        return self.top.joint.pack(self.top.observed(h, condition))

    def score(self, x, condition=None, label=None, x_mean=None, num_samples=10, seed=0):
        """The bound of log p(x) + log Z: log p(x, h) / q(h | x), h_L summed out, averaged over samples of q.

        With label units in the top it is one of log p(x, label) + log Z.

        The noise is derived from `seed` and from the values of each x, so that the bound of an x is the same
        in any batch.

        Args:
          x: float32 `[batch, *event_shape]`.
          condition: Labels, int32 `[batch]`, of a net with label units.
          label: Not used: what the classifier reads and says is no part of p(x).
          x_mean: Not used.
          num_samples: Samples of q for each x.
          seed: Python int or int32 `[2]`.

        Returns:
          float32 `[batch]`, in nats.
        """
        del label, x_mean
        checks.whole("num_samples", num_samples)
        seeds = seeds_of(x, random.as_seed(seed))
        x = self.flat(x)

        def add(i, total):
            states, log_q = self.up(x, random.fold_in(seeds, i))
            below = self.log_ratio_below(states, log_q, len(log_q))
            return i + 1, total + below + self.top.log_unnormalized(self.top_state(states[-1], condition))

        with full_float32():
            state = (tf.constant(0), tf.zeros_like(x[:, 0]))
            total = tf.while_loop(lambda i, _: i < num_samples, add, state)[1]
        return total / num_samples

    def free_energy_bound(self, x, **kwargs):
        """Upper bound of F(x) = -log sum_h p(x, h) Z: -`log_prob`, float32 `[batch]`."""
        return -self.log_prob(x, **kwargs)

    def log_partition(self, method="exact", **kwargs):
        """log Z of the top RBM, which is that of the net; as `RBM.log_partition`."""
        return self.top.log_partition(method, **kwargs)

    def validation_metrics(self, batch, seed):
        """A stand-in for the bound without Z, the reconstruction error, and the classifier's loss and error.

        A classifier's errors choose the best checkpoint: nats of labels rise once it is sure of its mistakes,
        while their number still falls.

        "pseudo_nats" is -E_q [log p(x, ..., h_{k-1} | h_k) + log PL(h_k) - log q], where k counts the layers
        below the one that learns, and PL is the pseudo-likelihood under its RBM in place of the likelihood.
        """
        x = self.flat(batch["x"])
        up, flips = random.split(seed)
        states, log_q = self.up(x, up)
        last = len(self.machines) - 1

        def of_layer(k):
            below = tf.reduce_mean(self.log_ratio_below(states, log_q, k)) if k else 0.0
            state = self.top_state(states[k], batch.get("condition")) if k == last else states[k]
            return pseudo_likelihood(self.machines[k], state, flips)[0] - below

        learning = tf.cast(tf.minimum(self.stage.value[0], last), tf.int32)
        branches = [functools.partial(of_layer, k) for k in range(last + 1)]
        loss = nats = tf.switch_case(learning, branches)
        found = {"reconstruction_error": tf.reduce_mean(tf.square(batch["x"] - self.reconstruct(batch["x"])))}
        label = batch.get("label", batch.get("condition"))
        if label is not None:
            read = self.flat(batch.get("x_mean", batch["x"]))
            found |= label_losses(self.class_logits(read), label)
            loss = nats if self.classifier is None else found["label_error"]
        return {"loss": loss, "pseudo_nats": nats} | found

    def class_logits(self, x):
        """log p(y | x) of flat x up to a constant, float32 `[batch, num_classes]`.

        By the classifier; or, of label units, by the free energies of the top RBM with each label in turn, at
        the probabilities of h_{L-1} on the way up.
        """
        if self.classifier is not None:
            return tf.cast(self.classifier(x), tf.float32)
        h, each = self.recognition.means(x)[-1], tf.eye(self.condition.width)
        return self.top.joint.log_prob({"v": h[:, None], "y": each[None]})

    def encode(self, x, condition=None):
        """Probabilities of 1 of h_L, those of each layer in place of its states: float32 `[batch, n_L]`.

        Args:
          x: `[batch, *event_shape]`.
          condition: Labels, of a net with label units; None puts p(y | x) in their place.
        """
        x, top = self.flat(self.space.check(x)), self.top.joint
        given = {"v": self.recognition.means(x)[-1]}
        if condition is not None:
            given["y"] = self.condition.features(self.check_condition(condition))
        elif self.condition is not None:
            given["y"] = tf.nn.softmax(self.class_logits(x))
        return top.units["h"].mean(top.field("h", given))

    def reconstruct(self, x, condition=None):
        """Means of x on the way down from `encode(x, condition)`: float32, the shape of x."""
        h = tf.sigmoid(self.top.visible_logits(self.encode(x, condition)))
        return tf.reshape(self.generative.means(h)[0], [-1, *self.event_shape])

    def sample_rows(
        self, seeds, condition=None, num_steps=None, temperature=1.0, given=None, mask=None
    ):  # fmt: skip
        """x on the way down from the last h_{L-1} of a Gibbs chain of the top RBM, for each row.

        With `mask` a chain of x itself: `sweep`, and the known entries put back. It is as good as q is near
        the posterior.

        Args:
          seeds: int32 `[n, 2]`.
          condition: Labels `[n]`, clamped, of a net with label units.
          num_steps: Sweeps of the top; None for `chain_steps`.
          temperature: Divides the log odds; 0 takes the likelier value of each unit in turn.
          given: float32 `[n, *event_shape]`, kept where `mask` holds.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        chain, below = random.split(seeds)
        num_steps = self.chain_steps if num_steps is None else num_steps
        labels = {} if condition is None else {"condition": condition}
        if mask is None:
            h = self.top.sample_rows(chain, num_steps=num_steps, temperature=temperature, **labels)
            x = self.down(h, below, temperature)[0]
            return tf.reshape(x, [-1, *self.event_shape])
        mask, given = self.flat(mask), self.flat(given)

        def keep(x):
            return tf.ensure_shape(tf.where(mask, given, x), [None, self.machines[0].num_visible])

        def step(i, x):
            return i + 1, keep(self.sweep(x, random.fold_in(chain, i), temperature, **labels))

        coins = random.bernoulli(below, tf.fill(tf.shape(given), 0.5))
        x = tf.while_loop(lambda i, _: i < num_steps, step, (tf.constant(0), keep(coins)))[1]
        return tf.reshape(x, [-1, *self.event_shape])

    def sweep(self, x, seed, temperature=1.0, condition=None):
        """Flat x after the way up by q, a Gibbs sweep of the top and the way down."""
        up, top, down = random.split(seed, 3)
        h = self.up(x, up)[0][-1]
        values = self.top.joint.draw(("h",), self.top.observed(h, condition), [top], 1.0, temperature)
        h = self.top.joint.draw(("v",), values, [random.fold_in(top, 1)], 1.0, temperature)["v"]
        return self.down(h, down, temperature)[0]

    def gibbs_rows(self, x, seeds, num_steps, condition=None):
        """The x that so many sweeps lead to from each x; the graph behind the signature.

        Args:
          x: float32 `[n, *event_shape]`.
          seeds: int32 `[n, 2]`.
          num_steps: int32 `[n]`, sweeps of each row; after 0 it is x itself.
          condition: Labels `[n]`, clamped, of a net with label units.

        Returns:
          float32 `[n, *event_shape]`.
        """
        labels = self.check_condition(condition)
        start = tf.ensure_shape(self.flat(self.space.check(x)), [None, self.machines[0].num_visible])

        def step(i, x):
            moved = self.sweep(x, random.fold_in(seeds, i), condition=labels)
            return i + 1, tf.ensure_shape(tf.where((i < num_steps)[:, None], moved, x), start.shape)

        longest = tf.reduce_max(num_steps)
        x = tf.while_loop(lambda i, _: i < longest, step, (tf.constant(0), start))[1]
        return tf.reshape(x, [-1, *self.event_shape])

    def complete(self, x, mask, seeds, **kwargs):
        """`sample_rows` with x, `[n, *event_shape]`, kept where `mask`, of the same shape, is 1."""
        given, mask = self.space.check_known(x, mask)
        return self.sample_rows(seeds, given=given, mask=mask, **kwargs)

    def classify(self, x):
        """p(y | x), by the classifier or by free energies with each label: float32 `[batch, num_classes]`.

        Args:
          x: `[batch, *event_shape]`, binary; for the classifier also the probabilities of a one.

        Raises:
          ValueError: If the net has learned no labels, or x does not fit.
        """
        if self.classifier is None and self.condition is None:
            raise ValueError(
                "DeepBeliefNet has learned no labels: train with fine_tuning='discriminative', or "
                "condition='label'."
            )
        with full_float32():
            space = self.space.of_means if self.reads_means else self.space
            return tf.nn.softmax(self.class_logits(self.flat(space.check(x))))

    def test_metrics(self, data, seed):
        """log Z from above, by reverse annealing; where the net has learned labels, how many it misses."""
        learned = self.classifier is not None or self.condition is not None
        found = report_label_error(self, data, seed) if learned else {}

        def states(x, seed, **label):
            return self.top_state(self.up(self.flat(x), seed)[0][-1], **label)

        return found | log_partition_from_above(self, self.top, states, data, seed)

    def views(self, data, num, seed):
        """Chains of the top RBM seen below, first filters, reconstructions, completions, free energies.

        Args:
          data: A `tfgen.data.Data`, or None for what needs none.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        return report_views(self, data, num, seed)

    def signatures(self):
        """Adds `complete`, `gibbs`, `encode`, `reconstruct` and, where there are labels, `classify`.

        `gibbs` takes as many sweeps (up by q, one of the top RBM, down) from each x as its `num_steps` says.
        """
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        mask = {"mask": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        seeds = {"seeds": tf.TensorSpec([None, 2], tf.int32)}
        steps = {"num_steps": tf.TensorSpec([None], tf.int32)}
        label = self.condition_spec()

        def complete(x, mask, seeds, condition=None):
            given = {} if condition is None else {"condition": self.check_condition(condition)}
            return {"x": self.complete(x, mask, seeds, **given)}

        def classify(x):
            found = self.classify(x)
            return {"probabilities": found, "label": tf.argmax(found, axis=-1, output_type=tf.int32)}

        served = {
            "complete": Signature(complete, x | mask | seeds | label),
            "gibbs": Signature(lambda **given: {"x": self.gibbs_rows(**given)}, x | seeds | steps | label),
            "encode": Signature(lambda x: {"hidden": self.encode(x)}, x),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, x),
        }
        if self.classifier is not None or self.condition is not None:
            served["classify"] = Signature(classify, x)
        return super().signatures() | served
