"""Which scheduler, with which sampler, names the best configuration soonest? Recorded curves, replayed in simulated time.

    python -m search.run --space scripts/curves/space.yaml --data gtzan:FOLDER --study curves     records the curves: an hour or two
    python scripts/bench_schedulers.py table --study curves                                       writes scripts/curves/gtzan-64.csv
    python scripts/bench_schedulers.py                                                            replays them: a quarter of an hour

Regret is the best score of the table minus the score, at the full budget, of the configuration that would be named the winner when the time is
up; its interval (95 %, bootstrap over seeds) is of the mean. Time is counted in full trainings of a middling configuration, over all workers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from genre_models.families import FAMILIES
from genre_models.settings import DataSettings, FeatureSettings
from scripts.curves.table import Deck, Row, read_table, write_table
from search.config import load_space
from search.schedule import brackets, rungs
from search.schedulers import Scheduler
from search.schedulers.hyperband import Hyperband
from search.schedulers.promotion import AshaPromotion
from search.schedulers.stopping import Asha, RunAll
from search.simulate import simulate
from search.space import FamilySpace, Fixed
from search.study_view import read_study

HERE = Path(__file__).parent / "curves"
TABLE = HERE / "gtzan-64.csv"
FACTOR, WORKERS = 3, 2


@dataclass(frozen=True)
class Variant:
    """A scheduler of the comparison.

    Attributes
    ----------
    name : str
    make : callable
        (least epochs, most epochs, families) -> scheduler.
    by_family : bool
        Whether networks with and without batch norm are two families.
    """

    name: str
    make: Callable[[int, int, tuple[str, ...]], Scheduler]
    by_family: bool


VARIANTS = (
    Variant("none", lambda least, most, families: RunAll(), False),
    Variant("asha, one table for all", lambda least, most, families: Asha(rungs(least, most, FACTOR), FACTOR, True), False),
    Variant("asha", lambda least, most, families: Asha(rungs(least, most, FACTOR), FACTOR, True), True),
    Variant("asha_promotion", lambda least, most, families: AshaPromotion(rungs(least, most, FACTOR), FACTOR, True), True),
    Variant("hyperband", lambda least, most, families: Hyperband(brackets(least, most, FACTOR), families, True), True),
)
SAMPLERS = (("random", "optuna"), ("tpe", "optuna"), ("tpe", "levelled"))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="?", choices=("replay", "table"), default="replay", help="replay the table (default), or write it from a study")
    p.add_argument("--study", default="curves", help="table: the study with the recorded curves (default: curves)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"))
    p.add_argument("--seeds", type=int, default=50, help="searches of each kind (default: 50)")
    p.add_argument("--min-epochs", type=int, nargs="+", default=[1, 3], help="first rungs to try (default: 1 3)")
    p.add_argument("--at", type=float, nargs="+", default=[2, 4, 8, 16], help="when to ask who wins, in full trainings (default: 2 4 8 16)")
    return p


def main() -> int:
    """Run the command."""
    options = parser().parse_args()
    if options.what == "table":
        count = write_table(TABLE, read_study(options.studies_dir, options.study).trials)
        print(f"{count} curves written to {TABLE}")
        return 0
    tell(read_table(TABLE), options)
    return 0


def tell(rows: list[Row], options: argparse.Namespace) -> None:
    """Replay and print the table of regrets."""
    finals = np.array([max(row.curve.values) for row in rows])
    full = np.median([row.curve.seconds * len(row.curve.values) for row in rows])
    print(f"{len(rows)} curves of {len(rows[0].curve.values)} epochs; scores {finals.min():.3f} to {finals.max():.3f}, median {np.median(finals):.3f};")
    print(f"a middling full training takes {full:.0f} s; {WORKERS} workers; {options.seeds} seeds; regret when the time is up (mean, 95 % interval)\n")
    head = " | ".join(f"after {at:g}" for at in options.at)
    print(f"| scheduler | first rung | sampler | {head} | full trainings by then |\n|---|---|---|{'---|' * (len(options.at) + 1)}")
    for variant in VARIANTS:
        for least in options.min_epochs if variant.name != "none" else options.min_epochs[:1]:
            for sampler, ranking in SAMPLERS:
                told = [search(rows, variant, least, sampler, ranking, seed, [at * full / WORKERS for at in options.at]) for seed in range(options.seeds)]
                regrets = finals.max() - np.array([scores for scores, _ in told])
                cells = " | ".join(mean_text(regrets[:, i]) for i in range(len(options.at)))
                ranked = "" if ranking == "optuna" else ", levelled"
                rung = "" if variant.name == "none" else least
                print(f"| {variant.name} | {rung} | {sampler}{ranked} | {cells} | {np.mean([n for _, n in told]):.1f} |", flush=True)


def search(rows: list[Row], variant: Variant, least: int, sampler: str, ranking: str, seed: int, times: list[float]) -> tuple[list[float], int]:
    """One simulated search: the winner's full score at each time, and how many trials had the full budget at the end."""
    spaces = two_families() if variant.by_family else one_family()
    named = [replace(row, curve=replace(row.curve, family=family_of(row) if variant.by_family else "cnn")) for row in rows]
    deck = Deck(named, spaces, sampler, seed, ranking)
    most = len(rows[0].curve.values)
    done = simulate(variant.make(least, most, tuple(spaces)), deck.draw, workers=WORKERS, seconds=max(times), learn=deck.learn)
    leaders = [done.leader(at) for at in times]
    # Before anything was seen, any row is as good as another: the mean.
    nothing = float(np.mean([max(row.curve.values) for row in rows]))
    return [nothing if leader is None else max(leader.values) for leader in leaders], sum(t.is_full for t in done.trials)


def family_of(row: Row) -> str:
    """Networks without batch norm start later; they stand in for a second family."""
    return "norm" if row.params["batch_norm"] else "plain"


def one_family() -> dict[str, FamilySpace]:
    """The recorded space as it is."""
    config = load_space(HERE / "space.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings})
    return {"cnn": config.families["cnn"]}


def two_families() -> dict[str, FamilySpace]:
    """The recorded space, with and without batch norm."""
    space = one_family()["cnn"]

    def with_norm(value: bool) -> FamilySpace:
        return replace(space, parameters=tuple(replace(p, domain=Fixed(value)) if p.name == "batch_norm" else p for p in space.parameters))

    return {"norm": with_norm(True), "plain": with_norm(False)}


def mean_text(values: np.ndarray) -> str:
    """Mean and the 95 % bootstrap interval of the mean."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
