"""scripts/replicate.py: presets as runs, boxes of time, stopping rules read off a curve, verdicts, the page."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from genre_models.families import FAMILIES
from genre_models.objective import METRICS
from genre_models.schedules import EarlyStopping
from genre_models.settings import DataSettings, FeatureSettings
from scripts import replicate
from scripts.replication import boxes, plan
from scripts.replication.boxes import CUT, DONE, FAILED, Boxes, ending_of, is_settled
from scripts.replication.runs import DEMO, LISTS, RANDOM, Corpus, Run
from scripts.replication.sweeps import CLAIMED_STOPS
from scripts.replication.trainings import Cut, Training, pooled, read_run
from scripts.replication.verdicts import AGREES, CANNOT_TELL, DIFFERS, Score, all_of, claimed, difference, is_better, same_accuracy, score
from search.config import load_space

ROOT = Path(__file__).resolve().parents[2]
TINY = {"budget.max_epochs": 2, "features.n_mels": 16, "features.hop_length": 2048, "families.cnn.filters_per_layer": "4", "families.cnn.dense_units": 0}


BUSY = "exec timeout 30 bash -c 'while :; do :; done'"  # a box counts processor time


def tiny(name: str, **changes) -> Run:
    return Run(name, "g11-base-cnn", DEMO, 0, TINY | changes)


# -- runs ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists", [None, ("train.txt", "valid.txt")])
def test_every_run_is_a_sound_space_file(lists, tmp_path):
    corpus = Corpus(f"gtzan:{tmp_path}", "table.csv", lists)
    runs = {run for _, of in [*plan.gtzan_rows(corpus), *plan.fma_rows()] for run in of}
    assert len({run.study for run in runs}) == len(runs) > 20
    for run in runs:
        file = tmp_path / f"{run.study}.yaml"
        file.write_text(run.space(corpus))
        config = load_space(file, FAMILIES, {"data": DataSettings, "features": FeatureSettings}, metrics=METRICS)
        data = config.sections["data"]
        assert (config.study, config.seed, data.source) == (run.study, run.seed, "demo" if run.split == DEMO else corpus.source)
        assert (data.split is not None) == (run.split == LISTS)


def test_changes_are_laid_over_the_preset_and_none_takes_out():
    text = plan.base(RANDOM, 1).space(Corpus("gtzan:x"))
    assert "early_stopping: false" in text and "early_stopping_patience" not in text and "kernel: 7" in text
    assert "kernel: 3" in plan.kernel(3, RANDOM, 0).space(Corpus("gtzan:x"))


def test_sweeps_share_the_base_network():
    assert plan.kernel(7, LISTS, 2) == plan.base(LISTS, 2) == plan.rate(0.0001, LISTS, 2) == plan.plateau((0.3, 10), LISTS, 2)


# -- boxes -----------------------------------------------------------------------------------------------------------------


class Commands(Boxes):
    """Runs shell commands in place of searches: what is tested is who runs when, and what is written of it."""

    def _start(self, run):
        folder = self._dir / run.study
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / boxes.LOG).open("w") as log:
            return subprocess.Popen(["bash", "-c", run.changes["do"]], stdout=log, stderr=subprocess.STDOUT)


def run_commands(folder, rows, minutes=1.0, at_once=2):
    told = []
    runs = [(row, [Run(name, "", RANDOM, 0, {"do": do}) for name, do in of.items()]) for row, of in rows]
    Commands(runs, Corpus("demo"), folder, minutes, at_once, told.append).run()
    return {run.name: ending_of(folder, run) for _, of in runs for run in of}, told


def test_what_is_done_is_not_run_again_and_what_failed_is(tmp_path):
    rows = [("A", {"good": f"echo x >> {tmp_path}/good"}), ("B", {"bad": f"echo x >> {tmp_path}/bad; echo error: no disk; exit 2"})]
    first, _ = run_commands(tmp_path, rows)
    assert first["good"].how == DONE and (first["bad"].how, first["bad"].why) == (FAILED, "error: no disk")
    run_commands(tmp_path, rows)
    assert (tmp_path / "good").read_text() == "x\n" and (tmp_path / "bad").read_text() == "x\nx\n"


def test_a_box_ends_what_runs_and_leaves_what_waits_and_touches_no_other_row(tmp_path):
    rows = [("A", {"long": BUSY, "never": f"touch {tmp_path}/never"}), ("B", {"short": "true"})]
    began = time.monotonic()
    ended, _ = run_commands(tmp_path, rows, minutes=1 / 60, at_once=1)
    assert time.monotonic() - began < 10
    assert [ended[name].how for name in ("long", "never", "short")] == [CUT, CUT, DONE]
    assert not (tmp_path / "never").exists()
    runs = Run("long", "", RANDOM, 0)
    assert is_settled(tmp_path, runs, 1 / 60) and not is_settled(tmp_path, runs, 1)  # a larger box runs it again


def test_a_row_named_twice_has_one_box_and_a_shared_run_is_run_once(tmp_path):
    rows = [("A", {"one": "timeout 1.2 sh -c 'while :; do :; done'; true"}), ("B", {"other": f"echo x >> {tmp_path}/count"}), ("A", {"two": BUSY, "other": "exit 1"})]
    ended, _ = run_commands(tmp_path, rows, minutes=1.5 / 60, at_once=1)
    assert ended["one"].how == DONE and ended["two"].how == CUT and ended["two"].seconds < 5
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_runs_killed_go_on_and_a_cut_one_says_how_far_it_came(tmp_path):
    run, long = tiny("short"), tiny("long", **{"budget.max_epochs": 5000})
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.scripts.test_replication import Boxes, Corpus, tiny
run = tiny("short")
Boxes([("A", [run])], Corpus("demo"), Path({str(tmp_path)!r}), 10, 1, print).run()
"""
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    deadline = time.monotonic() + 90
    while not (tmp_path / run.study / boxes.SPACE).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert ending_of(tmp_path, run) is None
    told = []
    Boxes([("A", [run])], Corpus("demo"), tmp_path, 5, 1, told.append).run()
    Boxes([("B", [long])], Corpus("demo"), tmp_path, 0.75, 1, told.append).run()
    assert ending_of(tmp_path, run).how == DONE, told
    found = read_run(tmp_path, run)
    assert isinstance(found, Training) and len(found.history) == 2 and found.ids is not None
    assert found.last.mean() == pytest.approx(found.history[-1]["val_accuracy"])
    cut = read_run(tmp_path, long)
    assert ending_of(tmp_path, long).how == CUT and isinstance(cut, Cut) and 1 <= cut.epoch < 5000


