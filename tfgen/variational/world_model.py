"""World model: a VAE of frames, a recurrent model of what actions do, and planning inside its dreams."""

import functools
import math

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.distributions.draw import draw, draw_and_log_prob
from tfgen.estimators.importance import importance_bound, seeds_of
from tfgen.model import Condition, GenerativeModel, Signature, Stage, Update
from tfgen.variational.planning import PLANNER
from tfgen.variational.transition import TransitionNetwork
from tfgen.variational.vae import VAE
from tfgen.variational.world_report import report_views, report_world


@keras.saving.register_keras_serializable("tfgen")
class WorldModel(GenerativeModel):
    """World model (Ha & Schmidhuber 2018): films of a world in which one acts, dreamt step by step.

    V, a `VAE` of single frames, gives q(z_t | x_t) and p(x_t | z_t). M, a `TransitionNetwork`, gives
    p(z_(t+1) | z_1 ... z_t, a_1 ... a_t) and the reward of a_t. V learns first, its prior a standard normal;
    then M learns on samples of q, and takes that prior's place. C plans: it acts by the sequence of actions
    whose reward M dreams to be highest (`act`).

    `log_prob` is a lower bound of log p(x_1 ... x_T | a_1 ... a_T), frames given actions, rewards left out:

      E_q sum_t log p(x_t | z_t) + log p(z_t | z_<t, a_<t) - log q(z_t | x_t),  q(z | x) = prod_t q(z_t | x_t)

    or, of K samples, the log of the mean of K such weights. `sample` draws the actions evenly.

    Args:
      event_shape: (frames, height, width, channels).
      num_actions: Number of actions.
      latent_size: Size of a frame's code z_t.
      hidden: Sizes of the dense hidden layers of V's encoder, reversed in its decoder.
      network: "mlp" or "conv", as VAE's.
      filters: Channels of the convolutions for network "conv".
      activation: Activation of V's hidden layers.
      likelihood: p(x_t | z_t): as VAE's.
      num_values: Number of levels of the data, as VAE's.
      beta: Weight of V's KL term, of a frame.
      beta_warmup: Steps over which beta rises linearly from 0: small things in a frame are found before it
        presses on their codes.
      free_bits: Nats of KL that each of V's latent variables may use free of charge, as VAE's.
      units: Size of M's LSTM.
      num_components: Gaussians of M's mixture.
      reward_scale: Standard deviation of a reward around its mean, in M's loss: the smaller, the more rewards
        weigh beside codes.
      dynamics_share: Steps of M's training, for each step of V's.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Ha & Schmidhuber, "World models", 2018, arXiv:1803.10122. The paper's C is a linear map evolved by
      CMA-ES; this one plans by the cross-entropy method.
    """

    density = "lower_bound"
    main_figures = ("loss", "reward_error")

    def __init__(
        self,
        event_shape,
        num_actions=3,
        latent_size=16,
        hidden=(256,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        likelihood="bernoulli",
        num_values: int | None = None,
        beta=1.0,
        beta_warmup=0,
        free_bits=0.0,
        units=128,
        num_components=5,
        reward_scale=0.1,
        dynamics_share=1.0,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        if len(self.event_shape) != 4 or None in self.event_shape or self.event_shape[0] < 2:
            raise ValueError(
                f"event_shape must be (frames, height, width, channels), 2 frames or more, got {event_shape}."
            )
        self.kind = "video"
        self.num_actions = checks.whole("num_actions", num_actions, at_least=2)
        self.reward_scale = checks.number("reward_scale", reward_scale, above=0)
        self.dynamics_share = checks.number("dynamics_share", dynamics_share, above=0)
        self.vision = VAE(
            self.event_shape[1:],
            latent_size=latent_size,
            hidden=hidden,
            network=network,
            filters=filters,
            activation=activation,
            likelihood=likelihood,
            num_values=num_values,
            beta=beta,
            beta_warmup=beta_warmup,
            free_bits=free_bits,
            dtype=self.dtype_policy,
            name="vision",
        )
        self.values, self.num_values = self.vision.values, self.vision.num_values
        self.jit_updates = self.vision.jit_updates
        self.dynamics = TransitionNetwork(
            latent_size, num_actions, units, num_components, dtype=self.dtype_policy, name="dynamics"
        )
        self.dynamics.build()
        self.extra_fields = {"actions": Condition("label", self.event_shape[:1], num_actions)}
        self.optional_fields = {"rewards": Condition("vector", self.event_shape[:1])}

    @property
    def latent_size(self):
        """Size of a frame's code."""
        return self.vision.latent_size

    def stages(self):
        """V, then M."""
        frames = Update("frames", self.frames_objective, self.vision.trainable_variables)
        dynamics = Update("dynamics", self.dynamics_objective, self.dynamics.trainable_variables)
        return [Stage("frames", 1.0, [frames]), Stage("dynamics", self.dynamics_share, [dynamics])]

    def updates(self):
        """The updates of the last stage."""
        return self.stages()[-1].updates

    def frames_objective(self, batch, seed, step):
        """V's bound of all frames, each for itself; as `Update`."""
        return self.vision.objective({"x": self._frames(batch["x"])}, seed, step)

    def dynamics_objective(self, batch, seed, step):
        """KL(q(z | x) || p(z | a)), by samples of q, and -log N(r_t; E r_t, reward_scale^2); as `Update`."""
        del step
        seeds = random.rows(seed, tf.shape(batch["x"])[0])
        z, log_q = self.draw_codes(batch["x"], seeds[None])
        log_prior, rewards = self.log_prior(z, batch["actions"])
        loss = kl = tf.reduce_mean(log_q - log_prior)
        scalars = {"kl": kl}
        if "rewards" in batch:
            error = tf.reduce_mean(tf.square(rewards - batch["rewards"]))
            loss += self.event_shape[0] * error / (2.0 * self.reward_scale**2)
            scalars["reward_error"] = error
        return loss, scalars

    def _frames(self, x):
        """Films `[batch, T, ...]` as frames `[batch * T, ...]`."""
        return tf.reshape(x, [-1, *self.event_shape[1:]])

    def draw_codes(self, x, seeds):
        """Samples of q(z | x): float32 `[samples, batch, T, latent_size]`, and log q `[samples, batch]`.

        Args:
          x: float32 `[batch, T, height, width, channels]`, unchecked.
          seeds: int32 `[samples, batch, 2]`.
        """
        samples, steps = tf.shape(seeds)[0], self.event_shape[0]
        each = random.fold_in(seeds[:, :, None], tf.range(steps))
        each = tf.reshape(each, [samples, -1, 2])
        z, log_q = draw_and_log_prob(self.vision.posterior(self._frames(x)), each, tf.shape(seeds)[:1])
        shape = tf.concat([tf.shape(seeds)[:2], [steps]], axis=0)
        z = tf.reshape(z, tf.concat([shape, [self.latent_size]], axis=0))
        return z, tf.reduce_sum(tf.reshape(log_q, shape), axis=-1)

    def log_prior(self, z, actions):
        """log p(z_1 ... z_T | a), float32 `[samples, batch]`, and E r_t, `[samples, batch, T]`.

        Args:
          z: float32 `[samples, batch, T, latent_size]`.
          actions: int32 `[batch, T]`.
        """
        leading = tf.shape(z)[:-1]
        rows = tf.reshape(z, [-1, *z.shape[-2:]])
        raw = self.dynamics(rows, tf.tile(actions, [leading[0], 1]))
        log_p = tf.reduce_sum(self.dynamics.codes(raw[:, :-1]).log_prob(rows), axis=-1)
        rewards = self.dynamics.rewards(raw[:, 1:])
        return tf.reshape(log_p, leading[:2]), tf.reshape(rewards, leading)

    def log_likelihood(self, z, x):
        """log p(x | z), float32 `[samples, batch]`, of codes as above and films `[batch, T, ...]`."""
        leading = tf.shape(z)[:-1]
        flat = tf.reshape(z, [leading[0], -1, self.latent_size])
        each = self.vision.likelihood(flat).log_prob(self._frames(x))
        return tf.reduce_sum(tf.reshape(each, leading), axis=-1)

    def score(self, x, actions, rewards=None, num_samples=1, seed=0):
        """A lower bound of log p(x | a): the log of the mean of `num_samples` importance weights.

        It counts frames given actions; rewards do not enter.

        Args:
          x: float32 `[batch, T, height, width, channels]`, unchecked.
          actions: int32 `[batch, T]`; the last has no frame after it.
          rewards: Not read.
          num_samples: Importance samples K for each x; 1 is the ELBO.
          seed: Python int or int32 `[2]`; noise is derived from it and from the values of x.

        Returns:
          float32 `[batch]`, in nats.
        """
        del rewards

        def log_weights(seeds):
            z, log_q = self.draw_codes(x, seeds)
            return self.log_likelihood(z, x) + self.log_prior(z, actions)[0] - log_q

        chunk = min(128, max(1, 2**17 // math.prod(self.event_shape)))
        return importance_bound(log_weights, seeds_of(x, random.as_seed(seed)), num_samples, chunk).bound

    def validation_metrics(self, batch, seed):
        """Nats of a film, their parts, and the squared error of the rewards.

        "loss", by which the best weights are chosen, is the bound's nats once M is trained, and before that
        V's own, of all frames.
        """
        x = batch["x"]
        z, log_q = self.draw_codes(x, random.rows(seed, tf.shape(x)[0])[None])
        log_prior, rewards = self.log_prior(z, batch["actions"])
        reconstruction, kl = -tf.reduce_mean(self.log_likelihood(z, x)), tf.reduce_mean(log_q - log_prior)
        nats, log_own = reconstruction + kl, tf.reduce_sum(self.vision.prior().log_prob(z), axis=-1)
        first = tf.convert_to_tensor(self.stage.value)[0] == 0
        own = reconstruction + tf.reduce_mean(log_q - log_own)
        scalars = {"loss": tf.where(first, own, nats), "nats": nats}
        scalars |= {"reconstruction": reconstruction, "kl": kl}
        if "rewards" in batch:
            scalars["reward_error"] = tf.reduce_mean(tf.square(rewards - batch["rewards"]))
        return scalars

    @property
    def quantities(self):
        """Quantities of the curves of a training; V's own are of a frame, the others of a film."""
        of_frame = {f"frames/{name}": "V's nats of a frame" for name in ("loss", "reconstruction", "kl")}
        measured = {
            "reward_error": "squared error of a reward",
            "reconstruction": "reconstruction -log p(x | z) of a film [nats]",
            "kl": "KL(q(z | x) || p(z | a)) of a film [nats]",
            "loss": "upper bound of -log p(x | a) of a film [nats]",
        }
        return of_frame | {"frames/elbo": None, "dynamics/loss": None} | measured

    def test_metrics(self, data, seed):
        """Errors of roll-outs beside those of the last frame, and what planning earns: `report_world`."""
        return report_world(self, data, seed)

    def views(self, data, num, seed):
        """Roll-outs beside the truth, as frames and as a film, and games that are played by planning.

        Args:
          data: A `tfgen.data.Data`, or None for none.
          num: How many films, at most.
          seed: int32 [2].
        """
        return {} if data is None else report_views(self, data, num, seed)

    def sample_rows(self, seeds, temperature=1.0):
        """Dreams a film for each seed, its actions drawn evenly.

        Args:
          seeds: int32 `[num, 2]`.
          temperature: Of M, as in `TransitionNetwork.draw`, and of the noise of p(x_t | z_t); 0 is the mode.

        Returns:
          float32 `[num, *event_shape]`.
        """
        z = self.dream(seeds, temperature)[0]
        likelihood = self.vision.likelihood(z)
        return tf.cast(draw(likelihood, random.split(seeds, 3)[2], (), temperature), tf.float32)

    def dream(self, seeds, temperature=1.0):
        """Codes `[num, T, latent_size]`, actions and rewards `[num, T - 1]` behind `sample_rows(seeds)`."""
        of_actions, of_codes, _ = random.split(seeds, 3)
        steps, rows = self.event_shape[0], seeds.shape[0] or tf.shape(seeds)[0]
        uniform = random.uniform(of_actions, [steps - 1])
        actions = tf.cast(uniform * self.num_actions, tf.int32)
        noise = self.dynamics.noise(of_codes, steps)
        state, raw = self.dynamics.start(rows)
        z = self.dynamics.draw(raw, noise[:, 0], temperature)
        codes, rewards = self.dynamics.imagine(state, z, actions, noise[:, 1:], temperature)
        return tf.concat([z[:, None], codes], axis=1), actions, rewards

    def encode(self, x):
        """Mean and standard deviation of q(z_t | x_t), each float32 `[batch, S, latent_size]`.

        Args:
          x: Any number S of frames, `[batch, S, height, width, channels]`.

        Raises:
          ValueError: If shape or values do not fit.
        """
        x = self._check_films(x)
        shape = tf.concat([tf.shape(x)[:2], [self.latent_size]], axis=0)
        q = self.vision.posterior(self._frames(x))
        return tf.reshape(q.mean(), shape), tf.reshape(q.stddev(), shape)

    def decode(self, z):
        """Means of p(x_t | z_t), float32 `[batch, S, height, width, channels]`.

        Args:
          z: Codes of any number S of frames, `[batch, S, latent_size]`.

        Raises:
          ValueError: If the shape of z does not fit.
        """
        z = checks.as_float(z, "z")
        if z.shape.rank != 3 or not z.shape[2:].is_compatible_with([self.latent_size]):
            raise ValueError(f"z must have shape [batch, frames, {self.latent_size}], got {z.shape}.")
        frames = self.vision.decode(tf.reshape(z, [-1, self.latent_size]))
        return tf.reshape(frames, tf.concat([tf.shape(z)[:2], self.event_shape[1:]], axis=0))

    def reconstruct(self, x):
        """`decode` of the means of q(z_t | x_t), `[batch, S, height, width, channels]`."""
        return self.decode(self.encode(x)[0])

    def imagine(self, x, actions, seed=None, temperature=1.0):
        """What comes after some frames if one acts so: roll-outs of M, decoded.

        Args:
          x: The first S frames, `[batch, S, height, width, channels]`.
          actions: ints `[batch, S - 1 + steps]`: what was done after each of the frames but the last, and
            what is done then.
          seed: Python int or int32 `[2]`; None draws a fresh one.
          temperature: As in `TransitionNetwork.draw`.

        Returns:
          Dict of float32: "frames", means of those that follow, `[batch, steps, height, width, channels]`;
          "rewards", expected ones of the actions that lead there, `[batch, steps]`; "codes",
          `[batch, steps, latent_size]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        temperature = checks.temperature(temperature)
        x = checks.as_float(x, f"{type(self).__name__}: x")
        return self.imagine_rows(x, actions, random.rows(random.as_seed(seed), tf.shape(x)[0]), temperature)

    def imagine_rows(self, x, actions, seeds, temperature=1.0):
        """`imagine` with a seed for each row, int32 `[batch, 2]`."""
        z, actions = self.encode(x)[0], self._check_actions(actions)
        seen = tf.shape(z)[1]
        steps = tf.shape(actions)[1] - seen + 1
        message = f"{type(self).__name__}: actions must be at least as many as the frames"
        steps = checks.require(steps >= 1, steps, message, "give what is done after the last frame too")
        state, _ = self.dynamics.start(tf.shape(z)[0])
        state = self._remember(state, z[:, :-1], actions[:, : seen - 1])
        noise = self.dynamics.noise(seeds, steps)
        codes, rewards = self.dynamics.imagine(state, z[:, -1], actions[:, seen - 1 :], noise, temperature)
        return {"frames": self.decode(codes), "rewards": rewards, "codes": codes}

    def _remember(self, state, z, actions):
        """M's state behind codes `[n, S, latent_size]` and what was done after each, int `[n, S]`."""
        read = tf.concat([z, tf.one_hot(actions, self.num_actions)], axis=-1)
        return self.dynamics.cell.sequence(read, state)[1]

    def start(self, num):
        """The memory of players of `num` games before their first frame, for `act`."""
        return self.dynamics.start(num)[0]

    def act(self, memory, frame, seed=None, planner=PLANNER):
        """Plans inside imagined roll-outs: chooses actions after a frame, and remembers both.

        Args:
          memory: Of `start`, or of the last `act`.
          frame: The frames as they are, `[num, height, width, channels]`.
          seed: Python int or int32 `[2]`; None draws a fresh one.
          planner: `tfgen.variational.planning.Planner`.

        Returns:
          actions int32 `[num]`, and the memory behind them.

        Raises:
          ValueError: If the frames do not fit.
        """
        frame = self.vision.space.check(frame, "frame")
        return self._planning(planner)(memory, frame, random.as_seed(seed))

    def _planning(self, planner):
        if planner not in self._planners:
            plan = functools.partial(self._plan, planner)
            self._planners[planner] = tf.function(plan, autograph=False, reduce_retracing=True)
        return self._planners[planner]

    @functools.cached_property
    def _planners(self):
        return {}

    def _plan(self, planner, memory, frame, seed):
        z = self.vision.posterior(frame).mean()
        dreams, sequences = random.split(random.rows(seed, tf.shape(frame)[0]))
        actions, _ = planner.best(self.values_of(memory, z, dreams, planner), self.num_actions, sequences)
        memory, _ = self.dynamics.advance(memory, z, actions[:, 0])
        return actions[:, 0], memory

    def values_of(self, memory, z, seeds, planner):
        """`f(sequences, round)`: the sum of rewards dreamt along sequences of actions, for `Planner.best`."""

        def values(sequences, number):
            count = sequences.shape[1]
            flat = tf.reshape(sequences, [-1, sequences.shape[2]])
            repeat = functools.partial(tf.repeat, repeats=count, axis=0)
            own = random.fold_in(random.fold_in(seeds, number)[:, None], tf.range(count))
            noise = self.dynamics.noise(tf.reshape(own, [-1, 2]), planner.horizon)
            state = tf.nest.map_structure(repeat, memory)
            _, rewards = self.dynamics.imagine(state, repeat(z), flat, noise, planner.temperature)
            return tf.reshape(tf.reduce_sum(rewards, axis=1), [-1, count])

        return values

    def _check_films(self, x):
        """Films of any number of frames, as float32, checked."""
        owner, shape = type(self).__name__, self.event_shape[1:]
        x = checks.as_float(x, f"{owner}: x")
        if x.shape.rank != 5 or not x.shape[2:].is_compatible_with(shape) or x.shape[1] == 0:
            wanted = ", ".join(map(str, ("batch", "frames", *shape)))
            raise ValueError(f"{owner}: x must have shape [{wanted}], 1 frame or more, got {x.shape}.")
        return tf.reshape(self.vision.space.check(self._frames(x)), tf.shape(x))

    def _check_actions(self, actions):
        field = Condition("label", (None,), self.num_actions)
        return field.check(actions, type(self).__name__, "actions")

    def signatures(self):
        """The base's (sample, elbo, serving_default), encode, decode, reconstruct and imagine."""
        frames = tf.TensorSpec([None, None, *self.event_shape[1:]], tf.float32, name="x")
        z = tf.TensorSpec([None, None, self.latent_size], tf.float32, name="z")
        acted = {
            "x": frames,
            "actions": tf.TensorSpec([None, None], tf.int32, name="actions"),
            "seeds": tf.TensorSpec([None, 2], tf.int32, name="seeds"),
        }

        def encode(x):
            return dict(zip(("mean", "stddev"), self.encode(x), strict=True))

        return super().signatures() | {
            "encode": Signature(encode, {"x": frames}),
            "decode": Signature(lambda z: {"x": self.decode(z)}, {"z": z}),
            "reconstruct": Signature(lambda x: {"x": self.reconstruct(x)}, {"x": frames}),
            "imagine": Signature(self.imagine_rows, acted),
        }
