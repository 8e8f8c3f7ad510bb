"""Small worlds to act in: pure dynamics by name, and `gymnasium` environments around them.

A world is an object with `num_actions`, `frame_shape`, `start(uniform)`, `step(state, action)` and
`render(state)`, functions of NumPy arrays for any number of games at once; nothing in it is random.
`tfgen.environments.gymnasium_env.WorldEnv` plays one game.
"""

from tfgen.environments.bouncing import Bouncing

__all__ = ["WORLDS", "Bouncing"]

# By the name of the data set of episodes.
WORLDS = {"bouncing": Bouncing()}
