"""Joint densities exp(-E) over named groups of units: couplings, conditionals, free energies, mean field.

A machine is a `Joint`: groups of units, each with a law of its own (tfgen/energy/units.py), and
couplings between them (`Dense`, `Within`, or of one's own). With w_g the own term of a group and t_g(s_g)
what couplings see of it,

  -E(s) = sum_g w_g(s_g) + sum_(g, g') t_g(s_g) . K_gg' t_g'(s_g').

Everything else follows from which groups are coupled. A state is a dict of flat tensors `[..., size]` by
name; groups that it leaves out are summed out where they are independent given the others, as the hidden
units of an RBM are given the visible ones. A path of densities leads from independent units (beta = 0) to the
machine (beta = 1): f_beta(s) = exp(-beta E(s) + (1 - beta) sum_g w0_g(s_g)), w0 the own terms at the base
rates. beta is a number, or a tensor of leading dimensions of the state.
"""

import abc
import itertools
import math

import tensorflow as tf

from tfgen import random
from tfgen.energy.units import cooled, is_one, read_like

# Bits of the states that are enumerated at most, and of those enumerated at once.
MOST_STATES, _CHUNK_BITS = 20, 12


class Coupling(abc.ABC):
    """Bilinear term t . K t' of -E between two groups.

    Args:
      first: Name of a group.
      second: Name of another.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second
        self.ends = (first, second)

    @abc.abstractmethod
    def to_second(self, t):
        """K' t: what t of the first group brings to the second, `[..., size of the second]`."""

    @abc.abstractmethod
    def to_first(self, t):
        """K t': what t' of the second group brings to the first, `[..., size of the first]`."""

    @abc.abstractmethod
    def penalty(self):
        """Half the sum of squares of the weights, for weight decay."""

    @abc.abstractmethod
    def rows(self, name, index):
        """What single units of the group `name`, by their indices `[...]`, bring to the other per t = 1."""


class Dense(Coupling):
    """Coupling by a matrix.

    Args:
      first: Name of a group.
      second: Name of another.
      kernel: `[size of the first, size of the second]`.
    """

    def __init__(self, first, second, kernel):
        super().__init__(first, second)
        self.kernel = kernel

    def to_second(self, t):
        """t K."""
        return _product(t, read_like(self.kernel, t))

    def to_first(self, t):
        """K t'."""
        return _product(t, read_like(self.kernel, t), transpose_b=True)

    def penalty(self):
        """Half the sum of squares of the matrix."""
        return 0.5 * tf.reduce_sum(tf.square(self.kernel.value))

    def rows(self, name, index):
        """Rows or columns of the matrix."""
        kernel = tf.convert_to_tensor(self.kernel.value)
        return tf.gather(kernel if name == self.first else tf.transpose(kernel), index)


class Within:
    """Coupling of the units of a group among themselves: sum_(i < j) t_i K_ij t_j.

    Args:
      name: Of the group.
      kernel: `[size, size]`, of which the part above the diagonal counts.
    """

    def __init__(self, name, kernel):
        self.name, self.kernel = name, kernel

    def matrix(self, like):
        """K + K', symmetric with zeros on the diagonal."""
        kernel = read_like(self.kernel, like)
        upper = kernel - tf.linalg.band_part(kernel, -1, 0)
        return upper + tf.transpose(upper)

    def penalty(self):
        """Half the sum of squares of the weights that count."""
        kernel = self.kernel.value
        return 0.5 * tf.reduce_sum(tf.square(kernel - tf.linalg.band_part(kernel, -1, 0)))


