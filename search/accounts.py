"""What a search takes and what of it belongs to each trial: the driver's book of meters, spans and sums.

A trial's worker says what seconds and memory it took (`search.trial_cost`); its energy is its share of what the search took on that machine meanwhile, by processor
time (`search.energy_ledger`). The search's own total also holds what no trial used: the driver, idle workers, Ray. Energy that can't be measured is said
once and costs nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from search.energy_ledger import Ledger
from search.energy_section import EnergySettings
from search.meter import Meter
from search.trial_cost import PARTS, added, cost_of_lost

#: The machine that the driver runs on; others go by their node's identity.
HERE = None


class _Machine:
    """What is known of the energy of the search on one machine."""

    def __init__(self, began: float) -> None:
        self.ledger = Ledger(began)
        self.how: Mapping[str, str | None] = {}
        self.factor: float | None = None
        self.trouble: str | None = None

    def take(self, said: Iterable[Mapping[str, Any]]) -> None:
        for each in said:
            if "error" in each:
                self.trouble = each["error"]
            elif "how" in each:
                self.how = each["how"]
            else:
                self.ledger.add(each)
                self.factor = each["kg_per_kwh"] if each["kg_per_kwh"] is not None else self.factor

    def told(self, kwh: Mapping[str, float | None] | None, country: str | None) -> dict[str, Any]:
        """Energy as it is recorded: ``energy_kwh``, ``emissions_kg``, ``energy``."""
        if kwh is None:
            return {"energy_kwh": None, "emissions_kg": None, "energy": None}
        total = sum(each for each in kwh.values() if each is not None)
        parts = {part: None if kwh[part] is None else {"kwh": kwh[part], "how": self.how.get(part) or "modelled"} for part in PARTS}
        emissions = total * self.factor if country is not None and self.factor is not None else None
        return {"energy_kwh": total, "emissions_kg": emissions, "energy": {**parts, "country": country}}


class Accounts:
    """Meters, the spans of trials, and the study's total over all its runs.

    Parameters
    ----------
    settings : EnergySettings or None
        None measures no energy.
    before : mapping or None
        The study's cost in earlier runs, as `total` gave it.
    clock : callable

    Attributes
    ----------
    note : callable
        Told, in words, that energy can't be measured.
    is_limited : bool
        Whether the study has a budget of energy or emissions.
    """

    def __init__(self, settings: EnergySettings | None = None, before: Mapping[str, Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings if settings is not None and settings.measure else None
        self.note: Callable[[str], None] = lambda text: None
        self.is_limited = False
        self._before, self._clock = before, clock
        self._began: dict[int, tuple[float, str | None]] = {}
        self._machines: dict[str | None, _Machine] = {}
        self._ended: list[_Machine] = []  # what was known of nodes whose meter is gone
        self._late: list[tuple[int, _Machine, float, float, float]] = []  # trials that ended before there was a price
        self._meter: Meter | None = None
        self._has_told = False

    @property
    def country(self) -> str | None:
        """Whose electricity is used."""
        return None if self.settings is None else self.settings.country_iso_code

    def start(self) -> None:
        """The search begins: from now on this machine is metered."""
        if self.settings is not None and self._meter is None:
            self._machine(HERE)
            self._meter = Meter(self.settings)

    def _machine(self, node: str | None) -> _Machine:
        return self._machines.setdefault(node, _Machine(self._clock()))

    def take(self, node: str | None, said: Iterable[Mapping[str, Any]]) -> None:
        """What the meter of a node has said; ``at`` is of this process's clock."""
        machine = self._machine(node)
        machine.take(said)
        if machine.trouble is not None and not self._has_told:
            self._has_told = True
            where = "" if node is HERE else f" on node {node[:12]}"
            budget = "; no budget of energy or CO2 can end this search" if self.is_limited else ""
            self.note(f"energy is not measured{where}, everything else goes on: {machine.trouble}{budget}")

    def forget(self, node: str) -> None:
        """The meter of a node is gone; one that begins there anew counts from nothing."""
        if node in self._machines:
            self._ended.append(self._machines.pop(node))

    def forget_nodes(self) -> None:
        """All meters of nodes are gone, with the Ray that they ran on."""
        for node in [node for node in self._machines if node is not HERE]:
            self.forget(node)

    def look(self) -> None:
        """Take in what this machine's meter has said."""
        if self._meter is not None:
            self.take(HERE, self._meter.take())

    def begin(self, number: int, node: str | None = HERE) -> None:
        """A trial, or the rest of one, is handed to a worker on that node."""
        self._began[number] = self._clock(), node

    def settle(self, number: int, cost: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the leg of a trial that ends now took, with its share of the energy.

        Parameters
        ----------
        number : int
        cost : mapping or None
            As its worker measured it; None where that did not live to say.
        """
        now = self._clock()
        began, node = self._began.pop(number, (now, HERE))
        cost = dict(cost) if cost else cost_of_lost(now - began)
        self.look()
        machine = self._machines.get(node)
        if machine is None or cost["cpu_seconds"] is None:
            return cost | {"energy_kwh": None, "emissions_kg": None, "energy": None}
        share = machine.ledger.share(began, now, cost["cpu_seconds"])
        if share is None:
            self._late.append((number, machine, began, now, cost["cpu_seconds"]))
        return cost | machine.told(share, self.country)

    def late(self) -> list[tuple[int, dict[str, Any]]]:
        """Of trials that ended before the meter had begun what `settle` could not tell, once it is known: each one's number, and its energy."""
        found = [(each, each[1].ledger.share(*each[2:])) for each in self._late]
        self._late = [each for each, share in found if share is None]
        return [(each[0], each[1].told(share, self.country)) for each, share in found if share is not None]

    def close(self) -> None:
        """Read once more, and end this machine's meter."""
        if self._meter is not None:
            self._meter.close()
            self.look()
            self._meter = None

    # -- sums ------------------------------------------------------------------------------------------------------

    @property
    def total(self) -> dict[str, Any] | None:
        """The study's cost over all its runs, in the shape of a trial's; None as long as nothing is known. Its wall time is the study's elapsed time."""
        total, before = None, self._before
        for machine in [*self._ended, *self._machines.values()]:
            if (kwh := machine.ledger.total) is None:
                continue
            if before is not None and before.get("emissions_kg") is None and machine.factor is not None:
                before = {**before, "emissions_kg": (before.get("energy_kwh") or 0.0) * machine.factor}  # it ran without a country then
            total = added(total, {"cpu_seconds": machine.ledger.cpu_seconds, **machine.told(kwh, self.country)})
        if total is None or before is None:
            return total if before is None else dict(before)
        if self.country is None:
            before = {**before, "emissions_kg": None}
        return added(before, total)

    @property
    def energy_kwh(self) -> float | None:
        """Of the study so far."""
        return (self.total or {}).get("energy_kwh")

    @property
    def emissions_kg(self) -> float | None:
        """Of the study so far; None without a country."""
        return (self.total or {}).get("emissions_kg")
