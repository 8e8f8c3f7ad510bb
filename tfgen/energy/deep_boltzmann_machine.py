"""Deep Boltzmann machine."""

import functools

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.estimators import ESTIMATORS
from tfgen.energy.joint import Dense, Joint
from tfgen.energy.units import Binary, LogOdds
from tfgen.model import Condition, Signature, Stage, Update
from tfgen.networks.classifier import (
    by_errors,
    discriminative_stage,
    label_losses,
    report_label_error,
    sigmoid_classifier,
)


@keras.saving.register_keras_serializable("tfgen")
class DeepBoltzmannMachine(EnergyModel):
    """Deep Boltzmann machine: binary layers, each coupled to the ones beside it.

    p(v, h_1, ..., h_L) = exp(-E) / Z,
    -E = b_0 . v + v W_1 h_1 + b_1 . h_1 + h_1 W_2 h_2 + ... + b_L . h_L.

    Every other layer is independent given those between, so Gibbs sampling takes half of the layers at once.
    Given v the layers depend on each other, and mean field stands in for the posterior:

      log p(v) >= max over mu of E_mu(-E) + H(mu) - log Z, mu independent units.

    `log_prob` is this without log Z (`log_partition`), at the fixed point of
    mu_l = sigmoid(b_l + mu_{l-1} W_l + W_{l+1} mu_{l+1}). Training climbs it: means of the data against
    persistent chains ("pcd").

    Before, each pair of layers is trained as an RBM in which the layers below and above are there twice, of
    the same weights, since in the whole each inner layer hears from both sides: v twice at the bottom, h_L
    twice at the top, both in between. A layer's bias is then the mean of those it had as the upper and as
    the lower one.

    With centring, layers that learn together see each other's deviations from the data's means at that
    moment, (h_l - m_l) W (h_{l+1} - m_{l+1}); there need not be pretraining then.

    Paths of annealing, and chains, begin at units that are independent at the data's means, of the layers
    that they walk over.

    fine_tuning="discriminative": a classifier of v and of the means of h_2 begins as the machine's layers and
    learns from the labelled stream (`num_labels`); the machine itself stays as it is. Of data that are drawn
    anew each time (dynamic binarization) it reads the probabilities of a one, as the paper's does.

    Args:
      event_shape: Shape of one v.
      hidden: Sizes of h_1, ..., h_L, at least two.
      pretraining: Train the pairs of layers first, each a stage.
      centring: Whether couplings see deviations from means when all layers learn together.
      fine_tuning: "none" or "discriminative", a stage of its own.
      num_classes: Number of labels, for "discriminative".
      **kwargs: Arguments of `EnergyModel`; sparsity is asked for when all layers learn together.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Salakhutdinov & Hinton, "Deep Boltzmann machines", AISTATS 2009. Montavon & Mueller, "Deep Boltzmann
      machines and the centering trick", 2012.
    """

    density = "unnormalized_bound"
    quantities = EnergyModel.quantities | {
        "discriminative/loss": "cross-entropy of labels [nats]",
        "label_nats": "cross-entropy of labels [nats]",
        "label_error": "share of labels not found",
    }

    def __init__(
        self,
        event_shape,
        hidden=(128, 128),
        pretraining=True,
        centring=False,
        fine_tuning="none",
        num_classes: int | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        hidden = checks.sizes("hidden", hidden)
        if len(hidden) < 2:
            raise ValueError(f"hidden={hidden} must hold two layers or more: of one it is an RBM.")
        self.pretraining = pretraining
        self.fine_tuning = checks.one_of("fine_tuning", fine_tuning, ("none", "discriminative"))
        sizes = (self.num_visible, *hidden)
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.kernels = [add(pair, small, name=f"kernel_{k + 1}") for k, pair in enumerate(pairs)]
        self.biases = [add((size,), "zeros", name=f"bias_{k}") for k, size in enumerate(sizes)]
        # The independent units that chains and annealing start from.
        self.base_logits = add(sizes[:1], "zeros", trainable=False, name="base_logits")
        self.layer_names = ["v", *(f"h_{k + 1}" for k in range(len(hidden)))]
        offset = functools.partial(add, initializer="zeros", trainable=False)
        self.offsets = [offset((n,), name=f"offset_{k}") for k, n in enumerate(sizes)] if centring else []
        half = {"initializer": keras.initializers.Constant(0.5), "trainable": False}
        walked = list(zip(self.layer_names, sizes, strict=True))[2::2]
        rates = {name: add((size,), **half, name=f"rates_{name}") for name, size in walked}
        bases = {"v": self.base_logits} | {name: LogOdds(share) for name, share in rates.items()}
        offsets = self.offsets or [None] * len(sizes)
        named = zip(self.layer_names, self.biases, offsets, strict=True)
        units = {name: Binary(bias, bases.get(name), offset) for name, bias, offset in named}
        beside = zip(self.layer_names[:-1], self.layer_names[1:], self.kernels, strict=True)
        # Chains walk over every other layer, v among them; those between are summed out.
        couplings = [Dense(*pair) for pair in beside]
        self.couple(Joint(units, couplings), kept=self.layer_names[::2], rates=rates)
        self.filters = self.kernels[0]
        # Of the pairs of layers that pretraining makes RBMs of, what each has for the lower layer's bias.
        self.lower_biases = [self.biases[0]]
        if pretraining:
            inner = enumerate(hidden[:-1])
            self.lower_biases += [add((size,), "zeros", name=f"lower_bias_{k + 1}") for k, size in inner]
        self.machines = self._pairs_of_layers() if pretraining else []
        self.classifier = None
        if fine_tuning == "discriminative":
            checks.whole("num_classes", num_classes)
            self.optional_fields = {"label": Condition("label", num_classes=num_classes)}
            self.streams, self.reads_means = ("labelled",), True
            self.quantities = by_errors(self.quantities)
            inputs = self.num_visible + hidden[1]
            self.classifier = sigmoid_classifier(inputs, hidden, num_classes, self.dtype_policy)

    def _pairs_of_layers(self):
        """The RBMs of pretraining: machine k joins layers k and k + 1, with their copies and its own bias."""
        machines = []
        for k, kernel in enumerate(self.kernels):
            names = ("v", "v_again")[: 1 + (k < len(self.kernels) - 1)], ("h", "h_again")[: 1 + (k > 0)]
            below = {name: Binary(self.lower_biases[k]) for name in names[0]}
            above = {name: Binary(self.biases[k + 1]) for name in names[1]}
            couplings = [Dense(v, h, kernel) for v in below for h in above]
            machine = EnergyModel(
                (kernel.shape[0],),
                estimator=self.estimator,
                num_gibbs=self.num_gibbs,
                num_chains=self.num_chains,
                name=f"pair_{k + 1}",
            )
            machine.couple(Joint(below | above, couplings), visible=tuple(below))
            machines.append(machine)
        return machines

    def stages(self):
        """A stage for each pair of layers, one of all together, and one of fine-tuning."""
        stages = [self._pretraining_of(k) for k in range(len(self.machines))]
        stages.append(Stage("joint", 2.0, self._joint_updates(), self.merge))
        if self.fine_tuning == "discriminative":
            network, features = self.classifier, self.features
            stages.append(discriminative_stage(network, features, self.start_classifier, share=2.0))
        return stages

    def updates(self):
        """The last stage's."""
        return self.stages()[-1].updates

    def _joint_updates(self):
        moved = [*self.kernels, *self.biases, *self.followed]
        return [Update(self.estimator, self.objective, moved, surrogate=True)]

    def _pretraining_of(self, k):
        machine = self.machines[k]

        def objective(batch, seed, step):
            del step
            below, own = random.split(seed)
            x = self.inputs(k, batch["x"], below)
            twice = machine.joint.pack(dict.fromkeys(machine.visible, x))
            loss, scalars = ESTIMATORS[machine.estimator](machine, lambda beside=None: twice, own)
            if self.weight_decay:
                loss += self.weight_decay * self.joint.couplings[k].penalty()
            return loss, scalars

        def enter(batch, seed):
            below, chains = random.split(seed)
            x = self.inputs(k, batch["x"], below)
            machine.joint.units["v"].begin(x.numpy().astype("float64"))
            if not k:
                self.begin(batch, seed)
            machine.start_chains(dict.fromkeys(machine.visible, x), chains)

        moved = [self.kernels[k], self.lower_biases[k], self.biases[k + 1]]
        moved += [] if machine.chains is None else [machine.chains]
        name = f"layer_{k + 1}"
        return Stage(name, 1.0, [Update(name, objective, moved, surrogate=True)], enter)

    def inputs(self, k, x, seed):
        """What machine k of the pretraining learns: v, or a sample of h_k by the machines below."""
        h = self.flat(x)
        for below, machine in enumerate(self.machines[:k]):
            twice = dict.fromkeys(machine.visible, h)
            h = machine.joint.draw(("h",), twice, [random.fold_in(seed, below)])["h"]
        return tf.stop_gradient(h)

    def begin(self, batch, seed):
        """As `EnergyModel`; couplings see units themselves until all layers learn together."""
        super().begin(batch, seed)
        for offset in self.offsets:
            offset.assign(tf.zeros_like(offset.value))

    def merge(self, batch, seed):
        """Makes each inner layer's bias the mean of the two it had in the pairs; chains start at data.

        Rates, and offsets where there are some, become the means of the batch.
        """
        for upper, lower in zip(self.biases[1:], self.lower_biases[1:], strict=False):
            upper.assign((upper.value + lower.value) / 2.0)
        observed = self.observed(batch["x"][: self.num_chains])
        state = observed | self.joint.mean_field(observed)
        means = {name: tf.reduce_mean(state[name], axis=0) for name in self.layer_names}
        for name, share in self.rates.items():
            share.assign(means[name])
        if self.offsets:
            self.joint.recentre(means)
        self.start_chains({name: state[name] for name in self.kept}, seed)

    def features(self, x):
        """What the classifier reads of v, or of its mean: that, flat, beside the means of h_2.

        Args:
          x: `[batch, *event_shape]`, in [0, 1].

        Returns:
          float32 `[batch, visible + n_2]`.
        """
        observed = self.observed(x)
        means = self.joint.mean_field(observed)[self.layer_names[2]]
        return tf.concat([observed["v"], tf.stop_gradient(means)], axis=1)

    def start_classifier(self):
        """Makes the machine's layers the hidden ones of the classifier: h_1 hears v and h_2."""
        first = tf.concat([self.kernels[0].value, tf.transpose(self.kernels[1].value)], axis=0)
        kernels = [first, *(kernel.value for kernel in self.kernels[1:])]
        for layer, kernel, name in zip(self.classifier.layers, kernels, self.layer_names[1:], strict=False):
            layer.kernel.assign(kernel)
            layer.bias.assign(self.joint.bias_without_offsets(name))

    def validation_metrics(self, batch, seed):
        """As `EnergyModel`, v_i given the means of the hidden layers; of a classifier its errors.

        These choose the best checkpoint: nats of labels rise once a classifier is sure of its mistakes, while
        their number still falls.
        """
        found = super().validation_metrics({"x": batch["x"]}, seed)
        if self.classifier is None or "label" not in batch:
            return found
        read = batch.get("x_mean", batch["x"])
        losses = label_losses(self.classifier(self.features(read)), batch["label"])
        return found | losses | {"loss": losses["label_error"]}

    def score(self, x, label=None, x_mean=None):
        """The mean-field bound of -F(v); what the classifier reads and says is no part of p(v)."""
        del label, x_mean
        return super().score(x)

    def classify(self, x):
        """p(y | x) by the classifier: float32 `[batch, num_classes]`.

        Args:
          x: `[batch, *event_shape]`, binary or the probabilities of a one.

        Raises:
          ValueError: If the machine has learned no labels, or x does not fit.
        """
        if self.classifier is None:
            raise ValueError(
                f"fine_tuning={self.fine_tuning!r} learns no labels: train with fine_tuning='discriminative'."
            )
        logits = self.classifier(self.features(self.space.of_means.check(x)))
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    def test_metrics(self, data, seed):
        """As `EnergyModel`, and the classifier's error."""
        found = super().test_metrics(data, seed)
        return found if self.classifier is None else found | report_label_error(self, data, seed)

    def signatures(self):
        """Adds `classify`, where there is a classifier, to those of `EnergyModel`."""
        if self.classifier is None:
            return super().signatures()
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        return super().signatures() | {"classify": Signature(self._serve_classify, x)}
