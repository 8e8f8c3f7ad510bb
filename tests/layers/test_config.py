"""Configurations of layers: what a file holds of a layer makes the same layer again."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import CASES, make
from tests.planted import batch, perturb
from tfgen.autoregressive import HandwritingRNN
from tfgen.denoising.condition import SavedClassifier
from tfgen.estimators.gradients import LearnedBaseline
from tfgen.keras_model import Layer
from tfgen.model import GenerativeModel
from tfgen.variational import VAE

# Models whose layers no row of the conformance suite has.
MORE = {
    "mixture prior": lambda: VAE((4,), latent_size=2, hidden=(3,), prior="mixture"),
    "flow prior": lambda: VAE((4,), latent_size=2, hidden=(3,), prior="flow"),
    "vamp prior": lambda: VAE((4,), latent_size=2, hidden=(3,), prior="vamp"),
    "autoregressive prior": lambda: VAE((4,), latent_size=2, hidden=(3,), prior="autoregressive"),
}
# Layers that no density asks: `test_layers_beside_a_density_come_back_with_equal_outputs` has them.
BESIDE = {LearnedBaseline, SavedClassifier}
MAKERS = {name: lambda case=case: make(case) for name, case in CASES.items()} | MORE


def is_ours(cls):
    return keras.saving.get_registered_name(cls).startswith("tfgen>") and not issubclass(cls, GenerativeModel)


def layers_of(model):
    """The registered layers of tfgen within a model, at any depth, the inner ones first."""
    return [v for v in reversed(list(model._flatten_layers(include_self=False))) if is_ours(type(v))]


def through_a_file(layer):
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    return json.loads(text), keras.saving.deserialize_keras_object(json.loads(text))


def stand_in(layer, other):
    """Lets every method of `layer` be that of `other`."""
    for cls in type(layer).__mro__:
        if not cls.__module__.startswith("tfgen."):
            continue
        for name, member in vars(cls).items():
            if callable(member) and not name.startswith("__"):
                layer.__dict__[name] = getattr(other, name)


@pytest.mark.slow
def test_every_layer_comes_back_from_its_config_with_equal_outputs():
    seen = set()
    for maker in MAKERS.values():
        keras.utils.set_random_seed(1)
        model = perturb(maker())
        layers = [layer for layer in layers_of(model) if type(layer) not in seen]
        if not layers:
            continue
        fields = batch(model, 3)
        before = model.log_prob(**fields).numpy()
        for layer in layers:
            held, again = through_a_file(layer)
            assert type(again) is type(layer) and again is not layer
            assert through_a_file(again)[0] == held
            assert [v.shape for v in again.weights] == [v.shape for v in layer.weights]
            again.set_weights([2.0 * w for w in layer.get_weights()])
            stand_in(layer, again)
            if np.any(
                model.log_prob(**fields) != before
            ):  # A layer that these x do not reach proves nothing.
                seen.add(type(layer))
            again.set_weights(layer.get_weights())
            np.testing.assert_array_equal(model.log_prob(**fields), before)
    registered = [v for v in keras.saving.get_custom_objects().values() if isinstance(v, type)]
    ours = {v for v in registered if issubclass(v, keras.layers.Layer) and is_ours(v)}
    assert ours == seen | BESIDE and not seen & BESIDE


def test_layers_beside_a_density_come_back_with_equal_outputs(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 2])], autograph=False)
    def classify(x):
        return {"probabilities": tf.nn.softmax(3.0 * x)}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"classify": classify})
    x = tf.constant([[1.0, -2.0], [0.5, 3.0]])
    for layer in (LearnedBaseline(2, hidden=3, decay=0.5), SavedClassifier(str(tmp_path))):
        held, again = through_a_file(layer)
        assert type(again) is type(layer) and through_a_file(again)[0] == held
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(layer(x), again(x))
        assert len(np.unique(layer(x))) > 1
    assert through_a_file(LearnedBaseline(2, decay=0.5))[1].decay == 0.5


@keras.saving.register_keras_serializable("test_config")
class Scaled(Layer):
    """x times a number, with arguments of all kinds."""

    def __init__(self, factor, sizes=(1, 2), start="zeros", inner=None, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.sizes, self.inner = factor, tuple(sizes), inner
        self.start = keras.initializers.get(start)

    def build(self, input_shape):
        self.bias = self.add_weight((input_shape[-1],), self.start, name="bias")

    def call(self, x):
        return self.factor * x + self.bias


def test_arguments_of_every_kind_are_remembered():
    layer = Scaled(
        2.0,
        (3, 4),
        start=keras.initializers.Constant(0.5),
        inner=keras.layers.Dense(3),
        name="mine",
        dtype=keras.DTypePolicy("mixed_bfloat16"),
        trainable=False,
    )
    held, again = through_a_file(layer)
    assert held["config"]["name"] == "mine" and held["config"]["factor"] == 2.0
    assert again.sizes == (3, 4) and again.inner.units == 3 and not again.trainable
    assert again.compute_dtype == "bfloat16" and again.start.value == 0.5
    np.testing.assert_array_equal(tf.cast(again(tf.ones((1, 2))), tf.float32), [[2.5, 2.5]])
    assert through_a_file(again)[0]["config"] == held["config"]
    # Of a subclass that hands on **kwargs, the arguments of the base too.
    assert Scaled(1.0).get_config().keys() >= {"factor", "sizes", "start", "inner", "name", "dtype"}


def test_a_function_that_is_not_registered_is_refused_by_name():
    with pytest.raises(ValueError, match="Scaled: argument start=.* cannot be saved; register it"):
        Scaled(1.0, start=lambda shape, dtype=None: tf.zeros(shape)).get_config()


def test_a_file_with_an_argument_of_another_version_says_so(tmp_path):
    """A file of a model that has lost an argument since is not loaded without it, nor fails unexplained."""
    path, old = tmp_path / "new.keras", tmp_path / "old.keras"
    HandwritingRNN(units=3, layers=1, num_components=2).save(path)
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(old, "w") as written:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["num_values"] = 2
                content = json.dumps(config)
            written.writestr(name, content)
    assert keras.saving.load_model(path).event_shape == (None, 3)
    with pytest.raises(ValueError, match="HandwritingRNN takes no num_values, which another version"):
        keras.saving.load_model(old)
