"""What trials and searches cost: measured in the worker, shared out by processor time, summed over legs and runs, kept with the study."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.accounts import Accounts
from search.config import load_space
from search.cost_text import front_lines, total_line
from search.energy_ledger import Ledger
from search.energy_section import EnergySettings
from search.errors import SpaceFileError
from search.node_meter import ProcessorTime, machine_seconds, share_of
from search.preference import Preference, read_preference
from search.trial import Trial, with_earlier_legs
from search.trial_cost import MISSING_COUNTRY, CostMeter, added, size_of
from search.worker import Errand, Failure, run_trial
from tests.search.scripted import Scripted
from tests.search.scripted_driver import FAMILIES, space_text

ROOT = Path(__file__).parents[2]


def burn(seconds: float) -> None:
    """Use so much processor time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        math.sqrt(2.0)


# -- in the worker -------------------------------------------------------------------------------------------------


def test_processor_time_is_not_wall_time_and_counts_child_processes() -> None:
    with CostMeter() as meter:
        time.sleep(0.3)
    asleep = meter.cost
    with CostMeter() as meter:
        burn(0.2)
        code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
        subprocess.run([sys.executable, "-S", "-c", code], check=True)
    assert asleep["wall_seconds"] >= 0.3 and asleep["cpu_seconds"] < 0.15
    assert 0.4 <= meter.cost["cpu_seconds"] <= 1.5


def test_a_child_that_lives_on_counts_with_what_it_used_meanwhile() -> None:
    code = "import sys, time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint('done', flush=True)\nsys.stdin.read()"
    with CostMeter() as meter:
        child = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"done\n"
    assert meter.cost["cpu_seconds"] >= 0.25
    with CostMeter() as meter:
        time.sleep(0.05)
    assert meter.cost["cpu_seconds"] < 0.15, "what a child used before is none of this"
    child.communicate()


def test_the_peak_is_that_of_the_trial_and_not_of_the_past() -> None:
    def held(mib: int) -> float:
        with CostMeter() as meter:
            block = bytearray(mib * 2**20)
            block[:: 4096] = b"x" * len(block[::4096])
            time.sleep(0.25)
            del block
        return meter.cost["peak_ram_mib"]

    low, high, again = held(1), held(150), held(1)
    assert high - low > 120 and again < high - 100


def test_the_outcome_of_a_trial_and_a_failure_have_a_cost(tmp_path: Path) -> None:
    spec = {"family": "slow", "params": {"quality": 0.5, "width": 3}, "epochs": 3, "seed": 0}
    errand = Errand(0, spec, str(tmp_path / "work"), str(tmp_path / "checkpoints"))
    outcome = run_trial(Scripted({"epoch_seconds": 0.02}), errand, lambda epoch, metrics: "continue")
    assert outcome["cost"]["wall_seconds"] >= 0.06 and outcome["cost"]["peak_ram_mib"] > 1
    assert outcome["disk_bytes"] == size_of(tmp_path / "work") == len("epoch\n")
    stopped = run_trial(Scripted({}), errand, lambda epoch, metrics: "stop")
    assert "disk_bytes" not in stopped and stopped["cost"]["wall_seconds"] > 0
    failure = run_trial(Scripted({"misbehave": "raise"}), errand, lambda epoch, metrics: "continue")
    assert isinstance(failure, Failure) and failure.cost["cpu_seconds"] >= 0


# -- sums ----------------------------------------------------------------------------------------------------------

LEG = {
    "wall_seconds": 2.0, "cpu_seconds": 1.0, "peak_ram_mib": 500.0, "energy_kwh": 0.03, "emissions_kg": 0.01,
    "energy": {"cpu": {"kwh": 0.02, "how": "modelled"}, "ram": {"kwh": 0.01, "how": "constant"}, "gpu": None, "country": "DEU"},
}  # fmt: skip


