"""Checkpoints on the way and at a pause: written whole or not at all, removed only when the study knows a newer one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from search.checkpoints import Checkpoints
from search.depot import LocalDepot
from search.durable import is_leftover, writing_whole
from search.trial import Trial
from search.worker import Errand, Failure, run_trial
from tests.search.conftest import ROOT, Studies, until
from tests.search.scripted import Scripted, curve
from tests.search.scripted_driver import space_text
from tests.search.soundness import finished_trials

SPEC = {"family": "slow", "params": {"quality": 0.8, "width": 3}, "epochs": 9, "seed": 5}


class Driver:
    """Answers a worker, and remembers what it was told."""

    def __init__(self, **answers: str) -> None:
        self.answers = {int(epoch.removeprefix("at")): answer for epoch, answer in answers.items()}
        self.curve: dict[int, float] = {}
        self.saved: list[dict[str, Any]] = []

    def ask(self, epoch: int, metrics: dict[str, float]) -> str:
        if not metrics:
            return self.answers.get(100 + epoch, "continue")
        self.curve[epoch] = metrics["val_accuracy"]
        return self.answers.get(epoch, "continue")

    def run(self, folder: Path, task: dict[str, Any] | None = None, resume: str | None = None, **spec: Any) -> dict[str, Any] | Failure:
        errand = Errand(3, {**SPEC, **spec}, str(folder / "trials" / "0003"), str(folder / "checkpoints" / "0003"), resume)
        return run_trial(Scripted(task or {}), errand, self.ask, self.saved.append)


def test_a_trial_saves_on_its_way_and_goes_on_from_there_with_the_same_curve(tmp_path: Path) -> None:
    whole, first, second = Driver(), Driver(at2="save", at5="save"), Driver()
    undisturbed = whole.run(tmp_path / "a")
    outcome = first.run(tmp_path / "b")
    assert "checkpoint" not in outcome and outcome["value"] == undisturbed["value"] and first.curve == whole.curve
    assert [(c["epoch"], c["folder"]) for c in first.saved] == [(2, "0003/0002"), (5, "0003/0005")]
    assert all(c["bytes"] > 0 and c["seconds"] >= 0 for c in first.saved)
    again = second.run(tmp_path / "b", resume=str(tmp_path / "b" / "checkpoints" / "0003" / "0005"))
    assert {**{e: v for e, v in first.curve.items() if e <= 5}, **second.curve} == whole.curve and min(second.curve) == 6
    assert again["value"] == undisturbed["value"]


def test_saves_within_further_parts_have_names_of_their_own(tmp_path: Path) -> None:
    driver = Driver(at9="save", at101="save", at102="save", at10="pause")
    outcome = driver.run(tmp_path, folds=3)
    assert [c["folder"] for c in driver.saved] == ["0003/0009", "0003/0009-0001", "0003/0009-0002"]
    assert outcome["checkpoint"]["folder"] == "0003/0010"


def test_what_cannot_be_saved_is_told_and_the_trial_goes_on(tmp_path: Path) -> None:
    driver = Driver(at2="save")
    outcome = driver.run(tmp_path, {"full_disk": True})
    assert len(driver.saved) == 1 and "No space left" in driver.saved[0]["error"]
    assert outcome["epochs"] == 9 and not list((tmp_path / "checkpoints" / "0003").iterdir())


WRITER = """
import sys, time
from pathlib import Path
from search.worker import write_checkpoint
def snapshot(folder):
    (Path(folder) / "first").write_text("half of it")
    print("half", flush=True)
    time.sleep(60)
write_checkpoint(sys.argv[1], "0004", 4, snapshot)
"""


def test_a_worker_killed_while_it_writes_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    place = tmp_path / "checkpoints" / "0003" / "0004"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(place.parent)], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"half\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = list(place.parent.iterdir())
    assert len(left) == 1 and is_leftover(left[0].name) and (left[0] / "first").exists()
    trial = paused_at(4)
    kept = Checkpoints(LocalDepot(str(tmp_path)), 2**30)
    assert kept.to_resume(trial) is None
    kept.clean([trial])
    assert not list(place.parent.iterdir())


def test_a_newer_checkpoint_takes_the_place_of_a_broken_one_of_the_same_name(tmp_path: Path) -> None:
    place = tmp_path / "0004"
    for text in ("old", "new"):
        with writing_whole(place) as folder:
            (folder / text).write_text(text)
    assert [path.name for path in tmp_path.rglob("*")] == ["0004", "new"]


def test_earlier_ones_go_when_the_study_knows_a_newer_and_later_ones_stay(tmp_path: Path) -> None:
    for name in ("0003", "0009", "0009-0001", "0009-0002", "0010", ".0011.abcdef01.partial"):
        (tmp_path / "checkpoints" / "0003" / name).mkdir(parents=True)
    kept = Checkpoints(LocalDepot(str(tmp_path)), 2**30)
    trial = paused_at(9)
    trial.checkpoint["folder"] = "0003/0009-0001"
    kept.keep_newest(trial)
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "0003").iterdir()) == [".0011.abcdef01.partial", "0009-0001", "0009-0002", "0010"]
    kept.clean([trial])
    assert [path.name for path in (tmp_path / "checkpoints" / "0003").iterdir()] == ["0009-0001"]
    kept.clean([])
    assert not list((tmp_path / "checkpoints").iterdir())


def test_checkpoints_that_are_kept_elsewhere_now_are_missed_and_their_trials_begin_again(studies: Studies, tmp_path: Path) -> None:
    log, changes = tmp_path / "log", {"scheduler": "asha_promotion", "engine": "inline"}
    driver = studies.start({"log": str(log), "epoch_seconds": 0.03}, **changes)
    until(lambda: sum(bool(t.paused) for t in studies.read().trials) > 2 if len(studies.epochs_logged(log)) >= 12 else driver.process.poll() is not None)
    driver.kill(signal.SIGKILL)
    driver.wait()
    before = finished_trials(studies.read())
    assert any(t.paused for t in studies.read().trials), driver.text
    space = tmp_path / "elsewhere.yaml"
    space.write_text(space_text(**changes) + f"artifacts: {tmp_path / 'elsewhere'}\n")
    command = [sys.executable, "-m", "tests.search.scripted_driver", str(tmp_path), str(space), json.dumps({"log": str(log)})]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"is in {tmp_path / 'elsewhere' / 's' / 'checkpoints'} any more" in again.stdout and "at epoch 1, to the same values" in again.stdout
    trials = studies.read().trials
    assert before.items() <= finished_trials(studies.read()).items() and sum(t.counts for t in trials) == 12 and all(t.end for t in trials)
    assert all(value == curve(t.spec["params"]["quality"], epoch) for t in trials for epoch, value in t.reports.items())


def paused_at(epoch: int) -> Trial:
    checkpoint = {"epoch": epoch, "folder": f"0003/{epoch:04d}", "bytes": 1}
    return Trial(3, "WAITING", dict(SPEC), reports={epoch: 0.5}, paused=epoch, checkpoint=checkpoint)