class Joint:
    """Density exp(-E(s)), unnormalized, over named groups of units.

    Args:
      units: {name: `Units`}, in the order in which they are drawn.
      couplings: Sequence of `Coupling`.
      within: Sequence of `Within`, at most one for a group, which must be `Binary`.
    """

    def __init__(self, units, couplings, within=()):
        self.units, self.couplings = dict(units), tuple(couplings)
        self.within = {each.name: each for each in within}

    def coupled(self, one, other):
        """Whether two groups depend on each other given all others."""
        if one == other:
            return one in self.within
        return any({one, other} == set(c.ends) for c in self.couplings)

    def independent(self, names):
        """Whether all units of some groups are independent given the other groups."""
        pairs = itertools.combinations_with_replacement(names, 2)
        return not any(self.coupled(*pair) for pair in pairs)

    def others(self, names):
        """Names of the groups that are not among these."""
        return tuple(name for name in self.units if name not in names)

    def size(self, names):
        """Number of units of some groups."""
        return sum(self.units[name].size for name in names)

    def pack(self, state):
        """A state as one tensor `[..., size of its groups]`."""
        parts = [state[name] for name in self.units if name in state]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)

    def unpack(self, flat, names):
        """{name: tensor} of what `pack` made of these groups."""
        names = [name for name in self.units if name in names]
        if len(names) == 1:
            return {names[0]: flat}
        parts = tf.split(flat, [self.units[name].size for name in names], axis=-1)
        return dict(zip(names, parts, strict=True))

    def field(self, name, values):
        """What the groups in `values` bring to a group, itself too where it is one of them: `[..., size]`."""
        total = None
        for coupling in self.couplings:
            if name not in coupling.ends:
                continue
            other = coupling.first if name == coupling.second else coupling.second
            if other not in values:
                continue
            t = self.units[other].statistic(values[other])
            brought = coupling.to_second(t) if name == coupling.second else coupling.to_first(t)
            total = brought if total is None else total + brought
        if name in self.within and name in values:
            t = self.units[name].statistic(values[name])
            brought = _product(t, self.within[name].matrix(t))
            total = brought if total is None else total + brought
        if total is None:
            like = next(iter(values.values()))
            total = tf.zeros(tf.concat([tf.shape(like)[:-1], [self.units[name].size]], 0), like.dtype)
        return total

    def fields(self, state):
        """Fields of the groups that a state leaves out: {name: `[..., size]`}."""
        return {name: self.field(name, state) for name in self.others(state)}

    def log_prob(self, state, beta=1.0, fields=None):
        """log f_beta of a state, the groups that it leaves out summed out: `[...]`.

        Args:
          state: {name: `[..., size]`}; of all groups for -E itself.
          beta: Inverse temperature, number or `[...]`.
          fields: What `fields` returns for this state, where it is known.

        Raises:
          ValueError: If the groups left out depend on each other.
        """
        fields = self._summable(state, fields)
        total = self._among(state)
        if not is_one(beta):
            base = self._sum(units.base(state[name]) for name, units in self._of(state))
            total = beta * total + (1.0 - beta) * base
        return self._sum([total, *(self.units[name].log_sum(f, beta) for name, f in fields.items())])

    def mean_log_prob(self, state, shares, fields=None):
        """Means of log f over states, by their shares in each: `[means, batch]` to `[means]`.

        Args:
          state: {name: `[batch, size]`}, as `log_prob` takes it.
          shares: float32 `[means, batch]`.
          fields: As there.

        Raises:
          ValueError: As there.
        """
        fields, pairs = self._summable(state, fields), self._pairs(state)
        own = [units.mean_own(state[name], shares) for name, units in self._of(state)]
        rest = [self.units[name].log_sum(field) for name, field in fields.items()]
        rest += [] if pairs is None else [pairs]
        return self._sum(own + ([tf.linalg.matvec(shares, self._sum(rest))] if rest else []))

    def log_ratio(self, state, beta, next_beta):
        """log f_{next_beta} - log f_beta of a state, keeping the digits of small differences: `[...]`."""
        fields = self._summable(state)
        slope = self._sum(units.own(state[n]) - units.base(state[n]) for n, units in self._of(state))
        pairs = self._pairs(state)
        slope = slope if pairs is None else slope + pairs
        changes = (self.units[name].log_sum_change(f, beta, next_beta) for name, f in fields.items())
        return self._sum([(next_beta - beta) * slope, *changes])

    def _among(self, state):
        """Own terms of the groups of a state, and the terms between them, `[...]`."""
        own = self._sum(units.own(state[name]) for name, units in self._of(state))
        pairs = self._pairs(state)
        return own if pairs is None else own + pairs

    def _of(self, state):
        return [(name, units) for name, units in self.units.items() if name in state]

    def _summable(self, state, fields=None):
        others = self.others(state)
        if not self.independent(others):
            raise ValueError(f"groups {', '.join(others)} depend on each other: only a bound sums them out.")
        return self.fields(state) if fields is None else fields

    def _pairs(self, state):
        """Terms between groups of a state, and within them; None without."""
        terms = []
        for coupling in self.couplings:
            if coupling.first in state and coupling.second in state:
                first, second = (self.units[n].statistic(state[n]) for n in coupling.ends)
                terms.append(tf.reduce_sum(coupling.to_second(first) * second, axis=-1))
        for name, within in self.within.items():
            if name in state:
                t = self.units[name].statistic(state[name])
                terms.append(0.5 * tf.reduce_sum(_product(t, within.matrix(t)) * t, axis=-1))
        return self._sum(terms) if terms else None

    @staticmethod
    def _sum(terms):
        first, *rest = terms
        for term in rest:
            first = first + term
        return first

    def draw(self, names, values, seeds, beta=1.0, temperature=1.0, clamp=None):
        """Draws groups in turn, each given all other groups in `values`, which they then join.

        Args:
          names: Which, in order.
          values: {name: `[..., size]`}; of a group whose units depend on each other, its value so far.
          seeds: One int32 `[2]` for each of them, or `[rows, 2]`.
          beta: Inverse temperature.
          temperature: As `Units.draw`.
          clamp: {name: (known, mask)}, both `[..., size]`: known where the mask holds; None without.

        Returns:
          {name: value} of `values` with the groups drawn.
        """
        values = dict(values)
        for name, seed in zip(names, seeds, strict=True):
            units = self.units[name]
            field = self.field(name, {n: v for n, v in values.items() if n != name})
            known, mask = (clamp or {}).get(name, (None, None))
            if name in self.within:
                s = values[name] if mask is None else tf.where(mask, known, values[name])
                values[name] = self._draw_in_turn(name, s, field, seed, beta, temperature, mask)
                continue
            drawn = units.draw(seed, field, beta, temperature)
            values[name] = drawn if mask is None else tf.where(mask, known, drawn)
        return values

    def _draw_in_turn(self, name, s, field, seed, beta, temperature, mask):
        u = random.uniform(seed, tf.shape(s)[seed.shape.rank - 1 :])

        def value(i, logit):
            return tf.cast(u[..., i] < tf.sigmoid(cooled(logit, temperature)), s.dtype)

        return self._in_turn(name, s, field, beta, mask, value)

    def _in_turn(self, name, s, field, beta, mask, value):
        """Units of a group one after the other, each given those before and after it.

        `value(i, logit)` is the new value of unit i, `[...]`; where `mask` holds a unit keeps its value.
        """
        units, matrix = self.units[name], self.within[name].matrix(s)
        logits = units.logits(field, beta)

        def visit(i, s):
            within = tf.reduce_sum(units.statistic(s) * matrix[i], axis=-1)
            logit = logits[..., i] + beta * within
            here = tf.range(units.size) == i
            here = here if mask is None else here & ~mask
            return i + 1, tf.ensure_shape(tf.where(here, value(i, logit)[..., None], s), shape)

        shape, start = s.shape, (tf.constant(0), s)
        return tf.while_loop(lambda i, _: i < units.size, visit, start, maximum_iterations=units.size)[1]

    def sweep(self, state, seed, beta=1.0, temperature=1.0, clamp=None):
        """A Gibbs sweep: draws the groups that the state leaves out, then those of the state.

        It leaves the path's density at `beta`, ^ 1 / temperature, invariant.

        Args:
          state: {name: `[..., size]`}.
          seed: int32 `[2]`, or `[rows, 2]`.
          beta: Inverse temperature, number or `[...]`.
          temperature: Divides all logits.
          clamp: As `draw` takes it.

        Returns:
          State of the same groups.
        """
        order = (*self.others(state), *(name for name in self.units if name in state))
        values = self.draw(order, state, random.split(seed, len(order)), beta, temperature, clamp)
        return {name: values[name] for name in state}

    def start(self, names, seed, num):
        """Draws `num` states of some groups at beta = 0; `seed` is [2], or [num, 2] for rows."""
        seeds = (seed,) if len(names) == 1 else random.split(seed, len(names))
        zeros = {name: tf.zeros([num, self.units[name].size]) for name in names}
        drawn = {n: self.units[n].draw(s, zeros[n], 0.0) for n, s in zip(names, seeds, strict=True)}
        return {name: drawn[name] for name in self.units if name in drawn}

    def log_z0(self, names=None):
        """log Z at beta = 0, of all groups or of some: float64 scalar."""
        units = [self.units[name] for name in (self.units if names is None else names)]
        return self._sum(u.log_sum(tf.zeros([u.size], tf.float64), 0.0) for u in units)

    def log_base(self, state):
        """log density of a state at beta = 0, normalized, `[...]`."""
        base = self._sum(units.base(state[name]) for name, units in self._of(state))
        return base - tf.cast(self.log_z0(state), base.dtype)

    def uniform(self):
        """The same joint density with a path that begins at fair coins, and Gaussian units by themselves."""
        units = {name: units.uniform() for name, units in self.units.items()}
        return Joint(units, self.couplings, self.within.values())

    def recentre(self, means):
        """Moves the offsets of `Binary` groups, and biases so that the density stays: {name: `[size]`}.

        Only (s - m) K (s' - m') has m': the bias of s rises by K (m'_new - m'_old).
        """
        means = {name: mean[None] for name, mean in means.items()}
        # To couplings a mean is its distance from the offset so far.
        rises = {name: self.field(name, means)[0] for name in self.units}
        for name, rise in rises.items():
            self.units[name].bias.assign_add(rise)
        for name, mean in means.items():
            self.units[name].offset.assign(mean[0])

    def bias_without_offsets(self, name):
        """The bias of a group in the same density written without offsets, `[size]`."""
        return self.units[name].bias.value + self._seen_of_offsets(name)

    def begin_without_offsets(self, name, bias):
        """Makes the bias of a group what it is where `bias_without_offsets` is `bias`, `[size]`."""
        self.units[name].bias.assign(bias - self._seen_of_offsets(name))

    def _seen_of_offsets(self, name):
        """What a group sees of the others where they are 0, `[size]`."""
        zeros = {other: tf.zeros([1, units.size]) for other, units in self.units.items()}
        return self.field(name, zeros)[0]

    def mean_field(self, state, num_sweeps=100, tolerance=1e-5, beta=1.0, watched=None, fields=None):
        """Means of the groups that a state leaves out in the best independent q: {name: `[..., size]`}.

        Coordinate ascent of `bound`, group after group, until no watched mean moves by more than
        `tolerance`. It begins with a pass in which a group hears those before it, as many times over as makes
        up for those after it: in a DBM twice, as its layers were pretrained (Salakhutdinov & Larochelle
        2010).

        Args:
          state: {name: `[..., size]`}.
          num_sweeps: Most sweeps after that pass.
          tolerance: As said.
          beta: Inverse temperature.
          watched: Names of the groups whose means are watched; None for all that the state leaves out.
          fields: What `fields` returns for this state, where it is known.
        """
        names = self.others(state)
        watched = names if watched is None else watched
        # What the state brings is the same in every sweep.
        given = self.fields(state) if fields is None else fields
        means = {}
        for name in names:
            heard = given[name] + self.field(name, means) if means else given[name]
            beside = [other for other in self.units if other != name and self.coupled(name, other)]
            known = sum(other in state or other in means for other in beside)
            times = len(beside) / known if known else 1.0
            means[name] = self.units[name].mean(times * heard, beta)
        if self.independent(names) or num_sweeps == 0:
            return means

        def sweep(number, means, moved):
            before = means
            for name in names:
                others = {n: m for n, m in means.items() if n != name}
                field = given[name] + self.field(name, others) if others else given[name]
                if name in self.within:
                    mean = self._in_turn(
                        name, means[name], field, beta, None, lambda i, logit: tf.sigmoid(logit)
                    )
                else:
                    mean = self.units[name].mean(field, beta)
                means = means | {name: mean}
            moved = tf.reduce_max(tf.stack([tf.reduce_max(tf.abs(means[n] - before[n])) for n in watched]))
            return number + 1, means, moved

        start = (tf.constant(0), means, tf.constant(math.inf, next(iter(means.values())).dtype))
        return tf.while_loop(
            lambda number, _, moved: moved > tolerance, sweep, start, maximum_iterations=num_sweeps
        )[1]

    def bound(self, state, means, beta=1.0):
        """-E at independent means of the other groups plus their entropy: at most log f(state), `[...]`."""
        entropy = self._sum(self.units[name].entropy(mean) for name, mean in means.items())
        return self.log_prob(state | means, beta) + entropy

    def rise_of_flips(self, state, name, index, fields=None):
        """log f(s) - log f(s with unit i of a `Binary` group flipped), for several i of each s.

        A flip moves the fields of the groups that are summed out by one row of the weights.

        Args:
          state: {name: `[batch, size]`}.
          name: A group of it.
          index: int32 `[batch, flips]`.
          fields: What `fields` returns for this state, where it is known.

        Returns:
          `[batch, flips]`.
        """
        fields, units = self._summable(state, fields), self.units[name]
        change = 1.0 - 2.0 * tf.gather(state[name], index, batch_dims=1)
        # A row of biases for each s, gathered from within it, has a dense gradient.
        own = tf.broadcast_to(read_like(units.bias, state[name]), tf.shape(state[name]))
        if any(self.coupled(name, other) for other in state):
            own += self.field(name, state)
        fall = change * tf.gather(own, index, batch_dims=1)
        for other, field in fields.items():
            ways = [c for c in self.couplings if set(c.ends) == {name, other}]
            if not ways:
                continue
            moved = self._sum(c.rows(name, index) for c in ways)
            flipped = field[:, None] + change[..., None] * moved
            summed = self.units[other]
            fall += summed.log_sum(flipped) - summed.log_sum(field)[:, None]
        return -fall

    def enumerable(self):
        """Names of the groups to enumerate for log Z, the others summed out; of all ways the cheapest.

        Raises:
          ValueError: If even that is more than 2^20 states.
        """
        ways = []
        for kept in itertools.chain.from_iterable(
            itertools.combinations(self.units, n) for n in range(1, len(self.units) + 1)
        ):
            states = [self.units[name].num_states for name in kept]
            if None not in states and self.independent(self.others(kept)):
                ways.append((math.prod(states), kept))
        fewest, kept = min(ways, default=(None, ()))
        if fewest is None or fewest > 2**MOST_STATES:
            bits = "no end of states" if fewest is None else f"2^{math.log2(fewest):.3g}"
            raise ValueError(
                f"method='exact' sums over at most 2^{MOST_STATES} states of units, got {bits}; use "
                'method="ais".'
            )
        return kept

    def log_partition(self):
        """log Z by enumeration, float64 scalar.

        Raises:
          ValueError: If that is more than 2^20 states.
        """
        return self.sum_over(self.enumerable())

    def sum_over(self, names, state=None):
        """log of the sum of f over all states of some groups, in float64.

        Args:
          names: Groups that are enumerated.
          state: {name: `[batch, size]`} of all other groups; None sums those out.

        Returns:
          Scalar, or `[batch]` with a state.
        """
        total = math.prod(self.units[name].num_states for name in names)
        size = min(total, 2**_CHUNK_BITS)
        if state is not None:
            state = {name: tf.cast(s, tf.float64) for name, s in state.items()}
            fields = {name: self.field(name, state) for name in names}

        def chunk(number):
            numbers = number * size + tf.range(size, dtype=tf.int64)
            listed, rest = {}, tf.minimum(numbers, total - 1)
            for name in names:
                units = self.units[name]
                listed[name] = units.states(rest % units.num_states)
                rest = rest // units.num_states
            log_f = self.log_prob(listed) if state is None else self._among(listed)
            log_f = tf.where(numbers < total, log_f, -math.inf)
            if state is not None:
                seen = {name: self.units[name].statistic(s) for name, s in listed.items()}
                log_f += self._sum(tf.matmul(f, seen[name], transpose_b=True) for name, f in fields.items())
            return tf.reduce_logsumexp(log_f, axis=-1)

        numbers = tf.range(-(-total // size), dtype=tf.int64)
        found = tf.reduce_logsumexp(tf.map_fn(chunk, numbers, fn_output_signature=tf.float64), axis=0)
        return found if state is None else found + self._among(state)


def _product(units, kernel, transpose_b=False):
    """`units @ kernel` of units `[..., n]`, as one matrix product."""
    if units.shape.rank == 1:
        return tf.linalg.matvec(kernel, units, transpose_a=not transpose_b)
    shape = tf.concat([tf.shape(units)[:-1], [-1]], axis=0)
    flat = tf.reshape(units, [-1, units.shape[-1]])
    product = tf.reshape(tf.matmul(flat, kernel, transpose_b=transpose_b), shape)
    return tf.ensure_shape(product, [*units.shape[:-1], kernel.shape[0 if transpose_b else 1]])