def test_legs_add_up_and_the_higher_peak_counts() -> None:
    total = added(LEG, {**LEG, "peak_ram_mib": 300.0, "wall_seconds": 5.0})
    assert (total["wall_seconds"], total["cpu_seconds"], total["peak_ram_mib"]) == (7.0, 2.0, 500.0)
    assert total["energy_kwh"] == pytest.approx(0.06) and total["energy"]["cpu"] == {"kwh": pytest.approx(0.04), "how": "modelled"}
    assert total["energy"]["gpu"] is None and total["energy"]["country"] == "DEU"


def test_a_leg_that_nobody_measured_leaves_what_is_known() -> None:
    lost = {"wall_seconds": 1.0, "cpu_seconds": None, "peak_ram_mib": None, "energy_kwh": None, "emissions_kg": None, "energy": None}
    assert added(lost, LEG) == {**LEG, "wall_seconds": 3.0}
    assert added(None, None)["energy_kwh"] is None


def test_an_outcome_takes_in_the_legs_before_it() -> None:
    assert with_earlier_legs({"cost": LEG}, {"value": 1.0, "cost": LEG})["cost"]["cpu_seconds"] == 2.0
    assert with_earlier_legs({}, {"value": 1.0, "cost": LEG})["cost"] == LEG
    assert "cost" not in with_earlier_legs({}, {"value": 1.0})


def test_how_each_part_is_known_follows_from_what_codecarbon_looks_at() -> None:
    from search.energy import _how

    def part(kind: str, **has: str) -> object:
        return type(kind, (), has)()

    assert _how([part("CPU", _mode="intel_rapl"), part("RAM"), part("GPU")]) == {"cpu": "measured", "ram": "constant", "gpu": "measured"}
    assert _how([part("CPU", _mode="cpu_load"), part("RAM")]) == {"cpu": "modelled", "ram": "constant", "gpu": None}
    assert _how([part("CPU", _mode="constant")])["cpu"] == "constant"
    assert _how([part("AppleSiliconChip", chip_part="GPU")])["gpu"] == "measured"


def test_a_gpus_energy_is_shared_by_processor_time_too() -> None:
    ledger = ledger_of(reading(0, 0, 0.0, gpu=0.0), reading(10, 20, 0.2, gpu=1.0))
    assert ledger.share(0, 10, 5.0)["gpu"] == pytest.approx(0.25) and ledger.total["gpu"] == pytest.approx(1.0)


# -- the ledger ----------------------------------------------------------------------------------------------------


def reading(at: float, cpu_seconds: float, cpu: float, ram: float = 0.0, gpu: float | None = None) -> dict[str, Any]:
    return {"at": at, "cpu_seconds": cpu_seconds, "cpu": cpu, "ram": ram, "gpu": gpu, "kg_per_kwh": 0.4}


def ledger_of(*readings: dict[str, Any], began: float = 0.0) -> Ledger:
    ledger = Ledger(began)
    for each in readings:
        ledger.add(each)
    return ledger


def test_a_trial_gets_its_share_by_processor_time_of_what_was_used_meanwhile() -> None:
    ledger = ledger_of(reading(0, 0, 0.0), reading(10, 20, 0.2), reading(20, 40, 1.2))
    assert ledger.share(0, 10, 5.0)["cpu"] == pytest.approx(0.05)
    assert ledger.share(10, 20, 5.0)["cpu"] == pytest.approx(0.25)
    assert ledger.share(5, 15, 20.0)["cpu"] == pytest.approx(0.1 + 0.5)
    assert ledger.share(20, 25, 10.0)["cpu"] == pytest.approx(0.5), "after the last reading the price is that of before"
    assert ledger.share(0, 10, 5.0)["gpu"] is None


def test_what_came_before_the_meter_could_begin_is_priced_as_what_came_then() -> None:
    ledger = ledger_of(reading(5, 10, 0.0), reading(7, 14, 0.4))
    assert ledger.total["cpu"] == pytest.approx(1.4) and ledger.share(0, 2, 1.0)["cpu"] == pytest.approx(0.1)


