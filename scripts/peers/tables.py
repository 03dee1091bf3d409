"""Markdown from the lines: medians over seeds with their ranges, what was never reached said as such. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from scripts.peers.curves import best_at, ratio_to_best, spread, times_faster
from scripts.peers.engines import ENGINES, is_ours
from scripts.peers.records import Line

NOTHING = "–"


def comparisons(lines: Iterable[Line]) -> dict[tuple[Any, ...], list[Line]]:
    """Lines that may stand in one table: of one space, corpus, time and number of cores."""
    found: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        found.setdefault((line["space"], line["corpus"], line["minutes"], line["cores"]), []).append(line)
    return found


def engines_of(lines: Sequence[Line]) -> list[str]:
    """Names of the engines that have a line, ours first."""
    there = {line["engine"] for line in lines}
    ordered = [*[name for name in ENGINES if name in there], *sorted(there - set(ENGINES))]
    return sorted(ordered, key=lambda name: not is_ours(name))


def runs_of(lines: Sequence[Line], engine: str, *, killed: bool = False) -> dict[int, Line]:
    """An engine's lines by seed."""
    return {line["seed"]: line for line in lines if line["engine"] == engine and line["killed"] == killed}


def speed_table(lines: Sequence[Line]) -> str:
    """How much sooner ours were as good as each peer's own final best, seed by seed."""
    rows = ["| ours | peer | seeds | peer's seconds to its best | ours to the same | times faster, median (range) | never reached |", "|---|---|---|---|---|---|---|"]
    names = engines_of(lines)
    for ours in filter(is_ours, names):
        for peer in (name for name in names if not is_ours(name)):
            pairs = _pairs(runs_of(lines, ours), runs_of(lines, peer))
            if pairs:
                reached = [mine for _, mine in pairs if mine is not None]
                told = [ours, peer, len(pairs), spread([took for took, _ in pairs], 0), spread(reached, 0), spread(times_faster(pairs), 1), len(pairs) - len(reached)]
                rows.append(_row(told))
    return "\n".join(rows)


def _pairs(ours: dict[int, Line], peer: dict[int, Line]) -> list[tuple[float, float | None]]:
    both = sorted(ours.keys() & peer.keys())
    found = (ratio_to_best(ours[seed]["curve"], peer[seed]["curve"], peer[seed]["maximize"], 60 * peer[seed]["minutes"]) for seed in both)
    return [pair for pair in found if pair is not None]


def seed_table(lines: Sequence[Line]) -> str:
    """Best validation at equal time, seed by seed: each deals its own validation tracks, so scores compare within a row alone. The best of a row is bold."""
    names = [name for name in engines_of(lines) if runs_of(lines, name)]
    rows = [_row(["seed", *names]), "|---" * (1 + len(names)) + "|"]
    for seed in sorted({seed for name in names for seed in runs_of(lines, name)}):
        runs = [runs_of(lines, name).get(seed) for name in names]
        found = [None if run is None else best_at(run["curve"], 60 * run["minutes"]) for run in runs]
        pick = max if lines[0]["maximize"] else min
        best = pick((value for value in found if value is not None), default=None)
        rows.append(_row([seed, *(NOTHING if value is None else f"**{value:.3f}**" if value == best else f"{value:.3f}" for value in found)]))
    return "\n".join(rows)


