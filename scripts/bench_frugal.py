"""Does a search get further by minding what configurations cost? Recorded curves, replayed in simulated seconds; and how well seconds are predicted.

    python scripts/bench_frugal.py --sampler random --seeds 200                  random proposals: under a minute
    python scripts/bench_frugal.py --sampler tpe --seeds 50 --results FILE       TPE: two seconds a search; FILE keeps them, so that runs add up
    python scripts/bench_frugal.py seconds                                       the predictor, leaving one configuration out: of the table,
    python scripts/bench_frugal.py seconds --study NAME                          or of the trials of a study
    python scripts/bench_frugal.py runs --study NAME NAME --minutes 2 6 12       what real searches had come to by then

Regret is the best score of the table minus the score, at the full budget, of the configuration that would be named the winner at that time; its mean
over time counts each doubling of the time alike. Differences are to `epochs (as is)`, paired by seed; intervals (95 %) are bootstraps over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.bench_schedulers import TABLE, WORKERS, family_of, two_families
from scripts.curves.frugal import WAYS, FrugalDeck, Way, with_costs, works_of
from scripts.curves.table import Row, read_table
from scripts.ending import exit_code_of
from search.errors import StudyError
from search.predicted_seconds import PRIOR_SLOPE, SecondsModel, Timed
from search.simulate import simulate
from search.study_view import StudyView, read_study

COSTS = ("recorded", "stretched", "declared", "dealt")
#: When to ask who wins, in full trainings of a middling configuration over all workers; and how near to the best counts as reached.
AT, WITHIN = (1, 2, 4, 8, 16), (0.03, 0.05)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="?", choices=("replay", "seconds", "runs"), default="replay", help="replay the table (default), predict its seconds, or compare studies")
    p.add_argument("--sampler", choices=("random", "tpe"), default="random", help="what proposes (default: random)")
    p.add_argument("--seeds", type=int, default=200, help="searches of each kind (default: 200)")
    p.add_argument("--costs", nargs="+", choices=COSTS, default=COSTS, help="seconds as recorded; or 1 : 50 apart, in their own order, in that of the declared work, or at random (default: all)")
    p.add_argument("--ways", nargs="+", metavar="NAME", help=f"only these, beside the first: {', '.join(way.name for way in WAYS)}")
    p.add_argument("--study", metavar="NAME", nargs="+", default=[], help="seconds: of these studies' trials instead; runs: the studies")
    p.add_argument("--minutes", type=float, nargs="+", default=[2, 4, 8, 12], help="runs: when to look (default: 2 4 8 12)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"))
    p.add_argument("--results", type=Path, metavar="FILE", help="add each search as a line of JSON, and skip those that are there")
    return p


def main() -> int:
    """Run the command."""
    options = parser().parse_args()
    if options.what == "runs" and not options.study:
        parser().error("runs needs --study NAME …")
    return exit_code_of(lambda: _run(options), stopped="stopped; with --results the same command goes on")


def _run(options: argparse.Namespace) -> int:
    if options.what == "runs":
        print(runs_text([read_study(options.studies_dir, name) for name in options.study], options.minutes))
        return 0
    spaces = two_families()
    rows = [replace(row, curve=replace(row.curve, family=family_of(row))) for row in read_table(TABLE)]
    works = works_of(rows, spaces)
    if options.what == "seconds":
        recorded = [Timed(row.curve.family, work, row.curve.seconds) for row, work in zip(rows, works, strict=True)]
        for study in options.study or [None]:
            print(errors_text(recorded if study is None else timed_of(options.studies_dir, study)))
        return 0
    ways = [way for way in WAYS if options.ways is None or way.name in (WAYS[0].name, *options.ways)]
    known = read_results(options.results)
    full = float(np.median([row.curve.seconds * len(row.curve.values) for row in rows]))
    marks = tuple(f"after {at}" for at in AT)
    for costs in options.costs:
        dealt = with_costs(rows, costs, works)
        print(f"\ncosts {costs}, sampler {options.sampler}, {options.seeds} seeds, a middling full training {full:.0f} s on each of {WORKERS} workers\n")
        print(f"| way | {' | '.join(marks)} | mean over time | difference | seconds to {WITHIN[1]} of the best |\n|{'---|' * (len(AT) + 4)}")
        base: np.ndarray | None = None
        for way in ways:
            told = [search(dealt, works, way, options.sampler, costs, seed, full, known, options.results) for seed in range(options.seeds)]
            regrets = np.array([[*t["regrets"], t["mean"]] for t in told])
            base = regrets if base is None else base
            print(line_text(way.name, regrets, base, [t["reached"][1] for t in told]), flush=True)
    return 0


def search(
    rows: list[Row], works: list[float], way: Way, sampler: str, costs: str, seed: int, full: float, known: dict[str, dict], results: Path | None
) -> dict:
    """One simulated search, or what is known of it: regrets at the times, their mean over time, and seconds until the named winner is near the best."""
    key = json.dumps([costs, way.name, sampler, seed])
    if key not in known:
        spaces = two_families()
        deck = FrugalDeck(rows, spaces, sampler, seed, way, works)
        last = AT[-1] * full / WORKERS
        done = simulate(way.scheduler(len(rows[0].curve.values)), deck.draw, workers=WORKERS, seconds=last, learn=deck.learn)
        best, nothing = (f(max(row.curve.values) for row in rows) for f in (max, lambda scores: np.mean(list(scores))))
        steps = [(0.0, float(best - nothing)), *((at, best - max(done.curves[number].values)) for at, number in done.leaders)]

        def regret(second: float) -> float:
            return next(value for at, value in reversed(steps) if at <= second)

        known[key] = {
            "regrets": [regret(at * full / WORKERS) for at in AT],
            "mean": float(np.mean([regret(second) for second in np.geomspace(AT[0] * full / WORKERS / 2, last, 100)])),
            "reached": [next((at for at, value in steps if value <= near + 1e-9), last) for near in WITHIN],
        }
        if results is not None:
            with results.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps([key, known[key]]) + "\n")
    return known[key]


def read_results(path: Path | None) -> dict[str, dict]:
    """What a file has of earlier runs."""
    if path is None or not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def line_text(name: str, regrets: np.ndarray, base: np.ndarray, reached: list[float]) -> str:
    """A line of the table."""
    means = " | ".join(f"{value:.3f}" for value in regrets.mean(axis=0))
    return f"| {name} | {means} | {difference_text(regrets[:, -1] - base[:, -1])} | {np.median(reached):.0f} |"


def difference_text(values: np.ndarray) -> str:
    """Mean and the 95 % bootstrap interval of the mean."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def timed_of(studies_dir: Path, study: str) -> list[Timed]:
    """What the trials of a study took; their work is that of one item, which in one study is in proportion to an epoch's."""
    trials = [t for t in read_study(studies_dir, study).trials if t.outcome.get("gflops") and t.outcome.get("fit_seconds") and not t.is_at_once]
    if len(trials) < 5:
        raise StudyError(f"study '{study}': {len(trials)} trials told their work and seconds; five are needed to leave one out")
    return [Timed(t.family, t.outcome["gflops"], t.outcome["fit_seconds"] / t.outcome["epochs"] / t.outcome.get("parts", 1)) for t in trials]