# -- what is read off a training -------------------------------------------------------------------------------------------


def training(losses, hits, seed=0, order="a", ids=None, groups=None):
    parts = (np.array(hits, dtype=bool),)
    history = [{"epoch": e, "loss": 0.0, "accuracy": 0.9, "val_loss": loss, "val_accuracy": float(parts[0][e - 1].mean())} for e, loss in enumerate(losses, 1)]
    return Training(Run("x", "", RANDOM, seed), order, ids, groups, parts, history, "float32", SimpleNamespace())


def test_a_stopping_rule_is_read_off_a_longer_curve_as_it_would_have_run():
    losses = [1.0, 0.9, 0.95, 0.93, 0.91, 0.5, 0.6, 0.7, 0.8]
    one = training(losses, np.eye(9, 9))
    for monitor, patience in itertools.product(("val_loss", "val_accuracy"), (1, 2, 3, 5)):
        live, stopped = EarlyStopping(True, monitor, patience), None
        for row in one.history:
            live.observe(row)
            if live.is_due and stopped is None:
                stopped = row["epoch"]
        assert one.stops(monitor, patience) == stopped
    assert one.stops("val_loss", 3) == 5 and one.stops("val_loss", 4) is None
    assert one.restored(5).argmax() == 1 and one.restored(None).argmax() == 5  # the weights of the lowest loss so far


