"""Rungs in seconds over kills: real drivers, scripted trials whose epochs take what they take."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from search.schedulers.ladder import SecondsLadder
from search.schedulers.stopping import Asha
from search.trial import Trial
from tests.search.conftest import Studies, until

SPACE = {"epochs": "9, resource: seconds, min_seconds: 0.1", "factor": 2, "engine": "inline", "workers": 1, "seed": "0\nfrugal: true"}


def decisions_agree(trials: list[Trial]) -> bool:
    """Whether each stopped trial would be stopped by a table made of the trials before it: one worker had ended those by then."""
    for trial in (t for t in trials if t.end == "pruned"):
        asha = Asha(SecondsLadder(0.1, 2), 2, True)
        asha.rebuild([t for t in trials if t.number < trial.number])
        if asha.decide(trial, max(trial.reports), trial.best(True)) != "stop":
            return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_again_and_again_nothing_is_lost_and_seconds_go_on(studies: Studies, tmp_path: Path) -> None:
    log = tmp_path / "log"
    task = {"log": str(log), "epoch_seconds": 0.06}
    ended_before: dict[int, tuple] = {}
    for epochs in (6, 14, 24):
        driver = studies.start(task, **SPACE)
        until(lambda epochs=epochs, driver=driver: driver.process.poll() is not None or (log.exists() and len(studies.epochs_logged(log)) >= epochs))
        driver.kill(signal.SIGKILL)
        driver.wait()
        trials = studies.read().trials
        ended = {t.number: (t.end, t.value, t.reports, t.seconds) for t in trials if t.counts}
        assert ended_before.items() <= ended.items(), "what had ended stays as it was"
        ended_before = ended
    last = studies.start(task, **SPACE)
    assert last.wait(120) == 0, last.text
    trials = studies.read().trials
    counted = [t for t in trials if t.counts]
    assert len(counted) == 12 and all(t.end is not None for t in trials) and any(t.end == "pruned" for t in counted)
    assert ended_before.items() <= {t.number: (t.end, t.value, t.reports, t.seconds) for t in trials}.items()
    for trial in counted:
        assert list(trial.seconds) == list(trial.reports) and all(trial.seconds[e] - trial.seconds.get(e - 1, 0.0) > 0.05 for e in trial.seconds)
    assert any(t.end == "orphan" and t.checkpoint is not None for t in trials), "some trial went on from where it was"
    assert decisions_agree(trials)
