"""Keras' promises: every argument of its methods and every callback it ships; the table in docs/keras.md.

`PROMISES` lists each with a function that exercises it. Those that work assert a number; those that are
refused say what to use instead, and the table quotes them. `python -m tests.test_keras` writes the table.
"""

import contextlib
import csv
import glob
import http.server
import inspect
import io
import json
import pathlib
import re
import tempfile
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import two_replicas
from tests.training.toys import Bits, MomentsBesideGradients, TwoStages, sgd
from tfgen import random
from tfgen.adversarial import GAN
from tfgen.classical import GaussianMixture
from tfgen.energy import RBM
from tfgen.keras_model import Layer
from tfgen.model import Condition, Update
from tfgen.variational import VAE

DOCS = pathlib.Path(__file__).parent.parent / "docs" / "keras.md"
RATE = 0.5
# No half of it has an entry that is 1 half of the time, where a first step would not move it.
X = np.random.default_rng(29).integers(0, 2, (8, 3)).astype(np.float32)
Y = np.arange(8) % 2


@keras.saving.register_keras_serializable("test_keras")
class Coins(Bits):
    """Bits that a `.keras` file knows."""


class LabelledCoins(Bits):
    """Bits with logits of their own for each of two labels."""

    condition = Condition("label", (), 2)

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.table = self.add_weight(shape=(2, *self.event_shape), initializer="zeros", name="table")

    def score(self, x, condition):
        logits = tf.gather(tf.convert_to_tensor(self.table.value), condition)
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), axis=-1)

    def updates(self):
        return [Update("fit", lambda b, s, t: (-tf.reduce_mean(self.score(**b)), {}), [self.table])]


class Pair(Bits):
    """Two independent copies of bits, an optimizer each; the second is reported twice as large."""

    def __init__(self, event_shape=(3,), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.other = self.add_weight(shape=self.event_shape, initializer="zeros", name="other")

    def second(self, batch, seed, step):
        logits = tf.zeros_like(batch["x"]) + self.other.value
        each = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(batch["x"], logits), axis=-1)
        return 2 * tf.reduce_mean(each), {}

    def updates(self):
        return [Update("first", self.nll, [self.logits]), Update("second", self.second, [self.other])]


class Noisy(Bits):
    """Its validation loss is the noise it was given."""

    def validation_metrics(self, batch, seed):
        return {"loss": random.uniform(seed, [])}


def made(cls=Coins, optimizer=None, **options):
    """A compiled model; without a graph around its steps, which takes longer to trace than to train."""
    model = cls()
    options = {"run_eagerly": True, "jit_compile": False} | options
    model.compile(sgd(RATE) if optimizer is None else optimizer, **options)
    return model


def fitted(model, x=X, **options):
    """`fit` of x in its order, in batches of 4 and silently unless told otherwise; the history."""
    whole = {"batch_size": 4, "shuffle": False, "verbose": 0} | options
    if isinstance(x, tf.data.Dataset):
        whole = {k: v for k, v in whole.items() if k not in ("batch_size", "shuffle")}
    return model.fit(x, **whole).history


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nll(logits, x=X):
    """Mean nats of x under independent bits."""
    return np.mean(np.sum(np.logaddexp(0, logits) - x * logits, axis=-1))


def descended(epochs=1, x=X, size=4, rate=RATE, logits=0.0, rates=None):
    """Logits after descending by hand."""
    logits = np.zeros(3) + logits
    for epoch in range(epochs):
        for start in range(0, len(x), size):
            step = rates[epoch] if rates else rate
            logits = logits + step * (x[start : start + size].mean(0) - sigmoid(logits))
    return logits


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)


def same_as_descended(model, **options):
    close(model.logits, descended(**options))


class Counted(keras.callbacks.Callback):
    """Counts calls by name."""

    def __init__(self):
        super().__init__()
        self.calls = {}
        for name in ("train", "test", "predict"):
            setattr(self, f"on_{name}_batch_end", lambda batch, logs=None, name=name: self.count(name))

    def count(self, name):
        self.calls[name] = self.calls.get(name, 0) + 1


