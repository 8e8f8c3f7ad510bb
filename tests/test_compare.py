"""Comparisons of runs: what is told of each, what is flagged, and differences by examples."""

import json

import numpy as np
import pytest
from scipy import stats

from tests.run_files import data, figure, write_run
from tfgen.cli import App, TaskApp, compare, open_run
from tfgen.cli.records import find_runs, read_record, short_names
from tfgen.evaluation.comparison import differences, headline, markdown, number, short_kind, spread

BOUND = "upper bound of the nats, K=100, mean over the test split"
FID = "estimate, 360 samples against 360 test examples, x itself"


def app():
    return TaskApp("tfgen.cli.compare.compare", words="runs")


def says(capsys, *words):
    capsys.readouterr()
    app().main([str(word) for word in words])
    return capsys.readouterr().out


def rows(text, number=0):
    """Cells of the rows of the table of that number in a text."""
    tables, within = [], False
    for line in text.splitlines():
        if line.startswith("|"):
            if not within:
                tables.append([])
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        within = line.startswith("|")
    return tables[number][2:]


def test_a_table_tells_figures_kinds_data_parameters_and_cost(tmp_path, capsys):
    write_run(tmp_path / "vae", {"nats_bound": figure(17.39, BOUND, 0.38), "elbo": figure(-18.0)})
    write_run(tmp_path / "made", {"nats": figure(18.22, half=0.48)}, model="tfgen.autoregressive.MADE")
    said = says(capsys, tmp_path / "vae", tmp_path / "made")
    assert rows(said) == [
        ["vae", "VAE", "A", "17.39 [17.01, 17.77]", "upper bound, K=100", "1,234", "10", "5"],
        ["made", "MADE", "A", "18.22 [17.74, 18.7]", "exact", "1,234", "10", "5"],
    ]
    assert "by it a model is at least so good, and may be better" in said and "NOT COMPARABLE" not in said
    assert "vae: tfgen vae --seed=0" in said and "Data A: digits, 8x8x1, binarize threshold" in said
    assert rows(says(capsys, tmp_path / "vae", "--figures=elbo"))[0][3] == "-18"
    with pytest.raises(ValueError, match="no run has elbow; they have elbo, nats"):
        app().main([str(tmp_path / "vae"), "--figures=elbow"])


def test_figures_on_other_data_are_flagged(tmp_path, capsys):
    other = data("d2", binarize="fixed", examples={"train": 30, "validation": 10, "test": 21})
    write_run(tmp_path / "a", {"nats": figure(17.0)})
    write_run(tmp_path / "b", {"nats": figure(16.0)}, data=other)
    write_run(tmp_path / "c", {"nats": figure(16.0)}, data=data("d3"))
    write_run(tmp_path / "d", {"nats": figure(15.0)})
    said = says(capsys, *(tmp_path / name for name in "abcd"))
    assert [row[2] for row in rows(said)] == ["A", "B", "C", "A"]
    assert "NOT COMPARABLE: figures of different letters are of different data" in said
    assert "A and B: binarize threshold and fixed, examples 30 train + 10 validation + 20 test and" in said
    assert "A and C: other examples under one name" in said


def test_estimates_of_other_kinds_and_other_conditions_are_flagged(tmp_path, capsys):
    few, many = FID, FID.replace("360", "10000")
    write_run(tmp_path / "a", {"frechet_distance": figure(3.0, few)}, density="none")
    write_run(tmp_path / "b", {"frechet_distance": figure(2.0, many)}, density="none")
    said = says(capsys, tmp_path / "a", tmp_path / "b")
    assert f"Of different kinds, frechet_distance: {few}: a; {many}: b." in said
    write_run(tmp_path / "c", {"nats": figure(3.0)})
    write_run(tmp_path / "d", {"nats": figure(2.0)}, arguments={"condition": "label"})
    said = says(capsys, tmp_path / "c", tmp_path / "d")
    assert "NOT COMPARABLE: p(x | label) and p(x) are different quantities." in said
    assert "Of different kinds" not in said and "A bound" not in said


