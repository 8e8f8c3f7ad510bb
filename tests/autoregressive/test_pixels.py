"""Every model of pixels against enumeration: causality, normalization, samples that follow the density."""

from typing import NamedTuple

import keras
import numpy as np
import pytest

from tests.autoregressive import pixel_checks as checks
from tfgen.autoregressive import GatedPixelCNN, MultiScalePixelCNN, PixelCNN, PixelCNNPlusPlus, PixelRNN

BINARY = {"event_shape": (3, 3, 1)}
LABELS = {"condition": "label", "num_classes": 3}
# Levels, color channels and one-hot inputs in pairs, in images so small that all of them can be listed.
TERNARY = {"event_shape": (2, 2, 1), "num_values": 3, "one_hot": True}
COLOR = {"event_shape": (1, 1, 3), "num_values": 4}
COLOR_ONE_HOT = COLOR | {"one_hot": True}


class Machine(NamedTuple):
    """What the checks need of a model.

    Args:
      cls: The model.
      tiny: Arguments of a small instance.
      enumerable: Arguments of instances whose images can be listed: first a binary one, then a labelled one.
      causal: Arguments of instances so wide that no dead unit hides a dependence.
      finite: Further arguments, for the finite change of an entry.
      larger: (arguments, state) of instances whose sampler is held against the network, the state being how
        their weights came about: "initial", "trained", "random" or "large".
      places: From a model of 6x5 binary images, the places in its weights that its sampler must not miss.
      bad: (Arguments, message) of constructions that must be refused.
      gain: How far from uniform the random weights make conditionals.
      labelled_gain: The same of the instance with labels, which move the outputs too.
      seed: Of the weights of enumerable instances; one with which none is nearly certain of one image.
    """

    cls: type
    tiny: dict
    enumerable: tuple
    causal: tuple
    finite: tuple
    larger: tuple
    places: object
    bad: tuple
    gain: float = 1.7
    labelled_gain: float = 1.0
    seed: int = 0

    def make(self, seed=0, gain=None, **kwargs):
        """A small instance with random weights."""
        model = self.cls(**self.tiny | kwargs)
        return checks.randomize(model, seed, gain or self.gain)


def locations(*layers, size=5):
    """Of layers' location-dependent biases: one of the rows, and one of the columns, below `size`."""
    positions = [layer.position for layer in layers]
    return [(p.rows, i % size) for i, p in enumerate(positions, 3)] + [
        (p.columns, 2 % size) for p in positions
    ]


def convolution_places(model):
    """Of `PixelCNN`."""
    layers = (model.first, (0, 6)), (model.blocks[1].middle, (0, 2)), (model.blocks[0].middle, (1, 0))
    return [(layer.kernel, tap) for layer, tap in layers] + locations(model.first, model.blocks[1].middle)


def lstm_places(model):
    """Of `PixelRNN`."""
    first, second = model.blocks
    places = [(model.first.kernel, (0, 6)), (first.input_to_state.kernel, (0, 0))]
    places += [(kernel, slice(7)) for block in (first, second) for kernel in block.state_to_state]
    places += locations(model.first, first.input_to_state, second.input_to_state)
    return places + [(kernel, slice(-7, None)) for kernel in second.state_to_state]


def gated_places(model):
    """Of `GatedPixelCNN`."""
    first, middle, last = model.stack
    return [
        (first.vertical.kernel, (0, 6)),
        (middle.vertical.kernel, (1, 2)),
        (last.vertical.kernel, (0, 0)),
        (first.horizontal.kernel, (0, 0)),
        (last.horizontal.kernel, (0, 0)),
        (middle.link.kernel, 3),
        *locations(first.vertical, middle.horizontal, last.vertical),
    ]


def stream_places(model):
    """Of `PixelCNNPlusPlus`."""
    top, middle, lowest = model.resolutions
    return [
        (model.enter_down.kernel, (0, 2)),
        (model.enter_left.kernel, (0,)),
        (top.encode[0].down.first.kernel, (0, 0)),
        (top.shrink[0].kernel, (0, 2)),
        (top.shrink[1].kernel, (0, 1)),
        (middle.encode[0].right.second.kernel, (0, 0)),
        (lowest.encode[0].right.first.kernel, (1, 0)),
        (lowest.decode[0].right.side, (1,)),
        (middle.grow[0].kernel, (1, 0)),
        (middle.grow[1].kernel, (1, 1)),
        (top.grow[1].kernel, (0, 1)),
        (top.decode[1].down.side, (0,)),
        *locations(
            top.encode[0].down.second, top.decode[0].right.second, middle.encode[0].right.second, size=3
        ),
        *locations(lowest.decode[0].down.second, size=1),
    ]


