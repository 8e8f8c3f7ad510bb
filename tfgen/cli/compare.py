"""Comparison of runs: their figures with kinds, data, cost, and whether they may be compared at all."""

import itertools
import pathlib

from tfgen.cli.app import start_tensorflow
from tfgen.cli.records import find_runs, read_record, short_names
from tfgen.cli.run_directory import RunDirectory
from tfgen.cli.runs import open_run
from tfgen.evaluation.comparison import (
    differences,
    headline,
    markdown,
    number,
    of_quantity,
    quantity,
    short_kind,
    spread,
)

# What may differ between runs that are repetitions of one.
_REPEATED = ("seed",)


def compare(
    runs: tuple[str, ...],
    figures: tuple[str, ...] = (),
    paired=False,
    importance_samples=100,
    output: str | None = None,
    data_dir: str | None = None,
    download=False,
):
    """Compares the figures of runs, each with its kind, data, cost and command.

    Figures on different data are flagged, since they say nothing about each other; so are bounds beside exact
    figures, and estimates of different kinds. Runs that differ in nothing but the seed also get their mean
    and standard deviation.

    Args:
      runs: Name directories of runs or of sweeps, reports in a run's evaluations/, or patterns of these.
      figures: Which figures to show, as nats,elbo; by default the one by which each model is known.
      paired: Whether to measure how much better each run is than the first, example by example of the test
        split, with a 95 % interval; for models with a density, on the same data.
      importance_samples: Samples of a bound, for the paired difference.
      output: A directory for the comparison as Markdown and JSON and as a picture; by default it is printed
        only.
      data_dir: Where the data lie, for the paired difference; by default where they lay in training.
      download: Whether a data set that is absent may be fetched.

    Raises:
      ValueError: If a path holds no run, or there are no figures to compare.
    """
    paths, unfinished = find_runs(runs)
    names = short_names(paths)
    records = [read_record(path, name) for path, name in zip(paths, names, strict=True)]
    if not records:
        raise ValueError(f"{', '.join(runs)}: no run there is finished, so there are no figures.")
    card = Card(records, figures)
    card.notes += [f"Left out, as not finished: {', '.join(map(str, unfinished))}."] if unfinished else []
    if paired:
        card.pair(importance_samples, data_dir, download)
    print(card.text())
    if output is not None:
        for path in card.write(pathlib.Path(output)):
            print(f"comparison: {path}")


