"""The leaderboard: a table in the terminal, and ``leaderboard.csv`` with every trial and parameter."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from search.confirm import confirmations
from search.selection import Paired, Selection
from search.trial import Trial

#: Parameters named in the terminal's table, at most; the file has them all.
_SHOWN_PARAMETERS = 8
#: From so many columns on there is room for them in the table.
_WIDE = 120


def ranked(trials: list[Trial], maximize: bool) -> list[Trial]:
    """All trials, best first: the confirmed ones by that score, others with the full budget by theirs, the rest by how far they came."""
    sign, confirmed = 1.0 if maximize else -1.0, confirmations(trials)

    def key(trial: Trial) -> tuple[Any, ...]:
        again = confirmed.get(trial.number)
        best = again.value if again is not None else trial.value if trial.is_full else trial.best(maximize)
        reached = 0 if trial.is_full else -max(trial.reports, default=0)
        return (not trial.is_full, again is None, trial.state == "FAIL", reached, best is None, -sign * (best or 0.0), trial.number)

    return sorted(trials, key=key)


def varied_parameters(trials: list[Trial]) -> list[str]:
    """Names of the searched parameters ("family/parameter") that differ between trials, most often present first."""
    values: dict[str, set[Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(value)
    counts = {name: sum(name in t.params for t in trials) for name, seen in values.items() if len(seen) > 1 and name != "family"}
    return sorted(counts, key=lambda name: -counts[name])


def print_leaderboard(
    console: Console, trials: list[Trial], maximize: bool, metric: str, *, rows: int = 10, title: str = "", selection: Selection | None = None
) -> None:
    """Print the best trials, and the settings of each; on a narrow screen the settings follow below.

    Parameters
    ----------
    console : rich.console.Console
    trials : list of Trial
    maximize : bool
    metric : str
        What the score is.
    rows : int
        At most so many; then, where there are several families, the best of those that are not among them.
    title : str
        Says 'demo' where the corpus is one.
    selection : Selection, optional
        Who won, and who can't be told from it.
    """
    wide = console.width >= _WIDE
    table = Table(title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("rank", "trial"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("family", no_wrap=True)
    confirmed = confirmations(trials)
    for name in (*(["confirmed"] if confirmed else []), metric, "95 % interval", "epochs", "seconds", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    standing = standings(selection) if wide else {}
    if standing:
        table.add_column("vs winner", no_wrap=True)
    if wide:
        table.add_column("settings", overflow="fold")
    shown = varied_parameters(trials)
    most = _SHOWN_PARAMETERS if wide else None
    full = list(enumerate((t for t in ranked(trials, maximize) if t.is_full), 1))
    above = {trial.family for _, trial in full[:rows]}
    best = best_of_each([trial for _, trial in full])
    below = [(rank, trial) for rank, trial in full if best[trial.family] is trial and trial.family not in above]
    for rank, trial in (*full[:rows], *below):
        told = [standing.get(trial.number, "")] if standing else []
        table.add_row(*_cells(rank, trial, confirmed), *told, *([_settings(trial, shown, most)] if wide else []))
    console.print(table)
    if not wide:
        for rank, trial in full[:3]:
            console.print(f"{rank}: {_settings(trial, shown, most)}", markup=False, highlight=False, soft_wrap=False)


def standings(selection: Selection | None) -> dict[int, str]:
    """``winner``, ``tie``, ``worse`` or ``better`` for each trial that can be compared with the winner, by its number; empty where none can."""
    if selection is None or not selection.against_winner:
        return {}
    found = {number: "tie" if told.is_tie else "worse" if told.difference < 0 else "better" for number, told in selection.against_winner.items()}
    return {selection.winner.trial.number: "winner"} | found


def best_of_each(best_first: Iterable[Trial]) -> dict[str, Trial]:
    """Family to the best of its trials; `best_first` are in order of rank."""
    found: dict[str, Trial] = {}
    for trial in best_first:
        found.setdefault(trial.family, trial)
    return found


def _cells(rank: int, trial: Trial, confirmed: Mapping[int, Trial]) -> list[str]:
    outcome = trial.outcome
    again = f"{confirmed[trial.number].value:.3f}" if trial.number in confirmed else ""
    return [
        str(rank),
        str(trial.number),
        trial.family,
        *([again] if confirmed else []),
        f"{trial.value:.3f}",
        _interval(outcome),
        "" if trial.is_at_once else str(outcome.get("epochs", "")),
        f"{outcome['seconds']:.0f}" if "seconds" in outcome else "",
        f"{outcome['parameters']:,}" if "parameters" in outcome else "",
    ]


def _settings(trial: Trial, shown: list[str], most: int | None) -> str:
    own = [name for name in shown if name in trial.params][:most]
    return ", ".join(f"{name.rpartition('/')[2]} {_short(trial.params[name])}" for name in own)


def write_leaderboard(path: Path, trials: list[Trial], maximize: bool, metric: str, corpus: str, selection: Selection | None = None) -> None:
    """Write every trial as a row of a CSV file (atomically: a kill leaves the old file); each row says which corpus its score is of.

    With `selection` the rows of those that may win say how they stand to the winner: `standings`, and their score minus the winner's with its paired 95 %
    interval and p-value.
    """
    searched = sorted({name for t in trials for name in t.params if name != "family"})
    head = ["rank", "trial", "state", "end", "family", metric, "low", "high", "best_epoch", "epochs", "seconds", "corpus"]
    head += ["parameters", "gflops", "retry_of", "confirms", "warm_start_of", "reason", "macro_f1", "macro_f1_low", "macro_f1_high"]
    head += ["wall_seconds", "cpu_seconds", "peak_ram_mib", "energy_kwh", "emissions_kg", "disk_bytes"]
    head += ["against_winner", "difference", "difference_low", "difference_high", "p_value", *searched]
    standing, sign = standings(selection), 1 if maximize else -1
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(head)
        for rank, trial in enumerate(ranked(trials, maximize), 1):
            outcome = trial.outcome
            low, high = outcome.get("interval") or ("", "")
            best = trial.value if trial.is_full else trial.best(maximize)
            compared = None if selection is None else selection.against_winner.get(trial.number)
            writer.writerow(
                [rank if trial.is_full else "", trial.number, trial.state, trial.end or "", trial.family]
                + ["" if best is None else best, low, high, "" if trial.is_at_once else outcome.get("best_epoch", "")]
                + ["" if trial.is_at_once else outcome.get("epochs", max(trial.reports, default=0)), outcome.get("seconds", ""), corpus, outcome.get("parameters", "")]
                + [outcome.get("gflops", ""), *("" if n is None else n for n in (trial.retry_of, trial.confirms)), trial.warm_start_of or "", trial.reason or ""]
                + [outcome.get("macro_f1", ""), *(outcome.get("macro_f1_interval") or ("", ""))]
                + _costs(outcome)
                + [standing.get(trial.number, ""), *(("",) * 4 if compared is None else _difference(compared, sign))]
                + [trial.params.get(name, "") for name in searched]
            )
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _costs(outcome: Mapping[str, Any]) -> list[Any]:
    """Over all legs of the trial's line of retries."""
    cost = outcome.get("cost") or {}
    found = [cost.get(name) for name in ("wall_seconds", "cpu_seconds", "peak_ram_mib", "energy_kwh", "emissions_kg")]
    return ["" if value is None else value for value in (*found, outcome.get("disk_bytes"))]


def _difference(compared: Paired, sign: int) -> list[Any]:
    """In the metric's own direction: of a loss, positive is the higher loss."""
    low, high = sorted(sign * end for end in compared.interval) if compared.interval else ("", "")
    return [sign * compared.difference, low, high, compared.p_value]


def _interval(outcome: dict[str, Any]) -> str:
    interval = outcome.get("interval")
    return f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else ""


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