def test_runs_that_differ_in_their_seed_only_are_repetitions(tmp_path, capsys):
    for seed, value in enumerate((3.0, 5.0, 7.0)):
        write_run(tmp_path / f"lr=1,seed={seed}", {"nats": figure(value)}, seed=seed, flags={"lr": 1})
    write_run(tmp_path / "lr=2,seed=0", {"nats": figure(4.0)}, flags={"lr": 2})
    # Of the same flags, but of other figures: an evaluation with more samples of a bound.
    write_run(tmp_path / "more", {"nats_bound": figure(4.0, BOUND)}, seed=5, flags={"lr": 2})
    said = says(capsys, tmp_path)
    assert [row[0] for row in rows(said)] == [f"lr=1,seed={s}" for s in range(3)] + ["lr=2,seed=0", "more"]
    assert rows(said, 1) == [
        ["lr=1, seeds 0,1,2", "3", "5 ± 2"], ["lr=2,seed=0", "1", "4"], ["more", "1", "4"],
    ]  # fmt: skip


def test_runs_are_found_by_directory_sweep_report_and_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 2, 10):
        write_run(tmp_path / f"sweep/rate=0.1,seed={seed}", {"nats": figure(1.0)}, seed=seed)
    run = write_run(tmp_path / "run", {"nats": figure(1.0)})
    (run / "evaluations").mkdir()
    report = json.loads((run / "metrics.json").read_text()) | {"data": data("d2")}
    (run / "evaluations/other.json").write_text(json.dumps(report))
    unfinished = write_run(tmp_path / "sweep/rate=0.1,seed=3", {})
    (unfinished / "metrics.json").unlink()
    found, left = find_runs(["sweep", "run", "run/evaluations/other.json", "r*"])
    assert [str(path) for path in found] == [
        "sweep/rate=0.1,seed=0", "sweep/rate=0.1,seed=2", "sweep/rate=0.1,seed=10", "run",
        "run/evaluations/other.json",
    ]  # fmt: skip
    assert left == [unfinished.relative_to(tmp_path)]
    assert [str(path) for path in find_runs(["sweep/*,seed=1*"])[0]] == ["sweep/rate=0.1,seed=10"]
    assert short_names(found)[3:] == ["run", "run/evaluations/other.json"]
    assert read_record("run/evaluations/other.json").data["fingerprint"] == "d2"
    with pytest.raises(ValueError, match="seed=3 has no figures yet"):
        read_record(*find_runs([str(unfinished)])[0])
    for word, said in (
        ("nowhere", "is not there"),
        ("no*", "matches nothing"),
        ("run/evaluations", "no run"),
    ):
        with pytest.raises(ValueError, match=said):
            find_runs([word])


def test_a_comparison_is_written(tmp_path, capsys):
    write_run(tmp_path / "a", {"nats": figure(17.0, half=1.0)})
    write_run(tmp_path / "b", {"nats": figure(None)}, cost={"seconds": 3.0, "resumed": True})
    said = says(capsys, tmp_path / "a", tmp_path / "b", f"--output={tmp_path / 'out/card'}")
    assert rows(said)[1][3] == "-" and rows(said)[1][-1] == "over 3"
    files = {path.name for path in (tmp_path / "out/card").iterdir()}
    assert files == {"comparison.md", "comparison.json", "comparison.png"}
    content = json.loads((tmp_path / "out/card/comparison.json").read_text())
    assert [run["figures"]["nats"]["value"] for run in content["runs"]] == [17.0, None]
    assert content["runs"][0]["comparable"] == content["runs"][1]["comparable"] == "A"


@pytest.mark.parametrize(
    ("name", "kind", "short"),
    [
        ("nats", "exact density, mean over the test split", "exact"),
        ("nats", "exact partition function, mean over the test split", "exact"),
        ("nats_bound", BOUND, "upper bound, K=100"),
        ("nats_bound", "upper bound of the nats, from a bound of the free energy, exact", "upper bound"),
        ("nats", "partition function estimated by annealed importance sampling, mean", "estimate, AIS"),
        ("frechet_distance", FID, "estimate"),
    ],
)
def test_kinds_in_short(name, kind, short):
    assert short_kind(kind) == short


def test_the_first_figure_is_that_by_which_a_model_is_known():
    assert headline(["elbo", "nats_bound", "bits_per_dim_bound"]) == "bits_per_dim"
    assert headline(["elbo", "nats_bound", "bits_per_dim_bound"], num_values=2) == "nats"
    assert headline(["nats", "nats_per_step", "bits_per_step"], num_values=2) == "bits_per_step"
    assert headline(["precision", "frechet_distance"]) == "frechet_distance"
    assert headline(["answer"]) == "answer" and headline([]) is None


