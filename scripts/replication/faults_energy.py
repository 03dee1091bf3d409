"""Fault: CO2 of a constant power (G02, G03 and G05). The rate that both printed pairs share, and what loads of different kinds take here, part by part."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.durable import write_text
from scripts.replication.faults_published import EMISSIONS, emission_rates
from scripts.replication.faults_words import table_text
from search.energy_section import EnergySettings
from search.measured import Measures
from search.trial_cost import PARTS

#: Whose electricity the kg are of; watts are of none.
COUNTRY = "DEU"
SECONDS = 15.0
_WARM_SECONDS = 4.0  # until the meter has begun
_SIDE = 384
_FILE = "faults-energy.json"
_JOULES_A_KWH = 3.6e6


def _busy(seconds: float) -> None:
    """Matrix products, for so long, on the calling thread."""
    from threadpoolctl import threadpool_limits

    block, end = np.random.default_rng(0).random((_SIDE, _SIDE)), time.monotonic() + seconds
    with threadpool_limits(1):
        while time.monotonic() < end:
            block = np.tanh(block @ block / _SIDE)


def _all_cores(seconds: float) -> None:
    from genre_models.parallel import available_cores

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda _: _busy(seconds), range(available_cores())))


def _waiting(seconds: float) -> None:
    """A tenth of the time at work, as a training is that waits for its files."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _busy(0.05)
        time.sleep(0.45)


LOADS: dict[str, Callable[[float], None]] = {"waiting, a tenth at work": _waiting, "one core busy": _busy, "all cores busy": _all_cores}


def measure(folder: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Power of some loads, by the accounts that a search keeps; measured once, then kept in `folder`.

    Returns
    -------
    dict
        ``loads``: of each the seconds, processor seconds, watts by part and how they are known, and kg of CO2 a second; ``load_before``, the
        machine's load average as it began; ``trouble`` where energy can't be told.
    """
    file = folder / _FILE
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    loads, beside = {}, os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with Measures(EnergySettings(country_iso_code=COUNTRY), notes.append) as step:
        with step():
            _busy(_WARM_SECONDS)
        for name, work in LOADS.items():
            with step() as this:
                work(seconds)
            loads[name] = load_of(this.cost)
    found = {"country": COUNTRY, "loads": loads, "load_before": beside, "trouble": notes[0] if notes else None}
    write_text(file, json.dumps(found, indent=1) + "\n")
    return found


def load_of(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Watts and kg of CO2 a second of a step, from its cost."""
    seconds, energy = cost["wall_seconds"], cost["energy"]
    told: dict[str, Any] = {"seconds": seconds, "cpu_seconds": cost["cpu_seconds"], "watts": None, "parts": {}, "kg_a_second": None}
    if energy is None:
        return told
    known = {part: energy[part] for part in PARTS if energy.get(part) is not None}
    told["parts"] = {part: {"watts": each["kwh"] * _JOULES_A_KWH / seconds, "how": each["how"]} for part, each in known.items()}
    told["watts"] = sum(each["watts"] for each in told["parts"].values())
    told["kg_a_second"] = None if cost["emissions_kg"] is None else cost["emissions_kg"] / seconds
    return told


def render(found: Mapping[str, Any]) -> str:
    """Lines of the page."""
    rates = emission_rates()
    allowed = {row: f"{rate:.3f} ({lowest:.3f} to {highest:.3f})" for row, (rate, lowest, highest) in rates.items()}
    printed = [[row, f"{kg:g} kg", f"{seconds:g} s", allowed[row]] for row, (kg, seconds) in EMISSIONS.items()]
    low, high = max(each[1] for each in rates.values()), min(each[2] for each in rates.values())
    published = (
        "Claimed: one network emits 2.5 times as much as the other.\n\n"
        + table_text(["row", "CO2", "time", "mg a second (what the printed digits allow)"], printed)
        + f"\n\nOne rate, {low:.3f} to {high:.3f} mg a second, gives both pairs: the power was a constant of the machine, and the CO2 ranks nothing but the "
        "running time."
    )
    if found["trouble"] is not None or not found["loads"]:
        return f"{published}\n\nHere: energy is not measured on this machine: {found['trouble']}."
    loads = []
    for name, each in found["loads"].items():
        parts = ", ".join(f"{part} {told['watts']:.1f} W ({told['how']})" for part, told in each["parts"].items())
        kg = "" if each["kg_a_second"] is None else f"{1e6 * each['kg_a_second']:.2f}"
        watts = "not told" if each["watts"] is None else f"{each['watts']:.1f} W"
        loads.append([name, f"{each['seconds']:.0f} s", f"{each['cpu_seconds']:.0f} s", watts, parts, kg])
    return (
        f"{published}\n\nHere, three loads by the accounts that every search keeps (CO2 with {found['country']}'s electricity):\n\n"
        + table_text(["load", "time", "processor time", "power", "of it", "mg CO2 a second"], loads)
        + f"\n\n{_how_sure(found)} A load bears its share of the machine, by processor time, so what runs beside it lowers its power."
    )


def _how_sure(found: Mapping[str, Any]) -> str:
    how = {part: told["how"] for each in found["loads"].values() for part, told in each["parts"].items()}
    words = {"measured": "read from a counter", "modelled": "modelled from rated power and load", "constant": "a constant number of watts"}
    told = "; ".join(f"{part} is {words[way]}" for part, way in how.items())
    if set(how.values()) == {"measured"}:
        doubt = ""
    elif "measured" in how.values():
        doubt = " What is not measured is said so beside every figure."
    else:
        doubt = (
            " Nothing of it is measured: the power varies with the load that is modelled and with the share of the machine, and is no ground to rank two systems "
            "that load it alike."
        )
    beside = found.get("load_before")
    return f"On this machine {told}.{doubt}" + ("" if beside is None else f" Its load average was {beside:.1f} before.")
