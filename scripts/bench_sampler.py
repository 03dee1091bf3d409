"""What a sampler finds, on functions that cost nothing: what showing TPE fewer trials costs, and what a warm start is worth.

    python scripts/bench_sampler.py cap                TPE that is shown all trials, or of at most so many the best tenth and the newest
    python scripts/bench_sampler.py warm               a cold start beside warm ones, from 60 trials on the same problem, a similar and a misleading one
    python scripts/bench_sampler.py warm --recorded    likewise on recorded learning curves (scripts/curves), the nearest to what is proposed
    python scripts/bench_sampler.py defaults           declared defaults as the first trial, and further ones near them, at several distances from the optimum

The function has eight parameters, an optimum drawn with the seed, and noise; a trial's curve rises to its value, and ASHA stops trials by it (27
epochs, rungs at 3 and 9). Regret is what the configuration that would be named the winner lacks to the optimum, without the noise.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from genre_models.families import FAMILIES
from genre_models.settings import DataSettings, FeatureSettings
from scripts.curves.table import nearest_row, read_table
from search.config import load_space
from search.sampling import Proposer
from search.schedule import rungs
from search.schedulers.stopping import Asha
from search.space import ChoiceDomain, FamilySpace, FloatDomain, IntDomain, Parameter
from search.trial import Decision, End, Trial, defaults_of
from search.warm_start import NEAR_DEFAULTS, Configuration, WarmStart, known_of, queue_of, take_from

TABLE = Path(__file__).parent / "curves" / "gtzan-64.csv"
NOISE = 0.02
#: How much each parameter matters, 0 to 1.
WEIGHTS = {"a": 1.0, "b": 0.7, "c": 0.4, "n": 0.3, "d": 0.2, "e": 0.05, "f": 0.02}
KINDS = ("x", "y", "z")
DOMAINS = {name: IntDomain(2, 8) if name == "n" else FloatDomain(0.0, 1.0) for name in WEIGHTS} | {"kind": ChoiceDomain(KINDS)}
SPACE = FamilySpace("f", tuple(Parameter(name, domain) for name, domain in DOMAINS.items()), dict.fromkeys(WEIGHTS, 0.5) | {"n": 4, "kind": "x"}, 1)


@dataclass(frozen=True)
class Problem:
    """A function with its optimum, which is worth 1, in the unit cube."""

    optimum: Mapping[str, float]
    kind: str

    @classmethod
    def drawn(cls, seed: int) -> Problem:
        """Anywhere but at the edges."""
        chance = random.Random(seed)
        return cls({name: chance.uniform(0.1, 0.9) for name in WEIGHTS}, chance.choice(KINDS))

    def moved(self, seed: int, by: float) -> Problem:
        """Its optimum moved along every parameter, one way or the other."""
        chance = random.Random(seed)
        return Problem({name: min(0.95, max(0.05, at + chance.choice((-by, by)))) for name, at in self.optimum.items()}, self.kind)

    def opposite(self) -> Problem:
        """Its optimum half the range away along every parameter: where the one is good the other is bad."""
        return Problem({name: (at + 0.5) % 1 for name, at in self.optimum.items()}, KINDS[(KINDS.index(self.kind) + 1) % 3])

    def value(self, sampled: Mapping[str, Any]) -> float:
        """Without noise."""
        at = {name: (sampled[name] - 2) / 6 if name == "n" else sampled[name] for name in WEIGHTS}
        lacks = sum(weight * abs(at[name] - self.optimum[name]) ** 1.5 for name, weight in WEIGHTS.items())
        return 1 - lacks - (0 if sampled["kind"] == self.kind else 0.15)

    def sampled(self) -> dict[str, Any]:
        """The configuration at the optimum, or nearly so."""
        return {name: round(2 + 6 * at) if name == "n" else at for name, at in self.optimum.items()} | {"kind": self.kind}

    def curve(self, seed: int) -> Callable[[Mapping[str, Any]], list[float]]:
        """(sampled parameters) -> what a trial reports, with noise."""
        chance = random.Random(seed)

        def values(sampled: Mapping[str, Any]) -> list[float]:
            level = self.value(sampled) + chance.gauss(0, NOISE)
            return [level - math.exp(-epoch / 3) for epoch in range(1, 28)]

        return values


def search(space: FamilySpace, curve: Callable[[Mapping[str, Any]], Sequence[float]], proposer: Proposer, trials: int) -> list[Trial]:
    """One worker's trials, under ASHA."""
    scheduler, done = None, []
    for number in range(trials):
        family, sampled, written = proposer.propose(number)
        values = curve(sampled)
        scheduler = scheduler or Asha(rungs(3, len(values), 3), 3, True)
        spec = {"family": family, "params": space.resolve(sampled), "epochs": len(values), "warm_start_of": proposer.origin_of(number)}
        trial = Trial(number, "RUNNING", spec, {name: value for name, (value, _) in written.items()})
        for epoch, value in enumerate(values, 1):
            trial.reports[epoch] = value
            if epoch < len(values) and scheduler.decide(trial, epoch, trial.best(True)) is Decision.STOP:
                break
        end = End.FULL if len(trial.reports) == len(values) else End.PRUNED
        trial.end, trial.state = str(end), end.state
        trial.value = trial.best(True) if end is End.FULL else trial.reports[max(trial.reports)]
        scheduler.ended(trial, requeued=False)
        proposer.learn(trial)
        done.append(trial)
    return done


