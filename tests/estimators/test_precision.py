"""The switch for TF32, seen in what XLA is told of products: no GPU is needed to look at it."""

import tensorflow as tf

from tfgen.energy import RBM
from tfgen.energy.joint import Joint
from tfgen.estimators.precision import full_float32


def precise():
    """Whether a float32 product that is compiled now keeps all its bits."""
    product = tf.function(lambda x: x @ x, jit_compile=True)
    return "operand_precision={highest,highest}" in product.experimental_get_compiler_ir(tf.ones([2, 2]))(
        "hlo"
    )


def test_products_within_are_exact_and_the_switch_is_put_back():
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        for state in (True, False):
            tf.config.experimental.enable_tensor_float_32_execution(state)
            try:
                with full_float32():
                    assert precise()
                    raise KeyError
            except KeyError:
                pass
            assert precise() is not state
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def test_energies_switch_it_off(monkeypatch):
    seen, field = [], Joint.field

    def watched(self, name, values):
        seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return field(self, name, values)

    monkeypatch.setattr(Joint, "field", watched)
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        model = RBM((3,), num_hidden=2)
        model.free_energy(tf.zeros([2, 3]))
        once = len(seen)
        assert once
        model.log_partition("ais", num_temperatures=3, num_chains=2)
        assert len(seen) > once
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    assert not any(seen)