def said(function):
    """What a function writes to the standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        function()
    return out.getvalue()


# compile


def optimizer():
    model = made(optimizer=keras.optimizers.SGD(0.25), run_eagerly=False)
    fitted(model)
    same_as_descended(model, rate=0.25)
    pair = made(Pair, {"first": sgd(0.25), "second": sgd(0.125)})
    fitted(pair)
    same_as_descended(pair, rate=0.25)
    close(pair.other, descended(rate=2 * 0.125))


def run_eagerly():
    for eagerly in (True, False):
        model = made(run_eagerly=eagerly)
        fitted(model)
        same_as_descended(model)


def steps_per_execution():
    model, counted = made(steps_per_execution=2, run_eagerly=False), Counted()
    fitted(model, callbacks=[counted])
    same_as_descended(model)
    assert counted.calls == {"train": 1}


def jit_compile():
    for jit in (True, False):
        model = made(jit_compile=jit, run_eagerly=False)
        fitted(model)
        same_as_descended(model)
        assert model._engine.jit == jit


def auto_scale_loss():
    model = made(auto_scale_loss=False)
    fitted(model)
    same_as_descended(model)
    with pytest.raises(ValueError, match="mixed_float16"):
        Coins(dtype="mixed_float16")


# fit


def fit_x():
    model = made(run_eagerly=False)
    for x in (X, tf.constant(X), {"x": X}, X.astype(bool), tf.data.Dataset.from_tensor_slices(X).batch(4)):
        model.logits.assign(np.zeros(3))
        fitted(model, x)
        same_as_descended(model)


def fit_y():
    model = made(LabelledCoins, run_eagerly=False)
    model.fit(X, Y, batch_size=8, verbose=0)
    rows = [X[label::2] for label in (0, 1)]
    close(model.table, [RATE * (each - 0.5).sum(0) / len(X) for each in rows])


def fit_batch_size():
    model = made()
    fitted(model, batch_size=3)
    same_as_descended(model, size=3)
    assert int(model.step) == 3


def fit_epochs():
    model = made()
    fitted(model, epochs=3)
    same_as_descended(model, epochs=3)


def fit_verbose():
    assert re.search(r"loss: \d", said(lambda: fitted(made(), verbose=2)))
    assert said(lambda: fitted(made(), verbose=0)) == ""


def fit_callbacks():
    for callbacks in (Counted(), [Counted()], keras.callbacks.CallbackList([Counted()], add_history=True)):
        model = made()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.set_model(model)
            callbacks.set_params({"epochs": 1, "steps": 2})
        fitted(model, callbacks=callbacks)
        first = callbacks if isinstance(callbacks, Counted) else None
        first = first or next(c for c in getattr(callbacks, "callbacks", callbacks) if isinstance(c, Counted))
        assert first.calls == {"train": 2}
        assert list(model.stage.numpy()) == [0, 0, 2]


def fit_validation_split():
    model = made()
    history = fitted(model, validation_split=0.5)
    same_as_descended(model, x=X[:4])
    close(history["val_loss"], [nll(descended(x=X[:4]), X[4:])])


def fit_validation_data():
    held_out = X[:3]
    for given in (
        held_out,
        (held_out,),
        {"x": held_out},
        tf.data.Dataset.from_tensor_slices(held_out).batch(2),
    ):
        history = fitted(made(), validation_data=given)
        close(history["val_loss"], [nll(descended(), held_out)])
    labelled = fitted(made(LabelledCoins), X, y=Y, validation_data=(X, Y))
    assert labelled["val_loss"][0] < 3 * np.log(2)


def fit_shuffle():
    keras.utils.set_random_seed(1)
    model = made()
    fitted(model, shuffle=True)
    orders = [descended(x=X[list(order)]) for order in ((0, 1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 0, 1, 2, 3))]
    assert not any(np.allclose(model.logits, order, atol=1e-6) for order in orders)


def fit_initial_epoch():
    model = made()
    history = fitted(model, epochs=3, initial_epoch=1)
    same_as_descended(model, epochs=2)
    assert len(history["loss"]) == 2 and list(model.stage.numpy()) == [0, 0, 4]


def fit_steps_per_epoch():
    model = made()
    fitted(model, tf.data.Dataset.from_tensor_slices(X).batch(4).repeat(), steps_per_epoch=3)
    assert int(model.step) == 3
    close(model.logits, descended(x=np.concatenate([X, X[:4]])))


def fit_validation_steps():
    history = fitted(made(), validation_data=X, validation_batch_size=2, validation_steps=1)
    close(history["val_loss"], [nll(descended(), X[:2])])


def fit_validation_batch_size():
    counted = Counted()
    history = fitted(made(), validation_data=X, validation_batch_size=3, callbacks=[counted])
    close(history["val_loss"], [nll(descended())])
    assert counted.calls == {"train": 2, "test": 3}


def fit_validation_freq():
    history = fitted(made(), epochs=2, validation_data=X, validation_freq=2)
    close(history["val_loss"], [nll(descended(epochs=2))])


# evaluate and predict


def evaluate_x():
    model = made(run_eagerly=False)
    for x in (X, {"x": X}, X.astype("uint8"), tf.data.Dataset.from_tensor_slices(X).batch(3)):
        close(model.evaluate(x, verbose=0)[0], 3 * np.log(2))


def evaluate_y():
    close(made(LabelledCoins).evaluate(X, Y, verbose=0)[0], 3 * np.log(2))


def evaluate_batch_size():
    model = made()
    model.logits.assign([1.0, -2.0, 3.0])
    for size in (1, 3, 8):
        close(model.evaluate(X, batch_size=size, verbose=0)[0], nll(np.array([1.0, -2.0, 3.0])))


def evaluate_verbose():
    assert re.search(r"loss: \d", said(lambda: made().evaluate(X, verbose=2)))


def evaluate_steps():
    model = made()
    model.logits.assign([1.0, -2.0, 3.0])
    found = model.evaluate(X, batch_size=2, steps=1, verbose=0)
    close(found[0], nll(np.array([1.0, -2.0, 3.0]), X[:2]))


def evaluate_callbacks():
    counted = Counted()
    made().evaluate(X, batch_size=2, verbose=0, callbacks=[counted])
    assert counted.calls == {"test": 4}


def evaluate_return_dict():
    found = made().evaluate(X, verbose=0, return_dict=True)
    assert set(found) == {"loss", "nats"}
    close(found["loss"], 3 * np.log(2))


def predict_x():
    model = made(run_eagerly=False)
    for x in (X, {"x": X}, X.astype("uint8"), tf.data.Dataset.from_tensor_slices(X).batch(3)):
        close(model.predict(x, verbose=0), np.full(8, -3 * np.log(2)))
    pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    close(made(LabelledCoins).predict(pairs, verbose=0), np.full(8, -3 * np.log(2)))


def predict_batch_size():
    counted = Counted()
    close(made().predict(X, batch_size=3, verbose=0, callbacks=[counted]), np.full(8, -3 * np.log(2)))
    assert counted.calls == {"predict": 3}


def predict_verbose():
    assert "1/1" in said(lambda: made().predict(X, verbose=2))


def predict_steps():
    assert made().predict(X, batch_size=2, steps=2, verbose=0).shape == (4,)


# by batches


def train_on_batch():
    model = made()
    close(model.train_on_batch(X, return_dict=True)["loss"], 3 * np.log(2))
    same_as_descended(model, size=8)


def test_on_batch():
    close(made().test_on_batch(X, return_dict=True)["nats"], 3 * np.log(2))


def predict_on_batch():
    close(made().predict_on_batch(X), np.full(8, -3 * np.log(2)))


# files


def reloaded(**options):
    """A model that was saved and loaded between two calls of `fit`, with Adam's moments."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        straight, cut = (made(optimizer=keras.optimizers.Adam(0.1), seed=4) for _ in range(2))
        for model in (straight, cut):
            fitted(model)
        cut.save(path, **options)
        loaded = keras.saving.load_model(path)
        for model in (straight, loaded):
            fitted(model)
        np.testing.assert_array_equal(straight.logits, loaded.logits)
        return path


