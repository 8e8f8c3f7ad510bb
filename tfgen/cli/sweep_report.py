"""What the runs of a sweep add up to: a table, the best setting, a picture."""

import csv
import io
import math

import numpy as np

from tfgen.cli.records import column, history, read_record
from tfgen.cli.run_directory import RunDirectory
from tfgen.evaluation.comparison import (
    differences,
    headline,
    markdown,
    number,
    of_quantity,
    short_kind,
    spread,
)

_OF_VALIDATION = "validation split, at the weights that the test figures are of"


def label(settings):
    """Settings as a table names them."""
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "defaults"


class SweepReport:
    """The files of a sweep, beside its runs.

    `sweep.json` says what is trained and how far it is; `table.md`, `table.csv` and `table.json` hold means
    and standard deviations by setting, `runs.csv` each run's figures, `sweep.png` shows them.

    Args:
      output: The sweep's directory.
      trainings: Its runs in order, each with "name", "settings" and "seed".
      select: Column of the history by which the best setting is named.
      highest: Whether its highest value is the best.
    """

    def __init__(self, output, trainings=(), select="val_loss", highest=False):
        self.output, self.trainings = output, trainings
        self.select, self.highest = select, highest
        self.by_setting = {}
        for training in trainings:
            self.by_setting.setdefault(label(training.settings), []).append(training)

    def state(self):
        """Content of `sweep.json`; an empty dict where there is no sweep."""
        return RunDirectory(self.output).read_json("sweep.json")

    def line(self, training, kept):
        """One line on a run that has just ended."""
        if kept["status"] != "finished":
            return f"{kept['status']}: {kept['error']}"
        record = self._record(training)
        shown = {self.select: record.validation().get(self.select)}
        name, figure = of_quantity(record.figures, headline(record.figures, record.data["num_values"]))
        shown |= {f"test {name}": figure["value"]} if name else {}
        figures = ", ".join(f"{k} {number(v)}" for k, v in shown.items() if v is not None)
        return f"{figures}{figures and ', '}{kept['seconds']:.0f} s"

    def write(self, state, pictures=False):
        """Writes all files; pictures only if asked for, as they take a second."""
        directory = RunDirectory(self.output)
        directory.write_json("sweep.json", state)
        records = {t.name: self._record(t) for t in self.trainings if _finished(state, t)}
        self.rows = [self._row(name, runs, records, state) for name, runs in self.by_setting.items()]
        self.notes = self._notes(list(records.values()), [state["runs"][t.name] for t in self.trainings])
        self.best = self._best()
        directory.write_json(
            "table.json",
            {
                "app": state["app"], "flags": state["flags"], "command": state["command"],
                "settings": self.rows, "best": self.best, "notes": self.notes,
                "runs": {t.name: state["runs"][t.name] for t in self.trainings},
            },
        )  # fmt: skip
        runs = self._runs(records, state)
        parts = [
            f"# Sweep of {state['app']}", f"```text\n{state['command']}\n```", self.text(),
            "## All figures", markdown(*self._long(number)), "## Runs", markdown(runs[0], _shown(runs[1])),
        ]  # fmt: skip
        directory.write_text("table.md", "\n\n".join(parts) + "\n")
        directory.write_text("table.csv", _csv(*self._long(repr)))
        directory.write_text("runs.csv", _csv(*self._runs(records, state, every=True)))
        if pictures and records:
            self._draw(records)

    def text(self):
        """The table by setting, the best one and what is to be known of them, in Markdown."""
        first = self._first()
        names = list(self.trainings[0].settings)
        of_test = [f"test {first}", "kind"] if first else []
        rows = []
        for row in self.rows:
            _, tested = of_quantity(row["figures"], first)
            rows.append(
                [
                    *([row["settings"][name] for name in names] or ["defaults"]),
                    f"{row['finished']} of {row['runs']}",
                    _cell(row["validation"].get(self.select)),
                    *([_cell(tested), short_kind(tested.get("kind", "-"))] if first else []),
                    _cell(row["seconds"]),
                ]
            )
        header = [*(names or ["setting"]), "seeds", self.select, *of_test, "seconds"]
        legend = "Mean ± standard deviation over the seeds."
        return "\n\n".join([markdown(header, rows), " ".join([legend, *self.notes])])

    def _record(self, training):
        return read_record(self.output / training.name, training.name)

    def _row(self, name, runs, records, state):
        there = [records[t.name] for t in runs if t.name in records]
        figures, validation = {}, {}
        for figure in dict.fromkeys(f for record in there for f in record.figures):
            found = [record.figures[figure] for record in there if figure in record.figures]
            kind = " / ".join(dict.fromkeys(f["kind"] for f in found))
            figures[figure] = spread([f["value"] for f in found]) | {"kind": kind}
        measured = [record.validation() for record in there]
        for figure in dict.fromkeys(f for values in measured for f in values):
            found = [values[figure] for values in measured if figure in values]
            validation[figure] = spread(found) | {"kind": _OF_VALIDATION}
        kept = [state["runs"][t.name] for t in runs]
        return {
            "name": name,
            "settings": runs[0].settings,
            "seeds": [t.seed for t in runs if t.name in records],
            "runs": len(runs),
            "finished": len(there),
            "failed": sum(k["status"] == "failed" for k in kept),
            "parameters": there[0].report.get("parameters") if there else None,
            "data": there[0].data["fingerprint"] if there else None,
            "num_values": there[0].data["num_values"] if there else None,
            "figures": figures,
            "validation": validation,
            "seconds": spread([k["seconds"] for k in kept if _counted(k)]),
        }

    def _first(self):
        """The quantity of the test split that is told first, or None."""
        levels = {row["num_values"] for row in self.rows if row["finished"]}
        names = {figure for row in self.rows for figure in row["figures"]}
        return headline(names, 2 if levels == {2} else None)

    def _best(self):
        """The setting whose selected figure is the best on average; None where nothing can be said."""
        means = {
            row["name"]: row["validation"][self.select]
            for row in self.rows
            if row["finished"] == row["runs"]
            and row["validation"].get(self.select, {}).get("mean") is not None
        }
        if len(self.rows) < 2 or not means:
            return None
        if len({row["data"] for row in self.rows if row["name"] in means}) > 1:
            return None
        order = sorted(means, key=lambda name: means[name]["mean"] * (-1.0 if self.highest else 1.0))
        best = {"setting": order[0], "figure": self.select, "highest": self.highest} | means[order[0]]
        following = {"setting": order[1]} | means[order[1]] if len(order) > 1 else None
        way = "highest" if self.highest else "lowest"
        told = f"Best by {self.select} of the validation split ({way} mean, {best['n']} seeds): {order[0]}"
        told += f", {number(best['mean'], best['deviation'])}"
        if following:
            told += f"; next {order[1]}, {number(following['mean'], following['deviation'])}"
        self.notes.append(f"{told}. The test split took no part in the choice.")
        return best | {"next": following}

    def _notes(self, records, kept):
        """Sentences on what is missing and on what may not be compared."""
        notes = []
        left = sum(row["runs"] - row["finished"] - row["failed"] for row in self.rows)
        failed = sum(row["failed"] for row in self.rows)
        if failed:
            notes.append(f"{failed} of {len(self.trainings)} runs failed.")
        if left:
            notes.append(f"{left} of {len(self.trainings)} runs are not finished.")
        other = next((r for r in records if r.data["fingerprint"] != records[0].data["fingerprint"]), None)
        if other is not None:
            notes.append(
                "Not comparable: the settings are of different data "
                f"({differences(records[0].data, other.data)}), so no best one is named."
            )
        elif len(self.rows) > 1 and not any(self.select in row["validation"] for row in self.rows):
            notes.append(f"No best setting is named: there is no {self.select}.")
        uncounted = sum(k.get("uncounted", False) for k in kept)
        if uncounted:
            notes.append(f"Seconds are without {uncounted} runs that were killed together with the sweep.")
        first = self._first()
        kinds = {of_quantity(row["figures"], first)[1].get("kind") for row in self.rows} - {None}
        if len(kinds) > 1:
            notes.append(f"Not comparable: test {first} is of different kinds.")
        return notes

    def _long(self, written):
        """Header and rows of a table with a line for each setting and figure."""
        names = list(self.trainings[0].settings)
        rows = []
        for row in self.rows:
            parts = {"validation": row["validation"], "test": row["figures"]}
            for split, figures in parts.items():
                for name, f in figures.items():
                    if split == "validation" and name not in (self.select, "val_loss"):
                        continue
                    values = " ".join("-" if v is None else written(v) for v in f["values"])
                    numbers = ["" if f[k] is None else written(f[k]) for k in ("mean", "deviation")]
                    rows.append(
                        [
                            *(row["settings"][n] for n in names),
                            name,
                            split,
                            *numbers,
                            f["n"],
                            values,
                            f["kind"],
                        ]
                    )
        return [*names, "figure", "split", "mean", "deviation", "n", "of the seeds", "kind"], rows

    def _runs(self, records, state, every=False):
        """Header and rows of a table with a line for each run, with the first test figure or every one."""
        names = list(self.trainings[0].settings)
        if every:
            tested = list(dict.fromkeys(name for row in self.rows for name in row["figures"]))
        else:
            tested = [self._first()] if self._first() else []
        rows = []
        for training in self.trainings:
            kept, record = state["runs"][training.name], records.get(training.name)
            figures = record.figures if record else {}
            found = [figures.get(n, {}) if every else of_quantity(figures, n)[1] for n in tested]
            rows.append(
                [
                    *(training.settings[name] for name in names),
                    training.seed,
                    kept["status"],
                    record.report["step"] if record else None,
                    record.validation().get(self.select) if record else None,
                    *(figure.get("value") for figure in found),
                    kept.get("seconds"),
                    kept.get("error"),
                    training.name,
                ]
            )
        shown = [f"test {name}" for name in tested]
        return [*names, "seed", "status", "step", self.select, *shown, "seconds", "error", "directory"], rows

    def _draw(self, records):
        from tfgen.media import pictures, spreads

        panes, first = {}, self._first()
        runs = {
            name: [records[t.name] for t in trainings if t.name in records]
            for name, trainings in self.by_setting.items()
        }
        runs = {name: found for name, found in runs.items() if found}
        curves = {}
        for name, found in runs.items():
            histories = [column(history(record.run), self.select) for record in found]
            steps = sorted({step for times, _ in histories for step in times})
            values = np.full((len(found), len(steps)), math.nan)
            for row, (times, measured) in zip(values, histories, strict=True):
                row[[steps.index(step) for step in times]] = measured
            if np.isfinite(values).any():
                curves[name] = (steps, values)
        if curves:
            panes[f"{self.select}, validation split"] = {
                name: [record.validation().get(self.select) for record in found]
                for name, found in runs.items()
            }
        if first:
            panes[f"{first}, test split"] = {
                name: [of_quantity(record.figures, first)[1].get("value") for record in found]
                for name, found in runs.items()
            }
        if panes:
            picture = spreads.spreads(panes, curves, f"{self.select} while training")
            pictures.save(picture, self.output / "sweep.png")


def _finished(state, training):
    return state["runs"][training.name]["status"] == "finished"


def _counted(kept):
    """Whether all seconds of a run are known: those of a sweep that was killed are not."""
    return kept["status"] == "finished" and "seconds" in kept and not kept.get("uncounted")


def _cell(found):
    return "-" if not found or found["mean"] is None else number(found["mean"], found["deviation"])


def _shown(rows):
    return [["" if v is None else number(v) if isinstance(v, float) else v for v in row] for row in rows]


def _csv(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()
