"""Trials of several parts that are resumed, from whatever moment, and snapshots that can't be used."""

from __future__ import annotations

import contextlib
import json

import pytest

from genre_models import part_snapshots
from genre_models.errors import SnapshotError
from tests import parts_family
from tests.genre_models.test_objective import PARAMS, FakeStore
from tests.genre_models.test_parts import FOLDS, Listener, REPEATED, SPEC, files, run, task, without_times  # noqa: F401 (fixtures)


@pytest.mark.parametrize("spec", [REPEATED, FOLDS | {"params": {"stop_after": 2, "stop_later": 1}}, SPEC, SPEC | {"repeats": 2}])
def test_whatever_moment_it_is_resumed_from_the_outcome_is_the_same(task, tmp_path, spec):
    """Every snapshot an undisturbed trial could have been asked for: in part 1, between parts, inside a later part."""
    listener = Listener(folder=tmp_path / "snapshots")
    whole = run(task, spec, listener, workdir=str(tmp_path / "whole"))
    assert len(listener.seen) == len(list((tmp_path / "snapshots").iterdir())) >= 3
    for number in range(1, len(listener.seen) + 1):
        rest, folder = Listener(), tmp_path / f"again-{number}"
        resumed = run(task, spec, rest, workdir=str(folder), resume=str(tmp_path / "snapshots" / f"{number:02d}"))
        assert without_times(resumed) == without_times(whole)
        epoch, metrics = listener.seen[number - 1]
        is_told_again = metrics and epoch >= 3 and number < len(listener.seen)
        assert rest.seen == listener.seen[number - 1 if is_told_again else number :]
        assert files(folder) == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("at", "parts", "step"), [(2, 1, 3), (5, 2, 4), (6, 2, 4)], ids=["at step R", "at the last beat of part 2", "after part 2"]
)
def test_the_step_of_a_part_that_a_trial_was_stopped_at_is_told_before_it_goes_on(task, tmp_path, at, parts, step):
    whole = Listener()
    run(task, FOLDS, whole)
    run(task, FOLDS, Listener(at, "pause", tmp_path))
    asked = Listener(0, "stop")
    outcome = run(task, FOLDS, asked, resume=str(tmp_path / f"{at + 1:02d}"))
    assert asked.seen == [(epoch, metrics) for epoch, metrics in whole.seen if metrics and epoch == step]
    assert (outcome["parts"], len(parts_family.calls)) == (parts, at != 6), "no part is begun after the answer"


def test_a_trial_can_be_resumed_over_and_over_in_the_same_folder(task, tmp_path):
    whole = run(task, REPEATED, workdir=str(tmp_path / "whole"))
    outcome, folder, resume, told = None, tmp_path / "s", None, []

    def one_step(epoch, metrics, snapshot):
        told.append((epoch, metrics))
        snapshot(str(folder))
        return "continue" if told[-2:-1] == told[-1:] else "pause"

    for _ in range(40):
        outcome = run(task, REPEATED, one_step, workdir=str(tmp_path / "t"), resume=resume)
        resume = str(folder)
        kept = sorted(path.name for path in folder.iterdir())
        assert len(kept) <= 4, kept
        if outcome["parts"] == 6 and folder.joinpath("trial.json").exists() and not any(folder.glob("part-*")):
            break
    assert without_times(run(task, REPEATED, resume=resume)) == without_times(whole)
    assert files(tmp_path / "t") == files(tmp_path / "whole")


@pytest.mark.parametrize("write", ["write_whole", "write_text", "copy_weights"])
def test_a_snapshot_that_was_cut_short_leaves_the_one_before(task, tmp_path, monkeypatch, write):
    whole, original, deaths = run(task, FOLDS), getattr(part_snapshots, write), []

    def die(*given):
        deaths.append(given)
        raise OSError("disk full")

    for cut in range(2, 12):  # between any two moments
        folder, seen = tmp_path / f"{cut}", []

        def report(epoch, metrics, snapshot):
            seen.append(epoch)
            monkeypatch.setattr(part_snapshots, write, die if len(seen) == cut else original)
            snapshot(str(folder))
            return "continue"

        with contextlib.suppress(OSError):
            run(task, FOLDS, report, workdir=str(tmp_path / "t"))
        monkeypatch.setattr(part_snapshots, write, original)
        assert without_times(run(task, FOLDS, resume=str(folder))) == without_times(whole)
    assert len(deaths) == (10 if write == "write_text" else 8), "in part 1 there are no predictions and no weights to be written"