def engine_table(lines: Sequence[Line]) -> str:
    """What each engine came to in the same time, and what that took."""
    rows = [
        "| engine | seeds | best validation at equal time | winner on folds, mean [95 % intervals] | epochs | trials | seconds in training | overhead | peak memory, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for engine in engines_of(lines):
        runs = list(runs_of(lines, engine).values())
        if not runs:
            continue
        best = [value for run in runs if (value := best_at(run["curve"], 60 * run["minutes"])) is not None]
        trained = [run["training_seconds"] for run in runs if run.get("training_seconds") is not None]
        told = [engine, len(runs), spread(best, 3), _on_folds(runs), spread([run["epochs"] for run in runs], 0), spread([_configurations(run) for run in runs], 0)]
        rows.append(_row([*told, spread(trained, 0), _overhead(runs), spread([run["peak_mib"] for run in runs], 0)]))
    return "\n".join(rows)


def _configurations(run: Line) -> int:
    """How many were tried; lines that do not say count those twice that wait for another run when the time was up."""
    return run.get("configurations", sum(run["trials"].values()) - run["trials"].get("WAITING", 0))


def _on_folds(runs: Sequence[Line]) -> str:
    scored = [run["folds"] for run in runs if run.get("folds")]
    if not scored:
        return NOTHING
    intervals = ", ".join("{:.3f}–{:.3f}".format(*each["interval"]) for each in scored if each["interval"] is not None)
    return f"{statistics.mean(each['value'] for each in scored):.3f}" + (f" [{intervals}]" if intervals else "")


def _overhead(runs: Sequence[Line]) -> str:
    """Share of the worker time from the command to its end that was not training."""
    shares = [100 * run["overhead_seconds"] / (run["workers"] * run["wall_seconds"]) for run in runs if run.get("overhead_seconds") is not None]
    return f"{spread(shares, 1)} %" if shares else NOTHING


def survival_table(lines: Sequence[Line]) -> str:
    """What a SIGKILL of everything at half time left; empty where it was not measured."""
    rows = [
        "| engine | seeds | epochs kept of those trained | finished trials kept | trials under way taken up | epochs trained again | seconds to the next epoch | second run |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for engine in engines_of(lines):
        runs = [run for run in runs_of(lines, engine, killed=True).values() if run.get("survival")]
        found = [run["survival"] for run in runs]
        if found:
            again = ", ".join(NOTHING if run.get("trained_again") is None else str(run["trained_again"]) for run in runs)
            failed = [each["error"] or f"exit code {each['second_run']}" for each in found if each["second_run"] != 0]
            waited = [each["seconds_to_next_epoch"] for each in found if each["seconds_to_next_epoch"] is not None]
            parts = [_of(found, "epochs_kept", "epochs_before"), _of(found, "trials_kept", "trials_before"), _of(found, "taken_up", "under_way")]
            rows.append(_row([engine, len(found), *parts, again, spread(waited, 0), "; ".join(failed).replace("|", "/") or "ended well"]))
    return "\n".join(rows) if len(rows) > 2 else ""


def _of(found: Sequence[dict[str, Any]], part: str, whole: str) -> str:
    return ", ".join(f"{each[part]} of {each[whole]}" for each in found)


def conditions(lines: Sequence[Line]) -> str:
    """What the figures were measured on, in one paragraph; several machines or versions are all named."""
    machines = _distinct(f"{line['machine']['cpu']} ({', '.join(line['machine']['flags']) or 'no wide vectors'})" for line in lines if "machine" in line)
    packages = _distinct(", ".join(f"{name} {number}" for name, number in line["versions"].items() if number) for line in lines if "versions" in line)
    loads = [line["load_before"] for line in lines if "load_before" in line]
    settings = _distinct(f"{line['engine']} {line.get('resolved_precision') or line['precision']}" for line in lines if "precision" in line)
    seeds = sorted({line["seed"] for line in lines})
    told = [f"Cores: {lines[0]['cores']}. Seeds: {', '.join(map(str, seeds))}. Processor: {'; '.join(machines)}. Versions: {'; '.join(packages)}."]
    told.append(f"Precision: {', '.join(settings)}. Load when runs began: {spread(loads, 1)}. {_by_line('one commit', {key: str(line.get('revision')) for key, line in _named(lines)}, 'Commit')}")
    told.append(_by_line("one space", {key: line.get("space_sha256", "not noted") for key, line in _named(lines)}, "Space"))
    if beside := [100 * line["beside"] for line in lines if "beside" in line]:
        of = "" if len(beside) == len(lines) else f" ({len(beside)} of {len(lines)} runs say)"
        told.append(f"Processor time that other processes took meanwhile: {spread(beside, 1)} % of a core{of}.")
    memory = _distinct(str(line["memory"]).upper() for line in lines if line.get("memory"))
    told.append(f"Seconds count from the command. Memory is the largest sum over all processes of the command ({', '.join(memory)}), looked at every three seconds.")
    return "\n".join(told)


def _named(lines: Sequence[Line]) -> list[tuple[str, Line]]:
    return [(f"{line['engine']} {line['seed']}{' killed' if line['killed'] else ''}", line) for line in lines]


def _by_line(wanted: str, found: dict[str, str], name: str) -> str:
    """What was measured; where it was not the same for all, of whom each."""
    values = _distinct(found.values())
    if len(values) == 1:
        return f"{name}: {values[0]}."
    return f"**Not of {wanted}**: " + "; ".join(f"{value}: {', '.join(key for key, other in found.items() if other == value)}" for value in values) + "."


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