def group_places(model):
    """Of `MultiScalePixelCNN`."""
    places = [(model.base.first.kernel, (2, 3)), (model.groups[0][3].first.kernel, (0, 2))]
    return places + locations(model.base.blocks[0].middle, model.groups[0][2], size=2)


def at_least(number, name, value, odd=False):
    """The message about an argument that is no such whole number."""
    return f"{name} must be {'an odd' if odd else 'a'} whole number of at least {number}, got {value}"


# What the constructors of all models of softmaxes refuse alike.
BAD = (
    ({"event_shape": (8, 8)}, r"event_shape must be \(rows, columns, channels\), got \(8, 8\)"),
    ({"event_shape": (None, 8, 1)}, r"event_shape must be \(rows, columns, channels\), got \(None, 8, 1\)"),
    ({"num_values": 1}, at_least(2, "num_values", 1)),
    ({"condition": "label"}, "condition='label' needs a positive num_classes, got None"),
)
RASTER_BAD = (
    *BAD,
    ({"head": 1.5}, at_least(1, "head", 1.5)),
    ({"event_shape": (2, 2, 3), "head": 2}, at_least(3, "head", 2)),
    ({"kernel_size": 4}, at_least(3, "kernel_size", 4, odd=True)),
    ({"first_kernel_size": 1}, at_least(3, "first_kernel_size", 1, odd=True)),
)

PIXEL_RNN = {
    "cls": PixelRNN,
    "finite": ({"event_shape": (2, 3, 3)},),
    "places": lstm_places,
    "gain": 2.5,
}
LSTM_CAUSAL = {"hidden": 13, "head": 24}