def save_filepath():
    reloaded()


def save_overwrite():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        made().save(path)
        other = made()
        other.logits.assign([1.0, 2.0, 3.0])
        other.save(path, overwrite=True)
        close(keras.saving.load_model(path).logits, [1.0, 2.0, 3.0])


def save_zipped():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        other = made()
        other.logits.assign([1.0, 2.0, 3.0])
        other.save(path, zipped=True)
        close(keras.saving.load_model(path).logits, [1.0, 2.0, 3.0])


def save_weights():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.weights.h5")
        one, two = made(), made()
        fitted(one)
        one.save_weights(path)
        two.load_weights(path)
        np.testing.assert_array_equal(one.logits, two.logits)


# callbacks


class Cut(keras.callbacks.Callback):
    """Breaks a training off when its second epoch begins."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def backup_and_restore():
    with tempfile.TemporaryDirectory() as folder:
        straight, cut, again = (made(optimizer=keras.optimizers.Adam(0.1)) for _ in range(3))
        fitted(straight, epochs=3)
        with pytest.raises(KeyboardInterrupt):
            fitted(cut, epochs=3, callbacks=[keras.callbacks.BackupAndRestore(folder), Cut()])
        history = fitted(again, epochs=3, callbacks=[keras.callbacks.BackupAndRestore(folder)])
    assert len(history["loss"]) == 2
    np.testing.assert_array_equal(straight.logits, again.logits)


def csv_logger():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "log.csv")
        history = fitted(made(), epochs=2, callbacks=[keras.callbacks.CSVLogger(path)])
        rows = list(csv.DictReader(path.open()))
    close([float(row["loss"]) for row in rows], history["loss"])


def early_stopping():
    for monitor in ("loss", "val_loss"):
        stop = keras.callbacks.EarlyStopping(monitor, patience=1, min_delta=1e3)
        assert len(fitted(made(), epochs=9, validation_data=X, callbacks=[stop])["loss"]) == 2
    # Of a model whose weights are computed from a pass, the loss of the pass.
    model = made(lambda: GaussianMixture((3,), num_components=1), seed=2)
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1e3)
    assert len(fitted(model, epochs=9, callbacks=[stop])["loss"]) == 2


def history():
    model, kept = made(), keras.callbacks.History()
    fitted(model, callbacks=[kept])
    close(kept.history["loss"], [(nll(np.zeros(3), X[:4]) + nll(descended(x=X[:4]), X[4:])) / 2])


def lambda_callback():
    seen = []
    each = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    close(fitted(made(), epochs=2, callbacks=[each])["loss"], seen)


def learning_rate_scheduler():
    rates = [0.5, 0.25]
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch])
    model = made()
    fitted(model, epochs=2, callbacks=[schedule])
    same_as_descended(model, epochs=2, rates=rates)
    pair = made(Pair)
    logged = fitted(pair, epochs=2, callbacks=[schedule])
    same_as_descended(pair, epochs=2, rates=rates)
    close(pair.other, descended(epochs=2, rates=[2 * rate for rate in rates]))
    assert logged["learning_rate_first"] == logged["learning_rate_second"] == rates
    # A callback of one's own that knows of one optimizer.
    pair.optimizer.learning_rate = 0.125
    assert float(pair.optimizer.learning_rate) == float(pair.optimizers["second"].learning_rate) == 0.125


def model_checkpoint():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "best.keras")
        best = keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True)
        # The second epoch makes it worse.
        away = keras.callbacks.LearningRateScheduler(lambda epoch, rate: [0.5, -5.0][epoch])
        logged = fitted(made(), epochs=2, validation_data=X, callbacks=[away, best])
        assert logged["val_loss"][0] < logged["val_loss"][1]
        close(keras.saving.load_model(path).logits, descended())


def orbax_checkpoint():
    # As Keras says: it is a package of its own.
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ImportError, match="orbax"):
        keras.callbacks.OrbaxCheckpoint(folder)


def progbar_logger():
    assert "loss" in said(lambda: fitted(made(), verbose=1, callbacks=[keras.callbacks.ProgbarLogger()]))


def reduce_lr_on_plateau():
    pair = made(Pair)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e3)
    fitted(pair, epochs=2, callbacks=[plateau])
    assert [float(o.learning_rate) for o in pair.optimizers.values()] == [RATE / 2, RATE / 2]


def remote_monitor():
    posted = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    logged = fitted(made(), callbacks=[keras.callbacks.RemoteMonitor(root, send_as_json=True)])
    server.shutdown()
    server.server_close()
    close([each["loss"] for each in posted], logged["loss"])


def averaged(rate):
    """Averages of the weights after each of two steps by hand; Keras' begin with the first."""
    first = rate * (X[:4].mean(0) - 0.5)
    return (first + first + rate * (X[4:].mean(0) - sigmoid(first))) / 2


