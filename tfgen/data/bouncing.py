"""Episodes of the bouncing world: films of a ball over a paddle that a random player moves."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out
from tfgen.environments import Bouncing

STEPS = 20
_TRAIN, _TEST = 2200, 400


@registry.embedded(
    "bouncing", "films of a ball that bounces over a paddle, with the actions of a random player and rewards"
)
def bouncing(request: registry.Request) -> Data:
    """Films of `STEPS` binary frames of `Bouncing`, 16x16, each from a random state and with random actions.

    "actions" int32 `[N, T]` are what the player did after each frame (0 left, 1 stay, 2 right), "rewards"
    float32 `[N, T]` what came of it: the reward of an action is that of the step to the next frame. Training
    and validation part are drawn from the seed, the test part from a fixed one.
    """
    every = episodes(np.random.RandomState([request.seed % 2**32, 8]), _TRAIN)
    train, validation = hold_out(every, request.validation, default=_TRAIN // 10)
    return Data(
        name=request.name,
        kind="video",
        event_shape=(STEPS, *Bouncing().frame_shape),
        num_values=2,
        levels=2,
        num_classes=None,
        class_names=None,
        train=train,
        validation=validation,
        test=episodes(np.random.RandomState([0, 9]), _TEST),
    )


def episodes(random: np.random.RandomState, count: int, steps: int = STEPS) -> Split:
    """So many episodes of a player who chooses each action at random."""
    world = Bouncing()
    state = world.start(random.random_sample((count, 5)))
    actions = random.randint(0, world.num_actions, (count, steps))
    frames = np.empty((count, steps, *world.frame_shape), np.uint8)
    rewards = np.empty((count, steps), np.float32)
    for t in range(steps):
        frames[:, t] = world.render(state)
        state, rewards[:, t] = world.step(state, actions[:, t])
    return Split(frames, extra={"actions": actions.astype(np.int32), "rewards": rewards})
