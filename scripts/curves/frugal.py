"""What a frugal search might do differently, on the table of recorded curves: rungs in seconds, cheap proposals, an end for hopeless curves.

A row's declared work is known before it is drawn, its seconds once it ran, as in a search. Small inputs and few items can't be tried on this table: it
holds what a whole training gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genre_models.families import cnn
from scripts.curves.table import Deck, Row
from search.schedule import rungs
from search.schedulers.ladder import EpochLadder, Ladder, SecondsLadder
from search.schedulers.stopping import Asha
from search.simulate import Curve
from search.space import FamilySpace
from search.thrift import Thrift
from search.trial import Decision, Trial

FACTOR, IMAGE, LABELS = 3, (64, 64, 1), 10
#: Of the recorded split: items trained and validated in an epoch.
TRAINED, VALIDATED = 452, 114
#: A parsimonious rule of thumb needs so many whole curves before it stops any.
_WHOLE_CURVES = 3


@dataclass(frozen=True)
class Way:
    """A way to search.

    Attributes
    ----------
    name : str
    first_second : float or None
        The first rung, in seconds of training; None: rungs in epochs.
    first_epoch : int
        The first rung in epochs.
    candidates : callable
        Number of a trial -> how many proposals are drawn for it.
    power : float or None
        One of several is taken by lot, its chance divided by this power of its predicted seconds; None: the one with the least declared work.
    is_extrapolating : bool
        Whether a trial ends where even the largest gain of a whole curve from there would not make it the best.
    """

    name: str
    first_second: float | None = None
    first_epoch: int = 1
    candidates: Callable[[int], int] = lambda number: 1
    power: float | None = 1
    is_extrapolating: bool = False

    def scheduler(self, epochs: int) -> Asha:
        """ASHA, in epochs or seconds."""
        return (Extrapolating if self.is_extrapolating else Asha)(self.ladder(epochs), FACTOR, True)

    def ladder(self, epochs: int) -> Ladder:
        """Its rungs."""
        return EpochLadder(rungs(self.first_epoch, epochs, FACTOR)) if self.first_second is None else SecondsLadder(self.first_second, FACTOR)


WAYS = (
    Way("epochs (as is)"),
    Way("epochs, from 3", first_epoch=3),
    Way("rungs from 0.3 s", 0.3),
    Way("rungs from 1 s", 1.0),
    Way("rungs from 3 s", 3.0),
    Way("one of 4 by cost", candidates=lambda number: 4),
    Way("rungs from 3 s, one of 4 by cost", 3.0, candidates=lambda number: 4),
    Way("one of 8 by the square", candidates=lambda number: 8, power=2),
    Way("rungs from 3 s, one of 8 by the square", 3.0, candidates=lambda number: 8, power=2),
    Way("the cheapest of 3", candidates=lambda number: 3, power=None),
    Way("the first 10 of the cheaper half", candidates=lambda number: 2 if number < 10 else 1, power=None),
    Way("the first 10 the cheapest of 3", candidates=lambda number: 3 if number < 10 else 1, power=None),
    Way("extrapolated curves", is_extrapolating=True),
)


class Extrapolating(Asha):
    """ASHA, and an end for trials of which no whole curve of their family gained enough from where they are.

    It takes the largest gain that was seen, so it errs by going on; parametric curves would need their own priors.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._whole: dict[str, list[np.ndarray]] = {}

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """As ASHA; between its rungs by extrapolation."""
        answer = super().decide(trial, epoch, best)
        whole = self._whole.get(trial.family, [])
        if answer is Decision.CONTINUE and len(whole) >= _WHOLE_CURVES:
            most = best + max(curve[-1] - curve[epoch - 1] for curve in whole)
            answer = Decision.STOP if most < max(curve[-1] for curve in whole) else answer
        return answer

    def ended(self, trial: Trial, requeued: bool) -> None:
        """A whole curve is one more to go by."""
        super().ended(trial, requeued)
        if trial.is_full:
            self._whole.setdefault(trial.family, []).append(np.maximum.accumulate([value for _, value in sorted(trial.reports.items())]))


