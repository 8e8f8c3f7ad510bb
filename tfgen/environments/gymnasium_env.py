"""`gymnasium` environment of a world: one game at a time, seen as frames."""

import gymnasium
import numpy as np

from tfgen.environments.bouncing import Bouncing


class WorldEnv(gymnasium.Env):
    """Game in a world of `tfgen.environments`; `gymnasium.make("tfgen/Bouncing-v0")` is one of `Bouncing`.

    An observation is a frame, uint8 0 or 255 `[height, width, channels]`; an action is one of
    `world.num_actions` numbers. A game never ends by itself, and is cut off after `max_steps`.

    Args:
      world: As `tfgen.environments.Bouncing`.
      max_steps: Steps of a game.
      render_mode: "rgb_array", or None.

    Raises:
      ValueError: If an argument does not fit.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, world, max_steps=200, render_mode=None):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}.")
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise ValueError(f"max_steps must be a whole number of at least 1, got {max_steps!r}.")
        self.world, self.max_steps, self.render_mode = world, max_steps, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, world.frame_shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(world.num_actions)
        self.state, self.taken = None, 0

    def reset(self, *, seed=None, options=None):
        """Begins a game in a random state: its first frame, and no further information."""
        super().reset(seed=seed, options=options)
        self.state, self.taken = self.world.start(self.np_random.random(5)), 0
        return self._frame(), {}

    def step(self, action):
        """Frame after an action, its reward, False, whether the game is cut off, and no more information.

        Raises:
          ValueError: If there is no game yet, or no such action.
        """
        if self.state is None:
            raise ValueError("there is no game yet: call reset() first.")
        self.state, reward = self.world.step(self.state, action)
        self.taken += 1
        return self._frame(), float(reward), False, self.taken >= self.max_steps, {}

    def render(self):
        """The frame in colors, uint8 `[height, width, 3]`, for render_mode "rgb_array"; else None."""
        if self.render_mode is None or self.state is None:
            return None
        return np.repeat(self._frame(), 3, axis=-1)

    def _frame(self):
        return 255 * self.world.render(self.state)


def _bouncing(**options):
    return WorldEnv(Bouncing(), **options)


gymnasium.register("tfgen/Bouncing-v0", entry_point=_bouncing)