def swap_ema_weights():
    optimizer = keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.5)
    swap = [keras.callbacks.SwapEMAWeights()]
    for cls in (Coins, Pair):
        model = made(cls, optimizer)
        logged = fitted(model, validation_data=X, callbacks=swap)
        close(logged["val_loss"], [nll(averaged(RATE))])
        # Keras leaves the averages in the model when it ends.
        close(model.logits, averaged(RATE))
    close(model.other, averaged(2 * RATE))


def tensorboard():
    with tempfile.TemporaryDirectory() as folder:
        logged = fitted(made(Pair), validation_data=X, callbacks=[keras.callbacks.TensorBoard(folder)])
        found = {}
        for path in glob.glob(f"{folder}/**/events*", recursive=True):
            for event in tf.compat.v1.train.summary_iterator(path):
                for value in event.summary.value:
                    found[pathlib.Path(path).parent.name, value.tag] = tf.make_ndarray(value.tensor)
    close(found["train", "epoch_loss"], logged["loss"][0])
    close(found["validation", "epoch_loss"], logged["val_loss"][0])
    close(found["train", "epoch_learning_rate_second"], RATE)


def terminate_on_nan():
    model = made(lambda: Bits(explode_at=1))
    fitted(model, epochs=5, batch_size=2, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert int(model.step) == 2


def works(where, what, how, exercise):
    return (where, what, how, exercise, True)


def refused(where, what, exercise):
    return (where, what, "", exercise, False)


PROMISES = [
    works("compile", "optimizer", "one, cloned for each update; or a dict of them by update", optimizer),
    refused("compile", "loss", lambda: made(loss="mse")),
    refused("compile", "loss_weights", lambda: made(loss_weights=[1.0])),
    refused("compile", "metrics", lambda: made(metrics=["mse"])),
    refused("compile", "weighted_metrics", lambda: made(weighted_metrics=["mse"])),
    works("compile", "run_eagerly", "the same weights", run_eagerly),
    works(
        "compile", "steps_per_execution", "the same weights, with callbacks less often", steps_per_execution
    ),
    works("compile", "jit_compile", "`auto` is what was measured to be faster", jit_compile),
    works("compile", "auto_scale_loss", "no effect: models of float16 are refused", auto_scale_loss),
    works("fit", "x", "arrays of any dtype, tensors, dicts, data sets, generators", fit_x),
    works("fit", "y", "the condition, of a conditional model", fit_y),
    refused("fit", "y, without a condition", lambda: fitted(made(), X, y=X)),
    works("fit", "batch_size", "as documented", fit_batch_size),
    works("fit", "epochs", "as documented", fit_epochs),
    works("fit", "verbose", "as documented", fit_verbose),
    works("fit", "callbacks", "as documented; see below", fit_callbacks),
    works("fit", "validation_split", "as documented", fit_validation_split),
    works("fit", "validation_data", "as x; arrays are checked before the first step", fit_validation_data),
    works("fit", "shuffle", "as documented, by `keras.utils.set_random_seed`", fit_shuffle),
    refused("fit", "class_weight", lambda: fitted(made(), class_weight={0: 1.0})),
    refused("fit", "sample_weight", lambda: fitted(made(), sample_weight=np.zeros(8))),
    works("fit", "initial_epoch", "as documented", fit_initial_epoch),
    works("fit", "steps_per_epoch", "as documented", fit_steps_per_epoch),
    works("fit", "validation_steps", "as documented", fit_validation_steps),
    works(
        "fit", "validation_batch_size", "the same figures, whatever the batches", fit_validation_batch_size
    ),
    works("fit", "validation_freq", "as documented", fit_validation_freq),
    works("evaluate", "x", "as for `fit`", evaluate_x),
    works("evaluate", "y", "the condition, of a conditional model", evaluate_y),
    works(
        "evaluate",
        "batch_size",
        "the same figures, but for noise, which batches have their own",
        evaluate_batch_size,
    ),
    works("evaluate", "verbose", "as documented", evaluate_verbose),
    refused("evaluate", "sample_weight", lambda: made().evaluate(X, sample_weight=np.ones(8))),
    works("evaluate", "steps", "as documented", evaluate_steps),
    works("evaluate", "callbacks", "as documented", evaluate_callbacks),
    works("evaluate", "return_dict", "as documented", evaluate_return_dict),
    works("predict", "x", "`model(x)`, `log_prob` where there is a density; also (x, condition)", predict_x),
    works("predict", "batch_size", "as documented", predict_batch_size),
    works("predict", "verbose", "as documented", predict_verbose),
    works("predict", "steps", "as documented", predict_steps),
    works("predict", "callbacks", "as documented", predict_batch_size),
    works("train_on_batch", "x", "as for `fit`", train_on_batch),
    works("train_on_batch", "y", "as for `fit`", fit_y),
    refused("train_on_batch", "sample_weight", lambda: made().train_on_batch(X, sample_weight=np.ones(8))),
    refused("train_on_batch", "class_weight", lambda: made().train_on_batch(X, class_weight={0: 1.0})),
    works("train_on_batch", "return_dict", "as documented", train_on_batch),
    works("test_on_batch", "x", "as for `fit`", test_on_batch),
    works("test_on_batch", "y", "as for `fit`", evaluate_y),
    refused("test_on_batch", "sample_weight", lambda: made().test_on_batch(X, sample_weight=np.ones(8))),
    works("test_on_batch", "return_dict", "as documented", test_on_batch),
    works("predict_on_batch", "x", "as for `predict`", predict_on_batch),
    works(
        "save", "filepath", "ends in `.keras`; training goes on from it as if it had not ended", save_filepath
    ),
    refused("save", "filepath, another", lambda: made().save("model.h5")),
    works("save", "overwrite", "as documented", save_overwrite),
    works("save", "zipped", "as documented", save_zipped),
    works("save_weights", "filepath", "as documented", save_weights),
    refused("export", "filepath, and all others", lambda: made().export("folder")),
    works(
        "callbacks",
        "BackupAndRestore",
        "goes on with the same bits, data in the same order",
        backup_and_restore,
    ),
    works("callbacks", "CSVLogger", "as documented", csv_logger),
    works("callbacks", "Callback", "as documented", fit_callbacks),
    works("callbacks", "CallbackList", "as documented", fit_callbacks),
    works("callbacks", "EarlyStopping", "also on `loss` of updates over a whole pass", early_stopping),
    works("callbacks", "History", "`loss` is the sum of the updates' losses", history),
    works("callbacks", "LambdaCallback", "as documented", lambda_callback),
    works("callbacks", "LearningRateScheduler", "moves all optimizers", learning_rate_scheduler),
    refused(
        "callbacks",
        "LearningRateScheduler, without optimizer",
        lambda: fitted(
            made(lambda: GaussianMixture((3,), num_components=2)),
            callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)],
        ),
    ),
    works("callbacks", "ModelCheckpoint", "as documented", model_checkpoint),
    works("callbacks", "OrbaxCheckpoint", "needs a package that Keras asks for", orbax_checkpoint),
    works("callbacks", "ProgbarLogger", "as documented", progbar_logger),
    works("callbacks", "ReduceLROnPlateau", "moves all optimizers", reduce_lr_on_plateau),
    works("callbacks", "RemoteMonitor", "as documented", remote_monitor),
    works(
        "callbacks", "SwapEMAWeights", "swaps the weights of all optimizers with `use_ema`", swap_ema_weights
    ),
    works("callbacks", "TensorBoard", "as documented", tensorboard),
    works("callbacks", "TerminateOnNaN", "as documented", terminate_on_nan),
]