def test_trainings_of_the_same_tracks_are_averaged_and_of_others_joined_by_track():
    same = [training([1], [[1, 0, 1]]), training([1], [[1, 1, 0]])]
    scores, groups, n = pooled(same, [each.last for each in same])
    assert scores.tolist() == [1, 0.5, 0.5] and groups is None and n == 3
    others = [training([1], [[1, 0]], 0, "a", ("p", "q")), training([1], [[1, 1]], 1, "b", ("q", "r"))]
    scores, groups, n = pooled(others, [each.last for each in others])
    assert scores.tolist() == [1, 0, 1, 1] and groups.tolist() == [0, 1, 1, 2] and n == 3


# -- verdicts --------------------------------------------------------------------------------------------------------------


def test_the_difference_has_newcombes_interval():
    off, (low, high) = difference(claimed(56 / 70, 70), claimed(48 / 80, 80))  # Newcombe 1998, table II, row (a), method 10
    assert (off, low, high) == (pytest.approx(0.2), pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


@pytest.mark.parametrize(("ours", "theirs", "verdict"), [
    (claimed(0.55, 2000), claimed(0.56, 2000), AGREES),
    (claimed(0.40, 200), claimed(0.56, 200), DIFFERS),
    (claimed(0.55, 100), claimed(0.56, 100), CANNOT_TELL),  # no difference, but 14 points would not be seen
    (Score(0.5, None), claimed(0.5, 100), CANNOT_TELL),
])  # fmt: skip
def test_accuracies_agree_only_where_a_difference_would_have_been_seen(ours, theirs, verdict):
    assert same_accuracy(ours, theirs) == same_accuracy(theirs, ours) == verdict


def test_an_order_needs_every_step():
    from genre_models.resampling import compare_paired

    better, worse = np.repeat([1, 1, 0], 100), np.repeat([1, 0, 0], 100)
    assert is_better(compare_paired(better, worse)) == AGREES and is_better(compare_paired(worse, better)) == DIFFERS
    assert is_better(compare_paired(better[:3], worse[:3])) == CANNOT_TELL
    assert all_of([AGREES, AGREES]) == AGREES and all_of([AGREES, CANNOT_TELL]) == CANNOT_TELL and all_of([CANNOT_TELL, DIFFERS]) == DIFFERS and all_of([]) == CANNOT_TELL


def test_a_score_of_several_trainings_is_of_the_tracks_not_of_the_trainings():
    alone, twice = score([1, 0, 1, 0] * 10), score([1, 0, 1, 0] * 20, np.repeat(np.arange(40), 2), 40)
    assert (alone.n, twice.n) == (40, 40)
    assert twice.interval[1] - twice.interval[0] > 0.2


# -- the command -----------------------------------------------------------------------------------------------------------


def test_the_page_of_nothing_says_that_nothing_was_run(tmp_path, capsys):
    page = tmp_path / "page.md"
    assert replicate.main(["--only-page", "--data", "demo", "--page", str(page), "--studies-dir", str(tmp_path / "studies")]) == 0
    text = page.read_text()
    assert "nothing ended yet" in text and "not run" in text and "| F30 | Hyperband at R = 27" in text
    assert all(str(stop) in text for stop in CLAIMED_STOPS.values())
    rows = [line for line in text.splitlines() if line.startswith("| G")]
    assert {row.split(" | ")[0].strip("| ") for row in rows} >= {"G02", "G06", "G12", "G13", "G14", "G15", "G18", "G19"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["G99"], "G99: no such row"),
    (["--minutes", "0"], "--minutes 0: must be more than 0"),
    (["--at-once", "0"], "--at-once 0: must be 1"),
    (["--table", "nowhere.csv"], "nowhere.csv: there is no such file"),
    (["--page", "nowhere/page.md"], "there is no folder"),
])  # fmt: skip
def test_bad_input_is_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert replicate.main([*arguments, "--data", "demo"]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