MACHINES = {
    "PixelCNN": Machine(
        PixelCNN,
        {"filters": 15, "num_blocks": 2, "hidden": 13, "head": 12},
        enumerable=(BINARY, TERNARY | LABELS, COLOR, COLOR_ONE_HOT),
        causal=(
            {"event_shape": (4, 3, 1), "filters": 24, "hidden": 24, "head": 24},
            {"event_shape": (2, 3, 3), "num_values": 4, "filters": 24, "hidden": 24, "head": 24},
        ),
        finite=({"event_shape": (2, 3, 3)},),
        larger=(
            ({"event_shape": (5, 6, 3)}, "initial"),
            ({"event_shape": (4, 5, 3), "num_values": 4, "one_hot": True}, "trained"),
            ({"event_shape": (5, 7, 1), "num_values": 5, "kernel_size": 5, "first_kernel_size": 3}, "large"),
            ({"event_shape": (1, 4, 1)}, "trained"),
        ),
        places=convolution_places,
        bad=(
            *RASTER_BAD,
            ({"filters": 0}, at_least(1, "filters", 0)),
            ({"event_shape": (2, 2, 3), "hidden": 2}, at_least(3, "hidden", 2)),
            ({"num_blocks": 0}, at_least(1, "num_blocks", 0)),
        ),
    ),
    "PixelRNN-diagonal": Machine(
        **PIXEL_RNN,
        tiny={"num_layers": 2, "hidden": 7, "head": 12},
        enumerable=(BINARY, TERNARY | LABELS, COLOR),
        causal=(
            LSTM_CAUSAL | {"event_shape": (4, 3, 1)},
            LSTM_CAUSAL | {"event_shape": (2, 3, 3), "num_values": 4},
        ),
        larger=(
            ({"event_shape": (3, 4, 3), "num_values": 4, "one_hot": True}, "trained"),
            ({"event_shape": (1, 4, 1), "num_layers": 1}, "random"),
            ({"event_shape": (4, 1, 1), "first_kernel_size": 3}, "random"),
            ({"event_shape": (5, 4, 1)}, "large"),
        ),
        bad=(
            *RASTER_BAD,
            ({"layer": "column"}, "layer must be one of 'diagonal', 'row', got 'column'"),
            ({"num_layers": 0}, at_least(1, "num_layers", 0)),
            ({"event_shape": (2, 2, 3), "hidden": 2}, at_least(3, "hidden", 2)),
        ),
        seed=1,
    ),
    "PixelRNN-row": Machine(
        **PIXEL_RNN,
        tiny={"layer": "row", "num_layers": 2, "hidden": 7, "head": 12},
        enumerable=(BINARY, TERNARY | LABELS, COLOR),
        causal=(
            LSTM_CAUSAL | {"event_shape": (4, 3, 1)},
            LSTM_CAUSAL | {"event_shape": (2, 3, 3), "num_values": 4},
        ),
        larger=(
            ({"event_shape": (3, 4, 3), "num_values": 4, "one_hot": True}, "trained"),
            ({"event_shape": (1, 4, 1), "num_layers": 1}, "random"),
            ({"event_shape": (4, 1, 1), "kernel_size": 5, "first_kernel_size": 3}, "random"),
            ({"event_shape": (4, 5, 1), "kernel_size": 5}, "large"),
        ),
        bad=(),
        seed=1,
    ),
    "GatedPixelCNN": Machine(
        GatedPixelCNN,
        {"filters": 14, "num_layers": 3, "head": 13},
        enumerable=(BINARY, TERNARY | LABELS, COLOR, COLOR_ONE_HOT),
        causal=(
            {"event_shape": (4, 3, 1), "filters": 24, "head": 36},
            {"event_shape": (2, 3, 3), "num_values": 4, "filters": 24, "head": 36},
        ),
        finite=({"event_shape": (2, 3, 3)},),
        larger=(
            ({"event_shape": (4, 5, 3), "num_values": 4, "one_hot": True}, "trained"),
            ({"event_shape": (5, 7, 1), "num_values": 5, "kernel_size": 5, "first_kernel_size": 3}, "large"),
            ({"event_shape": (1, 4, 1)}, "trained"),
            ({"event_shape": (5, 1, 3)}, "large"),
        ),
        places=gated_places,
        bad=(
            *RASTER_BAD,
            ({"filters": 0}, at_least(1, "filters", 0)),
            ({"num_layers": 1}, at_least(2, "num_layers", 1)),
        ),
    ),
    "PixelCNNPlusPlus": Machine(
        PixelCNNPlusPlus,
        {"filters": 5, "num_blocks": 1, "num_components": 3, "position": True},
        enumerable=(
            {"event_shape": (3, 3, 1), "num_resolutions": 2},
            {"event_shape": (2, 2, 1), "num_values": 3, "num_resolutions": 2} | LABELS,
            COLOR | {"num_resolutions": 1},
        ),
        # As it is initialized, nothing reaches the first pixel's components, which are all alike:
        # `test_pixel_cnn_pp` has its causality.
        causal=(),
        finite=({"event_shape": (4, 3, 3), "num_values": 4},),
        # Odd sizes at every resolution, a single row, one resolution only, more than one block.
        larger=(
            ({"event_shape": (5, 3, 3), "num_values": 4}, "random"),
            ({"event_shape": (1, 5, 1), "num_blocks": 2, "num_resolutions": 2}, "random"),
            ({"event_shape": (4, 5, 1), "num_resolutions": 1}, "trained"),
        ),
        places=stream_places,
        bad=(
            *BAD,
            ({"filters": 0}, at_least(1, "filters", 0)),
            ({"num_blocks": 1.5}, at_least(1, "num_blocks", 1.5)),
            ({"num_components": 0}, at_least(1, "num_components", 0)),
            ({"num_resolutions": 0}, at_least(1, "num_resolutions", 0)),
            ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
        ),
        gain=1.0,
        labelled_gain=1.2,
        seed=3,
    ),
    "MultiScalePixelCNN": Machine(
        MultiScalePixelCNN,
        {"base_size": 2, "filters": 14, "num_blocks": 1, "base_filters": 13, "base_blocks": 1},
        # An odd width and height; groups that are empty where there is one row or one column; two scales.
        enumerable=(
            BINARY,
            TERNARY | LABELS | {"base_size": 1, "one_hot": False},
            COLOR,
            {"event_shape": (1, 3, 2), "base_size": 1, "one_hot": True},
            {"event_shape": (3, 1, 2), "base_size": 1},
            {"event_shape": (4, 3, 1), "base_size": 1},
        ),
        causal=(
            {"event_shape": (4, 3, 1), "filters": 24, "base_filters": 24, "base_size": 1},
            {"event_shape": (2, 3, 3), "num_values": 4, "filters": 24, "base_filters": 24, "base_size": 1},
        ),
        finite=(),
        larger=(
            ({"event_shape": (7, 5, 1)}, "random"),
            ({"event_shape": (5, 6, 3), "num_values": 4, "one_hot": True}, "random"),
        ),
        places=group_places,
        bad=(
            *BAD,
            ({"base_size": 0}, at_least(1, "base_size", 0)),
            ({"filters": 0}, at_least(1, "filters", 0)),
            ({"num_blocks": -1}, at_least(1, "num_blocks", -1)),
            ({"event_shape": (2, 2, 3), "base_filters": 2}, at_least(3, "base_filters", 2)),
            ({"base_blocks": 1.5}, at_least(1, "base_blocks", 1.5)),
        ),
    ),
}


