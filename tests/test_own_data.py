"""Data of one's own on the command line: what is said, what of an app's defaults holds, what is written."""

import json

import numpy as np
import pytest
from PIL import Image

from tests import cli_toys
from tests.test_cli import trains
from tfgen.cli import App, open_run
from tfgen.cli.gallery import save_samples
from tfgen.data import Meaning


def photos(root, names=("",), each=18):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            image = np.random.RandomState(i).randint(0, 256, (4, 4, 3)).astype(np.uint8)
            image[..., 0] = 100 * number
            Image.fromarray(image).save(root / name / f"{i}.png")
    return f"folder:{root}"


def table(path):
    path.write_text("a,b,c\n" + "\n".join(f"{100 + i % 7},{i % 5 / 1000},{i}" for i in range(40)))
    return f"file:{path}"


@pytest.mark.slow
def test_a_user_s_photos_are_not_made_binary_in_silence(tmp_path, capsys):
    """The VAE's app has a likelihood for levels, its binarization is for the digits, its batch for many."""
    vae = App(
        "tfgen.variational.VAE", binarize="threshold", steps=2, batch_size=128, latent_size=2, hidden=(4,),
        own_data={"levels": {"likelihood": "discretized_logistic"}, "real": {"likelihood": "gaussian"}},
    )  # fmt: skip
    name = photos(tmp_path / "photos")
    vae.main([f"--dataset={name}", f"--run_dir={tmp_path / 'run'}", "--jit=off", "--num=4"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first == (
        f"data: {name}: 4x4 RGB images in 256 levels, 13 train + 2 validation + 3 test; for these data "
        "--likelihood=discretized_logistic --batch_size=13"
    )
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["flags"]["binarize"] == "none" and config["arguments"]["num_values"] == 256
    assert config["arguments"]["likelihood"] == "discretized_logistic" and config["flags"]["batch_size"] == 13
    samples = np.load(tmp_path / "run/samples.npy")
    assert samples.shape == (4, 4, 4, 3) and samples.dtype == np.uint8
    model, data, _ = open_run(tmp_path / "run")
    assert data.num_values == model.num_values == 256
    vae.main([f"--run_dir={tmp_path / 'run'}", "--resume", "--steps=4"])
    assert "resumed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset=photos"], "takes 2 levels, but photos has 256 levels; use --binarize=threshold"),
        (["--preset=small", "--dataset=photos"], "takes 2 levels, but photos has 256 levels"),
        (["--dataset=moons"], "takes 2 levels, but moons has real values; use a model of real values"),
    ],
)
def test_the_default_binarization_is_not_for_other_sets(tmp_path, arguments, words):
    presets = {"small": {"dataset": "digits", "binarize": "fixed"}}
    app = App("tfgen.energy.RBM", binarize="threshold", presets=presets)
    with pytest.raises(ValueError, match=words):
        app.main([*arguments, f"--run_dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "8x8 grey images in 2 levels"),
        (["--preset=small"], "drawn once with its level as probability"),
        (["--dataset=photos", "--binarize=threshold"], "made binary, 1 from half of the range on"),
    ],
)
def test_binarization_is_that_of_the_default_set_or_as_asked(tmp_path, capsys, arguments, words):
    presets = {"small": {"dataset": "digits", "binarize": "fixed"}}
    run = trains("Pixels", tmp_path / "run", *arguments, steps=1, checkpoint_every=1, presets=presets)
    assert words in capsys.readouterr().out.splitlines()[0]
    assert json.loads((run / "config.json").read_text())["data"]["num_values"] == 2


