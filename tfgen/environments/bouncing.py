"""Bouncing ball over a paddle: a world of whole numbers, the next state a function of state and action."""

from typing import NamedTuple

import numpy as np

LEFT, STAY, RIGHT = 0, 1, 2


class Bouncing(NamedTuple):
    """Ball that bounces off all four sides of a square, and a paddle along the lowest row.

    A state is five whole numbers, `[..., 5]`: column x and row y of the ball's upper left corner, its speed
    (vx, vy) in pixels a step, and the paddle's first column. A step moves the paddle by `reach` columns to
    the left, not at all, or to the right, then the ball by its speed; what would leave the square is
    reflected. The reward is 1 where the ball comes down on the paddle, -1 where beside it, and 0 else.

    Args:
      side: Rows and columns of a frame.
      ball: Side of the ball.
      paddle: Columns of the paddle.
      reach: Columns that the paddle moves in a step.
    """

    side: int = 16
    ball: int = 2
    paddle: int = 4
    reach: int = 2

    @property
    def num_actions(self):
        """Left, stay, right."""
        return 3

    @property
    def frame_shape(self):
        """Shape of a frame."""
        return self.side, self.side, 1

    @property
    def floor(self):
        """Row of the ball where it touches the paddle's."""
        return self.side - 1 - self.ball

    def start(self, uniform):
        """A state for each five uniform numbers: any place above the floor, speeds of 1 or 2 either way.

        Args:
          uniform: Floats in [0, 1), `[..., 5]`.

        Returns:
          int64 `[..., 5]`.
        """
        uniform = np.asarray(uniform)
        places = (self.side - self.ball + 1, self.floor, 4, 4, (self.side - self.paddle) // self.reach + 1)
        index = np.minimum((uniform * places).astype(np.int64), np.array(places) - 1)
        speeds = np.array([-2, -1, 1, 2])
        x, y, vx, vy, paddle = np.moveaxis(index, -1, 0)
        return np.stack([x, y, speeds[vx], speeds[vy], self.reach * paddle], axis=-1)

    def step(self, state, action):
        """The state after an action, and the reward.

        Args:
          state: int `[..., 5]`.
          action: int `[...]`: 0 left, 1 stay, 2 right.

        Returns:
          int64 `[..., 5]`, float32 `[...]`.

        Raises:
          ValueError: If an action is none of these.
        """
        action = np.asarray(action)
        if not np.isin(action, (LEFT, STAY, RIGHT)).all():
            wrong = action[~np.isin(action, (LEFT, STAY, RIGHT))].flat[0]
            raise ValueError(f"action must be 0 (left), 1 (stay) or 2 (right), got {wrong}.")
        x, y, vx, vy, paddle = np.moveaxis(np.asarray(state), -1, 0)
        paddle = np.clip(paddle + self.reach * (action - STAY), 0, self.side - self.paddle)
        x, vx, _ = _reflected(x + vx, vx, self.side - self.ball)
        y, vy, landed = _reflected(y + vy, vy, self.floor)
        caught = (x + self.ball > paddle) & (x < paddle + self.paddle)
        reward = np.where(landed, np.where(caught, 1.0, -1.0), 0.0).astype(np.float32)
        return np.stack([x, y, vx, vy, paddle], axis=-1), reward

    def render(self, state):
        """Frames of states: uint8 `[..., side, side, 1]`, 1 where the ball or the paddle is."""
        x, y, _, _, paddle = np.moveaxis(np.asarray(state)[..., None, None, :], -1, 0)
        rows, columns = np.mgrid[: self.side, : self.side]
        ball = (rows >= y) & (rows < y + self.ball) & (columns >= x) & (columns < x + self.ball)
        paddle = (rows == self.side - 1) & (columns >= paddle) & (columns < paddle + self.paddle)
        return (ball | paddle).astype(np.uint8)[..., None]


def _reflected(place, speed, highest):
    """Place and speed reflected at 0 and at `highest`, and where the latter was reached."""
    reached = place >= highest
    speed = np.where((place < 0) | (reached & (speed > 0)), -speed, speed)
    place = np.where(reached, 2 * highest - place, np.abs(place))
    return place, speed, reached