class Card:
    """Figures of runs side by side, and what may be concluded from them.

    Args:
      records: `Record` of each run.
      figures: Names of the quantities to show; those by which the models are known if empty.

    Raises:
      ValueError: If no run has a figure that is asked for.
    """

    def __init__(self, records, figures=()):
        self.records, self.pairs = records, []
        known = sorted({quantity(name) for record in records for name in record.figures})
        for name in figures:
            if quantity(name) not in known:
                raise ValueError(f"--figures: no run has {name}; they have {', '.join(known)}.")
        first = [headline(record.figures, record.data["num_values"]) for record in records]
        self.quantities = list(dict.fromkeys([quantity(f) for f in figures] or [f for f in first if f]))
        prints = list(dict.fromkeys(record.data["fingerprint"] for record in records))
        self.data = {fingerprint: _letter(i) for i, fingerprint in enumerate(prints)}
        self.groups = self._repetitions()
        self.notes = [*self._data_notes(), *self._kind_notes(), *self._condition_notes()]

    def pair(self, importance_samples, data_dir, download):
        """Measures how much each run, or mean over seeds, differs from the first, in nats of each example."""
        start_tensorflow()
        import tensorflow as tf

        # Each model is traced once, which TensorFlow takes for a mistake.
        tf.get_logger().setLevel("ERROR")
        from tfgen.evaluation.report import interval

        measured = {}
        for name, records in self.groups.items():
            reason = _unpaired(records[0], next(iter(self.groups.values()))[0])
            if reason and not measured:
                raise ValueError(f"--paired: {name} {reason}; name another run first.")
            if reason:
                self.notes.append(f"Not paired: {name} {reason}.")
                continue
            measured[name] = self._nats(records, importance_samples, data_dir, download)
        (first, (nats, error)), *others = measured.items()
        for name, (other, other_error) in others:
            found = interval(other - nats)
            if "low" in found:
                found["low"] += other_error[0] - error[1]
                found["high"] += other_error[1] - error[0]
            kinds = [self._kind(self.groups[each][0], importance_samples) for each in (name, first)]
            kind = kinds[0] if kinds[0] == kinds[1] else f"{kinds[0]} minus {kinds[1]}"
            self.pairs.append({"run": name, "minus": first, "kind": kind} | found)

    def _nats(self, records, importance_samples, data_dir, download):
        """`nats_by_example` of the mean over records, with one seed for all."""
        from tfgen.cli.commands import figures_seed
        from tfgen.evaluation.report import nats_by_example

        every = []
        for record in records:
            model, data, _ = open_run(record.run.path, data_dir=data_dir, download=download)
            seed = figures_seed(self.records[0].config)
            every.append(nats_by_example(model, data, seed, importance_samples))
        errors = [sum(error[end] for _, error in every) / len(every) for end in (0, 1)]
        return sum(nats for nats, _ in every) / len(every), errors

    def _kind(self, record, importance_samples):
        if record.report["density"] == "lower_bound":
            return f"upper bound, K={importance_samples}"
        return short_kind(of_quantity(record.figures, "nats")[1].get("kind", record.report["density"]))

    def _repetitions(self):
        """{name: records} of runs that differ in their seed only."""
        found = {}
        for record in self.records:
            flags = {k: v for k, v in record.config["flags"].items() if k not in _REPEATED}
            how = [record.config.get(key) for key in ("model", "optimizer", "steps")]
            same = (how, flags, record.data, _kinds(record))
            found.setdefault(repr(same), []).append(record)
        named = {}
        for records in found.values():
            seeds = [str(record.config["flags"]["seed"]) for record in records]
            # As runs of a sweep are called.
            shared = records[0].name.removesuffix(f"seed={seeds[0]}").rstrip(",/") or records[0].model
            name = f"{shared}, seeds {','.join(seeds)}" if len(records) > 1 else records[0].name
            named[name if name not in named else f"{name} ({len(named)})"] = records
        return named

    def _data_notes(self):
        by_print = {}
        for record in self.records:
            by_print.setdefault(record.data["fingerprint"], record.data)
        if len(by_print) == 1:
            return []
        (first, described), *others = by_print.items()
        told = "; ".join(
            f"{self.data[first]} and {self.data[other]}: {differences(described, data)}"
            for other, data in others
        )
        return [f"NOT COMPARABLE: figures of different letters are of different data ({told})."]

    def _kind_notes(self):
        notes = []
        for name in self.quantities:
            found = {}
            for record in self.records:
                _, figure = of_quantity(record.figures, name)
                if figure:
                    found.setdefault(figure["kind"], []).append(record.name)
            short = {short_kind(kind) for kind in found}
            if len(short) > 1 and any(kind.startswith("upper bound") for kind in short):
                notes.append(
                    f"A bound says that {name} are no more than that: by it a model is at least so good, and "
                    "may be better."
                )
            if len(found) > 1 and short != {"exact"}:
                told = "; ".join(f"{kind}: {', '.join(runs)}" for kind, runs in found.items())
                notes.append(f"Of different kinds, {name}: {told}.")
        return notes

    def _condition_notes(self):
        found = {record.condition for record in self.records if record.report["density"] != "none"}
        if len(found) < 2:
            return []
        told = " and ".join(sorted("p(x)" if c is None else f"p(x | {c})" for c in found))
        return [f"NOT COMPARABLE: {told} are different quantities."]

    def text(self):
        """The comparison in Markdown."""
        parts = [markdown(*self._table())]
        if any(len(records) > 1 for records in self.groups.values()):
            parts += ["Mean ± standard deviation over the seeds:", markdown(*self._over_seeds())]
        if self.pairs:
            parts += [
                f"Nats of an example less those of {self.pairs[0]['minus']}; below 0 the run is better:",
                markdown(*self._paired()),
            ]
        described = {record.data["fingerprint"]: record.data for record in self.records}
        parts += [
            f"Data {letter}: {_described(described[fingerprint])}."
            for fingerprint, letter in self.data.items()
        ]
        commands = "\n".join(f"{r.name}: {r.report.get('command', '-')}" for r in self.records)
        return "\n\n".join([*parts, *self.notes, f"```text\n{commands}\n```"])

    def _table(self):
        header = ["run", "model", "data", *itertools.chain(*((name, "kind") for name in self.quantities))]
        rows = []
        for record in self.records:
            cells = []
            for name in self.quantities:
                _, figure = of_quantity(record.figures, name)
                cells += [_with_interval(figure), short_kind(figure["kind"]) if figure else "-"]
            cost = record.report.get("cost") or {}
            # Only since it was resumed, as its report says.
            seconds = f"{'over ' if cost.get('resumed') else ''}{cost['seconds']:.0f}" if cost else "-"
            parameters = record.report.get("parameters")
            rows.append(
                [
                    record.name,
                    record.model,
                    self.data[record.data["fingerprint"]],
                    *cells,
                    "-" if parameters is None else f"{parameters:,}",
                    f"{record.report['step']:,}",
                    seconds,
                ]
            )
        return [*header, "parameters", "step", "seconds"], rows

    def _over_seeds(self):
        rows = []
        for name, records in self.groups.items():
            found = self._spreads(records)
            rows.append([name, len(records), *(number(f["mean"], f["deviation"]) for f in found.values())])
        return ["runs", "n", *self.quantities], rows

    def _spreads(self, records):
        return {
            name: spread([of_quantity(record.figures, name)[1].get("value") for record in records])
            for name in self.quantities
        }

    def _paired(self):
        rows = [[p["run"], _with_interval(p), p["kind"], p["examples"]] for p in self.pairs]
        return ["run", "difference", "kind", "examples"], rows

    def write(self, directory):
        """Writes `comparison.md`, `comparison.json` and `comparison.png`.

        Returns:
          Their paths.

        Raises:
          ValueError: If the directory cannot be written.
        """
        from tfgen.media import pictures, spreads

        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"--output={directory} cannot be written: {error.strerror}.") from error
        files = RunDirectory(directory)
        files.write_text("comparison.md", f"# Comparison\n\n{self.text()}\n")
        files.write_json("comparison.json", self._content())
        panes = {
            name: {
                record.name: tuple(
                    of_quantity(record.figures, name)[1].get(key) for key in ("value", "low", "high")
                )
                for record in self.records
            }
            for name in self.quantities
        }
        written = ["comparison.md", "comparison.json"]
        if panes:
            pictures.save(spreads.intervals(panes), directory / "comparison.png")
            written.append("comparison.png")
        return [directory / name for name in written]

    def _content(self):
        reported = ("density", "parameters", "step", "cost", "seed", "command")
        runs = [
            {
                "run": record.name, "path": str(record.run.path), "model": record.config["model"],
                "arguments": record.config.get("arguments"), "figures": record.figures,
                "data": record.data, "comparable": self.data[record.data["fingerprint"]],
                **{k: record.report.get(k) for k in reported},
            }
            for record in self.records
        ]  # fmt: skip
        repeated = {name: self._spreads(found) for name, found in self.groups.items() if len(found) > 1}
        return {"runs": runs, "over_seeds": repeated, "paired": self.pairs, "notes": self.notes}