def test_without_two_readings_and_work_between_them_there_is_no_price() -> None:
    assert ledger_of().total is None and ledger_of(reading(1, 1, 0.1)).share(0, 1, 1.0) is None
    idle = ledger_of(reading(1, 1, 0.1), reading(3, 1, 0.1))
    assert idle.total is None
    idle.add(reading(5, 2, 0.3))
    assert idle.total["cpu"] == pytest.approx(0.4)


STEPS = st.tuples(st.floats(0.1, 5), st.just(0.0) | st.floats(0.01, 10), st.floats(0, 1))  # seconds, of processors, kWh


@given(st.lists(STEPS, min_size=2, max_size=12), st.lists(st.floats(0.05, 1), min_size=1, max_size=5))
def test_trials_one_after_another_that_use_all_of_it_share_all_of_it(steps: list[tuple[float, float, float]], cuts: list[float]) -> None:
    at = cpu = kwh = 0.0
    readings = [reading(0, 0, 0)]
    for seconds, used, energy in steps:
        at, cpu, kwh = at + seconds, cpu + used, kwh + (energy if used else 0.0)
        readings.append(reading(at, cpu, kwh))
    ledger = ledger_of(*readings)
    if ledger.total is None:
        return
    ends = [at * sum(cuts[: i + 1]) / sum(cuts) for i in range(len(cuts))]
    shares, since = 0.0, 0.0
    for until in ends:
        used = ledger._at(until).cpu_seconds - ledger._at(since).cpu_seconds
        shares += ledger.share(since, until, used)["cpu"]
        since = until
    assert shares == pytest.approx(ledger.total["cpu"], rel=1e-6, abs=1e-9)


# -- the meter's arithmetic ----------------------------------------------------------------------------------------


def test_two_searches_on_one_machine_do_not_count_it_twice() -> None:
    assert share_of(3.0, 10.0) + share_of(7.0, 10.0) == pytest.approx(1.0)
    assert share_of(12.0, 10.0) == 1.0 and share_of(0.0, 0.0) == 0.0 and share_of(1.0, 0.0) == 1.0


def test_processor_time_of_a_process_and_all_below_it_never_falls() -> None:
    code = "import sys, time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint('done', flush=True)\nsys.stdin.read()"
    mine, spent = ProcessorTime([os.getpid()]), machine_seconds()
    before = mine.read()
    child = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"done\n"
    with_child = mine.read()
    child.communicate()
    assert with_child - before >= 0.15 and mine.read() >= with_child
    assert machine_seconds() >= spent
    other = ProcessorTime([os.getpid()])
    other.read()
    late = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert late.stdout.readline() == b"done\n"
    elsewhere = ProcessorTime([])
    elsewhere.add([late.pid])
    assert elsewhere.read() < 0.1, "what a worker used before it was told of is left out"
    late.communicate()


# -- accounts ------------------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


HOW = {"how": {"cpu": "modelled", "ram": "constant", "gpu": None}, "told": "x"}


def accounts_with(*said: dict[str, Any], country: str | None = "DEU", before: dict[str, Any] | None = None, node: str | None = None) -> tuple[Accounts, Clock]:
    clock = Clock()
    accounts = Accounts(EnergySettings(country_iso_code=country), before, clock)
    accounts.take(node, [HOW, *said])
    return accounts, clock


def test_a_trial_is_told_its_energy_by_part_with_how_it_is_known() -> None:
    accounts, clock = accounts_with(reading(0, 0, 0.0, 0.0), reading(10, 10, 1.0, 2.0))
    accounts.begin(3)
    clock.now = 10.0
    cost = accounts.settle(3, {"wall_seconds": 10.0, "cpu_seconds": 5.0, "peak_ram_mib": 100.0})
    assert cost["energy_kwh"] == pytest.approx(1.5) and cost["emissions_kg"] == pytest.approx(0.6)
    assert cost["energy"] == {"cpu": {"kwh": pytest.approx(0.5), "how": "modelled"}, "ram": {"kwh": pytest.approx(1.0), "how": "constant"}, "gpu": None, "country": "DEU"}
    assert json.loads(json.dumps(cost)) == cost