def table():
    """The table of docs/keras.md; what is refused is tried, and says its sentence."""
    lines = ["| where | what | |", "|---|---|---|"]
    for where, what, how, exercise, taken in PROMISES:
        if not taken:
            with pytest.raises(ValueError) as caught:
                exercise()
            how = "refused: " + str(caught.value).replace("|", "\\|")
        lines.append(f"| {where} | {what} | {how} |")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    "exercise", list(dict.fromkeys(p[3] for p in PROMISES if p[4])), ids=lambda exercise: exercise.__name__
)
def test_it_works_as_documented(exercise):
    exercise()


def test_the_table_in_the_docs_is_what_was_tried():
    assert table() in DOCS.read_text("utf-8"), "python -m tests.test_keras writes it"
    for where, what, _, exercise, taken in PROMISES:
        if not taken:
            name = where if where == "export" else what.partition(",")[0]
            with pytest.raises(ValueError, match=name) as caught:
                exercise()
            assert "\n" not in str(caught.value)


def test_nothing_that_keras_has_is_left_out():
    for method in dict.fromkeys(p[0] for p in PROMISES if p[0] != "callbacks"):
        arguments = inspect.signature(getattr(keras.Model, method)).parameters.values()
        named = {a.name for a in arguments if a.kind is not a.VAR_KEYWORD} - {"self"}
        told = {p[1].partition(",")[0] for p in PROMISES if p[0] == method}
        assert told == named or (method, told) in (("export", {"filepath"}), ("save_weights", {"filepath"}))
    shipped = {name for name, c in vars(keras.callbacks).items() if inspect.isclass(c)}
    assert {p[1].partition(",")[0] for p in PROMISES if p[0] == "callbacks"} == shipped


