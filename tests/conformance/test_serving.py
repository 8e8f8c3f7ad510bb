"""What an export promises, checked on every model: one export, loaded once in Python and once in C++."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.session import DRAWN, seeds
from tests.planted import as_served, batch, conditions
from tests.serving.answers import check_answers


@pytest.mark.slow
def test_export_round_trip(session, model):
    loaded = session.exported.loaded
    assert set(loaded.signatures) == set(model.signatures()) >= {"serving_default"}
    assert b"_XlaMustCompile" not in (session.exported.version / "saved_model.pb").read_bytes()
    if model.samples:
        given = as_served(model, conditions(model, DRAWN))
        given = {name: tf.constant(value) for name, value in given.items()}
        served = loaded.signatures["sample"](seeds=seeds(DRAWN), **given)["x"]
        np.testing.assert_array_equal(session.plain, served)
        np.testing.assert_allclose(session.drawn, served, atol=2e-5)
    if model.density != "none":
        fields = batch(model, 4)
        (answer,) = loaded.signatures[_density(model)](**_asked(model, fields)).values()
        sign = -1 if "free_energy" in "".join(loaded.signatures) else 1
        np.testing.assert_allclose(session.log_prob(**fields), sign * answer, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_every_signature_answers_in_cpp_as_in_memory(session, model, loader, tmp_path):
    exported, fields = session.exported, batch(model, 4)
    own = {name: field.numpy() for name, field in _asked(model, fields).items()}
    own = {f"{_density(model)}.own": own}
    scored = model.density != "none"
    answers = check_answers(
        model, exported.graphs, exported.version, loader, tmp_path, own if scored else None
    )
    if scored:
        ((name, answer),) = answers[f"{_density(model)}.own"].items()
        sign = -1 if name.startswith("free_energy") else 1
        np.testing.assert_allclose(session.log_prob(**fields), sign * answer, rtol=1e-5, atol=1e-5)


def _asked(model, fields):
    """Fields as `_density` takes them: numbers where it takes tokens."""
    return fields if model.kind == "text" else as_served(model, fields)


def _density(model):
    """The signature that takes a batch's fields; the default one of texts takes strings."""
    return "log_prob_of_tokens" if model.kind == "text" else "serving_default"