def of(name):
    """Marks a test as one of a machine's, which run on one worker and are counted together."""
    return pytest.mark.xdist_group(f"tests/autoregressive/test_pixels.py {name}")


def each(kind):
    """Marks a test that runs for each `kind` of arguments of each machine."""
    found = [(n, i, found) for n, m in MACHINES.items() for i, found in enumerate(getattr(m, kind))]
    parameters = [
        pytest.param(name, case, id=f"{name}-{number}", marks=of(name)) for name, number, case in found
    ]
    return pytest.mark.parametrize(("name", "case"), parameters)


machines = pytest.mark.parametrize("name", [pytest.param(n, marks=of(n)) for n in MACHINES])
enumerated = pytest.mark.parametrize(
    "oracle",
    [
        pytest.param((n, i), id=f"{n}-{i}", marks=of(n))
        for n, m in MACHINES.items()
        for i in range(len(m.enumerable))
    ],
    indirect=True,
)


@pytest.fixture(scope="module")
def oracles():
    """Every oracle that a test has asked for."""
    return {}


def asked(oracles, name, number):
    """The oracle of one enumerable instance, made once; of label 1 where it is conditional."""
    if (name, number) not in oracles:
        machine = MACHINES[name]
        kwargs = machine.enumerable[number]
        gain = machine.labelled_gain if "condition" in kwargs else machine.gain
        model = machine.make(machine.seed, gain, **kwargs)
        oracles[name, number] = checks.Oracle(model, np.int32(1) if "condition" in kwargs else None)
    return oracles[name, number]


@pytest.fixture
def oracle(request, oracles):
    """`Oracle` of one enumerable instance."""
    return asked(oracles, *request.param)


@pytest.fixture
def binary(name, oracles):
    """`Oracle` of a machine's binary instance."""
    return asked(oracles, name, 0)


@pytest.fixture
def conditional(name, oracles):
    """`Oracle` of a machine's instance that is told a label."""
    return asked(oracles, name, 1)


@pytest.mark.slow
@each("causal")
def test_each_output_depends_on_all_earlier_entries_and_no_other(name, case):
    keras.utils.set_random_seed(3)
    model = MACHINES[name].cls(**MACHINES[name].tiny | case)
    checks.assert_depends_on_all_earlier_entries_and_no_other(model)


@pytest.mark.slow
@enumerated
def test_changing_an_entry_changes_no_output_up_to_it(oracle):
    if oracle.condition is None:
        checks.assert_changing_an_entry_moves_later_outputs_only(oracle.model)


@each("finite")
def test_changing_an_entry_of_a_larger_image_changes_no_output_up_to_it(name, case):
    checks.assert_changing_an_entry_moves_later_outputs_only(MACHINES[name].make(**case))


@pytest.mark.slow
@enumerated
def test_probabilities_of_all_images_sum_to_one(oracle):
    oracle.assert_sums_to_one()


@pytest.mark.slow
@enumerated
def test_samples_follow_the_density(oracle):
    oracle.assert_samples_follow_the_density()