def test_spreads_numbers_and_tables():
    assert spread([1.0, 2.0, 4.0])["deviation"] == pytest.approx(np.std([1.0, 2.0, 4.0], ddof=1))
    assert spread([2.0]) == {"mean": 2.0, "deviation": None, "n": 1, "values": [2.0]}
    assert spread([2.0, float("inf")])["mean"] is None and spread([])["mean"] is None
    shown = [number(v) for v in (17.394, 548.21, 1234.56, 123456.7, 0.00012346, None, float("nan"))]
    assert shown == ["17.39", "548.2", "1234.6", "123457", "0.0001235", "-", "-"]
    assert markdown(["a"], [["x|y"]]).splitlines() == ["| a    |", "|------|", "| x\\|y |"]
    assert differences(data(num_values=2), data(num_values=256)) == "num_values 2 and 256"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two exact models, one of them from two seeds, and a GAN, on the same digits or not."""
    folder = tmp_path_factory.mktemp("runs")
    tiny = ["--batch_size=16", "--jit=off", "--num=4"]
    made = App("tfgen.autoregressive.FVBN", binarize="threshold", steps=20)
    for name, more in (("a", ["--seed=0"]), ("b", ["--seed=1"]), ("c", ["--learning_rate=0.1"])):
        made.main([f"--run_dir={folder / name}", *more, *tiny])
    gan = App("tfgen.adversarial.GAN", binarize="threshold", steps=2, hidden=(4,), latent_size=2)
    gan.main([f"--run_dir={folder / 'gan'}", *tiny])
    return folder


@pytest.mark.slow
def test_paired_differences_are_those_of_the_examples(trained, capsys, tmp_path):
    said = says(capsys, *(trained / n for n in "abc"), "--paired", f"--output={tmp_path}")
    nats = {}
    for name in "abc":
        model, digits, _ = open_run(trained / name)
        nats[name] = -model.log_prob(digits.test.x).numpy().astype(np.float64)
    # a and b are one model from two seeds: c is compared with their mean.
    difference = nats["c"] - (nats["a"] + nats["b"]) / 2
    half = stats.norm.ppf(0.975) * stats.sem(difference)
    (found,) = json.loads((tmp_path / "comparison.json").read_text())["paired"]
    assert (found["run"], found["minus"], found["kind"]) == ("c", "a, seeds 0,1", "exact")
    assert found["value"] == pytest.approx(difference.mean(), rel=1e-5) and found["examples"] == 360
    assert found["high"] - found["value"] == pytest.approx(half, rel=1e-5)
    assert found["value"] - found["low"] == pytest.approx(half, rel=1e-5)
    figures = {n: read_record(trained / n).figures["nats"]["value"] for n in "abc"}
    means = figures["c"] - (figures["a"] + figures["b"]) / 2
    assert found["value"] == pytest.approx(means, rel=1e-5)
    assert rows(said, 2)[0][0] == "c" and read_record(trained / "a").report["parameters"] == 64 * 64 + 64


@pytest.mark.slow
def test_what_has_no_nats_of_an_example_is_not_paired(trained, capsys):
    said = says(capsys, trained / "c", trained / "gan", "--paired")
    assert "Not paired: gan has no density, and so no nats of an example." in said
    with pytest.raises(ValueError, match="--paired: gan has no density.*; name another run first"):
        app().main([str(trained / "gan"), str(trained / "c"), "--paired"])


def test_runs_on_other_data_are_not_paired(tmp_path):
    paths = [write_run(tmp_path / "a", {"nats": figure(1.0)})]
    paths += [write_run(tmp_path / "b", {"nats": figure(1.0)}, data=data("d2", binarize="fixed"))]
    paths += [write_run(tmp_path / "c", {"nats": figure(1.0)}, data=data("d2"), trained_on=data("d1"))]
    paths += [write_run(tmp_path / "d", {"nats": figure(1.0)}, arguments={"condition": "label"})]
    a, b, c, d = map(read_record, paths)
    assert compare._unpaired(a, a) is None
    assert compare._unpaired(b, a) == "is on other data (binarize threshold and fixed)"
    assert compare._unpaired(c, a) == "was evaluated on other data than it was trained on"
    assert compare._unpaired(d, a) == "has another condition"
