"""Energy of this machine as CodeCarbon tells it, and what a kWh emits in a country. The one module that knows CodeCarbon.

Nothing is sent or fetched: the offline tracker, with every setting given here, so that neither CodeCarbon's own configuration file nor its environment
variables can turn an endpoint, a token or an output file on. Its import and start take seconds and 100 MiB, so it belongs into a process of
its own (`search.node_meter`). Units: kWh, kg of CO2 equivalents, W.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: CodeCarbon's ways of telling the processor's energy that read a counter; the others follow from its rated power and the load, or not even that.
_COUNTERS = {"intel_rapl", "intel_power_gadget", "windows_emi"}
#: The tracker's own schedule never comes due: it measures when it is asked.
_NEVER_SECONDS = 10**7


class EnergyUnavailable(Exception):
    """Energy can't be told on this machine; the message says why."""


@dataclass(frozen=True)
class MachineEnergy:
    """Energy of the whole machine since the tracker began, in kWh; `gpu` is None where there is none.

    `kg_per_kwh` is what a kWh emits, None where no country was named.
    """

    cpu: float
    ram: float
    gpu: float | None
    kg_per_kwh: float | None


class MachineTracker:
    """CodeCarbon's offline tracker in machine mode.

    Parameters
    ----------
    country : str or None
        ISO 3166-1 alpha-3 code.
    cpu_watts, ram_watts : float or None
        Rated power of the processors, power of the memory; None lets CodeCarbon find or estimate them.

    Attributes
    ----------
    how : dict of str to str or None
        Of "cpu", "ram" and "gpu": ``measured`` (a counter is read), ``modelled`` (from rated power and load) or ``constant``; None where there is none.
    told : str
        What CodeCarbon goes by, in words.

    Raises
    ------
    EnergyUnavailable
    """

    def __init__(self, country: str | None = None, cpu_watts: float | None = None, ram_watts: float | None = None) -> None:
        self._country, self._last = country, None
        try:
            self._tracker = _start(self, country, cpu_watts, ram_watts)
        except Exception as error:  # whatever a library for all machines raises on this one
            raise EnergyUnavailable(f"{type(error).__name__}: {error}") from error
        hardware = getattr(self._tracker, "_hardware", None) or []
        if getattr(self._tracker, "_start_time", None) is None or not hardware:
            raise EnergyUnavailable("CodeCarbon could not start its tracker")
        self.how, self.told = _how(hardware), ", ".join(map(str, hardware))

    def read(self) -> MachineEnergy:
        """Energy until now.

        Raises
        ------
        EnergyUnavailable
        """
        self._last = None
        self._tracker.flush()  # calls `out`
        found = self._last
        if found is None:
            raise EnergyUnavailable("CodeCarbon's tracker gives no values")
        factor = found.emissions / found.energy_consumed if self._country is not None and found.energy_consumed > 0 else None
        return MachineEnergy(found.cpu_energy, found.ram_energy, found.gpu_energy if self.how["gpu"] else None, factor)

    # CodeCarbon calls its output handlers by these names.

    def out(self, total: Any, delta: Any) -> None:
        """Take in values."""
        self._last = total

    def live_out(self, total: Any, delta: Any) -> None:
        """Not used: the tracker's schedule never comes due."""

    def task_out(self, data: Any, experiment_name: str) -> None:
        """Not used: there are no tasks."""

    def exit(self) -> None:
        """The tracker was stopped."""


def _start(handler: MachineTracker, country: str | None, cpu_watts: float | None, ram_watts: float | None) -> Any:
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks before it looks at log_level
    tracker = OfflineEmissionsTracker(
        country_iso_code=country,
        region=None,
        cloud_provider=None,
        cloud_region=None,
        country_2letter_iso_code=None,
        tracking_mode="machine",
        force_cpu_power=cpu_watts,
        force_ram_power=ram_watts,
        force_carbon_intensity_g_co2e_kwh=None,
        force_mode_cpu_load=False,
        pue=1.0,
        wue=0.0,
        rapl_include_dram=False,
        rapl_prefer_psys=False,
        output_methods=[],
        output_handlers=[handler],
        emissions_endpoint=None,
        electricitymaps_api_token="",  # "", not None: with None it would look for one in its configuration
        metadata=None,
        output_dir=".",
        allow_multiple_runs=True,  # the lock file would bring signal handlers with it
        measure_power_secs=_NEVER_SECONDS,
        api_call_interval=-1,
        log_level="critical",
        logger_preamble="",
    )
    tracker.start()
    return tracker


def _how(hardware: list[Any]) -> dict[str, str | None]:
    """How each part's energy is known, by the hardware that the tracker looks at."""
    how: dict[str, str | None] = {"cpu": None, "ram": None, "gpu": None}
    for each in hardware:
        kind = type(each).__name__
        if kind == "CPU":
            mode = getattr(each, "_mode", "constant")
            how["cpu"] = "measured" if mode in _COUNTERS else "modelled" if mode == "cpu_load" else "constant"
        elif kind == "RAM":
            how["ram"] = "constant"  # so many watts a slot, whatever goes on in it
        elif kind == "GPU":
            how["gpu"] = "measured"
        elif getattr(each, "chip_part", "").lower() in how:
            how[each.chip_part.lower()] = "measured"
    return how


@cache
def countries() -> Mapping[str, str]:
    """Name of each country whose electricity CodeCarbon knows, by its code of three letters; empty where its data is not there. Imports nothing of it."""
    found = importlib.util.find_spec("codecarbon")
    if found is None or found.origin is None:
        return {}
    file = Path(found.origin).parent / "data" / "private_infra" / "global_energy_mix.json"
    try:
        return {code: row["country_name"] for code, row in json.loads(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
