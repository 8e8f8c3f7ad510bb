"""Sets that are read as they are needed: the same bits as in memory, and flat memory."""

import dataclasses
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from PIL import Image

from tests.programs import ROOT
from tests.replicas import two_replicas
from tests.training.toys import (
    FewLabels,
    MomentsBesideGradients,
    StopAt,
    TwoStages,
    fitting,
    sgd,
    streamed,
    with_stream,
)
from tfgen import data
from tfgen.adversarial import DCGAN
from tfgen.classical import GaussianMixture, KMeans, LatentDirichletAllocation
from tfgen.data.stream import Stream
from tfgen.training import Interrupted, batches, train
from tfgen.training.batches import Examples, Order
from tfgen.training.feed import Feed
from tfgen.variational import VAE


@pytest.fixture(autouse=True)
def small_window(monkeypatch):
    """Windows of few examples, so that small sets are streamed in many blocks."""
    monkeypatch.setattr(batches, "_WINDOW", 2048)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """90 grey images of 8x8 in two classes: {streamed or not: Data}."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.RandomState(0)
    for i in range(90):
        (root / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(rng.randint(0, 256, (8, 8), np.uint8)).save(root / "ab"[i % 2] / f"{i}.png")
    return {stream: data.load(f"folder:{root}", stream=stream) for stream in (True, False)}


def go(model, examples, steps, directory=None, **keywords):
    defaults = {"batch_size": 4, "optimizer": sgd(), "checkpoint_every": 5, "jit": "off"}
    return train(model, examples, steps, directory, **(defaults | {"log": lambda line: None} | keywords))


def bits(model):
    return [v.numpy().tobytes() for v in model.variables]


def begun(make):
    """A model with the same starting weights each time."""
    keras.utils.set_random_seed(0)
    return make()


def same(make, pair, steps, **keywords):
    """Trains a model on the streamed set and on the one in memory; weights and history must be equal."""
    found = {}
    for stream, examples in pair.items():
        model = begun(make)
        rows = go(model, examples, steps, **keywords)
        found[stream] = bits(model), rows
    assert found[True] == found[False]
    return found[True]


@pytest.mark.slow
def test_a_vae_on_a_folder_of_images_has_the_bits_of_memory(photos):
    """Also under XLA, where the whole loop is one program; validation is in parts and streamed, too."""
    assert isinstance(photos[True].train.x, Stream) and isinstance(photos[True].validation.x, Stream)

    def make():
        return VAE((8, 8, 1), latent_size=2, hidden=(8,), num_values=256, likelihood="discretized_logistic")

    _, rows = same(make, photos, 30, batch_size=8, jit="on", optimizer="adam", checkpoint_every=10)
    assert [row["step"] for row in rows] == [10, 20, 30] and np.isfinite(rows[-1]["val_loss"])


@pytest.mark.slow
def test_a_dcgan_with_dynamic_levels_has_the_bits_of_memory(photos):
    same(lambda: DCGAN((8, 8, 1), base_filters=4, latent_size=4), photos, 12, batch_size=8, optimizer="adam")


def test_passes_of_a_gaussian_mixture_have_the_bits_of_memory():
    """Batches of 8 do not divide 50 examples: passes end with a part of a batch, within blocks."""
    x = np.random.default_rng(0).normal(size=(80, 40)) + 5.0
    pair = {True: Stream.of(x), False: x}
    pair = {key: data.Data.from_arrays(value, standardize=True) for key, value in pair.items()}
    assert pair[True].fingerprint() == pair[False].fingerprint()
    same(lambda: GaussianMixture((40,), num_components=2, covariance="diag"), pair, 30, batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        LatentDirichletAllocation((40,), 2),
        LatentDirichletAllocation((40,), 2, inference="svi", num_examples=50),
    ],
    ids=["passes", "batches"],
)
def test_topics_of_streamed_counts_have_the_bits_of_memory(model):
    x = np.random.default_rng(0).poisson(1.0, (80, 40))
    pair = {True: Stream.of(x), False: x}
    pair = {key: data.Data.from_arrays(value, kind="counts") for key, value in pair.items()}
    same(lambda: type(model).from_config(model.get_config()), pair, 30, batch_size=8)
    assert model.test_metrics(pair[True], None) == model.test_metrics(pair[False], None)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["lloyd", "mini_batch"])
def test_clusters_of_streamed_points_have_the_bits_of_memory(algorithm):
    x = np.random.default_rng(0).normal(size=(80, 40)) + 5.0
    pair = {key: data.Data.from_arrays(value) for key, value in {True: Stream.of(x), False: x}.items()}
    same(lambda: KMeans((40,), 2, algorithm=algorithm), pair, 30, batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize("make", [FewLabels, MomentsBesideGradients, TwoStages])
def test_streams_passes_and_stages_have_the_bits_of_memory(make, monkeypatch):
    monkeypatch.setattr(batches, "_WINDOW", 100)
    examples = with_stream(make()) if make is FewLabels else fitting(make())
    pair = {True: streamed(examples), False: examples}
    same(make, pair, 40, batch_size=8, jit="on" if make is FewLabels else "off")


@pytest.mark.slow
def test_two_replicas_have_the_bits_of_memory(monkeypatch):
    monkeypatch.setattr(batches, "_WINDOW", 100)
    strategy = two_replicas()

    def make():
        with strategy.scope():
            return FewLabels()

    examples = with_stream(make())
    same(make, {True: streamed(examples), False: examples}, 20, batch_size=8, strategy=strategy)


@pytest.mark.slow
def test_stopped_within_a_block_and_resumed_has_the_same_bits(tmp_path, monkeypatch):
    """In memory in one go; streamed in three, cut in each of two stages."""
    monkeypatch.setattr(batches, "_WINDOW", 100)
    settings = {"batch_size": 8, "checkpoint_every": 20, "optimizer": "adam"}
    straight, resumed = begun(TwoStages), begun(TwoStages)
    examples = fitting(straight)
    go(straight, examples, 60, tmp_path / "a", **settings)
    for cut in (3, 26):
        stops = {"callbacks": [StopAt(cut)], "resume": cut > 3}
        with pytest.raises(Interrupted):
            go(begun(TwoStages), streamed(examples), 60, tmp_path / "b", **stops, **settings)
    go(resumed, streamed(examples), 60, tmp_path / "b", resume=True, **settings)
    assert bits(straight) == bits(resumed)
    assert (tmp_path / "a/metrics.csv").read_bytes() == (tmp_path / "b/metrics.csv").read_bytes()


def test_each_block_is_read_once_ahead_of_its_steps_and_as_far_as_the_stage_goes(monkeypatch):
    """Windows of 24 rows and steps of 2 x 4 make blocks of 3 steps; 10 steps are 4 blocks."""
    read, done = [], threading.Event()

    def rows(numbers):
        read.append(len(numbers))
        done.set()
        return np.repeat(numbers[:, None], 3, 1).astype(np.uint8)

    monkeypatch.setattr(batches, "_WINDOW", 72)
    examples = fitting(FewLabels())
    x = Stream(rows, 40, (3,), np.uint8)
    split = dataclasses.replace(examples.train, x=x, label=None)
    held = Examples(split, examples, TwoStages(), rows=8)
    assert held.streamed and held.window == 24
    orders = {"batch": Order(40, 4, 2, (1, 2))}
    feed = Feed({"": held}, orders, slice(0, 4), True)
    step = 0
    for count in (2, 1, 1, 2, 3, 1):
        assert feed.room(step) >= count
        indices = feed(step, count, 10)["batch"].numpy()[:count]
        # Each example is its own number.
        gathered = held.fields["x"].numpy()[indices][..., 0]
        np.testing.assert_array_equal(gathered, orders["batch"](step, count))
        if step == 0:
            done.wait(5)
        step += count
    feed.close()
    assert len(read) == 4 and max(read) <= 24


def test_a_worker_reads_the_rows_of_its_own_replicas_alone(monkeypatch):
    read = []

    def rows(numbers):
        read.extend(numbers)
        return np.zeros((len(numbers), 3), np.uint8)

    monkeypatch.setattr(batches, "_WINDOW", 72)
    examples = fitting(TwoStages())
    split = dataclasses.replace(examples.train, x=Stream(rows, 40, (3,), np.uint8))
    held = Examples(split, examples, TwoStages(), rows=8)
    order = Order(40, 8, 1, (1, 2))
    feed = Feed({"": held}, {"batch": order}, slice(4, 8), True)
    feed(0, 2, 3)
    feed.close()
    assert sorted(read) == sorted(order(0, 3)[..., 4:].ravel())


def test_an_image_that_breaks_while_others_train_is_named(tmp_path):
    for i in range(60):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i:02}.png")
    examples = data.load(f"folder:{tmp_path}", stream=True)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    model = VAE((8, 8, 1), latent_size=2, hidden=(4,), num_values=256, likelihood="discretized_logistic")
    with pytest.raises(data.DataError, match=r"image .*png, which could be read before, cannot be read \("):
        go(model, examples, 5)


_GROWS = """
import resource, sys
import numpy as np
from tfgen.classical import GaussianMixture, KMeans, LatentDirichletAllocation
from tfgen.data import Data, stream
from tfgen.training import batches, train

class Small(GaussianMixture):
    def begin(self, batch, seed):
        pass

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def go(x, steps):
    data = Data.from_arrays(x, validation=x[:100], test=x[:100])
    model = Small((1024,), num_components=2, covariance="diag")
    train(model, data, steps, batch_size=500, optimizer="adam", log=lambda line: None)
    data.fingerprint()

batches._WINDOW = stream._BLOCK = 1 << 20
x = np.load(sys.argv[1], mmap_mode="r")
go(x[:1000], 8)
before = peak()
go(x, 110)
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_stays_flat_on_a_set_that_is_larger(tmp_path):
    """A map of 200 MB: opened, checked, fingerprinted and trained on within a fraction of that."""
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.float32, (50_000, 1024))
    rng = np.random.default_rng(0)
    part = rng.normal(size=(1000, 1024)).astype(np.float32)
    for start in range(0, len(x), len(part)):
        x[start : start + len(part)] = part
    x.flush()
    del x
    done = subprocess.run(
        [sys.executable, "-c", _GROWS, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) < 60