def test_batches_of_one_x_have_noise_of_their_own():
    model = made(Noisy, run_eagerly=False)
    each = [model.evaluate(X[:n], batch_size=1, verbose=0) for n in range(1, 9)]
    noise = np.diff([0, *(n * mean for n, mean in enumerate(each, 1))])
    assert len(np.unique(noise.round(5))) == 8
    close(model.evaluate(X, batch_size=1, verbose=0), each[-1])
    # As `train` draws it.
    seeds = [random.split(random.fold_in(random.as_seed(0), -2 - i))[1] for i in range(8)]
    close(noise, [random.uniform(seed, []) for seed in seeds])
    history = fitted(made(Noisy), validation_data=X, validation_batch_size=1)
    close(history["val_loss"], [each[-1]])


def test_loss_is_the_sum_of_the_losses():
    gan = GAN((3,), latent_size=2, hidden=(3,))
    gan.compile("sgd", run_eagerly=True, jit_compile=False)
    logs = fitted(gan, X)
    close(logs["loss"][0], logs["discriminator/loss"][0] + logs["generator/loss"][0])
    both = made(MomentsBesideGradients, sgd(0.1))
    both = both.fit(X[:, :2], batch_size=4, shuffle=False, verbose=0).history
    close(both["loss"], both["follow/loss"])