def errors_text(timed: list[Timed]) -> str:
    """How far predictions are off: leaving one configuration out, and with only the first few known."""
    lines = ["| known | median ratio | nine in ten within |", "|---|---|---|"]
    for first in sorted({0, 3, min(10, len(timed) - 1), len(timed) - 1}):
        ratios = []
        for i, one in enumerate(timed):
            others = (timed[i + 1 :] + timed[:i])[:first]
            ratio = SecondsModel(others).seconds(one.family, one.work) / one.seconds
            ratios.append(ratio)
        scale = np.median(ratios) if first == 0 else 1.0  # without a trial predictions compare, no more
        off = np.exp(np.abs(np.log(np.array(ratios) / scale)))
        lines.append(f"| {first if first else 'none (relative)'} | {np.median(off):.2f} | {np.quantile(off, 0.9):.2f} |")
    constant = np.array([one.seconds for one in timed])
    off = np.exp(np.abs(np.log(constant / np.median(constant))))
    lines.append(f"| the median of all, whatever the work | {np.median(off):.2f} | {np.quantile(off, 0.9):.2f} |")
    return "\n".join([*lines, "", f"log seconds over log work: slope {SecondsModel(timed).slope:.2f} (before any trial: {PRIOR_SLOPE})"])


def runs_text(views: list[StudyView], minutes: list[float]) -> str:
    """What searches had come to: the best score of any epoch, and of any whole trial, reported by then."""
    head = " | ".join(f"{at:g} min" for at in minutes)
    lines = [f"| study | {head} | whole trials: {head} | trials | epochs | seconds of an epoch, median |\n|{'---|' * (2 * len(minutes) + 4)}"]
    for view in views:
        better = max if view.maximize else min
        seen = [(t.reported_at[e], value) for t in view.trials for e, value in t.reports.items() if e in t.reported_at and t.confirms is None]
        whole = [(t.reported_at[max(t.reports)], t.value) for t in view.trials if t.is_full and t.reports and max(t.reports) in t.reported_at]
        best = [[better((v for at, v in scores if at <= 60 * limit), default=None) for limit in minutes] for scores in (seen, whole)]
        cells = " | ".join("–" if value is None else f"{value:.3f}" for values in best for value in values)
        took = [t.outcome["fit_seconds"] / t.outcome["epochs"] for t in view.trials if t.outcome.get("fit_seconds") and t.outcome.get("epochs")]
        lines.append(f"| {view.name} | {cells} | {sum(t.counts for t in view.trials)} | {len(seen)} | {np.median(took) if took else float('nan'):.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
