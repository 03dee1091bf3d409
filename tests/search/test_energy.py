"""Energy by the real CodeCarbon: what it does and does not do, searches that are metered, and budgets that end them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from search import meter
from search.budget import BudgetWatch
from search.config import load_space
from search.driver import Finished
from search.energy import countries
from search.location import locate
from search.meter import Meter
from search.energy_section import EnergySettings
from search.roster import Roster, reported_epochs
from search.rules import Limits
from search.study import StudyOwner
from search.study_view import read_study
from search.trial import End, Trial
from tests.search.conftest import Studies, until
from tests.search.scripted_driver import FAMILIES, run, space_text

ROOT = Path(__file__).parents[2]

#: The meter's own program, in a process that notes every attempt to reach a network and lets none succeed.
WATCHED = """
import json, os, signal, sys
handlers = [str(signal.getsignal(number)) for number in (2, 15)]
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto", "socket.sendmsg"):
        seen.append([event, repr(arguments)])
        raise OSError("no network here")
sys.addaudithook(hook)
from search import node_meter
node_meter.main({"roots": [os.getppid()], "before": 0.0, "seconds": 0.3, "country": "FRA", "cpu_watts": None, "ram_watts": None})
print(json.dumps({"seen": seen, "left": sorted(os.listdir(".")), "handlers": [handlers, [str(signal.getsignal(number)) for number in (2, 15)]]}))
"""
#: What a user's own configuration of CodeCarbon may ask for.
HOSTILE = {
    "CODECARBON_SAVE_TO_API": "true", "CODECARBON_OUTPUT_METHODS": "api,csv", "CODECARBON_EMISSIONS_ENDPOINT": "http://192.0.2.1/", "CODECARBON_API_KEY": "x",
    "CODECARBON_CO2_SIGNAL_API_TOKEN": "x", "CODECARBON_ELECTRICITYMAPS_API_TOKEN": "x", "CODECARBON_CLOUD_PROVIDER": "gcp", "CODECARBON_CLOUD_REGION": "us-east1",
    "CODECARBON_ALLOW_MULTIPLE_RUNS": "false", "CODECARBON_TRACKING_MODE": "process", "CODECARBON_LOG_LEVEL": "debug",
}  # fmt: skip


def test_no_network_is_ever_asked_for_whatever_codecarbon_is_configured_to(tmp_path: Path) -> None:
    (tmp_path / ".codecarbon.config").write_text("[codecarbon]\nsave_to_api = true\noutput_dir = /nonexistent\nelectricitymaps_api_token = x\n")
    environment = os.environ | HOSTILE | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    child = subprocess.Popen([sys.executable, "-c", WATCHED], cwd=tmp_path, env=environment, text=True, **pipes)
    told, readings = json.loads(child.stdout.readline()), []
    while len(readings) < 3:
        readings.append(json.loads(child.stdout.readline()))
    out, errors = child.communicate(timeout=30)
    last = json.loads(out.splitlines()[-1])
    assert last["seen"] == [] and last["left"] == [".codecarbon.config"], "no connection, no name looked up, no file, no lock"
    assert last["handlers"][0] == last["handlers"][1] and errors == "", "signals mean what they meant"
    assert told["how"]["cpu"] in ("measured", "modelled", "constant") and told["how"]["ram"] == "constant"
    assert 0 <= readings[0]["cpu"] <= readings[-1]["cpu"] and readings[-1]["at"] > readings[0]["at"]
    assert 0.01 < readings[-1]["kg_per_kwh"] < 0.2, "France's electricity, not the world's"


def test_countries_are_known_without_loading_codecarbon() -> None:
    code = "import sys, search.energy; known = search.energy.countries(); print(known['DEU'], len(known), 'codecarbon' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "Germany" and done.stdout.split()[2] == "False"
    assert len(countries()) > 150


def searched(tmp_path: Path, task: dict[str, Any] | None = None, more: str = "", budget: str = "", **changes: Any) -> tuple[Finished, str]:
    """An inline search, and what it said."""
    console = Console(file=io.StringIO(), width=400)
    text = space_text(**({"engine": "inline"} | changes)).replace("minutes: null", f"minutes: null{budget}")
    (tmp_path / "s.yaml").write_text(text + more)
    finished = run(tmp_path, load_space(tmp_path / "s.yaml", FAMILIES, {}), task or {}, console)
    return finished, console.file.getvalue()


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("raise ImportError('not for this machine')", "not for this machine"),
        ("raise SystemExit(3)", "its process ended with 3"),
        ("class OfflineEmissionsTracker:\n    def __init__(self, **given): raise RuntimeError('psutil: no')", "psutil: no"),
    ],
    ids=["no import", "no process", "no tracker"],
)
def test_energy_that_cannot_be_measured_ends_no_search_and_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, told: str) -> None:
    (tmp_path / "broken" / "codecarbon").mkdir(parents=True)
    (tmp_path / "broken" / "codecarbon" / "__init__.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    monkeypatch.setattr(meter, "_DELAY_SECONDS", 0.0)
    finished, said = searched(tmp_path, {"epoch_seconds": 0.1}, trials=1, epochs=9, scheduler="none", budget=", kwh: 0.001")
    assert finished.stop_reason is None and sum(t.is_full for t in finished.trials) == 1
    assert said.count("energy is not measured") == 1 and told in said and "no budget of energy" in said
    assert finished.cost is None and all(t.outcome["cost"]["energy_kwh"] is None and t.outcome["cost"]["wall_seconds"] > 0.3 for t in finished.trials)


def test_a_search_that_is_over_at_once_starts_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *command, **how: pytest.fail(f"{command} was started"))
    finished, said = searched(tmp_path, trials=3, epochs=3)
    assert len(finished.trials) == 3 and "energy" not in said


def test_a_meter_that_is_still_beginning_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Meter(EnergySettings(), delay_seconds=0.0)
    until(lambda: quick._process is not None, 5)
    started = time.monotonic()
    quick.close()
    assert time.monotonic() - started < 1.0 and quick._process.poll() is not None and not meter.meters
    never = Meter(EnergySettings(), delay_seconds=60.0)
    never.close()
    assert never._process is None


# -- budgets -------------------------------------------------------------------------------------------------------


def test_epochs_end_a_search_and_go_on_to_count_in_the_next_run(tmp_path: Path) -> None:
    finished, _ = searched(tmp_path, trials=50, epochs=9, scheduler="none", budget=", epochs: 20")
    assert finished.stop_reason == "the budget of 20 epochs is used up"
    assert 20 <= reported_epochs(finished.trials) <= 21 and sum(t.is_full for t in finished.trials) == 2
    again, _ = searched(tmp_path, trials=50, epochs=9, scheduler="none", budget=", epochs: 20")
    assert len(again.trials) == len(finished.trials), "nothing is left of it"
    more, _ = searched(tmp_path, trials=50, epochs=9, scheduler="none", budget=", epochs: 30")
    assert 30 <= reported_epochs(more.trials) <= 31


def test_where_nothing_could_win_one_trial_is_finished_although_the_epochs_are_used_up(tmp_path: Path) -> None:
    finished, said = searched(tmp_path, trials=50, epochs=27, scheduler="none", budget=", epochs: 5")
    assert "so trial 0 is finished first" in said and [t.number for t in finished.trials if t.is_full] == [0]


@pytest.mark.parametrize(("limits", "used", "reason"), [
    (Limits(kwh=2.0), {"energy_kwh": 2.0}, "the budget of 2 kWh is used up"),
    (Limits(kwh=2.0), {"energy_kwh": 1.9}, None),
    (Limits(kwh=2.0), {}, None),
    (Limits(kg_co2=0.5, kwh=9.0), {"energy_kwh": 1.0, "emissions_kg": 0.6}, "the budget of 0.5 kg of CO2 is used up"),
])  # fmt: skip
def test_energy_and_emissions_end_a_search(limits: Limits, used: dict[str, float], reason: str | None) -> None:
    accounts = SimpleNamespace(energy_kwh=used.get("energy_kwh"), emissions_kg=used.get("emissions_kg"))
    running = Trial(4, "RUNNING", {"family": "f", "epochs": 9}, reports={1: 0.5})
    owner = SimpleNamespace(spent=SimpleNamespace(seconds=1.0, epochs=1, accounts=accounts), roster=Roster([running]), maximize=True)
    notes: list[str] = []
    watch = BudgetWatch(limits, owner, SimpleNamespace(note=notes.append), ())
    watch.check()
    watch.check()
    assert watch.stop_reason == reason and watch.must_end(Trial(5, "RUNNING", {"family": "f"})) is (reason is not None)
    assert not watch.must_end(running), "the one that is finished first"
    assert len(notes) == (reason is not None)


# -- what the study keeps ------------------------------------------------------------------------------------------


def test_what_a_lost_trial_took_is_its_successors_too(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    owner = StudyOwner(locate(tmp_path, "s"), maximize=True, fingerprint={})
    leg = {"wall_seconds": 2.0, "cpu_seconds": 1.0, "peak_ram_mib": 9.0, "energy_kwh": 0.1, "emissions_kg": None, "energy": None}
    first = owner.start({"family": "f", "params": {}, "epochs": 9, "retry_of": None}, {})
    owner.finish(first.number, End.WORKER_LOST, outcome={"cost": leg})
    owner.start_waiting(owner.waiting()[0], {})
    owner.close()
    again = StudyOwner(locate(tmp_path, "s"), maximize=True, fingerprint={})  # the driver was killed meanwhile
    last = again.waiting()[0]
    assert (last.root, last.outcome) == (0, {"cost": leg}) and again.trials[1].end == End.ORPHAN
    again.close()


@pytest.mark.slow
def test_a_metered_search_tells_each_trial_its_share_and_keeps_the_total_over_a_kill(tmp_path: Path, studies: Studies) -> None:
    settings = {"engine": "inline", "scheduler": "none", "epochs": 9, "trials": 11}
    text = space_text(**settings)
    (tmp_path / "space.yaml").write_text(text + "energy: {country_iso_code: DEU}\n")
    driver = studies.start({"epoch_seconds": 0.15}, **settings)
    before = until(lambda: (_view(tmp_path).cost or {}).get("energy_kwh"), 40)
    driver.kill(signal.SIGKILL)
    driver.assert_nothing_left(10)
    kept, full_before = _view(tmp_path).cost, sum(t.is_full for t in _view(tmp_path).trials)
    assert kept["energy_kwh"] >= before and kept["emissions_kg"] is None
    finished = run(tmp_path, load_space(tmp_path / "space.yaml", FAMILIES, {}), {"epoch_seconds": 0.15}, Console(file=io.StringIO()))
    told = [t.outcome["cost"] for t in finished.trials if t.is_full]
    known = [cost for cost in told if cost["energy_kwh"] is not None]
    ended_here = sum(t.end == "full" for t in finished.trials) - full_before
    assert len(known) >= ended_here >= 3 and all(cost["emissions_kg"] > 0 for cost in known[-ended_here:])
    assert all(sum(part["kwh"] for part in cost["energy"].values() if isinstance(part, dict)) == pytest.approx(cost["energy_kwh"]) for cost in known)
    assert finished.cost["energy_kwh"] > kept["energy_kwh"] and sum(cost["energy_kwh"] for cost in known) <= 1.1 * finished.cost["energy_kwh"]
    assert finished.cost["emissions_kg"] / finished.cost["energy_kwh"] == pytest.approx(0.381, abs=0.01), "also for what was used before the country was known"
    assert _view(tmp_path).cost == finished.cost


def _view(folder: Path) -> Any:
    try:
        return read_study(folder, "s")
    except Exception:
        return SimpleNamespace(cost=None)


@pytest.mark.slow
def test_a_real_budget_of_energy_ends_a_real_search(tmp_path: Path) -> None:
    finished, said = searched(tmp_path, {"epoch_seconds": 0.1}, trials=200, epochs=9, scheduler="none", budget=", kwh: 0.0000001")
    assert finished.stop_reason == "the budget of 1e-07 kWh is used up" and finished.cost["energy_kwh"] >= 1e-7
    assert len(finished.trials) < 60


@pytest.mark.slow
def test_on_ray_workers_are_metered_with_the_driver_and_the_meter_ends_with_it(tmp_path: Path, studies: Studies) -> None:
    driver = studies.start({"epoch_seconds": 0.2}, engine="ray", workers=2, scheduler="none", epochs=9, trials=8)
    assert driver.wait(110) == 0, driver.text
    driver.assert_nothing_left(20)
    view = read_study(tmp_path, "s")
    costs = [t.outcome["cost"] for t in view.trials if t.is_full]
    assert len(costs) == 8 and all(cost["cpu_seconds"] < 1.5 * cost["wall_seconds"] and cost["peak_ram_mib"] > 10 for cost in costs)
    known = [cost["energy_kwh"] for cost in costs if cost["energy_kwh"] is not None]
    assert len(known) == 8 and 0 < sum(known) < view.cost["energy_kwh"], "the driver, Ray and idle workers take their share"
