"""Ray Tune over scripted trials, in real Ray: what it did is what the study has; stopped and killed, the same command goes on."""

from __future__ import annotations

import csv
import signal
from collections import Counter
from pathlib import Path

import pytest

from search.study_view import StudyView
from tests.search.conftest import Studies, until
from tests.search.scripted import curve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RUNGS = {1, 3}  # below the last of 9 epochs, by 3


def told_by_tune(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Ray Tune's own record of each trial: its id to (epoch, score)."""
    found = {}
    for file in folder.glob("ray-tune/search/*/progress.csv"):
        rows = list(csv.DictReader(file.open()))
        if rows:
            found[rows[0]["trial_id"]] = [(int(row["epoch"]), float(row["val_accuracy"])) for row in rows]
    return found


def check_states(view: StudyView) -> None:
    """Every trial has the state that its epochs say, and the curve of its configuration."""
    for trial in view.trials:
        assert trial.reports == {e: pytest.approx(curve(trial.params["slow/quality"], e)) for e in range(1, len(trial.reports) + 1)}
        if trial.state == "COMPLETE":
            assert trial.end == "full" and len(trial.reports) == 9 and trial.value == max(trial.reports.values())
        elif trial.end == "pruned":
            assert len(trial.reports) in RUNGS and f"stopped by ASHA at epoch {len(trial.reports)}" in trial.reason


def test_trials_stand_in_the_study_as_ray_tune_ran_them(studies: Studies) -> None:
    log = studies.folder / "log"
    driver = studies.start({"nan_widths": [4], "widest": 5, "log": str(log)}, engine="ray-tune", trials=10)
    assert driver.wait(300) == 0, driver.text
    driver.assert_nothing_left()
    view = studies.read()
    check_states(view)
    assert sum(t.counts for t in view.trials) == 10 and {t.state for t in view.trials} >= {"COMPLETE", "PRUNED"}
    assert all((t.end == "refused") == (t.params["slow/width"] > 5) for t in view.trials) and any(t.end == "refused" for t in view.trials)
    assert all((t.end == "nan") == (t.params["slow/width"] == 4) for t in view.trials) and any(t.end == "nan" for t in view.trials)
    tune = told_by_tune(studies.folder / "s")
    ran = {t.spec["peer"]["id"]: list(t.reports.items()) for t in view.trials if t.reports}
    assert ran == {name: [(epoch, pytest.approx(value)) for epoch, value in rows] for name, rows in tune.items()}
    pids = {seed: pid for pid, seed, _ in studies.epochs_logged(log)}
    assert len(set(pids.values())) == len(pids) >= len(ran), "as documented, each trial in a process of its own"
    assert view.winner().value == max(t.value for t in view.trials if t.is_full)


def test_with_reuse_processes_serve_several_trials(studies: Studies) -> None:
    log = studies.folder / "log"
    driver = studies.start({"log": str(log)}, engine="ray-tune-reuse", trials=6)
    assert driver.wait(300) == 0, driver.text
    view = studies.read()
    check_states(view)
    assert sum(t.counts for t in view.trials) == 6
    assert len({pid for pid, _, _ in studies.epochs_logged(log)}) < 6


def test_stopped_and_killed_it_goes_on_and_has_nothing_twice(studies: Studies) -> None:
    task = {"epoch_seconds": 0.3}

    def ended() -> int:
        try:
            return sum(t.counts for t in studies.read().trials)
        except Exception:  # the study is not there yet
            return 0

    first = studies.start(task, engine="ray-tune", trials=6)
    until(lambda: ended() >= 1 or first.process.poll() is not None, 200, lambda: first.text)
    first.kill(signal.SIGINT)
    assert first.wait(120) == 130, first.text
    second = studies.start(task, engine="ray-tune", trials=6)
    before = ended()
    until(lambda: ended() >= before + 1 or second.process.poll() is not None, 200, lambda: second.text)
    second.kill(signal.SIGKILL)
    second.wait(60)
    second.assert_nothing_left(60)
    third = studies.start(task, engine="ray-tune", trials=6)
    assert third.wait(300) == 0, third.text
    view = studies.read()
    check_states(view)
    counted = [t for t in view.trials if t.counts]
    assert not [name for name, n in Counter(t.spec["peer"]["trial"] for t in counted).items() if n > 1]
    assert not [params for params, n in Counter(str(t.params) for t in counted).items() if n > 1]
    assert len(counted) == 6 and all(t.end is not None for t in view.trials)
    assert any(t.retry_of is not None for t in view.trials) and {"interrupted", "orphan"} & {t.end for t in view.trials}