@pytest.mark.slow
def test_samples_of_a_table_are_in_its_units(tmp_path, capsys):
    gmm = App(
        "tfgen.classical.GaussianMixture", dataset="gaussians25", steps=5, batch_size=1000, num_components=2
    )
    name = table(tmp_path / "t.csv")
    gmm.main([f"--dataset={name}", f"--run_dir={tmp_path / 'run'}", "--num=200"])
    assert "--batch_size=29" in capsys.readouterr().out.splitlines()[0]
    run = tmp_path / "run"
    facts = json.loads((run / "config.json").read_text())["data"]
    assert facts["columns"] == ["a", "b", "c"] and len(facts["mean"]) == 3
    exported = json.loads((run / "export/1/assets.extra/data.json").read_text())
    assert exported == {key: facts[key] for key in ("columns", "mean", "deviation")}
    written = np.load(run / "samples.npy")
    lines = (run / "samples.csv").read_text().splitlines()
    assert lines[0] == "a,b,c" and len(lines) == 201
    np.testing.assert_allclose(np.loadtxt(lines[1:], delimiter=","), written, rtol=1e-6)
    np.testing.assert_allclose(np.loadtxt(run / "samples.txt"), written, rtol=1e-4)
    # Of the order of the columns, in which the standardised ones would not be.
    assert abs(written[:, 0].mean() - 103) < 1 and abs(written[:, 1].mean() - 0.002) < 0.0005
    gmm.main(["sample", f"--run_dir={run}", "--num=5", "--output=later"])
    assert abs(np.load(run / "samples/later/samples.npy")[:, 0].mean() - 103) < 4


def test_classes_are_drawn_by_name(tmp_path, capsys):
    names = ("0", "2", "10")
    name = photos(tmp_path / "photos", names)
    run = trains("Labelled", tmp_path / "run", f"--dataset={name}", "--binarize=threshold", batch_size=8)
    assert json.loads((run / "config.json").read_text())["data"]["class_names"] == list(names)
    assert json.loads((run / "export/1/assets.extra/data.json").read_text()) == {"class_names": list(names)}
    app = App("tests.cli_toys.Labelled", binarize="threshold")
    app.main(["sample", f"--run_dir={run}", "--label=10", "--num=2"])
    # Its samples are as white as their label's number.
    assert (np.load(run / "samples/label=10/samples.npy") == 2).all()
    for label, words in (("1", "--label=1 is none of the classes: "), ("0,2", "takes 1 of them")):
        with pytest.raises(ValueError, match=words):
            app.main(["sample", f"--run_dir={run}", f"--label={label}"])


def test_labels_that_are_not_there_are_missed_in_one_sentence(tmp_path):
    app = App("tfgen.autoregressive.GatedPixelCNN", steps=1)
    with pytest.raises(ValueError, match="--condition=label, but folder:.* has no labels: leave --condition"):
        app.main([
            f"--dataset={photos(tmp_path / 'photos')}", "--condition=label", f"--run_dir={tmp_path / 'run'}",
        ])  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_data_of_another_kind_are_named(tmp_path):
    (tmp_path / "notes").write_text("abcdefghij" * 300)
    app = App("tfgen.autoregressive.PixelCNN", steps=1)
    with pytest.raises(ValueError, match="file:.*notes holds text data: event_shape must be"):
        app.main([f"--dataset=file:{tmp_path / 'notes'}", f"--run_dir={tmp_path / 'run'}"])


def test_captions_are_names(tmp_path, monkeypatch):
    shown = []
    empty = Image.new("RGB", (1, 1))
    monkeypatch.setattr(
        "tfgen.cli.gallery.pictures.grid", lambda x, labels=None, **_: shown.append(labels) or empty
    )
    monkeypatch.setattr("tfgen.cli.gallery.pictures.save", lambda *arguments: None)
    model = cli_toys.Labelled((4, 4, 1), num_classes=3)
    save_samples(model, tmp_path, 4, 0, meaning=Meaning(("cat", "dog", "elk")))
    save_samples(model, tmp_path, 4, 0)
    assert shown == [["cat", "dog", "elk", "cat"], ["0", "1", "2", "0"]]


def test_data_sets_are_listed(capsys):
    App("tfgen.variational.VAE").main(["--list_datasets"])
    listed = capsys.readouterr().out
    for name in ("digits", "spoken_digits", "folder:PHOTOS", "file:TABLE.csv", "--data_dir"):
        assert name in listed
