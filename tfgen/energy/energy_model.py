"""Models of p(x) proportional to exp(-F(x)): Gibbs chains, training, partition function, completion.

A machine that inherits from `EnergyModel` provides, in its constructor and after its weights:

- `self.couple(joint, visible, kept, rates)`: its `Joint` (tfgen/energy/joint.py), an energy over named groups
  of units. The first of the `visible` groups is x, flat; a second one, of `OneHot` units, is the label of a
  model with `condition`. `kept` names the groups that Gibbs chains and annealing walk over, all others being
  summed out: they must be independent given the kept ones. None keeps the visible groups where the hidden
  units are independent given them, as in an RBM, and all groups otherwise. `rates` holds the data's means of
  hidden groups among them, at which chains and annealing begin.
- `density`, where it is not "unnormalized": with "unnormalized_bound" `log_prob` is the mean-field bound.
  Hidden units that depend on each other are enumerated otherwise.
- `condition`, where there are labels, and `label_weight`, the share of -log p(y | v) in the loss.
- `values`, where x is not binary.
- `self.filters`, where it has some: the weights that a picture shows, `[num_visible, units]`.

Sampler, estimators of the gradient (tfgen/energy/estimators.py), log Z, annealing from independent units,
clamped completion, views and signatures then follow. Chains are flat tensors `[..., size]` of the kept
groups, in the order of `joint.units`; `joint.pack` and `joint.unpack` go between them and groups by name.
Laws of units and couplings of one's own subclass `Units` (tfgen/energy/units.py) and `Coupling`. A machine of
several stages lists them in `stages`, and takes `objective` or the estimators for each as it needs.
"""

import math

import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.energy.estimators import (
    ESTIMATORS,
    FLIPPED,
    SUMMED,
    SURROGATES,
    gibbs_chain,
    pseudo_likelihood,
)
from tfgen.energy.report import report_metrics, report_views
from tfgen.energy.units import Binary
from tfgen.estimators.ais import annealed_importance_sampling
from tfgen.estimators.precision import full_float32
from tfgen.model import GenerativeModel, Signature, Update

# Gibbs sweeps whose ends stand for draws from the model.
_SWEEPS_OF_REVERSE = 1000
# Share of a batch's means in the moving average of those of hidden units.
_NEW = 0.01
# How far a mean that chains walk over may move in the last sweep of mean field in a step. Of 784-500-1000
# units trained on MNIST the bound is then within 2e-4 nats of its maximum, after 6 to 17 sweeps.
_MOVED = 1e-2


