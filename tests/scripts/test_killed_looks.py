"""No kill makes two looks of one: whatever moment the process is killed at, the same command completes the look that was begun."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.location import locate
from search.study import StudyOwner
from search.study_view import read_study
from search.trial import End
from tests import tiny_study
from tests.scripts import killed_look
from tests.scripts.look_studies import files, made, made_several, scores, seal_of, several, studies  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    """The scores of a look that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(made / "studies", folder / "studies")
    code, told = killed_look.run(["--studies-dir", str(folder / "studies")], folder)
    assert code == 0, told
    return scores(folder / "studies")


@pytest.mark.parametrize("point", killed_look.POINTS)
def test_a_killed_look_is_completed_as_the_same_look(point, studies, undisturbed, tmp_path):
    arguments = ["--studies-dir", str(studies)]
    code, told = killed_look.run(arguments, tmp_path, kill_at=point)
    assert code == -signal.SIGKILL, told
    before = seal_of(studies).looks()
    opened = point not in ("before retrain", "in retrain", "before opened", "opened is torn")
    assert len(before) == opened
    code, told = killed_look.run(arguments, tmp_path)
    assert code == 0, told
    (look,) = seal_of(studies).looks()
    assert look.number == 1
    assert look.closed is not None
    if opened:
        assert look.opened == before[0].opened
        assert ("nothing is evaluated" if point == "after closed" else "completing look 1") in told
    assert scores(studies) == undisturbed
    assert list((studies / "one" / "final").glob(".*")) == [], "no half-written file is left"


def test_an_interrupted_look_is_completed_though_another_trial_would_win_by_now(studies, undisturbed, tmp_path):
    arguments = ["--studies-dir", str(studies), "--study", "one"]
    assert killed_look.run(arguments, tmp_path, kill_at="after opened")[0] == -signal.SIGKILL
    view = read_study(studies, "one")
    owner = StudyOwner(locate(studies, "one"), maximize=True, fingerprint=view.fingerprint)
    better = owner.start(view.trials[1].spec | {"seed": 99}, {})
    owner.finish(better.number, End.FULL, value=0.95, outcome=view.trials[1].outcome | {"value": 0.95})
    owner.close()
    code, told = killed_look.run(arguments, tmp_path)
    assert code == 0 and f"trial {better.number} would win by now; the look at trial 1 was interrupted and is completed first" in told, told
    assert "completing look 1" in told and scores(studies) == undisturbed
    code, told = killed_look.run(arguments, tmp_path)
    assert code == 3 and "with another model" in told, "the next one needs a reason"


@pytest.mark.parametrize("point", killed_look.POINTS_OF_SEVERAL)
def test_a_killed_look_at_several_is_completed_with_the_same_models(point, several, tmp_path):
    """Also where the command that completes it does not ask for them: what is evaluated is what is on the receipt."""
    arguments = ["--studies-dir", str(several), "--also", "families"]
    assert killed_look.run(arguments, tmp_path, kill_at=point)[0] == -signal.SIGKILL
    before, folder = seal_of(several).looks(), several / "one" / "final"
    opened = "retrain" not in point and point != "before opened"
    assert len(before) == opened
    assert opened or not list(folder.glob("predictions*"))
    code, told = killed_look.run(arguments[:2] if opened else arguments, tmp_path)
    assert code == 0, told
    (look,) = seal_of(several).looks()
    assert not opened or look.opened == before[0].opened
    assert set(look.closed["also"]) == {"other", "fitted"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [(entry["family"], entry["accuracy"]) for entry in metrics["also"]] == [
        (family, look.closed["also"][family]["accuracy"]) for family in ("other", "fitted")
    ]
    assert not [name for name in files(folder) if name.startswith(".")], "no half-written file is left"


def test_what_a_killed_look_at_several_left_before_its_receipt_is_no_part_of_the_next(several, tmp_path):
    arguments = ["--studies-dir", str(several)]
    assert killed_look.run([*arguments, "--also", "families"], tmp_path, kill_at="before opened")[0] == -signal.SIGKILL
    assert (several / "one" / "final" / "also" / "fitted" / "model.skops").exists()
    assert killed_look.run(arguments, tmp_path, kill_at="after opened")[0] == -signal.SIGKILL
    assert killed_look.run(arguments, tmp_path)[0] == 0
    assert not (several / "one" / "final" / "also").exists()


def test_an_open_look_is_not_completed_with_another_model_of_another_family(several, tmp_path):
    arguments = ["--studies-dir", str(several), "--also", "families"]
    assert killed_look.run(arguments, tmp_path, kill_at="after opened")[0] == -signal.SIGKILL
    path = several / "one" / "final" / "also" / "fitted" / "model.skops"
    path.write_text("[1, 2, 3]")
    code, told = killed_look.run(arguments, tmp_path)
    assert (code, "also/fitted/model.skops (changed)" in told) == (3, True), told


def test_a_killed_further_look_is_completed_too(studies, made, tmp_path):
    tiny_study.make_study(studies, "two", made / "corpus", values=(0.9,))
    assert killed_look.run(["--studies-dir", str(studies), "--study", "one"], tmp_path)[0] == 0
    arguments = ["--studies-dir", str(studies), "--study", "two", "--again", "why not"]
    assert killed_look.run(arguments, tmp_path, kill_at="after evaluate")[0] == -signal.SIGKILL
    code, told = killed_look.run(arguments, tmp_path)
    assert (code, "completing look 2" in told) == (0, True), told
    assert [(look.number, look.closed is not None) for look in seal_of(studies).looks()] == [(1, True), (2, True)]


def test_a_file_that_broke_while_a_look_was_open_is_named(studies, made, tmp_path):
    arguments = ["--studies-dir", str(studies), "--data", str(tmp_path / "corpus")]
    shutil.copytree(made / "corpus", tmp_path / "corpus")
    assert killed_look.run(arguments, tmp_path, kill_at="after opened")[0] == -signal.SIGKILL
    (look,) = seal_of(studies).looks()
    track = sorted(look.opened["tracks"])[0]
    path = tmp_path / "corpus" / f"{track}.png"
    whole = path.read_bytes()
    path.write_bytes(b"no picture")
    code, told = killed_look.run(arguments, tmp_path)
    assert code == 2
    assert f"Held-out tracks that changed or are gone: {track}." in told
    assert seal_of(studies).looks() == (look,)
    path.write_bytes(whole)
    assert killed_look.run(arguments, tmp_path)[0] == 0


@pytest.mark.slow
def test_a_real_network_in_a_real_process_survives_kill_9(made, tmp_path):
    """Nothing is faked: the process is killed as soon as its receipt is on disk, and the same command completes the look."""
    from genre_models.families import FAMILIES

    spec = tiny_study.make_spec("cnn", FAMILIES["cnn"].defaults() | {"depth": 2, "filters": 8, "batch_size": 8})
    tiny_study.make_study(tmp_path / "studies", "one", made / "corpus", spec=spec)
    arguments = [sys.executable, "scripts/final_eval.py", "--studies-dir", str(tmp_path / "studies")]
    killed = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seal = seal_of(tmp_path / "studies")
    while killed.poll() is None and not (seal.path.exists() and seal.path.stat().st_size):
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    (opened,) = seal.looks()
    assert opened.closed is None
    for said in ("completing look 1", "nothing is evaluated"):
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    (look,) = seal.looks()
    assert look.opened == opened.opened
    assert 0 <= look.closed["scores"]["accuracy"] <= 1