def test_a_trial_that_ended_before_the_meter_began_is_told_its_energy_later() -> None:
    accounts, clock = accounts_with()
    accounts.begin(3)
    clock.now = 2.0
    assert accounts.settle(3, {"wall_seconds": 2.0, "cpu_seconds": 1.0, "peak_ram_mib": 1.0})["energy_kwh"] is None and accounts.late() == []
    accounts.take(None, [reading(5, 10, 0.0), reading(7, 14, 0.4)])
    ((number, energy),) = accounts.late()
    assert number == 3 and energy["energy_kwh"] == pytest.approx(0.1) and accounts.late() == []


def test_without_a_country_energy_is_told_and_emissions_are_not() -> None:
    accounts, _ = accounts_with(reading(0, 0, 0.0), reading(10, 10, 1.0), country=None)
    assert accounts.energy_kwh == pytest.approx(1.0) and accounts.emissions_kg is None
    assert MISSING_COUNTRY in total_line(accounts.total)
    with_country, _ = accounts_with(reading(0, 0, 0.0), reading(10, 10, 1.0), before=accounts.total)
    assert with_country.energy_kwh == pytest.approx(2.0) and with_country.emissions_kg == pytest.approx(0.8), "earlier energy had its emissions too"
    assert "(DEU)" in total_line(with_country.total) and "withheld" not in total_line(with_country.total)


def test_the_worker_that_was_lost_costs_its_wall_time_and_a_cluster_has_a_ledger_a_node() -> None:
    accounts, clock = accounts_with(reading(0, 0, 0.0), reading(10, 10, 1.0), node="far")
    accounts.take("near", [HOW, reading(0, 0, 0.0), reading(10, 10, 3.0)])
    accounts.begin(1, "far")
    accounts.begin(2, "near")
    accounts.begin(4, "unheard of")
    clock.now = 10.0
    leg = {"wall_seconds": 10.0, "cpu_seconds": 1.0, "peak_ram_mib": 1.0}
    assert accounts.settle(1, leg)["energy_kwh"] == pytest.approx(0.1) and accounts.settle(2, leg)["energy_kwh"] == pytest.approx(0.3)
    assert accounts.settle(4, leg)["energy_kwh"] is None
    accounts.begin(1, "far")
    clock.now = 12.5
    assert accounts.settle(1, None) == {"wall_seconds": 2.5, "cpu_seconds": None, "peak_ram_mib": None, "energy_kwh": None, "emissions_kg": None, "energy": None}
    assert accounts.energy_kwh == pytest.approx(4.0)
    accounts.forget("far")
    accounts.take("far", [HOW, reading(0, 0, 0.0), reading(10, 10, 1.0)])
    assert accounts.energy_kwh == pytest.approx(5.0), "a node that comes back counts anew"


def test_energy_that_cannot_be_measured_is_said_once() -> None:
    told: list[str] = []
    accounts = Accounts(EnergySettings(), clock=Clock())
    accounts.note, accounts.is_limited = told.append, True
    for _ in range(3):
        accounts.take(None, [{"error": "psutil: no"}])
    assert len(told) == 1 and "psutil: no" in told[0] and "no budget of energy" in told[0]
    accounts.begin(0)
    assert accounts.settle(0, {"wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_ram_mib": 1.0})["energy_kwh"] is None and accounts.total is None


# -- the space file ------------------------------------------------------------------------------------------------


def loaded(tmp_path: Path, more: str = "", budget: str = "") -> Any:
    (tmp_path / "s.yaml").write_text(space_text().replace("minutes: null", f"minutes: null{budget}") + more)
    return load_space(tmp_path / "s.yaml", FAMILIES, {})