class FrugalDeck(Deck):
    """A deck of rows in which each proposal stands for the nearest row left, and one of several is drawn by what it costs.

    Parameters
    ----------
    rows, spaces, sampler, seed
        As of `Deck`.
    way : Way
    works : sequence of float
        Declared work of an epoch, by row.
    """

    def __init__(self, rows: Sequence[Row], spaces: dict[str, FamilySpace], sampler: str, seed: int, way: Way, works: Sequence[float]) -> None:
        super().__init__(rows, spaces, sampler, seed, ladder=way.ladder(len(rows[0].curve.values)))
        self._way, self._works, self._seed = way, works, seed
        self._thrift = Thrift(lambda family, row: works[row["row"]], power=way.power or 0)

    def draw(self, number: int, family: str | None) -> Curve | None:
        """The row for a new trial; None where none is left."""
        left = [row for row in self._left if family in (None, row.curve.family)]
        if not left:
            return None
        rows = self._rows(left, number, family, self._way.candidates(number))
        if self._way.power is not None and len(rows) > 1:
            _, chosen = self._thrift.choose([(row.curve.family, {"row": row.curve.row}) for row in rows], hash((self._seed, number)))
            row = next(row for row in rows if row.curve.row == chosen["row"])
        else:
            row = min(rows, key=lambda row: self._works[row.curve.row]) if len(rows) > 1 else rows[0]
        self._left.remove(row)
        self._note_drawn(number, row)
        if self._proposer is not None:
            self._proposer.adopt(Trial(number, "RUNNING", {"family": row.curve.family}, self._params[number]))
        return row.curve

    def _rows(self, left: Sequence[Row], number: int, family: str | None, count: int) -> list[Row]:
        if self._proposer is None:
            first = self._random.choice(left)
            alike = [row for row in left if row.curve.family == first.curve.family]
            return [first, *(self._random.choice(alike) for _ in range(count - 1))]
        there = {row.curve.family for row in left}
        points = self._proposer.candidates(number, next(iter(there)) if len(there) == 1 else family, count)
        return [self._nearest_left(left, *point) for point in points]

    def learn(self, trial: Trial) -> None:
        """What came of a row: its score, and what an epoch took."""
        super().learn(trial)
        row = self._drawn[trial.number]
        trial.outcome = {"fit_seconds": row.curve.seconds * len(trial.reports), "epochs": len(trial.reports)}
        self._thrift.note(trial, {"row": row.curve.row})


def works_of(rows: Sequence[Row], spaces: dict[str, FamilySpace]) -> list[float]:
    """Declared work of an epoch of each row, 10^9 floating point operations."""
    passes = 3 * TRAINED + VALIDATED
    return [passes * cnn.estimate(spaces[row.curve.family].resolve(row.sampled(spaces[row.curve.family])), IMAGE, LABELS).gflops for row in rows]


def with_costs(rows: Sequence[Row], costs: str, works: Sequence[float]) -> list[Row]:
    """The rows as recorded, or with seconds of a space in which the dearest configuration takes 50 times as long as the cheapest.

    Parameters
    ----------
    rows : sequence of Row
    costs : {"recorded", "stretched", "declared", "dealt"}
        stretched: in the recorded order, logarithms scaled; declared: in the order of the declared work, as in spaces whose networks are larger than these;
        dealt: stretched, but dealt to the rows at random, so that neither score nor work says anything of them.
    works : sequence of float
        Declared, by row.
    """
    seconds = np.array([row.curve.seconds for row in rows])
    if costs != "recorded":
        mean, seconds = seconds.mean(), np.array(works) if costs == "declared" else seconds
        seconds = seconds ** (math.log(50) / math.log(seconds.max() / seconds.min()))
        seconds *= mean / seconds.mean()
    order = np.random.default_rng(0).permutation(len(rows)) if costs == "dealt" else np.arange(len(rows))
    return [replace(row, curve=replace(row.curve, seconds=float(took))) for row, took in zip(rows, seconds[order], strict=True)]