class EnergyModel(GenerativeModel):
    """Energy-based model p(v) = exp(-F(v)) / Z, F(v) = -log sum_h exp(-E(v, h)), with Gibbs sampling.

    Momentum is the optimizer's, `--optimizer=sgd:momentum=0.9`.

    Args:
      event_shape: Shape of one v.
      estimator: How the gradient of log Z is estimated: "cd", "pcd", "pt" (parallel tempering) or
        "mean_field_cd"; or what takes the likelihood's place: "pseudo_likelihood", "ratio_matching" or "nce".
      num_gibbs: Gibbs sweeps in each step, the k of CD-k and PCD-k.
      num_chains: Persistent chains of "pcd" and "pt".
      num_temperatures: Temperatures of "pt".
      num_flips: Entries of each v that "pseudo_likelihood" and "ratio_matching" look at in a step.
      num_noise: Noise draws for each v, for "nce".
      weight_decay: Times half the squares of the weights, not of biases, added to the loss.
      sparsity: Share of examples in which a hidden unit should be 1; None for any.
      sparsity_cost: Times the cross-entropy of that share and a batch's, for each unit, added to the loss.
      num_sweeps: Gibbs sweeps behind a sample, in exports too, unless a call says otherwise.
      **kwargs: Arguments of `GenerativeModel`.

    Attributes:
      joint: The `Joint` over all groups of units.
      visible: Names of the groups that are data.
      kept: Names of the groups that chains walk over.
      rates: {kept hidden group: weight `[size]`, the moving average of its means given data}.
      held: Names of those whose states persistent chains of "pcd" keep.
      filters: Weights that a picture shows, `[num_visible, units]`, or None.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Hinton, "A practical guide to training restricted Boltzmann machines", 2010.
    """

    density = "unnormalized"
    quantities = {  # noqa: RUF012
        "loss": "-log pseudo-likelihood [nats]",
        "pseudo_nats": None,
        "reconstruction_error": "mean squared reconstruction error",
    }
    jit_sampler = True
    chains = None
    rates = None
    filters = None
    # Of a model with labels, the share of -log p(y | v) in the loss.
    label_weight = 0.0
    # How hidden units that depend on each other are inferred from data: by their means, or by Gibbs sweeps.
    inference = "mean_field"

    def __init__(
        self,
        event_shape,
        estimator="pcd",
        num_gibbs=1,
        num_chains=100,
        num_temperatures=10,
        num_flips=16,
        num_noise=5,
        weight_decay=0.0,
        sparsity: float | None = None,
        sparsity_cost=0.1,
        num_sweeps=1000,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.num_visible = math.prod(self.event_shape)
        self.estimator = checks.one_of("estimator", estimator, tuple(ESTIMATORS))
        self.num_gibbs = checks.whole("num_gibbs", num_gibbs)
        self.num_chains = checks.whole("num_chains", num_chains)
        self.num_temperatures = checks.whole("num_temperatures", num_temperatures, at_least=2)
        self.num_flips = checks.whole("num_flips", num_flips)
        self.num_noise = checks.whole("num_noise", num_noise)
        self.chain_steps = checks.whole("num_sweeps", num_sweeps)
        self.weight_decay = checks.number("weight_decay", weight_decay, at_least=0.0)
        self.sparsity = sparsity
        if sparsity is not None:
            checks.number("sparsity", sparsity, above=0.0, below=1.0)
        self.sparsity_cost = checks.number("sparsity_cost", sparsity_cost, at_least=0.0)

    def couple(self, joint, visible=("v",), kept=None, rates=None):
        """Makes this the model of a joint density, and its chains where its estimator has some.

        Args:
          joint: The `Joint`.
          visible: Names of the groups that are data: x, and maybe its label.
          kept: Names of the groups that chains walk over; None for the visible ones where all others are
            independent given them, else for all.
          rates: {hidden group that chains walk over: weight `[size]` that follows the data's share of 1},
            at which paths begin. At fair coins they would begin far from data: where few units are active,
            as in the upper layer of a DBM, annealing never reaches the mode of the data.

        Raises:
          ValueError: If the estimator does not fit the machine.
        """
        self.joint, self.visible, self.rates = joint, tuple(visible), dict(rates or {})
        summed = joint.independent(joint.others(visible))
        self.kept = tuple(kept or (visible if summed else joint.units))
        self.held = joint.others(self.kept) or self.kept
        if self.estimator in SUMMED and not summed:
            raise ValueError(
                f"estimator={self.estimator!r} needs hidden units that are independent given v: use 'pcd'."
            )
        if self.estimator in FLIPPED and not isinstance(joint.units[visible[0]], Binary):
            raise ValueError(f"estimator={self.estimator!r} needs binary visible units: use 'pcd'.")
        if self.estimator == "ratio_matching" and len(visible) > 1:
            raise ValueError("estimator='ratio_matching' knows no labels: use 'pseudo_likelihood'.")
        if self.estimator in ("pcd", "pt"):
            held = self.held if self.estimator == "pcd" else self.kept
            shape = () if self.estimator == "pcd" else (self.num_temperatures,)
            self.chains = self.add_weight(
                (self.num_chains, *shape, joint.size(held)),
                _coins,
                trainable=False,
                autocast=False,
                aggregation="sum",
                name="chains",
            )
        if self.estimator == "nce":
            self.log_z = self.add_weight((), "zeros", autocast=False, name="log_z")
            self.log_z.assign(self._log_z_without_couplings())

    def _log_z_without_couplings(self):
        units = self.joint.units.values()
        return float(sum(u.log_sum(tf.zeros([u.size], tf.float64)) for u in units))

    def begin(self, batch, seed):
        """Starts the visible biases, and the base rates, at the data's (Hinton 2010)."""
        for name, s in self.observed(**{k: batch[k] for k in ("x", "condition") if k in batch}).items():
            self.joint.units[name].begin(np.asarray(s, np.float64))
        if self.estimator == "nce":
            self.log_z.assign(self._log_z_without_couplings())

    def start_chains(self, state, seed):
        """Starts persistent chains of "pcd" anew: the even ones at data, the others at independent units.

        Learned weights may have modes that no chain from data comes to, and that are never unlearned then.

        Args:
          state: {name: `[examples, size]`} of the kept groups, of data.
          seed: int32 [2].
        """
        if self.estimator == "pcd":
            base, seed = random.split(seed)
            number = tf.range(self.num_chains)
            of_data = {name: tf.gather(s, number % tf.shape(s)[0]) for name, s in state.items()}
            elsewhere = self.joint.start(tuple(state), base, self.num_chains)
            even = number[:, None] % 2 == 0
            rows = {name: tf.where(even, s, elsewhere[name]) for name, s in of_data.items()}
            drawn = self.joint.draw(self.held, rows, random.split(seed, len(self.held)))
            self.chains.assign(self.joint.pack({name: drawn[name] for name in self.held}))

    def flat(self, x):
        """x `[batch, *event_shape]` as `[batch, num_visible]`."""
        return tf.reshape(x, [-1, self.num_visible])

    def observed(self, x, condition=None):
        """{name: flat state} of the visible groups."""
        state = {self.visible[0]: self.flat(x)}
        if condition is not None:
            state[self.visible[1]] = self.condition.features(condition)
        return state

    def clamped(self, observed, seed, beside=None):
        """A batch of data as states of the kept groups, hidden ones inferred: flat `[batch, size]`.

        Hidden groups that chains walk over hold their means by mean field, until none moves by more than
        1e-2, at which a multilinear energy is its expectation; or, with `inference` "gibbs", draws after
        `num_gibbs` sweeps with data clamped.

        Args:
          observed: {name: flat state} of the visible groups.
          seed: int32 [2].
          beside: States of the kept groups that are met next to these: mean field then reads its fields from
            the products of both, which `contrast` takes as well, and a compiled step computes once.
        """
        hidden = [name for name in self.kept if name not in self.visible]
        if not hidden:
            return self.joint.pack(observed)
        if self.inference == "mean_field":
            fields = None
            if beside is not None:
                beside, num = self.joint.unpack(beside, self.kept), tf.shape(observed[self.visible[0]])[0]
                both = {name: tf.concat([s, beside[name]], axis=0) for name, s in observed.items()}
                fields = {name: field[:num] for name, field in self.joint.fields(both).items()}
            # All others are summed out given the hidden kept ones, so these alone have to be at rest.
            found = self.joint.mean_field(observed, tolerance=_MOVED, watched=hidden, fields=fields)
        else:
            num = tf.shape(observed[self.visible[0]])[0]
            first, seed = random.split(seed)
            names = self.joint.others(self.visible)
            found = self.joint.start(names, first, num) | observed

            def sweep(i, found):
                seeds = random.split(random.fold_in(seed, i), len(names))
                return i + 1, self.joint.draw(names, found, seeds)

            start = (tf.constant(0), found)
            found = tf.while_loop(lambda i, _: i < self.num_gibbs, sweep, start)[1]
        return tf.stop_gradient(self.joint.pack({n: (found | observed)[n] for n in self.kept}))

    def start(self, seed, num):
        """Draws `num` flat states of the kept groups at beta = 0; `seed` is [2], or [num, 2] for rows."""
        return self.joint.pack(self.joint.start(self.kept, seed, num))

    def gibbs(self, s, seed, beta=1.0, temperature=1.0, clamp=None):
        """A sweep over all groups, which leaves the path's density at `beta`, ^ 1 / temperature, invariant.

        Args:
          s: Flat states of the kept groups, `[..., size]`.
          seed: int32 [2], or `[rows, 2]`.
          beta: Inverse temperature, number or `[...]`.
          temperature: Divides all logits.
          clamp: {name of a visible group: (known, mask)}; None without.
        """
        state = self.joint.unpack(s, self.kept)
        return self.joint.pack(self.joint.sweep(state, seed, beta, temperature, clamp))

    def mean_sweep(self, s):
        """As `gibbs`, every group taking its mean: a step of the mean-field equations."""
        values = dict(self.joint.unpack(s, self.kept))
        for name in (*self.joint.others(self.kept), *self.kept):
            given = {n: value for n, value in values.items() if n != name}
            values[name] = self.joint.units[name].mean(self.joint.field(name, given))
        return self.joint.pack({name: values[name] for name in self.kept})

    def log_unnormalized(self, s):
        """log f of flat states of the kept groups, all others summed out: -F(v) where they are v, `[...]`."""
        return self.joint.log_prob(self.joint.unpack(s, self.kept))

    def log_ratio(self, s, beta, next_beta):
        """log f_{next_beta} - log f_beta of flat states of the kept groups, `[...]`."""
        return self.joint.log_ratio(self.joint.unpack(s, self.kept), beta, next_beta)

    def log_z0(self):
        """log Z of the path's density at beta = 0."""
        return self.joint.log_z0()

    def score(self, x, condition=None):
        """-F(x), of x and its label for a model with labels; or a bound of it, as `density` says."""
        state = self.observed(x, condition)
        hidden = self.joint.others(self.visible)
        with full_float32():
            if self.density == "unnormalized_bound":
                return self.joint.bound(state, self.joint.mean_field(state))
            if self.joint.independent(hidden):
                return self.joint.log_prob(state)
            return tf.cast(self.joint.sum_over(hidden, state), tf.float32)

    def free_energy(self, v, condition=None):
        """F(v) = -log sum_h exp(-E(v, h)), or a bound above it, float32 `[batch]`."""
        return -self.log_prob(v, condition)

    def energy_of(self, state):
        """E of a state of all groups, float32 `[batch]`: {name: array}, x in its own shape.

        Raises:
          ValueError: If a shape or the values of x do not fit.
        """
        found = {}
        for name, units in self.joint.units.items():
            if name not in state:
                raise ValueError(f"an energy is of all groups of units: {name} is missing.")
            if name == self.visible[0]:
                found[name] = self.flat(self.space.check(state[name], name))
                continue
            found[name] = checks.as_float(state[name], name)
            if found[name].shape.rank != 2 or found[name].shape[1] != units.size:
                raise ValueError(f"{name} must have shape [batch, {units.size}], got {found[name].shape}.")
        with full_float32():
            return -self.joint.log_prob(found)

    def log_partition(
        self,
        method="exact",
        num_temperatures=10_000,
        num_chains=100,
        seed=0,
        start="base_rates",
        temperatures=None,
    ):
        """log Z.

        Args:
          method: "exact" (enumeration), "ais" (annealed importance sampling) or "reverse_ais", which anneals
            from the model to independent units and is at or above log Z on average where its first states,
            Gibbs chains of 1,000 sweeps, are draws from the model.
          num_temperatures: Inverse temperatures of annealing, 0 and 1 included.
          num_chains: Chains of annealing.
          seed: Seed of annealing, Python int or int32 [2].
          start: What annealing goes from or to: independent units at the "base_rates" of the data, or
            "uniform" ones.
          temperatures: The inverse temperatures themselves, rising from 0 to 1; None for equal distances.

        Returns:
          float32 scalar; of annealing `(estimate, low, high)`, the interval three standard errors to each
          side.

        Raises:
          ValueError: If there is too much to enumerate, or an argument does not fit.
        """
        checks.one_of("method", method, ("exact", "ais", "reverse_ais"))
        if method == "exact":
            return tf.cast(self.joint.log_partition(), tf.float32)
        found = self.anneal(num_temperatures, num_chains, seed, start, temperatures, method == "reverse_ais")
        return found.estimate, found.low, found.high

    def anneal(
        self,
        num_temperatures=10_000,
        num_chains=100,
        seed=0,
        start="base_rates",
        temperatures=None,
        reverse=False,
        begun=None,
    ):
        """The whole `AISEstimate` of log Z, with weights and effective sample size.

        Args:
          num_temperatures: As for `log_partition`; so are the others.
          num_chains: As there.
          seed: As there.
          start: As there.
          temperatures: As there.
          reverse: Whether it goes from the model to independent units.
          begun: In reverse, what the Gibbs chains of 1,000 sweeps begin at: flat states of the kept groups,
            as `clamped` makes them of data, cycled where they are fewer; None for independent units.
        """
        checks.one_of("start", start, ("base_rates", "uniform"))
        joint = self.joint if start == "base_rates" else self.joint.uniform()
        kept = self.kept

        def transition(s, beta, seed):
            # Of one seed for all chains XLA draws real units and labels one at a time.
            seeds = random.rows(seed, num_chains)
            return joint.pack(joint.sweep(joint.unpack(s, kept), seeds, beta))

        def log_ratio(s, beta, next_beta):
            return joint.log_ratio(joint.unpack(s, kept), beta, next_beta)

        def begin(seed, num):
            return joint.pack(joint.start(kept, seed, num))

        def of_model(seed, num):
            first, chain = random.split(seed)
            states = self.start(first, num)
            if begun is not None:
                states = tf.gather(begun, tf.range(num) % tf.shape(begun)[0])
            return gibbs_chain(self, states, chain, _SWEEPS_OF_REVERSE)

        with full_float32():
            return annealed_importance_sampling(
                of_model if reverse else begin,
                log_ratio,
                transition,
                joint.log_z0(),
                num_temperatures,
                num_chains,
                seed,
                temperatures,
                reverse,
            )

    def log_likelihood(self, x, log_z=None, condition=None):
        """log p(x) = -F(x) - log Z in nats, float32 `[batch]`; `log_z=None` computes log Z exactly."""
        return self.log_prob(x, condition) - (self.log_partition() if log_z is None else log_z)

    @property
    def followed(self):
        """Variables that `objective` assigns: persistent chains, and rates of hidden units."""
        return [*([] if self.chains is None else [self.chains]), *self.rates.values()]

    def updates(self):
        """One gradient step by the chosen estimator."""
        moved = [*self.trainable_variables, *self.followed]
        surrogate = self.estimator in SURROGATES
        return [Update(self.estimator, self.objective, moved, surrogate=surrogate)]

    def objective(self, batch, seed, step):
        """Loss of the chosen estimator, whose gradient is that of -log p or estimates it; as `Update`."""
        del step
        observed = self.observed(batch["x"], batch.get("condition"))
        infer, estimate = (seed, seed) if self.kept == self.visible else random.split(seed)

        def data(beside=None):
            x = self.clamped(observed, infer, beside)
            for name, share in self.rates.items():
                now = tf.reduce_mean(self.joint.unpack(x, self.kept)[name], axis=0)
                share.assign((1.0 - _NEW) * share.value + _NEW * now)
            return x

        loss, scalars = ESTIMATORS[self.estimator](self, data, estimate)
        if self.label_weight:
            told = -tf.reduce_mean(self.log_conditional(observed, self.visible[1]))
            loss = (1.0 - self.label_weight) * loss + self.label_weight * told
            scalars |= {"label_nats": told}
        if self.weight_decay:
            parts = [*self.joint.couplings, *self.joint.within.values()]
            loss += self.weight_decay * sum(part.penalty() for part in parts)
        if self.sparsity is not None:
            cost, active = self._sparsity(observed)
            loss, scalars = loss + self.sparsity_cost * cost, scalars | {"active": active}
        return loss, scalars

    def _sparsity(self, observed):
        """Cross-entropy of the wanted share and that of a batch, over hidden units, and the mean share."""
        means = self.hidden_means(observed)
        share = tf.reduce_mean(tf.concat(list(means.values()), axis=-1), axis=0)
        share = tf.clip_by_value(share, 1e-6, 1.0 - 1e-6)
        cross = self.sparsity * tf.math.log(share) + (1.0 - self.sparsity) * tf.math.log(1.0 - share)
        return -tf.reduce_sum(cross), tf.reduce_mean(share)

    def hidden_means(self, observed):
        """{hidden group: means given data}, by mean field where hidden units depend on each other."""
        return self.joint.mean_field(observed)

    def validation_metrics(self, batch, seed):
        """Negative log pseudo-likelihood (it needs no Z), free energy, mean squared reconstruction error.

        Where hidden units depend on each other, v_i are conditioned on their means; of real units the loss
        is the reconstruction error.
        """
        given = {k: batch[k] for k in ("x", "condition") if k in batch}
        error = tf.reduce_mean(tf.square(batch["x"] - self.reconstruct(**given)))
        if not isinstance(self.joint.units[self.visible[0]], Binary):
            energy = -tf.reduce_mean(self.score(**given))
            return {"loss": error, "free_energy": energy, "reconstruction_error": error}
        first, second = random.split(seed)
        x = self.clamped(self.observed(**given), first)
        loss, scalars = pseudo_likelihood(self, x, seed if self.kept == self.visible else second)
        return {"loss": loss, "pseudo_nats": loss} | scalars | {"reconstruction_error": error}

    def encode(self, x, condition=None):
        """Probabilities of 1 of the hidden units given x, by mean field where they depend on each other.

        Args:
          x: `[batch, *event_shape]`.
          condition: Label of each x, for a model with labels.

        Returns:
          float32 `[batch, hidden]`, group after group.
        """
        observed = self.observed(self.space.check(x), self.check_condition(condition))
        return self.joint.pack(self.hidden_means(observed))

    def reconstruct(self, x, condition=None):
        """Mean of v given the probabilities of the hidden units given x: float32, the shape of x."""
        observed = self.observed(self.space.check(x), self.check_condition(condition))
        name = self.visible[0]
        field = self.joint.field(name, observed | self.hidden_means(observed))
        return tf.reshape(self.joint.units[name].mean(field), [-1, *self.event_shape])

    def log_conditional(self, state, name):
        """log p(a `OneHot` group's value | the other visible groups), `[batch]`, of a visible state."""
        log_p = tf.nn.log_softmax(self._log_of_each(state, name))
        return tf.reduce_sum(state[name] * log_p, axis=-1)

    def _log_of_each(self, state, name):
        """log f of a visible state with each value of a `OneHot` group in turn, `[batch, k]`."""
        each = {n: s[:, None] for n, s in state.items() if n != name}
        return self.joint.log_prob(each | {name: tf.eye(self.joint.units[name].size)[None]})

    def classify(self, x):
        """p(y | x) of a model with labels, by free energies: float32 `[batch, classes]`.

        Raises:
          ValueError: If the model has no labels.
        """
        if self.condition is None:
            raise ValueError(f"{type(self).__name__} has no labels: give it condition='label'.")
        with full_float32():
            state = {self.visible[0]: self.flat(self.space.check(x))}
            return tf.nn.softmax(self._log_of_each(state, self.visible[1]))

    def sample_rows(
        self, seeds, condition=None, num_steps=None, temperature=1.0, given=None, mask=None
    ):  # fmt: skip
        """The last v of a Gibbs chain for each row, begun at the path's independent units.

        Args:
          seeds: int32 `[n, 2]`.
          condition: Labels `[n]`, clamped, of a model with labels.
          num_steps: Sweeps; None for `chain_steps`.
          temperature: Divides the logits; 0 takes the likelier value of each unit in turn.
          given: float32 `[n, *event_shape]`, clamped where `mask` holds.
          mask: bool `[n, *event_shape]`; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        first, seeds = random.split(seeds)
        num_steps = self.chain_steps if num_steps is None else num_steps
        clamp = self._clamp(condition, given, mask)
        start = self._held_fast(self.start(first, tf.shape(seeds)[0]), clamp)
        return self._chain(start, seeds, num_steps, temperature, clamp)

    def gibbs_rows(self, x, seeds, num_steps, condition=None):
        """The v that a Gibbs chain from each x reaches in so many sweeps; the graph behind the signature.

        Args:
          x: float32 `[n, *event_shape]`.
          seeds: int32 `[n, 2]`.
          num_steps: int32 `[n]`, sweeps of each row; after 0 it is x itself.
          condition: Labels `[n]`, clamped, of a model with labels.

        Returns:
          float32 `[n, *event_shape]`.
        """
        infer, seeds = random.split(seeds)
        clamp = self._clamp(self.check_condition(condition), None, None)
        x = self.space.check(x)
        known = {self.visible[0]: self.flat(x)} | {name: label for name, (label, _) in clamp.items()}
        hidden = self.joint.others(self.visible)
        first = self.joint.start(hidden, infer, tf.shape(seeds)[0])
        # Hidden units of the first state are drawn given x; where x alone is kept, the first sweep does so.
        state = self.joint.draw(hidden, first | known, random.split(infer, len(hidden)), clamp=clamp)
        start = self.joint.pack({name: state[name] for name in self.kept})
        moved = self._chain(start, seeds, num_steps, 1.0, clamp)
        walks = tf.reshape(num_steps > 0, [-1] + [1] * len(self.event_shape))
        return tf.where(walks, moved, x)

    def _clamp(self, condition, given, mask):
        """{visible group: (known, where)} of what a chain must keep."""
        clamp = {}
        if mask is not None:
            clamp[self.visible[0]] = self.flat(given), tf.cast(self.flat(mask), tf.bool)
        if condition is not None:
            label = self.condition.features(condition)
            clamp[self.visible[1]] = label, tf.ones_like(label, tf.bool)
        return clamp

    def _held_fast(self, s, clamp):
        """Flat states of the kept groups with what is clamped in its place."""
        state = self.joint.unpack(s, self.kept)
        for name, (known, where) in clamp.items():
            if name in state:
                state[name] = tf.where(where, known, state[name])
        return self.joint.pack(state)

    def _chain(self, start, seeds, num_steps, temperature, clamp):
        """v `[n, *event_shape]` after sweeps from flat kept states: as many for all, or `[n]`."""

        def sweep(i, s):
            moved = self.gibbs(s, random.fold_in(seeds, i), 1.0, temperature, clamp)
            if num_steps.shape.rank:
                moved = tf.where((i < num_steps)[:, None], moved, s)
            return i + 1, tf.ensure_shape(moved, [None, self.joint.size(self.kept)])

        num_steps = tf.convert_to_tensor(num_steps)
        start = tf.ensure_shape(start, [None, self.joint.size(self.kept)])
        longest = tf.reduce_max(num_steps)
        s = tf.while_loop(lambda i, _: i < longest, sweep, (tf.constant(0), start))[1]
        state = self.joint.unpack(s, self.kept)
        if self.visible[0] not in state:
            order = self.joint.others(self.kept)
            last = random.split(random.fold_in(seeds, num_steps), len(order))
            state = self.joint.draw(order, state, last, 1.0, temperature, clamp)
        return tf.reshape(state[self.visible[0]], [-1, *self.event_shape])

    def complete(self, x, mask, seeds, **kwargs):
        """`sample_rows` with x, `[n, *event_shape]`, clamped where `mask`, of the same shape, is 1."""
        given, mask = self.space.check_known(x, mask)
        return self.sample_rows(seeds, given=given, mask=mask, **kwargs)

    def test_metrics(self, data, seed):
        """Of a model with labels, how many test examples `classify` finds; of log Z, an estimate from above.

        The latter, `log_partition_upper`, comes where log Z cannot be enumerated: 2,000 temperatures down
        from Gibbs chains of 1,000 sweeps, some begun at test examples.
        """
        return report_metrics(self, data, seed)

    def views(self, data, num, seed):
        """Chains of Gibbs sampling, filters, energies of data, samples and noise, completed images.

        Args:
          data: A `tfgen.data.Data`, or None for what needs none.
          num: How many x to show, at most.
          seed: int32 [2].
        """
        return report_views(self, data, num, seed)

    def signatures(self):
        """Adds `complete`, `gibbs`, `encode`, `reconstruct` and, with labels, `classify`.

        `encode` returns probabilities of the hidden units, `gibbs` walks as many sweeps from each x as its
        `num_steps` says.
        """
        x = {"x": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        mask = {"mask": tf.TensorSpec([None, *self.event_shape], tf.float32)}
        seeds = {"seeds": tf.TensorSpec([None, 2], tf.int32)}
        steps = {"num_steps": tf.TensorSpec([None], tf.int32)}
        label = self.condition_spec()

        def complete(x, mask, seeds, **condition):
            return {"x": self.complete(x, mask, seeds, **condition)}

        served = super().signatures() | {
            "complete": Signature(complete, x | mask | seeds | label),
            "gibbs": Signature(lambda **given: {"x": self.gibbs_rows(**given)}, x | seeds | steps | label),
            "encode": Signature(lambda **given: {"hidden": self.encode(**given)}, x | label),
            "reconstruct": Signature(lambda **given: {"x": self.reconstruct(**given)}, x | label),
        }
        if self.condition is not None:
            served["classify"] = Signature(self._serve_classify, x)
        return served

    def _serve_classify(self, x):
        probabilities = self.classify(x)
        return {
            "probabilities": probabilities,
            "label": tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        }


def _coins(shape, dtype=None):
    return random.bernoulli(random.as_seed(0), tf.fill(shape, 0.5))
