"""The bouncing world against a ball moved pixel by pixel, its data set, and its gymnasium environment."""

import itertools
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tfgen import data
from tfgen.environments import WORLDS, Bouncing
from tfgen.environments.gymnasium_env import WorldEnv

WORLD = Bouncing()


def every_state():
    """All states that a game can begin in."""
    speeds, paddles = (-2, -1, 1, 2), range(0, 13, 2)
    return np.array(list(itertools.product(range(15), range(13), speeds, speeds, paddles)))


def moved(place, speed, highest):
    """A coordinate that goes pixel by pixel and turns at both ends; whether it was at the upper one."""
    at_the_end = False
    for _ in range(abs(speed)):
        if not 0 <= place + np.sign(speed) <= highest:
            speed = -speed
        place += np.sign(speed)
        at_the_end |= place == highest
    return place, -speed if place == highest and speed > 0 else speed, at_the_end


@pytest.mark.parametrize("action", range(3))
def test_a_step_is_the_ball_moved_pixel_by_pixel_and_the_paddle_by_the_action(action):
    states = every_state()[:: 7 if action == 1 else 11]
    after, rewards = WORLD.step(states, np.full(len(states), action))
    for state, found, reward in zip(states, after, rewards, strict=True):
        x, y, vx, vy, paddle = state
        x, vx, _ = moved(x, vx, 14)
        y, vy, landed = moved(y, vy, 13)
        paddle = min(max(paddle + 2 * (action - 1), 0), 12)
        assert list(found) == [x, y, vx, vy, paddle]
        columns = set(range(x, x + 2)) & set(range(paddle, paddle + 4))
        assert reward == (0.0 if not landed else 1.0 if columns else -1.0)
    assert {-1.0, 0.0, 1.0} == set(rewards)


def test_a_game_never_leaves_the_square_and_keeps_its_speed():
    states = every_state()
    speed = np.abs(states[:, 2:4])
    random = np.random.RandomState(0)
    for _ in range(60):
        states, _ = WORLD.step(states, random.randint(0, 3, len(states)))
        places = states[:, [0, 1, 4]]
        assert (places >= 0).all() and (places <= [14, 13, 12]).all()
        np.testing.assert_array_equal(np.abs(states[:, 2:4]), speed)


def test_frames_show_ball_and_paddle_where_they_are():
    states = every_state()[::97]
    frames = WORLD.render(states)
    assert frames.shape == (len(states), 16, 16, 1) and frames.dtype == np.uint8
    for (x, y, _, _, paddle), frame in zip(states, frames[..., 0], strict=True):
        want = np.zeros((16, 16), np.uint8)
        want[y : y + 2, x : x + 2] = 1
        want[15, paddle : paddle + 4] = 1
        np.testing.assert_array_equal(frame, want)


def test_starting_states_are_all_of_them_and_equally_likely():
    corners = np.array(list(itertools.product((0.0, np.nextafter(1.0, 0.0)), repeat=5)))
    assert WORLD.start(corners).min(0).tolist() == [0, 0, -2, -2, 0]
    assert WORLD.start(corners).max(0).tolist() == [14, 12, 2, 2, 12]
    cells = (np.arange(60) + 0.5) / 60
    for column, count in ((0, 15), (2, 4), (3, 4)):
        uniform = np.full((60, 5), 0.5)
        uniform[:, column] = cells
        _, counts = np.unique(WORLD.start(uniform)[:, column], return_counts=True)
        assert counts.tolist() == [60 // count] * count


def test_an_action_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"action must be 0 \(left\), 1 \(stay\) or 2 \(right\), got 3"):
        WORLD.step(every_state()[:2], np.array([1, 3]))


def test_the_data_set_holds_games_of_the_world():
    """Frames, actions and rewards are those of one game each: the state is found in frames 0 and 1."""
    loaded = data.load("bouncing")
    assert loaded.kind == "video" and loaded.event_shape == (20, 16, 16, 1)
    assert "bouncing" in WORLDS and loaded.num_values == 2
    places = np.arange(16)
    for part in (loaded.train, loaded.validation, loaded.test):
        x, actions, rewards = part.x[:50, ..., 0], part.extra["actions"][:50], part.extra["rewards"][:50]
        ball, paddle = x[:, :, :15].astype(int), x[:, :, 15].astype(int)
        corner = [np.argmax(ball.any(axis=2 + k), axis=2) for k in (0, 1)]
        assert (ball.sum((2, 3)) == 4).all() and (paddle.sum(2) == 4).all()
        first = (paddle * places).sum(2) // 4 - 1
        possible = []
        for vx, vy in itertools.product((-2, -1, 1, 2), repeat=2):
            begun = corner[0][:, 0], corner[1][:, 0], np.full(50, vx), np.full(50, vy), first[:, 0]
            state, same = np.stack(begun, axis=1), np.ones(50, bool)
            for t in range(20):
                same &= (WORLD.render(state)[..., 0] == x[:, t]).all((1, 2))
                state, reward = WORLD.step(state, actions[:, t])
                same &= reward == rewards[:, t]
            possible.append(same)
        # The ball's speed is one of sixteen, the whole game follows from it; by a wall two are the same.
        assert np.isin(np.sum(possible, axis=0), (1, 2)).all()
    other = data.load("bouncing", seed=1)
    assert (other.train.x != loaded.train.x).any()
    np.testing.assert_array_equal(other.test.x, loaded.test.x)
    assert data.load("bouncing").fingerprint() == "36e7e173a6b53d67"


def test_gymnasium_finds_no_fault_with_the_environment():
    env = gymnasium.make("tfgen/Bouncing-v0", max_steps=30, render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)


def test_a_game_of_the_environment_is_one_of_the_world():
    env = WorldEnv(WORLD, max_steps=25)
    frame, _ = env.reset(seed=3)
    state = WORLD.start(np.random.default_rng(3).random(5))
    for t in range(25):
        np.testing.assert_array_equal(frame, 255 * WORLD.render(state))
        state, want = WORLD.step(state, t % 3)
        frame, reward, ended, cut_off, _ = env.step(t % 3)
        assert (reward, ended, cut_off) == (want, False, t == 24)
    for options, words in (({"max_steps": 0}, "max_steps .* got 0"), ({"render_mode": "human"}, "'human'")):
        with pytest.raises(ValueError, match=words):
            WorldEnv(WORLD, **options)
    with pytest.raises(ValueError, match="call reset"):
        WorldEnv(WORLD).step(0)
