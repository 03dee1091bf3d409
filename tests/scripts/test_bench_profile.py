"""Where the time of a search's workers goes: the shares add up, and are those that were recorded."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import bench_profile
from scripts.peers.time_shares import FAILED, FIRST_EPOCH, IDLE, START, first_epoch_beyond, profile, profile_table
from search.trial import Trial
from search.worker import Errand, run_trial


def trial(number: int, outcome: dict[str, Any], retry_of: int | None = None) -> Trial:
    reports = {epoch: 0.5 for epoch in (1, 2, 3)}
    return Trial(number, "COMPLETE", {"family": "cnn", "retry_of": retry_of}, reports=reports, outcome=outcome)


def outcome(**phases: float) -> dict[str, Any]:
    history = [{"seconds": seconds} for seconds in (3.0, 1.0, 1.2)]
    return {"phases": phases, "seconds": 7.0, "history": history, "cost": {"wall_seconds": 7.5}}


def test_the_shares_add_up_to_the_time_of_the_workers() -> None:
    whole = outcome(build=0.5, train=4.2, validate=1.0, report=0.1, checkpoint=0.2)
    trials = [trial(0, {"cost": {"wall_seconds": 2.0}}), trial(1, whole, retry_of=5), trial(2, whole), trial(5, whole)]
    found = profile(trials, workers=2, searched_seconds=20.0, before_seconds=4.0, after_seconds=1.0)
    shares = {share.what: share.seconds for share in found.shares}
    assert sum(shares.values()) == pytest.approx(found.worker_seconds) and found.worker_seconds == 50.0
    assert (found.trials, found.epochs, found.silent) == (2, 6, 1), "the seconds of a lost trial are in the one that went on with it"
    assert shares[FIRST_EPOCH] == pytest.approx(2 * 1.9) and shares["train"] == pytest.approx(2 * (4.2 - 1.9)) and shares["checkpoint"] == pytest.approx(0.4)
    assert shares[START] == 8.0 and shares[FAILED] == 2.0 and shares[IDLE] == pytest.approx(40 - 15 - 2)
    assert found.in_fit == pytest.approx(2 * (4.2 + 1.0) / 50)
    assert "| build | 1.0 | 2.0 % | 0.50 | 0.167 |" in profile_table(found)


def test_a_first_epoch_that_is_alone_or_no_slower_says_nothing_of_tracing() -> None:
    assert first_epoch_beyond([{"seconds": 3.0}]) == 0.0 and first_epoch_beyond([]) == 0.0
    assert first_epoch_beyond([{"seconds": 1.0}, {"seconds": 2.0}]) == 0.0


class Saves:
    """An objective whose snapshot takes a while."""

    def run(self, spec, report, *, workdir=None, resume=None):
        import time
        from pathlib import Path

        def snapshot(folder: str) -> None:
            time.sleep(0.2)
            (Path(folder) / "state").write_text("x")

        began = time.perf_counter()
        report(1, {"val_accuracy": 0.5}, snapshot)
        told = time.perf_counter() - began
        return {"value": 0.5, "best_epoch": 1, "epochs": 1, "stopped_early": False, "phases": {"train": 1.0, "report": told}}


def test_writing_a_checkpoint_is_a_phase_of_its_own(tmp_path) -> None:
    (tmp_path / "c").mkdir()
    errand = Errand(0, {}, str(tmp_path / "w"), str(tmp_path / "c"))
    found = run_trial(Saves(), errand, lambda epoch, metrics: "save", lambda checkpoint: None)
    assert found["phases"]["checkpoint"] >= 0.2 and found["phases"]["report"] < 0.2 and found["phases"]["train"] == 1.0


def test_ratios_are_taken_repeat_by_repeat() -> None:
    def run(seconds: float) -> dict[str, Any]:
        return {"first": {"seconds": 2 * seconds, "epoch_seconds": 1.0}, "again": {"seconds": seconds, "epoch_seconds": seconds / 10}}

    found = {"ours": [run(1.2), run(2.4), run(3.6)], "bare": [run(1.0), run(2.0), run(4.0)]}
    ours, bare = bench_profile.bare_rows("small", found)
    assert ours.endswith("| 1.20 (0.90–1.20) | 1.20 (0.90–1.20) |") and bare.endswith("| 1.00 (1.00–1.00) | 1.00 (1.00–1.00) |")


@pytest.mark.parametrize("words", [[], ["--bare", "--minutes", "1"]])
def test_one_thing_is_profiled_at_a_time(words: list[str], monkeypatch, capsys) -> None:
    from scripts.ending import exit_code_of

    monkeypatch.setattr("sys.argv", ["bench_profile.py", *words])
    assert exit_code_of(bench_profile.main, stopped="") == 2
    assert "one of --study NAME, --minutes M, --bare" in capsys.readouterr().err
