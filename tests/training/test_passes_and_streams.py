"""Passes over the data beside other batches, and streams of further examples."""

import collections
import csv
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import two_replicas
from tests.training.toys import FewLabels, Moments, MomentsBesideGradients, StopAt, fitting, sgd, with_stream
from tfgen import data, random
from tfgen.model import Update
from tfgen.training import Interrupted, train
from tfgen.training.batches import Order
from tfgen.update import Step


def go(model, examples, steps, directory=None, **keywords):
    defaults = {"batch_size": 4, "optimizer": sgd(), "checkpoint_every": 5, "jit": "off"}
    defaults["log"] = lambda line: None
    return train(model, examples, steps, directory, **(defaults | keywords))


def test_a_pass_beside_other_updates_takes_every_example_once():
    """Ten examples in batches of four, three steps to a pass; the pass is exact though batches run on."""
    model = MomentsBesideGradients()
    examples = fitting(model, 10)
    rows = go(model, examples, 6, checkpoint_every=3)
    np.testing.assert_allclose(model.loc, examples.train.x.mean(axis=0), rtol=1e-5)
    assert [row["mean/count"] for row in rows] == [10, 10]
    assert np.all(model.follower.numpy() != 0.0)


@pytest.mark.slow
def test_scalars_of_a_pass_that_ended_before_an_interruption_are_in_the_history(tmp_path):
    """40 examples in batches of 6: passes end at 7 and 14, evaluations come at 10 and 20."""
    examples = fitting(Moments())
    settings = {"batch_size": 6, "checkpoint_every": 10}
    go(Moments(), examples, 20, tmp_path / "a", **settings)
    for cut in (8, 13):
        with pytest.raises(Interrupted):
            go(Moments(), examples, 20, tmp_path / "b", **settings, callbacks=[StopAt(cut)], resume=cut > 8)
    go(Moments(), examples, 20, tmp_path / "b", **settings, resume=True)
    whole = (tmp_path / "a/metrics.csv").read_text()
    assert whole == (tmp_path / "b/metrics.csv").read_text()
    with open(tmp_path / "b/metrics.csv", newline="") as file:
        assert [row["mean/count"] for row in csv.DictReader(file)] == ["40.0", "40.0"]


def test_means_after_a_finished_run_goes_on_are_over_the_steps_since(tmp_path):
    """A run of 7 is evaluated at 7: the row at 10 is the mean over steps 7 to 9."""

    class Counts(MomentsBesideGradients):
        def distance(self, batch, seed, step):
            return tf.reduce_sum(self.follower.value), {"step": tf.cast(step, tf.float32)}

        def updates(self):
            return [Update("follow", self.distance, [self.follower])]

    examples = fitting(Counts(), 10)
    go(Counts(), examples, 7, tmp_path)
    rows = go(Counts(), examples, 10, tmp_path, resume=True)
    assert [row["follow/step"] for row in rows] == [2.0, 5.5, 8.0]


def test_a_small_stream_wraps_within_a_batch():
    order = Order(3, 8, 2, (1, 2), wraps=True)
    flat = order(0, 6).ravel()
    for one in flat.reshape(-1, 3):
        assert sorted(one) == [0, 1, 2]
    np.testing.assert_array_equal(order(4, 2), order(0, 6)[4:])
    assert len({tuple(one) for one in flat.reshape(-1, 3)}) > 1


def test_groups_of_a_stream_stay_together():
    """Six groups of two in batches of four: whole, in their order, each equally often, from any step on."""
    order = Order(12, 4, 1, (1, 2), wraps=True, group_size=2)
    pairs = order(0, 9).reshape(-1, 2)
    assert np.all(pairs[:, 0] % 2 == 0) and np.all(pairs[:, 1] == pairs[:, 0] + 1)
    for one in pairs.reshape(3, 6, 2):
        assert sorted(one[:, 0]) == [0, 2, 4, 6, 8, 10]
    assert len({tuple(one[:, 0]) for one in pairs.reshape(3, 6, 2)}) > 1
    np.testing.assert_array_equal(order(5, 4), order(0, 9)[5:])
    np.testing.assert_array_equal(
        Order(12, 4, 1, (1, 2), wraps=True)(0, 9), Order(12, 4, 1, (1, 2), wraps=True, group_size=1)(0, 9)
    )


@pytest.mark.parametrize("replicas", [1, 2])
def test_each_labelled_example_comes_equally_often(replicas):
    """Five labelled examples, 40 others, batches of 8: in 10 steps each labelled one comes 16 times."""
    strategy = two_replicas() if replicas > 1 else None
    with strategy.scope() if strategy else tf.name_scope("none"):
        model = FewLabels()
    go(model, with_stream(model), 10, batch_size=8, strategy=strategy, optimizer=sgd(0.5))
    np.testing.assert_array_equal(model.came, [16, 16, 16, 16, 16, 0, 0, 0])
    # Two of the five are of class 1: the frequency is learned from the stream, not from the others' labels.
    assert -0.45 < float(model.label_logit.numpy()) < -0.25


