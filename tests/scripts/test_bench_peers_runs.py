"""The comparison with other tools, run: a small engine that is watched, killed and started again; and two of the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import optuna
import psutil
import pytest

from scripts.peers import curves, records
from scripts.peers.engines import ENGINES, Engine
from scripts.peers.running import Run, measure
from search.errors import SearchError
from tests.search.conftest import until
from tests.tiny_study import make_corpus

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def scripted(tmp_path: Path, minutes: float, *words: str, killed: bool = False) -> Run:
    engine = Engine("scripted", "tests.scripts.scripted_engine", words, {"precision": "float32"}, trials_at_once=False, total_minutes=False)
    cores = tuple(sorted(os.sched_getaffinity(0)))[:1]
    (tmp_path / "space.yaml").write_text("data: {source: demo}\nfamilies: {}\n")
    return Run(engine, 0, minutes, tmp_path / "space.yaml", "tiny", "demo", "demo", cores, tmp_path, killed)


def test_a_run_is_watched_from_its_command_to_its_end(tmp_path: Path) -> None:
    found = measure(scripted(tmp_path, 0.1))
    assert records.KEY == tuple(name for name in records.KEY if name in found)
    assert found["epochs"] >= 4 and found["trials"].keys() == {"COMPLETE"}
    assert found["winner"]["value"] <= found["best"] == curves.best_at(found["curve"], 6.0) <= found["curve"][-1][1], "what came after six seconds from the command on is beyond its time"
    seconds = [at for at, _ in found["curve"]]
    assert 0 < seconds[0] < seconds[-1] < found["wall_seconds"] + 1 and found["peak_mib"] > 10 and found["processes"] == 1
    assert found["overhead_seconds"] is None and found["training_seconds"] is None, "it does not say how long it trained"
    records.append_line(tmp_path / "peers.jsonl", found)
    assert len(records.read_lines(tmp_path / "peers.jsonl")) == 1


def test_a_run_that_is_killed_at_half_time_is_started_again(tmp_path: Path) -> None:
    found = measure(scripted(tmp_path, 0.15, killed=True))
    kept = found["survival"]
    assert found["killed"] and kept["second_run"] == 0 and kept["error"] is None and kept["seconds_to_next_epoch"] > 0
    assert kept["killed_after_seconds"] >= 4.5 and kept["taken_up"] == 0, "Optuna alone leaves what ran as it is"
    assert kept["trials_kept"] == kept["trials_before"] and kept["epochs_kept"] == 4 * kept["trials_before"] <= kept["epochs_before"]
    assert found["epochs"] > kept["epochs_before"] and found["trials"].get("RUNNING", 0) == kept["under_way"]


def test_a_command_goes_with_the_measurement_that_is_killed(tmp_path: Path) -> None:
    code = "from pathlib import Path; from scripts.peers.running import measure; from tests.scripts.test_bench_peers_runs import scripted"
    process = subprocess.Popen([sys.executable, "-c", f"{code}; measure(scripted(Path({str(tmp_path)!r}), 5))"], cwd=ROOT)
    try:
        until(lambda: (tmp_path / "scripted-0-5" / "study.db").exists())
        below = psutil.Process(process.pid).children()
    finally:
        process.kill()
        process.wait()
    assert below
    until(lambda: all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in below))


def test_a_command_that_fails_gives_no_line_but_its_words(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"exit code 3:\n(?s:.*)the tool can't do that"):
        measure(scripted(tmp_path, 0.1, "--fails"))


SPACE = """study: tiny
data: {source: FOLDER}
features: {image_size: [16, 24]}
budget: {min_epochs: 1, max_epochs: 4, reduction_factor: 2}
resources: {gflops: 0.25}
energy: {measure: false}
families:
  cnn: {depth: {int: [1, 2]}, filters: {choice: [4, 8]}, learning_rate: {float: [1e-3, 1e-2], log: true}, batch_size: 8}
"""


@pytest.mark.timeout(700)
def test_optuna_and_ours_for_real(tmp_path: Path) -> None:
    """Nine seconds each, on pictures; then the report, and a second command that finds nothing to do."""
    corpus, results = make_corpus(tmp_path / "corpus", per_class=20), tmp_path / "peers.jsonl"
    (tmp_path / "tiny.yaml").write_text(SPACE.replace("FOLDER", str(corpus)))
    words = ["--space", tmp_path / "tiny.yaml", "--data", corpus, "--engines", "optuna-defaults", "ours-float32", "--seeds", "0", "--minutes", "0.15", "--folds", "2"]
    command = [sys.executable, "scripts/bench_peers.py", *words, "--results", results, "--work", tmp_path / "work", "--cores", str(min(2, len(os.sched_getaffinity(0))))]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {each["engine"]: each for each in records.read_lines(results)}
    assert found.keys() == {"optuna-defaults", "ours-float32"} <= ENGINES.keys()
    database = tmp_path / "work" / "studies" / "optuna-defaults-0-0_15" / "study.db"
    first = optuna.load_study(study_name=None, storage=f"sqlite:///{database}").trials[0]
    assert first.params == first.system_attrs["fixed_params"], "it began with the defaults"
    studies = {name: optuna.load_study(study_name=None, storage=f"sqlite:///{database.parents[1] / f'{name}-0-0_15' / 'study.db'}") for name in found}
    for each in found.values():
        assert each["epochs"] >= each["winner"]["epochs"] > 0 and each["wall_seconds"] >= 9 and each["peak_mib"] > 200
        reports = [value for trial in studies[each["engine"]].trials for value in trial.intermediate_values.values()]
        assert each["curve"][-1][1] == pytest.approx(max(reports), abs=1e-6) and all(a[1] < b[1] for a, b in pairwise(each["curve"]))
        assert each["curve"][0][0] > 1 and each["curve"][-1][0] <= each["wall_seconds"] + 1
        assert 0 < each["training_seconds"] <= each["workers"] * each["wall_seconds"] and each["folds"]["folds"] == 2 and len(each["folds"]["scores"]) == 2
        assert str(tmp_path) not in json.dumps(each), "no path of this machine is in what is committed"
    again = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "2 of 2 runs have a line" in again.stdout and again.returncode == 0
