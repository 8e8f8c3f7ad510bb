"""Checkpoints: paths, identity, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import programs
from tests.training.toys import Bits, Moments, TwoStages, fitting, sgd
from tfgen.training import Checkpoints, restore_weights, train, weights_of
from tfgen.training.checkpoints import describe, variable_paths


class Holder:
    """An object that Keras does not look into."""

    def __init__(self, layer):
        self.layer = layer


class Nested(Bits):
    """Layers in lists, dicts and other layers."""

    def __init__(self, event_shape=(3,), network=None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.network = network
        self.blocks = [keras.layers.Dense(2), (keras.layers.Dense(3),)]
        self.by_name = {"b": keras.layers.Dense(4), "a": keras.layers.LSTM(2)}
        self.stack = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(5), keras.layers.BatchNormalization()]
        )
        self.alias = self.blocks[0]
        self.drop = keras.layers.Dropout(0.5)
        for layer in (self.blocks[0], self.blocks[1][0], self.by_name["b"]):
            layer.build((None, 3))
        self.by_name["a"].build((None, None, 3))


def test_paths_are_the_attributes_that_lead_to_a_variable():
    paths = variable_paths(Nested())
    assert set(paths) == {
        "step", "stage", "logits",
        "alias.kernel", "alias.bias", "blocks.1.0.kernel", "blocks.1.0.bias",
        "by_name.b.kernel", "by_name.b.bias",
        "by_name.a.cell.kernel", "by_name.a.cell.recurrent_kernel", "by_name.a.cell.bias",
        "by_name.a.cell.seed_generator.state",
        "stack.layers.0.kernel", "stack.layers.0.bias",
        "stack.layers.1.gamma", "stack.layers.1.beta",
        "stack.layers.1.moving_mean", "stack.layers.1.moving_variance",
        "drop.seed_generator.state",
    }  # fmt: skip
    model = Nested()
    assert {id(v) for v in variable_paths(model).values()} == {id(v) for v in model.variables}
    assert variable_paths(model)["blocks.1.0.kernel"] is model.blocks[1][0].kernel


def test_paths_do_not_depend_on_what_was_made_before_or_on_being_compiled():
    before = list(variable_paths(Nested()))
    for _ in range(3):
        keras.layers.Dense(2)
    model = Nested()
    model.compile(optimizer="adam")
    model.fit(fitting(model).train.x.astype(np.float32), batch_size=20, verbose=0)
    assert list(variable_paths(model)) == before


def test_a_layer_within_another_object_is_found_in_keras_own_list():
    model = Bits()
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    model.holder = Holder(layer)
    model._layers.append(layer)
    assert variable_paths(model)["layers.0.kernel"] is layer.kernel


def go(model, steps, directory, **keywords):
    defaults = {"batch_size": 8, "optimizer": sgd(), "checkpoint_every": 5, "jit": "off"}
    defaults["log"] = lambda line: None
    return train(model, fitting(model), steps, directory, **(defaults | keywords))


def test_keys_are_paths_and_averages_and_slots_bear_those_of_their_variables(tmp_path):
    go(Bits(), 5, tmp_path, optimizer=keras.optimizers.Adam(0.1, use_ema=True))
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tmp_path / "checkpoints")))
    assert set(reader.get_variable_to_shape_map()) == {
        "identity", "model/step", "model/stage", "model/logits", "averages/main/fit/logits",
        "optimizers/main/fit/iterations", "optimizers/main/fit/learning_rate",
        "optimizers/main/fit/momentums/logits", "optimizers/main/fit/velocities/logits",
        "run/total", "run/finished", "run/counters",
    }  # fmt: skip


def test_two_are_kept_and_half_written_files_are_removed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt-5.data-00000-of-00001.tempstate1").write_text("a kill")
    go(Bits(), 20, tmp_path)
    names = {f"ckpt-{step}.{kind}" for step in (15, 20) for kind in ("index", "data-00000-of-00001")}
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {*names, "checkpoint", "best"}


def test_equal_runs_leave_equal_files_whatever_was_made_before(tmp_path):
    go(TwoStages(), 12, tmp_path / "a", optimizer="adam")
    keras.layers.Dense(3).build((None, 2))
    go(TwoStages(), 12, tmp_path / "b", optimizer="adam")
    for file in ("ckpt-12.index", "ckpt-12.data-00000-of-00001", "checkpoint", "best/checkpoint"):
        one, two = (tmp_path / run / "checkpoints" / file for run in "ab")
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 3}, r"seed is \[0, 0\] there and \[0, 3\] here"),
        ({"batch_size": 4}, "batch_size is 8 there and 4 here"),
        ({"optimizer": sgd(0.2)}, "optimizer.main.fit.learning_rate is 0.1.* there and 0.2.*"),
        ({"optimizer": "adam"}, "optimizer.main.fit.class is .*SGD there and .*Adam here"),
    ],
)
def test_weights_of_another_run_are_refused_by_what_differs(tmp_path, change, text):
    go(Bits(), 5, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=f"ckpt-5 belongs to another run: {text}; name another"):
        go(Bits(), 10, tmp_path, resume=True, **change)
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_of_other_data_arguments_or_classes_are_refused(tmp_path):
    go(Bits(), 5, tmp_path)
    with pytest.raises(ValueError, match="belongs to another run: data is .* there and .* here"):
        train(Bits(), fitting(Bits(), 50), 10, tmp_path, 8, sgd(), resume=True, log=lambda line: None)
    for other, text in (
        (Bits(explode_at=4), "arguments.explode_at is -1 there and 4 here"),
        (Bits((2,)), r"arguments.event_shape is \[3\] there and \[2\] here"),
        (Moments((3,)), "model is Bits there and Moments here"),
    ):
        for which in ("best", "last"):
            with pytest.raises(ValueError, match=text):
                restore_weights(other, tmp_path / "checkpoints", which)
    assert restore_weights(Bits(name="another"), tmp_path / "checkpoints") == ("best", 5)


def test_a_format_that_is_not_this_one_says_what_to_do(tmp_path):
    model = Bits()
    old = tf.train.Checkpoint(variables=list(model.variables))
    old.write(str(tmp_path / "ckpt-3"))
    with pytest.raises(ValueError, match="ckpt-3 has the format of an earlier tfgen.*: train again"):
        Checkpoints(weights_of(model), tmp_path, 1).restore()


def test_a_run_does_not_begin_where_checkpoints_lie(tmp_path):
    go(Bits(), 5, tmp_path)
    with pytest.raises(ValueError, match="already holds checkpoints: go on from them with resume=True"):
        go(Bits(), 5, tmp_path)


def test_descriptions_of_arguments_are_equal_for_equal_arguments():
    def relu(x):
        return tf.nn.relu(x)

    one, two = (
        {
            "network": keras.Sequential([keras.layers.Dense(3)]),
            "f": relu,
            "sizes": (1, 2),
            "model": Bits((2,)),
        }
        for _ in range(2)
    )
    assert describe(one) == describe(two)
    assert describe(one)["sizes"] == [1, 2] and describe(one)["model"]["event_shape"] == [2]
    assert describe(keras.Sequential([keras.layers.Dense(4)])) != describe(one["network"])
    assert describe(np.float32(0.5)) == 0.5 and describe(np.arange(2)) == [0, 1]


@pytest.mark.slow
def test_another_process_reads_it(tmp_path):
    go(Bits(), 5, tmp_path)
    code = (
        "import keras\nfrom tests.training.toys import Bits\nfrom tfgen.training import restore_weights\n"
        "keras.layers.Dense(2)\nmodel = Bits()\n"
        f"print(restore_weights(model, {str(tmp_path / 'checkpoints')!r}), model.logits.numpy().tolist())\n"
    )
    out = programs.run(["-c", code])
    kept = Bits()
    restore_weights(kept, tmp_path / "checkpoints")
    assert out.stdout.strip() == f"('best', 5) {kept.logits.numpy().tolist()}", out.stderr[-2000:]