def regrets(trials: Sequence[Trial], best: float, value: Callable[[Mapping[str, Any]], float], at: Sequence[int]) -> list[float]:
    """What the leader after so many trials lacks."""
    found = []
    for count in at:
        full = [t for t in trials[:count] if t.is_full]
        found.append(best - value(max(full, key=lambda t: t.value).spec["params"]))
    return found


def warm_from(space: FamilySpace, trials: Sequence[Trial], stand_ins: bool) -> WarmStart:
    """What a study takes over from one with these trials."""
    taken = [take_from("source", trials, {space.name: space}, maximize=True)]
    return WarmStart(("source",), queue_of(taken), known_of(taken) if stand_ins else ())


def run_cap(options: argparse.Namespace) -> None:
    at = [options.trials // 4, options.trials // 2, options.trials]
    print(f"{options.seeds} functions, {options.trials:,} trials each; mean, 95 % interval\n")
    print(f"| shown at most | {' | '.join(f'regret after {n:,}' for n in at)} | value of the last {at[0]:,} proposals |\n|---|{'---|' * (len(at) + 1)}")
    for most in (None, *options.most):
        rows = []
        for seed in range(options.seeds):
            problem, proposer = Problem.drawn(seed), Proposer({"f": SPACE}, "tpe", seed, True, shown=most or options.trials)
            trials = search(SPACE, problem.curve(seed), proposer, options.trials)
            late = float(np.mean([problem.value(t.spec["params"]) for t in trials[-at[0] :]]))
            rows.append([*regrets(trials, 1.0, problem.value, at), late])
        print(f"| {'all' if most is None else f'{most:,}'} | {' | '.join(mean_text([row[i] for row in rows]) for i in range(len(at) + 1))} |", flush=True)


@dataclass(frozen=True)
class World:
    """A problem, and those that a search on it may begin from.

    Attributes
    ----------
    space : FamilySpace
    best : float
    value : callable
        (parameters) -> the value without noise.
    curve : callable
        (name of a source or "", seed) -> its curves.
    """

    space: FamilySpace
    best: float
    value: Callable[[Mapping[str, Any]], float]
    curve: Callable[[str, int], Callable[[Mapping[str, Any]], Sequence[float]]]


SOURCES = ("the same problem", "a similar one", "a misleading one")


def made_up(seed: int) -> World:
    """A function of eight parameters."""
    problem = Problem.drawn(seed)
    others = {"a similar one": problem.moved(seed, 0.15), "a misleading one": problem.opposite()}
    return World(SPACE, 1.0, problem.value, lambda name, seed: others.get(name, problem).curve(seed))


def recorded(seed: int) -> World:
    """Networks on GTZAN images; misleading is a table of the same networks with their scores turned over."""
    rows = read_table(TABLE)
    space = load_space(TABLE.parent / "space.yaml", FAMILIES, {"data": DataSettings, "features": FeatureSettings}).families["cnn"]

    def curve(name: str, seed: int) -> Callable[[Mapping[str, Any]], Sequence[float]]:
        turned = name == "a misleading one"
        return lambda sampled: [1 - v if turned else v for v in nearest_row(rows, space, sampled).curve.values]

    best = max(max(row.curve.values) for row in rows)
    return World(space, best, lambda params: max(nearest_row(rows, space, params).curve.values), curve)


def run_warm(options: argparse.Namespace) -> None:
    at = (5, 10, 20, 40, 80)
    worlds, sources = (recorded, SOURCES[::2]) if options.recorded else (made_up, SOURCES)
    print(f"{options.seeds} searches of each kind; mean regret, 95 % interval\n")
    print(f"| begun from | taken over | {' | '.join(f'after {n}' for n in at)} |\n|---|---|{'---|' * len(at)}")
    found: dict[tuple[str, str], list[list[float]]] = {("nothing", ""): []}
    for seed in range(options.seeds):
        world = worlds(seed)

        def run(name: str, warm: WarmStart, seed: int = seed, world: World = world) -> list[Trial]:
            proposer = Proposer({world.space.name: world.space}, "tpe", seed, True, warm=warm)
            return search(world.space, world.curve(name, seed), proposer, at[-1])

        found["nothing", ""].append(regrets(run("", WarmStart()), world.best, world.value, at))
        for name in sources:
            before = run(name, WarmStart(), seed + 1000)[:60]
            for what, stand_ins in (("configurations", False), ("configurations and trials", True)):
                trials = run("", warm_from(world.space, before, stand_ins))
                found.setdefault((name, what), []).append(regrets(trials, world.best, world.value, at))
    for (name, what), rows in found.items():
        print(f"| {name} | {what} | {' | '.join(mean_text([row[i] for row in rows]) for i in range(len(at)))} |", flush=True)


def run_defaults(options: argparse.Namespace) -> None:
    at = (5, 10, 20, 40, 80)
    print(f"{options.seeds} searches of each kind; mean regret, 95 % interval\n")
    print(f"| the defaults are | tried | {' | '.join(f'after {n}' for n in at)} |\n|---|---|{'---|' * len(at)}")
    ways = {"not": (False, 0), "as the first trial": (True, 0), "and every second of the first ten near them": (True, NEAR_DEFAULTS)}
    places = {
        "0.1 of the range from the optimum along every parameter": lambda problem, seed: problem.moved(seed, 0.1),
        "0.2 of it": lambda problem, seed: problem.moved(seed, 0.2),
        "0.3 of it": lambda problem, seed: problem.moved(seed, 0.3),
        "half of it": lambda problem, seed: problem.opposite(),
    }
    for place, moved in places.items():
        for way, (tried, near) in ways.items():
            if way == "not" and place != next(iter(places)):
                continue  # it is the same wherever the defaults are
            rows = []
            for seed in range(options.seeds):
                problem = Problem.drawn(seed)
                defaults = Configuration(defaults_of(SPACE.name), SPACE.name, moved(problem, seed).sampled())
                proposer = Proposer({SPACE.name: SPACE}, "tpe", seed, True, warm=WarmStart(queue=(defaults,) if tried else ()), near=near)
                rows.append(regrets(search(SPACE, problem.curve(seed), proposer, at[-1]), 1.0, problem.value, at))
            columns = " | ".join(mean_text([row[i] for row in rows]) for i in range(len(at)))
            print(f"| {place if tried else 'anywhere'} | {way} | {columns} |", flush=True)


def mean_text(values: Sequence[float]) -> str:
    """Mean and the 95 % bootstrap interval of the mean."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{np.mean(values):.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("cap", help="what showing TPE fewer trials costs")
    p.add_argument("--trials", type=int, default=2000)
    p.add_argument("--most", type=int, nargs="+", default=[1000, 500])
    p.add_argument("--seeds", type=int, default=5)
    p.set_defaults(run=run_cap)
    p = commands.add_parser("warm", help="what a warm start is worth")
    p.add_argument("--recorded", action="store_true", help="on the recorded curves of scripts/curves instead of functions")
    p.add_argument("--seeds", type=int, default=30)
    p.set_defaults(run=run_warm)
    p = commands.add_parser("defaults", help="what declared defaults are worth, and what is near them")
    p.add_argument("--seeds", type=int, default=30)
    p.set_defaults(run=run_defaults)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