@pytest.mark.slow
@enumerated
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(oracle):
    oracle.assert_completes()


@pytest.mark.slow
@enumerated
def test_temperature_zero_is_the_chain_of_modes(oracle):
    oracle.assert_temperature_zero_is_the_chain_of_modes()


@pytest.mark.slow
@enumerated
def test_temperature_scales_the_law(oracle):
    oracle.assert_temperature_scales_the_law(0.6 if oracle.condition is None else 1.7)


@pytest.mark.slow
@enumerated
def test_the_sampler_computes_the_network_under_any_condition(oracle):
    model = oracle.model
    images, given = checks.random_images(model, 3, seed=7), {}
    if oracle.condition is not None:
        given = {"condition": np.array([2, 0, 1], "int32")}
    drawn = oracle.scan(3, given=images, mask=np.ones_like(images), **given)
    np.testing.assert_array_equal(drawn["x"], images)
    np.testing.assert_allclose(drawn["raw"], model.raw(images, **given), atol=1e-4)


@pytest.mark.slow
@each("larger")
def test_the_sampler_computes_the_whole_network(name, case):
    keras.utils.set_random_seed(6)
    kwargs, state = case
    machine = MACHINES[name]
    gain = {"large": 20.0, "random": None}
    model = (
        machine.make(gain=gain[state], **kwargs) if state in gain else machine.cls(**machine.tiny | kwargs)
    )
    if state == "trained":
        checks.train(model)
    checks.assert_sampler_computes_the_network(model)


@pytest.mark.slow
@machines
def test_planted_errors_are_noticed(name):
    machine = MACHINES[name]
    model = machine.make(event_shape=(7, 6, 1))
    checks.assert_planted_errors_are_noticed(model, machine.places(model))


@pytest.mark.slow
@machines
def test_served_completion_is_the_sampler(binary):
    checks.assert_served_completion_is_the_sampler(binary)


@pytest.mark.slow
@machines
def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    checks.assert_objective_reaches_every_weight(binary.model)


@pytest.mark.slow
@machines
def test_a_location_is_nothing_at_first_and_then_moves_all_that_is_drawn(name):
    machine = MACHINES[name]
    shape = {"event_shape": (9, 8, 1)}
    with_it, without = (
        machine.cls(**machine.tiny | shape | {"position": position}) for position in (True, False)
    )
    located = [v for v in with_it.trainable_variables if "position" in v.path]
    others = [v for v in with_it.trainable_variables if "position" not in v.path]
    for variable, value in zip(without.trainable_variables, others, strict=True):
        variable.assign(value)
    images = checks.random_images(with_it, 2)
    plain = without.raw(images).numpy()
    np.testing.assert_array_equal(with_it.raw(images), plain)
    rng = np.random.default_rng(1)
    for variable in located:
        variable.assign(rng.normal(size=variable.shape))
    assert np.all(np.abs(with_it.raw(images) - plain).reshape(2, 9, 8, -1).max(axis=(0, 3)) > 1e-6)


@pytest.mark.slow
@each("bad")
def test_bad_constructor_arguments_name_themselves(name, case):
    kwargs, message = case
    with pytest.raises(ValueError, match=message):
        MACHINES[name].cls(**{"event_shape": (4, 4, 1)} | MACHINES[name].tiny | kwargs)


@pytest.mark.slow
@machines
def test_a_condition_reaches_every_matrix_of_its_own(conditional):
    model = conditional.model
    for label in range(3):
        checks.assert_sums_to_one(model, np.int32(label))
    images = np.repeat(checks.random_images(model, 1), 3, axis=0)
    given = {"condition": np.array([1, 2, 1], "int32")}
    before = model.raw(images, **given).numpy()
    np.testing.assert_allclose(before[0], before[2], atol=1e-5)
    assert np.abs(before[0] - before[1]).max() > 1e-2
    kernels = [v for v in model.trainable_variables if "condition" in v.path]
    assert len(kernels) >= 3
    for kernel in kernels:
        right = kernel.numpy()
        kernel.assign(0.0 * right)
        assert np.abs(model.raw(images, **given).numpy() - before).max() > 1e-3, kernel.path
        kernel.assign(right)