def test_the_stream_has_an_order_of_its_own():
    """Epoch by epoch the main examples keep the order that they have without a stream."""
    seen = collections.defaultdict(list)

    class Watches(FewLabels):
        def joint(self, batch, seed, step):
            seen["x"].append(batch["x"].numpy())
            seen["labelled"].append(batch["labelled"]["x"].numpy())
            return super().joint(batch, seed, step)

    model = Watches()
    examples = with_stream(model)
    tf.config.run_functions_eagerly(True)
    try:
        go(model, examples, 5, batch_size=8)
    finally:
        tf.config.run_functions_eagerly(False)
    words = random.fold_in(random.as_seed(0), 0).numpy()
    rows = Order(40, 8, 1, words)(0, 5)[:, 0]
    np.testing.assert_array_equal(seen["x"][-5:], examples.train.x[rows])
    numbers = [[int(row @ [4, 2, 1]) for row in batch] for batch in seen["labelled"][-5:]]
    assert sorted(np.ravel(numbers)) == sorted(list(range(5)) * 8)


@pytest.mark.slow
def test_a_stream_resumes_with_the_same_bits(tmp_path):
    straight, resumed = FewLabels(), FewLabels()
    examples = with_stream(straight)
    go(straight, examples, 30, tmp_path / "a", batch_size=8, checkpoint_every=30, jit="on")
    with pytest.raises(Interrupted):
        settings = {"batch_size": 8, "checkpoint_every": 30, "jit": "on"}
        go(FewLabels(), examples, 30, tmp_path / "b", **settings, callbacks=[StopAt(3)])
    go(resumed, examples, 30, tmp_path / "b", **settings, resume=True)
    for one, two in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_validation_sees_the_streams_that_held_out_data_have():
    class Reads(FewLabels):
        def validation_metrics(self, batch, seed):
            own = super().validation_metrics(batch, seed)
            return own | {"labelled": tf.cast(tf.shape(batch["labelled"]["x"])[0], tf.float32)}

    examples = with_stream(Reads())
    held_out = dataclasses.replace(examples.validation, streams=examples.train.streams)
    rows = go(Reads(), dataclasses.replace(examples, validation=held_out), 5)
    assert rows[-1]["val_labelled"] == 40.0 and rows[-1]["val_loss"] > 0.0
    assert "val_loss" in go(FewLabels(), examples, 5)[-1]


def test_data_without_the_stream_are_refused_by_name():
    text = "FewLabels reads the stream 'labelled' beside its examples, but planted has none: load it with"
    whole = fitting(FewLabels())
    with pytest.raises(ValueError, match=text):
        go(FewLabels(), dataclasses.replace(whole, train=dataclasses.replace(whole.train, streams={})), 5)


def test_fit_takes_a_dict_within_the_batch():
    model = FewLabels()
    examples = with_stream(model, num_labelled=8)
    labelled = examples.train.streams["labelled"]
    x = examples.train.x[:8].astype(np.float32)
    fields = {"x": x, "labelled": {"x": labelled.x.astype(np.float32), "condition": labelled.label}}
    held_out = {"x": x, "condition": examples.train.label[:8]}
    every = tf.data.Dataset.from_tensor_slices(fields).batch(4)
    model.compile(optimizer=sgd(0.5))
    history = model.fit(
        every, epochs=2, verbose=0, validation_data=tf.data.Dataset.from_tensor_slices(held_out).batch(4)
    )
    np.testing.assert_array_equal(model.came, np.full(8, 2.0))
    assert np.isfinite(history.history["val_loss"]).all()
    with pytest.raises(ValueError, match="FewLabels reads the stream 'labelled': give a dict with"):
        model.fit(tf.data.Dataset.from_tensor_slices({"x": x}).batch(4), verbose=0)


class Counter(Moments):
    """Counts in float64, batch by batch: 2^24 from the first replica, 1 from the second."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(shape=(), dtype="float64", initializer="zeros", trainable=False)

    def large(self, batch, seed, step):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.where(tf.equal(replica, 0), tf.constant(2.0**24, tf.float64), tf.constant(1.0, tf.float64))

    def assign(self, total):
        self.total.assign(total)

    def updates(self):
        return [Update("count", variables=[self.total], statistics=self.large, apply=self.assign)]


def test_sums_over_replicas_keep_the_precision_of_the_statistics():
    strategy = two_replicas()
    with strategy.scope():
        model = Counter()
        step = Step(model.updates(), {})

    @tf.function(autograph=False)
    def run():
        batch = {"x": tf.zeros([1, 2])}
        return strategy.run(lambda: step(lambda i, s: batch, random.as_seed(0), tf.constant(0, tf.int64)))

    run()
    assert float(model.total.numpy()) == 2.0**24 + 1


def test_too_large_a_batch_leaves_no_trace(tmp_path):
    model = FewLabels()
    for wrong in ({"batch_size": 64}, {"optimizer": {"other": "sgd"}}, {"steps": 0}, {"early_stopping": 0}):
        settings = {"steps": 5} | wrong
        with pytest.raises(ValueError, match=next(iter(wrong))):
            go(model, with_stream(model), directory=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    told = []
    go(
        model,
        with_stream(model),
        5,
        tmp_path / "run",
        before_writing=lambda: told.append(list(tmp_path.iterdir())),
    )
    assert told == [[]]


def test_labels_of_a_stream_are_of_its_own_examples():
    model = FewLabels()
    stream = with_stream(model).train.streams["labelled"]
    assert isinstance(stream, data.Split)
    np.testing.assert_array_equal(model.stream_fields(stream)["condition"], [0, 1, 0, 1, 0])