def _kinds(record):
    return sorted({figure["kind"] for figure in record.figures.values()})


def _unpaired(record, first):
    """Why a run cannot be compared with the first by examples, or None."""
    if record.report["density"] == "none":
        return "has no density, and so no nats of an example"
    if record.data["fingerprint"] != record.config["data"]["fingerprint"]:
        return "was evaluated on other data than it was trained on"
    if record.data["fingerprint"] != first.data["fingerprint"]:
        return f"is on other data ({differences(first.data, record.data)})"
    if record.condition != first.condition:
        return "has another condition"
    return None


def _letter(index):
    return chr(ord("A") + index) if index < 26 else f"{_letter(index // 26 - 1)}{_letter(index % 26)}"


def _described(data):
    shape = "x".join("any" if size is None else str(size) for size in data["event_shape"])
    binarized = "" if data["binarize"] in (None, "none") else f", binarize {data['binarize']}"
    tested = f"{data['examples']['test']} test examples, fingerprint {data['fingerprint']}"
    return f"{data['name']}, {shape}{binarized}, {tested}"


def _with_interval(figure):
    if not figure or figure["value"] is None:
        return "-"
    if figure.get("low") is None or figure.get("high") is None:
        return number(figure["value"])
    return f"{number(figure['value'])} [{number(figure['low'])}, {number(figure['high'])}]"