def test_validation_is_of_the_weights_with_which_the_epoch_ends():
    model = GaussianMixture((3,), num_components=1, regularization=0.1)
    model.compile(run_eagerly=True, jit_compile=False)
    logs = fitted(model, validation_data=X)
    close(logs["val_loss"], [-np.mean(model.log_prob(X))])
    # One Gaussian is fitted in one pass, whose loss is that of the weights before.
    assert logs["loss"][0] > logs["val_loss"][0]


def test_averages_of_a_stage_go_to_its_own_variables():
    """Averages of momentum 1 stay where they begin, after a step; Keras leaves them in the model."""
    model, scales = TwoStages(), []
    model.logits.assign([1.0, 2.0, 3.0])
    ema = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0)
    model.compile(ema, stage="sharpen", run_eagerly=True, jit_compile=False)
    kept = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: scales.append(float(model.scale))
    )
    fitted(model, callbacks=[kept])
    close(model.logits, [1.0, 2.0, 3.0])
    close(model.scale, scales[0])
    assert abs(scales[0] - scales[1]) > 0.01


@pytest.mark.parametrize(
    "build",
    [
        lambda **k: VAE((2, 2, 1), latent_size=2, hidden=(4,), prior="mixture", **k),
        lambda **k: RBM((2, 2, 1), num_hidden=3, **k),
    ],
    ids=["VAE with a mixture prior", "RBM"],
)
def test_a_mixed_model_scores_alike_by_every_name(build):
    model = build(dtype="mixed_bfloat16")
    x = np.random.default_rng(1).integers(0, 2, (5, 2, 2, 1))
    np.testing.assert_array_equal(model(x), model.log_prob(x))
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_prob(x), rtol=1e-2)