def test_a_budget_of_emissions_needs_a_country_and_the_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceFileError, match=r"budget\.kg_co2: .*energy: \{country_iso_code: DEU\}"):
        loaded(tmp_path, budget=", kg_co2: 1.5")
    with pytest.raises(SpaceFileError, match=r"budget\.kwh.*measure"):
        loaded(tmp_path, "energy: {measure: false}\n", ", kwh: 1.5")
    config = loaded(tmp_path, "energy: {country_iso_code: deu, ram_watts: 10}\n", ", kg_co2: 1.5, kwh: 2, epochs: 100")
    assert (config.energy.country_iso_code, config.energy.ram_watts, config.budget.kg_co2, config.budget.epochs) == ("DEU", 10, 1.5, 100)


@pytest.mark.parametrize(("code", "told"), [("GER", "must be the code of a country"), ("Germany", "DEU"), ("DE", "three letters"), ("1", "energy.country_iso_code")])
def test_a_country_that_is_not_known_is_an_error(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(SpaceFileError, match=told):
        loaded(tmp_path, f"energy: {{country_iso_code: {code}}}\n")


def test_energy_is_no_part_of_what_makes_trials_comparable(tmp_path: Path) -> None:
    plain, told = loaded(tmp_path), loaded(tmp_path, "energy: {country_iso_code: FRA}\n", ", kwh: 3, epochs: 9")
    assert plain.fingerprint_parts() == told.fingerprint_parts()


# -- choosing by cost ----------------------------------------------------------------------------------------------


def trial(number: int, value: float, **outcome: Any) -> Trial:
    return Trial(number, "COMPLETE", {"family": "f", "epochs": 2}, reports={1: value, 2: value}, value=value, outcome=outcome)


def test_what_is_to_be_cheap_can_be_named() -> None:
    near, far = trial(1, 0.8, fit_seconds=1.0, parameters=10, cost={"energy_kwh": 0.2}), trial(2, 0.8, fit_seconds=9.0, parameters=5, cost={"energy_kwh": 0.1})
    unknown = trial(3, 0.8, fit_seconds=0.1)
    cheapest_by = {"0.01": 3, "0.01 by energy": 2, "ties by parameters": 2, "1 by seconds": 3}
    for text, cheapest in {f"cheapest-within {rest}": number for rest, number in cheapest_by.items()}.items():
        assert min((near, far, unknown), key=read_preference(text).price).number == cheapest, text
        assert str(read_preference(text)) == text
    assert read_preference("cheapest-within 0.01 by energy") == Preference(0.01, "energy")
    for bad in ("cheapest-within 0.01 by", "cheapest-within 0.01 by money", "by energy", "best by energy", "cheapest-within by energy by energy", ""):
        with pytest.raises(ValueError, match="by COST, one of seconds, "):
            read_preference(bad)


def test_the_front_is_told_where_it_has_more_than_one_point() -> None:
    trials = [trial(0, 0.7, fit_seconds=1.0, cost={"energy_kwh": 0.0001}), trial(1, 0.8, fit_seconds=5.0, cost={"energy_kwh": 0.0001})]
    lines = front_lines(trials, True, "val_accuracy")
    assert len(lines) == 1 and "trial 0 0.700 at 1 s, trial 1 0.800 at 5 s" in lines[0]
    assert front_lines(trials[:1], True, "val_accuracy") == []
    many = [trial(n, n / 20, fit_seconds=float(n)) for n in range(1, 12)]
    assert "(5 between them left out)" in front_lines(many, True, "val_accuracy")[0]


def test_latency_is_read_off_validation() -> None:
    from search.pareto import COSTS

    known = trial(0, 0.7, phases={"validate": 4.0}, epochs=2, n_validation=100)
    assert COSTS["latency"].of(known) == pytest.approx(20.0) and COSTS["latency"].of(trial(1, 0.7)) is None
