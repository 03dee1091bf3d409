"""The command that takes the look: what it prints and writes, what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from genre_models import card, verdict
from genre_models.card import _worth_in_card
from genre_models.errors import CorpusError
from genre_models.evidence import read_looks
from scripts import final_eval
from search import run
from search.report.repeating import preference_of_look
from search.study_view import read_study
from tests import fake_family, tiny_study
from tests.scripts.look_studies import command, files, made, made_several, scores, seal_of, several, studies  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]


def test_the_verdict_is_told_and_written(studies, capsys):
    assert command(studies, "--study", "one") == 0
    told = capsys.readouterr().out
    assert "winner: trial 1, fake, validation accuracy 0.700 at epoch 2" in told
    assert "epoch 2/2" in told
    assert "validation said 0.700" in told
    for label in tiny_study.LABELS:
        assert f"\n{label} " in told
    metrics, predictions = scores(studies)
    assert (metrics["trial"], metrics["look"], metrics["n_tracks"]) == (1, 1, 6)
    assert len(predictions.splitlines()) == 7
    told = (studies / "one" / "final" / "card.md").read_text()
    assert "24 tracks to learn from, 6 held out." in told and "Licence: unknown to this program" in told and "20% of each class held out at random" in told


def test_the_verdict_tells_what_the_model_costs(studies, capsys):
    assert command(studies, "--study", "one") == 0
    told, metrics = capsys.readouterr().out, json.loads((studies / "one" / "final" / "metrics.json").read_text())
    for part in ("retrain", "evaluation"):
        cost = metrics["cost"][part]
        assert cost["wall_seconds"] > 0 and cost["cpu_seconds"] >= 0 and cost["peak_ram_mib"] > 10
    pipeline = json.loads((studies / "one" / "final" / "model" / "pipeline.json").read_text())
    assert pipeline["cost"] == metrics["cost"]["retrain"]
    assert metrics["latency"]["features_ms"]["median"] > 0 and metrics["latency"]["network_ms"]["p95"] > 0
    assert metrics["disk_bytes"] == sum(path.stat().st_size for path in (studies / "one" / "final" / "model").iterdir()) and metrics["parameters"] > 0
    assert "one track, in use: features " in told and "on disk: " in told
    assert "| one track, in use |" in (studies / "one" / "final" / "card.md").read_text()


def test_latency_is_measured_on_development_tracks_alone_and_its_failure_costs_no_look(studies, capsys, monkeypatch):
    from genre_models import latency

    seen, original = [], latency.compute_features
    monkeypatch.setattr(latency, "compute_features", lambda kind, settings, path, content: (seen.append(path), original(kind, settings, path, content))[1])
    assert command(studies, "--study", "one") == 0
    held_out = {line.partition(",")[0] for line in (studies / "one" / "final" / "predictions.csv").read_text().splitlines()[1:]}
    assert seen and not [path for path in seen if any(str(path).endswith(track) for track in held_out)]
    capsys.readouterr()

    def gone(*given):
        raise CorpusError("no such file")

    monkeypatch.setattr(latency, "compute_features", gone)
    assert command(studies, "--study", "one", "--again", "to see") == 0
    assert "how long the model takes for a clip is not measured: no such file" in capsys.readouterr().out
    assert json.loads((studies / "one" / "final" / "look-2" / "metrics.json").read_text())["latency"] is None


def test_what_is_for_peoples_eyes_holds_up_no_look(studies, capsys, monkeypatch):
    """A look that failed at it each time could never be closed."""
    from genre_models import look, plots

    def broken(*given):
        raise ValueError("can't parse $10_$20")

    monkeypatch.setattr(look, "write_held_out", broken)
    monkeypatch.setattr(plots, "draw_curves", broken)
    assert command(studies, "--study", "one") == 0
    told = capsys.readouterr().out
    assert "note: pictures and sound of the mistakes are not all there: ValueError: can't parse" in told and "note: pictures of the look are not all there" in told
    (taken,) = seal_of(studies).looks()
    assert taken.closed is not None and (studies / "one" / "final" / "card.md").exists() and (studies / "one" / "final" / "confusion.png").exists()


def test_a_winner_of_folds_is_retrained_for_their_mean_best_epoch(studies, made, capsys):
    """The mean lies beyond the first fold's last epoch here, so that fold's last learning rate goes on."""
    spec, facts = tiny_study.make_spec() | {"folds": 4}, {"best_epoch": 5, "val_accuracy": 0.65, "parts": 4, "parts_wanted": 4}
    tiny_study.make_study(studies, "folds", made / "corpus", values=(0.6,), spec=spec, facts=facts, validation={"folds": 4})
    assert command(studies, "--study", "folds") == 0
    told = capsys.readouterr().out
    assert "validation accuracy 0.650 (mean over 4 folds; best after 5 epochs, in the mean)" in told
    assert "epoch 5/5" in told
    assert "validation said 0.650 (mean over 4 folds): " in told
    folder = studies / "folds" / "final"
    metrics, pipeline = json.loads((folder / "metrics.json").read_text()), fake_family.pipeline_of(folder / "model")
    assert (metrics["validation_accuracy"], metrics["validated_by"], metrics["epochs"]) == (0.65, "4 folds", 5)
    assert pipeline["learning_rates"] == pytest.approx([1e-3, 5e-4, 1e-3 / 3, 1e-3 / 3, 1e-3 / 3])
    assert "the trial scored 0.650 (mean over 4 folds): such scores chose" in (folder / "card.md").read_text()
    assert pipeline["n_tracks"] == 24, "folds or not, the held-out tracks are those of the split's seed"


def test_a_confirmed_winner_is_told_with_the_score_that_chose_it(studies, made, capsys):
    tiny_study.make_study(studies, "sure", made / "corpus", confirmed={1: 0.55, 2: 0.65})
    assert command(studies, "--study", "sure") == 0
    told = capsys.readouterr().out
    assert "winner: trial 2, fake, validation accuracy 0.600 at epoch 2\nconfirmed on 5 folds: val_accuracy 0.650\n" in told
    assert "\nvalidation said 0.600: " in told
    assert "\nconfirmed on 5 folds, which chose the model: 0.650: " in told
    metrics = json.loads((studies / "sure" / "final" / "metrics.json").read_text()) | {"expected": {"value": 0.61, "interval": [0.5, 0.7]}}
    (worth,) = [line for line in verdict.table(metrics).splitlines() if "it was worth 0.610" in line]
    assert worth.startswith("confirmed on 5 folds"), "it is what that score was worth, and not the search's"
    assert "by resampling the items of those folds" in _worth_in_card(metrics)
    folder = studies / "sure" / "final"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["trial"], metrics["validation_accuracy"], metrics["validated_by"]) == (2, 0.6, "hold-out")
    assert metrics["confirmed"] == {"folds": 5, "metric": "val_accuracy", "value": 0.65, "val_accuracy": 0.65}
    card = (folder / "card.md").read_text().replace("\n", " ")
    assert "the trial scored 0.600; of the best few, all trained again on 5 folds, it had the best score, 0.650: such scores chose the model" in card


def test_a_score_that_is_no_accuracy_is_named(studies, made):
    tiny_study.make_study(studies, "loss", made / "corpus", confirmed={0: 0.9, 2: 0.8}, metric="val_loss")
    confirmed = final_eval.read_request(studies, "loss", None)[1].winner.confirmed
    assert card.again(asdict(confirmed)) == "val_loss 0.800 (accuracy 0.800)"


def test_a_corpus_of_several_folders_is_opened_as_in_the_search(studies, made, tmp_path, capsys):
    tiny_study.make_study(studies, "list", [made / "corpus", tiny_study.make_corpus(tmp_path / "more", per_class=5, seed=1)])
    assert command(studies, "--study", "list") == 0
    told = capsys.readouterr().out
    assert f"study list: {made / 'corpus'}, {tmp_path / 'more'}\n" in told
    predictions = (studies / "list" / "final" / "predictions.csv").read_text()
    assert len(predictions.splitlines()) == 10 and "@" in predictions


@pytest.mark.slow
def test_a_list_of_folders_that_moved_is_named_in_its_order(studies, made, tmp_path, capsys):
    folders = [tiny_study.make_corpus(tmp_path / place / "music", per_class=5, seed=seed) for seed, place in enumerate(("x", "y"))]
    tiny_study.make_study(studies, "list", folders)
    moved = [str(shutil.move(folder, tmp_path / f"moved-{folder.parent.name}" / "music")) for folder in folders]
    for wrong in (moved[:1], moved[::-1]):
        assert command(studies, "--study", "list", "--data", *wrong) == 2
        assert "not the corpus that study 'list' was made on" in capsys.readouterr().err
    assert command(studies, "--data", *moved, "--study", "list") == 0


def test_a_second_call_shows_the_same_and_evaluates_nothing(studies, capsys, monkeypatch):
    assert command(studies) == 0
    first, seal = capsys.readouterr().out, seal_of(studies).path.read_bytes()
    monkeypatch.setattr(final_eval, "take", lambda *given: pytest.fail("nothing may be evaluated"))
    shutil.rmtree(studies / ".cache")
    assert command(studies) == 0
    again = capsys.readouterr().out
    assert "nothing is evaluated" in again
    assert again.partition("\nlook 1")[2] == first.partition("\nlook 1")[2]
    assert seal_of(studies).path.read_bytes() == seal


def test_the_receipt_outlives_the_files(studies, capsys):
    command(studies)
    shutil.rmtree(studies / "one" / "final")
    capsys.readouterr()
    assert command(studies) == 0
    told = capsys.readouterr().out
    assert "accuracy 0." in told
    assert "holds no metrics.json any more" in told


def test_another_study_on_the_same_split_is_sealed(studies, made, capsys):
    tiny_study.make_study(studies, "two", made / "corpus", values=(0.9,))
    assert command(studies, "--study", "one") == 0
    capsys.readouterr()
    assert command(studies, "--study", "two") == 3
    said = capsys.readouterr().err
    assert "study one, trial 1" in said
    assert "--again REASON" in said
    assert "Traceback" not in said
    assert command(studies, "--study", "two", "--again", "to see") == 0
    assert "looked again because: to see" in capsys.readouterr().out
    assert json.loads((studies / "two" / "final" / "look-2" / "metrics.json").read_text())["reason"] == "to see"
    assert command(studies, "--study", "two", "--again", "to see") == 0
    assert "nothing is evaluated" in capsys.readouterr().out
    assert [look.number for look in seal_of(studies).looks()] == [1, 2]


def test_the_commands_of_the_card_show_the_look_and_repeat_the_trial(studies, made, capsys):
    assert command(studies, "--study", "one", "--prefer", "cheapest-within", "0.5") == 0
    assert "trial 0" in seal_of(studies).looks()[0].describe(), "not the best, trial 1"
    told = (studies / "one" / "final" / "card.md").read_text()
    shown, predicted, _, replayed = (shlex.split(line)[1:] for line in re.findall(r"^    (python .*)$", told, re.MULTILINE))
    capsys.readouterr()
    assert shown[0] == "scripts/final_eval.py" and final_eval.main(shown[1:]) == 0
    assert "nothing is evaluated" in capsys.readouterr().out
    assert predicted == ["scripts/predict.py", "--study", "one", "--studies-dir", str(studies), "FILE…"]
    options = run.parser().parse_args(replayed[2:])
    assert (options.study, options.data, options.seed, options.studies_dir, options.replay) == ("one", [str(made / "corpus")], 0, studies, 0)
    assert options.space == studies / "one" / "space.yaml"
    (look,) = read_looks(studies / "one" / "final")
    view = read_study(studies, "one")
    assert preference_of_look(view, view.winner(), [look], None) == "cheapest-within 0.5", "the report offers what is not refused"


def test_best_is_the_study_with_the_best_winner(studies, made, capsys):
    tiny_study.make_study(studies, "two", made / "corpus", values=(0.5, 0.8))
    tiny_study.make_study(studies, "unfinished", made / "corpus", values=())
    assert final_eval.choose_study(studies, "best", final_eval.Console()) == "two"
    told = capsys.readouterr().out
    assert "best of 2 studies: two" in told
    assert "passed over: study 'unfinished'" in told


def test_best_refuses_to_compare_what_can_not_be_compared(studies, made, capsys):
    tiny_study.make_study(studies, "two", made / "corpus", split_seed=1)
    assert command(studies, "--study", "best") == 2
    said = capsys.readouterr().err
    assert "--study one:" in said
    assert "--study two:" in said


@pytest.mark.slow
def test_shared_held_out_tracks_are_reported(studies, made, capsys):
    tiny_study.make_study(studies, "two", made / "corpus", split_seed=3, test_fraction=0.5)
    assert command(studies, "--study", "one") == 0
    assert command(studies, "--study", "two") == 0
    assert f"held-out tracks were looked at before, in split {seal_of(studies).split_id}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--study", "none"], "no study 'none'"),
        (["--again", " "], "--again needs a reason"),
        (["--prefer", "cheapest-within"], "--prefer cheapest-within: write best, cheapest-within X (a difference of the score, such as 0.01) or cheapest-within ties"),
        (["--data", "/nowhere"], "/nowhere: no such folder"),
        (["--data", "demo:x"], "--data demo:x: the study's settings don't go with it: data.source: 'demo:x' is not one of: demo, a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(studies, capsys, arguments, says):
    assert command(studies, *arguments) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1


def test_an_empty_folder_says_how_to_begin(tmp_path, capsys):
    assert command(tmp_path) == 2
    assert "python -m search.run" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_closes_nothing(studies, capsys, monkeypatch):
    from genre_models import verdict

    def write(path, text):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as full:
        full.setattr(verdict, "write_text", write)
        assert command(studies) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "run the same command again" in said
    assert command(studies) == 0
    assert len(seal_of(studies).looks()) == 1


def test_nothing_held_out_is_nothing_to_evaluate(studies, capsys):
    run = json.loads((studies / "one" / "run.json").read_text())
    (studies / "one" / "run.json").write_text(json.dumps(run | {"split_id": None}))
    assert command(studies) == 2
    assert "nothing is held out" in capsys.readouterr().err


def test_a_search_that_runs_keeps_the_study(studies, capsys):
    from search.lease import hold_lease
    from search.location import locate

    with hold_lease(locate(studies, "one")):
        assert command(studies) == 2
    assert "another process" in capsys.readouterr().err
    assert not seal_of(studies).path.exists()


def test_a_moved_corpus_is_found_and_a_changed_one_refused(studies, made, tmp_path, capsys):
    moved = shutil.copytree(made / "corpus", tmp_path / "elsewhere")
    (moved / "pop" / "pop.00001.png").unlink()
    assert command(studies, "--data", str(moved)) == 2
    assert "not the corpus that study 'one' was made on. There: 29 readable tracks" in capsys.readouterr().err
    shutil.copy(made / "corpus" / "pop" / "pop.00001.png", moved / "pop")
    assert command(studies, "--data", str(moved)) == 0


def test_demo_is_said_wherever_a_number_is(studies, capsys, monkeypatch):
    from genre_models import prepare

    original = prepare.TaskData.task
    monkeypatch.setattr(prepare.TaskData, "task", lambda self, *given: original(self, *given) | {"demo": True})
    command(studies)
    folder = studies / "one" / "final"
    assert "(demo: synthesised music)" in capsys.readouterr().out
    assert json.loads((folder / "metrics.json").read_text())["demo"] is True
    assert "**demo**" in (folder / "card.md").read_text()


def test_the_best_of_each_family_takes_part_in_one_look(several, capsys):
    assert command(several, "--also", "families") == 0
    told = capsys.readouterr().out
    assert "winner: trial 0, fake, validation accuracy 0.700 at epoch 2\nalso: trial 2, other, validation accuracy 0.600 at epoch 2\n" in told
    assert "also: trial 1, fitted, validation accuracy 0.500\n" in told
    assert "fitting trial 1, fitted, to all 24 development tracks\n" in told
    assert "3 models saved and hashed; opening the seal" in told
    (look,), folder = seal_of(several).looks(), several / "one" / "final"
    assert [(one.family, one.trial) for one in look.also] == [("other", 2), ("fitted", 1)]
    models = {"model.keras", "pipeline.json", *(f"also/other/{name}" for name in ("model.keras", "pipeline.json"))}
    assert set(look.opened["models"]) == models | {f"also/fitted/{name}" for name in ("model.skops", "pipeline.json")}
    assert {"families.png", "predictions-other.csv", "predictions-fitted.csv"} < files(folder)

    metrics = json.loads((folder / "metrics.json").read_text())
    other, fitted = metrics["also"]
    assert (other["family"], other["trial"], other["validation_accuracy"], other["epochs"]) == ("other", 2, 0.6, 2)
    assert (fitted["family"], fitted["validation_accuracy"], fitted["epochs"], fitted["n_tracks"]) == ("fitted", 0.5, None, 6)
    assert other["accuracy"] == metrics["accuracy"] and other["compared"]["tie"], "the same model under another name"
    assert other["compared"] | {"difference_ci95": None} == {"wins": 0, "losses": 0, "difference": 0.0, "difference_ci95": None, "p_value": 1.0, "tie": True}
    compared = fitted["compared"]
    assert fitted["accuracy"] - metrics["accuracy"] == pytest.approx(compared["difference"]) == (compared["wins"] - compared["losses"]) / 6
    assert look.closed["also"] == {entry["family"]: {key: entry[key] for key in verdict.IN_THE_RECEIPT} for entry in metrics["also"]}
    for line in ("fake (winner)      0       0.700", "other              2       0.600", "fitted             1       0.500"):
        assert f"\n{line}" in told
    assert "\n  also fitted, trial 1: accuracy 0." in told
    assert "| fitted | 1 | 0.500 | - | 0." in (folder / "card.md").read_text()


def test_a_look_at_several_is_shown_again_with_and_without_asking_for_them(several, capsys):
    assert command(several, "--also", "families") == 0
    first, seal = capsys.readouterr().out, seal_of(several).path.read_bytes()
    for more in (["--also", "families"], []):
        assert command(several, *more) == 0
        again = capsys.readouterr().out
        assert "nothing is evaluated" in again
        assert again.partition("\nlook 1")[2] == first.partition("\nlook 1")[2]
    assert seal_of(several).path.read_bytes() == seal


def test_more_models_on_an_opened_split_are_a_further_look(several, capsys):
    assert command(several) == 0
    capsys.readouterr()
    assert command(several, "--also", "families") == 3
    said = capsys.readouterr().err
    assert "already looked at with this winner, but not with all the others that are asked for now" in said
    assert "the same command without --also shows that look" in said
    assert command(several, "--also", "families", "--again", "to compare them") == 0
    assert [len(look.also) for look in seal_of(several).looks()] == [0, 2]
    assert (several / "one" / "final" / "look-2" / "also" / "fitted" / "model.skops").exists()


def test_where_there_is_one_family_there_is_nothing_beside_it(studies, capsys):
    assert command(studies, "--also", "families") == 0
    assert "no family but fake has a trial with the full budget" in capsys.readouterr().out
    assert "also" not in seal_of(studies).looks()[0].opened
    assert command(studies) == 0


def test_a_winner_without_epochs_was_fitted(studies, made, capsys):
    tiny_study.make_study(studies, "plain", made / "corpus", families=("fitted",) * 3)
    assert command(studies, "--study", "plain") == 0
    assert "winner: trial 1, fitted, validation accuracy 0.700\n" in capsys.readouterr().out
    folder = studies / "plain" / "final"
    metrics, card = json.loads((folder / "metrics.json").read_text()), (folder / "card.md").read_text()
    assert (metrics["epochs"], metrics["model"]) == (None, "model.skops")
    assert "- Fitted to all 24 development tracks in" in card and not re.search(r"\bepochs?\b", card)
    assert f"`model/model.skops` (SHA-256 `{metrics['model_sha256']}`)" in card


def test_a_column_that_was_a_feature_then_and_is_none_now_is_said():
    from types import SimpleNamespace

    view = SimpleNamespace(name="old", fingerprint={"families": {"classical": {"features": {"table": "ab" * 32}}}})
    data = SimpleNamespace(features={"classical": {"table": "t.csv"}}, fingerprint_features=lambda family: {"table": "ab" * 32 + " without length"})
    with pytest.raises(CorpusError, match="length of t.csv was a feature when study 'old' was made .* search again"):
        final_eval.require_same_files(view, data, ["classical"])


def test_it_runs_from_the_root_of_a_checkout():
    done = subprocess.run([sys.executable, "scripts/final_eval.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "receipt" in done.stdout