def test_a_snapshot_that_can_not_be_used_says_so_with_a_reason(task, tmp_path):
    listener = Listener(folder=tmp_path)
    run(task, FOLDS, listener, workdir=str(tmp_path / "t"))
    last = tmp_path / f"{len(listener.seen):02d}"
    beat = tmp_path / f"{len(listener.seen) - 1:02d}"

    def refused(spec, folder, message):
        with pytest.raises(SnapshotError, match=message) as raised:
            run(task, spec, resume=str(folder))
        assert raised.value.reason_code == "snapshot"

    refused(FOLDS, tmp_path / "none", "no readable snapshot .* afresh")
    for key, value in {"seed": 6, "epochs": 4, "folds": 1, "repeats": 2, "params": {"stop_after": 1, "stop_later": 0}}.items():
        refused(FOLDS | {key: value}, last, f"another trial, .*{key}.* differ")
    task["tracks"][0]["folds"]["3"] = 2
    refused(FOLDS, last, "another trial, tracks differ")
    task["tracks"][0]["folds"]["3"] = 0
    lost = ((beat, "part-0003/state", "state"), (last, "weights.weights.h5", "gone"), (last, "predictions-0003.npz", "no readable"))
    for folder, name, message in lost:
        (folder / name).unlink()
        refused(FOLDS, folder, message)
    one = tmp_path / "01" / "trial.json"
    one.write_text(one.read_text()[:-20])
    refused(FOLDS, one.parent, "no readable snapshot")
    cut = tmp_path / "04" / "predictions-0001.npz"
    cut.write_bytes(cut.read_bytes()[:-50])
    refused(FOLDS, cut.parent, "no readable snapshot")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda told: told["parts"][0].update(colour=1), "another version .*colour"),
        (lambda told: told["parts"][0].pop("value"), "another version .*value"),
        (lambda told: told.pop("identity"), "no readable snapshot .'identity'"),
        (lambda told: told.update(identity=[]), "no readable snapshot"),
    ],
)
def test_a_trials_snapshot_of_another_version_starts_it_afresh(task, tmp_path, spoil, message):
    run(task, FOLDS, Listener(4, "pause", tmp_path))
    file = tmp_path / "05" / "trial.json"
    told = json.loads(file.read_text())
    spoil(told)
    file.write_text(json.dumps(told))
    with pytest.raises(SnapshotError, match=message) as raised:
        run(task, FOLDS, resume=str(file.parent))
    assert raised.value.reason_code == "snapshot"


@pytest.mark.slow
def test_a_real_network_is_resumed_inside_a_later_part(task, tmp_path):
    spec = SPEC | {"folds": 2, "family": "cnn", "params": PARAMS, "epochs": 2}
    listener = Listener(folder=tmp_path)
    whole = run(task, spec, listener, workdir=str(tmp_path / "whole"))
    assert [epoch for epoch, _ in listener.seen] == [1, 2, 1, 2, 3]
    assert FakeStore.read == 1, "the features are read once for all folds"
    resumed = run(task, spec, resume=str(tmp_path / "03"), workdir=str(tmp_path / "again"))
    clocks = [epoch.pop("seconds") for outcome in (whole, resumed) for epoch in outcome["history"]]
    assert len(clocks) == 4
    assert without_times(resumed) == without_times(whole)
    for name in ("validation.csv", "weights.weights.h5"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    broken = next((tmp_path / "03" / "part-0002").glob("arrays-*.npz"))
    broken.write_bytes(broken.read_bytes()[:-2000])
    with pytest.raises(SnapshotError, match="no readable snapshot"):
        run(task, spec, resume=str(tmp_path / "03"))
