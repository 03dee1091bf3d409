"""Readings of a machine's meter, and what of them belongs to a trial. Pure. Units: seconds, kWh."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from search.trial_cost import PARTS

#: Readings that are kept: at one every two seconds those of a day and a half. A longer leg of a trial is priced by what is left.
_KEPT = 75_000


class Reading(NamedTuple):
    """Sums since the meter began: processor seconds of all of the search's processes on the machine, and their energy by part (0 where there is none)."""

    at: float
    cpu_seconds: float
    kwh: tuple[float, float, float]


class Ledger:
    """What a machine's meter has told, in order.

    Between readings it is taken for even. What came before the first two is priced as what came between them: the meter needs a few seconds to begin.

    Parameters
    ----------
    began : float
        When the search did.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._first: Reading | None = None
        self._readings: deque[Reading] = deque(maxlen=_KEPT)
        self._has_gpu = False

    def add(self, found: Mapping[str, Any]) -> None:
        """Take in a reading of `search.node_meter`."""
        self._has_gpu = self._has_gpu or found["gpu"] is not None
        reading = Reading(found["at"], found["cpu_seconds"], tuple(found[part] or 0.0 for part in PARTS))
        if self._readings:
            self._readings.append(self._moved(reading))
        elif self._first is None or reading.cpu_seconds <= self._first.cpu_seconds:
            self._first = reading
        else:
            self._begin(self._first, reading)

    def _begin(self, first: Reading, second: Reading) -> None:
        """Two readings with work between them: now there is a price."""
        used = second.cpu_seconds - first.cpu_seconds
        self._before = tuple((b - a) / used * first.cpu_seconds - a for a, b in zip(first.kwh, second.kwh, strict=True))
        self._readings.append(Reading(min(self._began, first.at), 0.0, (0.0, 0.0, 0.0)))
        self._readings += [self._moved(first), self._moved(second)]

    def _moved(self, reading: Reading) -> Reading:
        return reading._replace(kwh=tuple(a + b for a, b in zip(reading.kwh, self._before, strict=True)))

    @property
    def total(self) -> dict[str, float | None] | None:
        """Energy by part until the last reading; None as long as there is no price."""
        return self._by_part(self._readings[-1].kwh) if self._readings else None

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds until the last reading."""
        return self._readings[-1].cpu_seconds if self._readings else 0.0

    def share(self, since: float, until: float, cpu_seconds: float) -> dict[str, float | None] | None:
        """Energy by part of work that used so many processor seconds between two moments; None as long as there is no price.

        Its price of a processor second is that of all that the search did on the machine meanwhile, so that what runs at the same time shares what the
        machine took, idle parts too. After the last reading that is the price of before.
        """
        if not self._readings:
            return None
        last = self._readings[-1]
        until = min(until, last.at)
        since = min(since, self._readings[-2].at, until)
        start, end = self._at(since), self._at(until)
        used = end.cpu_seconds - start.cpu_seconds
        if used <= 0:  # nothing was seen to be used there: the price of all
            start, end, used = self._readings[0], last, last.cpu_seconds - self._readings[0].cpu_seconds
        if used <= 0:
            return None
        return self._by_part(tuple((b - a) / used * cpu_seconds for a, b in zip(start.kwh, end.kwh, strict=True)))

    def _at(self, moment: float) -> Reading:
        place = bisect_left(self._readings, moment, key=lambda reading: reading.at)
        if place == 0:
            return self._readings[0]
        before, after = self._readings[place - 1], self._readings[min(place, len(self._readings) - 1)]
        way = 1.0 if after.at <= before.at else min(1.0, (moment - before.at) / (after.at - before.at))
        between = [a + way * (b - a) for a, b in zip((before.cpu_seconds, *before.kwh), (after.cpu_seconds, *after.kwh), strict=True)]
        return Reading(moment, between[0], tuple(between[1:]))

    def _by_part(self, kwh: tuple[float, ...]) -> dict[str, float | None]:
        return {part: None if part == "gpu" and not self._has_gpu else value for part, value in zip(PARTS, kwh, strict=True)}