def test_a_mixed_model_keeps_whole_numbers_whole():
    """Token 257 is none that bfloat16 knows."""
    from tfgen.autoregressive import CharRNN, HandwritingRNN, MixtureOfRNNs

    tokens = {"num_values": 300, "length": 4, "units": 4, "embedding": 3}
    models = [
        CharRNN(vocabulary=None, dtype="mixed_bfloat16", **tokens),
        MixtureOfRNNs(dtype="mixed_bfloat16", **tokens),
    ]
    x = np.array([[257, 3, 299, 1], [256, 3, 299, 1]])
    for model in models:
        np.testing.assert_array_equal(model(x), model.log_prob(x))
        assert len(set(model(x).numpy())) == 2
    pen = HandwritingRNN(units=4, num_components=2, dtype="mixed_bfloat16")
    strokes = np.random.default_rng(2).normal(size=(3, 4, 3)).round(3)
    strokes[..., 2] = strokes[..., 2] > 0
    np.testing.assert_array_equal(pen(strokes), pen.log_prob(strokes))


def test_scaled_losses_and_several_devices_are_refused():
    with pytest.raises(ValueError, match="loss_scale_factor"):
        made(optimizer=keras.optimizers.SGD(0.1, loss_scale_factor=8.0))
    with pytest.raises(ValueError, match="LossScaleOptimizer"):
        made(optimizer=keras.optimizers.LossScaleOptimizer(sgd()))
    with two_replicas().scope():
        copied = Coins()
    with pytest.raises(ValueError, match=r"the strategy has 2: use tfgen.training.train\(strategy=...\)"):
        copied.compile()
    chosen = keras.optimizers.MultiOptimizer(lambda variable: sgd())
    with pytest.raises(ValueError, match="dict of optimizers by update"):
        made(optimizer=chosen)


def test_a_model_is_a_layer_of_other_models():
    inputs = keras.Input((3,))
    outer = keras.Model(inputs, Coins()(inputs))
    close(outer.predict(X, verbose=0), np.full(8, -3 * np.log(2)))
    assert issubclass(Layer, keras.layers.Layer)


def main():
    """Writes the table into docs/keras.md."""
    text = DOCS.read_text("utf-8")
    start, end = text.index("| where |"), text.index("\n\n", text.index("| where |"))
    DOCS.write_text(text[:start] + table() + text[end:], "utf-8")


if __name__ == "__main__":
    main()
