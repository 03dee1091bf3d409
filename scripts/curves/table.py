"""Recorded learning curves as a small CSV file, and drawing from them.

A row is a configuration that was trained to the end: its parameters, the seconds of an epoch (of a fast one, the tenth part, since other work on
the machine only ever adds), and how many validation tracks were right after each epoch.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import yaml

from search.sampling import Proposer
from search.schedulers.ladder import EpochLadder, Ladder
from search.simulate import Curve
from search.space import ChoiceDomain, FamilySpace, Parameter
from search.trial import Trial

COLUMNS = ("family", "seconds", "n_validation", "hits")


@dataclass(frozen=True)
class Row:
    """A configuration and its curve."""

    params: dict[str, Any]
    curve: Curve

    def sampled(self, space: FamilySpace) -> dict[str, Any]:
        """Its values of the space's searched parameters, as far as they are active."""
        return {p.name: _of_domain(p, self.params[p.name]) for p in space.searched if p.name in self.params}


def write_table(path: Path, trials: Sequence[Trial]) -> int:
    """Write the trials that ran to the end; returns how many."""
    full = [t for t in trials if t.end == "full"]
    names = sorted({name.partition("/")[2] for t in full for name in t.params if "/" in name})
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow([*COLUMNS, *names])
        for trial in full:
            n = trial.outcome["n_validation"]
            seconds = quantiles((epoch["seconds"] for epoch in trial.outcome["history"]), n=10)[0]
            hits = " ".join(str(round(n * value)) for _, value in sorted(trial.reports.items()))
            values = [trial.params.get(f"{trial.family}/{name}", "") for name in names]
            writer.writerow([trial.family, f"{seconds:.4g}", n, hits, *(f"{v:.6g}" if isinstance(v, float) else v for v in values)])
    return len(full)


def read_table(path: Path) -> list[Row]:
    """The rows of a table; an empty cell is a parameter that was not active."""
    rows = []
    with path.open(newline="", encoding="utf-8") as handle:
        for number, cells in enumerate(csv.DictReader(handle)):
            values = tuple(int(hits) / int(cells["n_validation"]) for hits in cells["hits"].split())
            params = {k: yaml.safe_load(v) if v[:1] not in "0123456789" else float(v) for k, v in cells.items() if k not in COLUMNS and v != ""}
            rows.append(Row(params, Curve(cells["family"], values, float(cells["seconds"]), number)))
    return rows


class Deck:
    """Draws each row once: at random, or the one left that is nearest to what a sampler proposes.

    Parameters
    ----------
    rows : sequence of Row
    spaces : mapping of str to FamilySpace
        By family of the rows.
    sampler : {"random", "tpe"}
    seed : int
    ranking : {"optuna", "levelled"}
        Of `search.sampling.Proposer`, as is `ladder`.
    """

    def __init__(self, rows: Sequence[Row], spaces: Mapping[str, FamilySpace], sampler: str, seed: int, ranking: str = "optuna", ladder: Ladder = EpochLadder(())) -> None:
        self._left, self._spaces, self._random = list(rows), spaces, random.Random(seed)
        self._proposer = None if sampler == "random" else Proposer(spaces, sampler, seed, True, ranking, ladder=ladder)
        self._params: dict[int, dict[str, Any]] = {}
        self._drawn: dict[int, Row] = {}

    def draw(self, number: int, family: str | None) -> Curve | None:
        """The row for a new trial; None where none is left."""
        left = [row for row in self._left if family in (None, row.curve.family)]
        if not left:
            return None
        row = self._random.choice(left) if self._proposer is None else self._nearest(left, number, family)
        self._left.remove(row)
        self._note_drawn(number, row)
        return row.curve

    def _note_drawn(self, number: int, row: Row) -> None:
        family = row.curve.family
        self._drawn[number] = row
        self._params[number] = {"family": family} | {f"{family}/{name}": value for name, value in row.sampled(self._spaces[family]).items()}

    def _nearest(self, left: Sequence[Row], number: int, family: str | None) -> Row:
        there = {row.curve.family for row in left}
        family, proposed, _ = self._proposer.propose(number, next(iter(there)) if len(there) == 1 else family)
        return self._nearest_left(left, family, proposed)

    def _nearest_left(self, left: Sequence[Row], family: str, proposed: Mapping[str, Any]) -> Row:
        return nearest_row([row for row in left if row.curve.family == family], self._spaces[family], proposed)

    def learn(self, trial: Trial) -> None:
        """What came of a drawn row: told of the row, not of the proposal it stands for."""
        if self._proposer is not None:
            trial.params = self._params[trial.number]
            self._proposer.learn(trial)


def nearest_row(rows: Sequence[Row], space: FamilySpace, proposed: Mapping[str, Any]) -> Row:
    """The recorded configuration that is most like a proposed one."""
    return min(rows, key=lambda row: sum(_distance(p, proposed, row.params) for p in space.searched))


def _of_domain(parameter: Parameter, value: Any) -> Any:
    if isinstance(parameter.domain, ChoiceDomain):
        return next(v for v in parameter.domain.values if v == value)
    return type(parameter.domain.low)(value)


def _distance(parameter: Parameter, proposed: Mapping[str, Any], params: Mapping[str, Any]) -> float:
    """Squared, in the unit cube; 1 between different choices, a quarter where one of the two has no value."""
    name, domain = parameter.name, parameter.domain
    if (name in proposed) != (name in params):
        return 0.25
    if name not in proposed:
        return 0.0
    a, b = proposed[name], params[name]
    if isinstance(domain, ChoiceDomain):
        return float(a != b)
    scale = math.log if domain.log else float
    return ((scale(a) - scale(b)) / (scale(domain.high) - scale(domain.low))) ** 2
