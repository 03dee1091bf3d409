"""The command that asks a saved model: the same features and probabilities as in training and in the look, and what it does with files that can't be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import predict
from tests import tiny_study
from tests.saved_looks import Looked, ask, check_features, make_table, read_csv, write_csv

ROOT = Path(__file__).parents[2]


def held_out_table(looked: Looked, path: Path) -> Path:
    """The rows of the held-out tracks alone."""
    header, *rows = read_csv(looked.data.split.test[0].path)
    ids = {row.id.split("/")[1] for row in looked.data.split.test}
    return write_csv(path, [header, *(row for row in rows if row[0].rsplit(".", 2)[0] in ids)])


def test_held_out_pictures_are_told_as_in_the_look(pictures, tmp_path, capsys):
    assert ask(pictures, *pictures.paths, "--csv", tmp_path / "p.csv", "--json", tmp_path / "p.json") == 0
    header, *told = read_csv(tmp_path / "p.csv")
    assert header == ["file", "predicted", *(f"p_{label}" for label in tiny_study.LABELS), "problem"]
    assert [row[0] for row in told] == pictures.paths
    assert [row[1:-1] for row in told] == pictures.said(), "to the last digit that is written"
    out = capsys.readouterr().out
    assert "model: cnn from study tiny, trial 4; takes images in 3 windows; 3 classes; held-out accuracy " in out and "not checked" not in out
    assert "6 of 6 tracks predicted: " in out and " clips/s: 6 in " in out

    said = json.loads((tmp_path / "p.json").read_text())
    assert said["model"]["labels"] == list(tiny_study.LABELS) and said["n_predicted"] == 6 and said["clips_per_second"] > 0 and said["unread"] == []
    for row, one in zip(told, said["predictions"], strict=True):
        assert (one["file"], one["predicted"]) == (row[0], row[1])
        assert [f"{one['p'][label]:.6g}" for label in tiny_study.LABELS] == row[2:-1]
        assert sum(one["votes"].values()) == 3 and one["top"][0]["label"] == one["predicted"]


def test_rows_of_a_table_are_told_as_in_the_look_in_any_order_of_columns_and_without_classes(rows, tmp_path):
    table = held_out_table(rows, tmp_path / "held_out.csv")
    assert ask(rows, table, "--csv", tmp_path / "p.csv") == 0
    assert [row[1:-1] for row in read_csv(tmp_path / "p.csv")[1:]] == rows.said()
    other = [[row[3], "7", row[1], row[0], row[2]] for row in read_csv(table)]
    other[0][1] = "loudness"
    assert ask(rows, write_csv(tmp_path / "other.csv", other), "--csv", tmp_path / "q.csv") == 0
    assert [row[1:-1] for row in read_csv(tmp_path / "q.csv")[1:]] == rows.said()


@pytest.mark.parametrize("which", ["pictures", "rows"])
def test_what_is_asked_has_the_features_of_training(which, request, tmp_path):
    check_features(request.getfixturevalue(which), tmp_path)


def test_folders_are_read_whole_and_what_can_not_be_read_is_named_and_counted(pictures, tmp_path, capsys):
    music = tmp_path / "music"
    (music / "deep" / "er").mkdir(parents=True)
    (music / ".hidden").mkdir()
    for number, path in enumerate(pictures.paths[:3]):
        shutil.copy(path, music / ("deep/er" if number else "") / f"{number}.png")
    shutil.copy(pictures.paths[0], music / ".hidden" / "h.png")
    (music / "broken.png").write_bytes(b"no picture")
    (music / "notes.txt").write_text("no picture, and not called one")
    (music / "sound.wav").write_bytes(b"")
    assert ask(pictures, music, music / "0.png", tmp_path / "absent.png", music / "sound.wav", "--csv", tmp_path / "p.csv") == 1
    told = read_csv(tmp_path / "p.csv")[1:]
    names = [Path(row[0]).name for row in told]
    assert names == ["0.png", "broken.png", "1.png", "2.png", "absent.png", "sound.wav"], "each once, in their order"
    assert [bool(row[1]) for row in told] == [True, False, True, True, False, False]
    assert told[4][-1] == "no such file" and "is one of audio files, but the model takes images" in told[5][-1] and told[1][-1]
    out = capsys.readouterr().out
    assert "3 of 6 tracks predicted, 3 could not be read (named above)" in out and "2 files in folders are of kinds that the model does not take" in out
    assert f"unreadable  {music / 'broken.png'}: " in out
    assert ask(pictures, music / "broken.png") == 2
    assert ask(pictures, music / ".hidden" / "..", "--top", 1) == 1


def test_a_study_that_has_no_model_is_told_how_to_make_one(tmp_path, capsys):
    (tmp_path / "cnn").mkdir()
    assert predict.main(["--study", "cnn", "--studies-dir", str(tmp_path), "a.wav"]) == 2
    assert "study 'cnn' has no final model yet; make one with python scripts/final_eval.py --study cnn" in capsys.readouterr().err
    assert predict.main(["--study", "other", "--studies-dir", str(tmp_path), "a.wav"]) == 2
    assert "no such folder; give a study's final/ folder" in capsys.readouterr().err
    assert predict.main(["--study", "../cnn", "--studies-dir", str(tmp_path / "studies"), "a.wav"]) == 2
    assert "a study is named by its folder" in capsys.readouterr().err
    assert predict.main(["--study", "cnn", "--top", "0", "a.wav"]) == 2
    assert "--top 0: must be 1 or more" in capsys.readouterr().err


def test_outputs_spare_one_another_and_what_is_asked(pictures, rows, tmp_path, capsys):
    assert ask(pictures, *pictures.paths[:1], "--csv", tmp_path / "out", "--json", tmp_path / "." / "out") == 2
    assert "--json and --csv: both are" in capsys.readouterr().err and not (tmp_path / "out").exists()
    table = held_out_table(rows, tmp_path / "held_out.csv")
    before = table.read_bytes()
    assert ask(rows, tmp_path, "--csv", table) == 2
    assert "is to be written, but it is one of the files to predict" in capsys.readouterr().err and table.read_bytes() == before


def test_nothing_of_the_kind_is_an_error(pictures, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("")
    assert ask(pictures, tmp_path) == 2
    assert "nothing to predict: the model takes images (.png .jpg .jpeg); 1 files are of other kinds" in capsys.readouterr().err


def test_segments_votes_and_the_best_classes_are_shown(pictures, tmp_path, capsys):
    assert ask(pictures, pictures.paths[0], "--top", 2, "--segments", "--json", tmp_path / "p.json") == 0
    said = json.loads((tmp_path / "p.json").read_text())["predictions"][0]
    parts = np.array([segment["p"] for segment in said["segments"]])
    assert parts.shape == (3, 3) and parts.mean(axis=0) == pytest.approx(list(said["p"].values()), abs=1e-5)
    assert len(said["top"]) == 2 and said["segments"][0]["seconds"] is None
    votes = [tiny_study.LABELS[number] for number in parts.argmax(axis=1)]
    assert said["votes"] == {label: votes.count(label) for label in said["votes"]}
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.endswith(pictures.paths[0]))
    assert row.startswith(said["predicted"]) and row.count("0.") >= 2
    assert sum(line.strip().startswith("part ") for line in lines) == 3


def test_a_temperature_is_applied_where_it_is_asked_for_and_no_class_changes(rows, tmp_path, capsys):
    table = held_out_table(rows, tmp_path / "t.csv")
    for name, more in (("plain", []), ("cooled", ["--calibrated"])):
        assert ask(rows, table, "--json", tmp_path / f"{name}.json", *more) == 0
    assert "scaled by temperature 2, from the trial's validation tracks" in capsys.readouterr().out
    plain, cooled = (json.loads((tmp_path / f"{name}.json").read_text())["predictions"] for name in ("plain", "cooled"))
    for before, after in zip(plain, cooled, strict=True):
        root = np.sqrt(list(before["p"].values()))
        assert list(after["p"].values()) == pytest.approx((root / root.sum()).tolist(), abs=1e-5)
        assert after["predicted"] == before["predicted"]


def test_a_file_that_was_changed_is_refused(pictures, tmp_path, capsys):
    shutil.copytree(pictures.final, tmp_path / "final")
    command = ["--model", str(tmp_path / "final"), pictures.paths[0]]
    pipeline, model = tmp_path / "final" / "model" / "pipeline.json", tmp_path / "final" / "model" / "model.keras"
    whole = pipeline.read_text()
    pipeline.write_text(whole.replace('"blues"', '"jazz"'))
    assert predict.main(command) == 2
    assert "pipeline.json: has SHA-256 " in capsys.readouterr().err
    pipeline.write_text(whole)
    model.write_bytes(model.read_bytes()[:-1])
    assert predict.main(command) == 2
    assert "it is another model; bring it back" in capsys.readouterr().err


def test_a_model_without_its_metrics_is_used_and_a_broken_one_is_one_line(pictures, tmp_path, capsys):
    shutil.copytree(pictures.final / "model", tmp_path / "copy")
    command = ["--model", str(tmp_path / "copy"), pictures.paths[0]]
    assert predict.main(command) == 0
    assert "no metrics.json lies beside the model: that this is the model that was evaluated is not checked" in capsys.readouterr().out
    path = tmp_path / "copy" / "pipeline.json"
    whole = json.loads(path.read_text())
    for change, said in (
        ({"labels": ["a", "b"]}, "one probability for each of 2 labels"),
        ({"segments": 0}, "segments: must be a whole number from 1 to 60"),
        ({"input": whole["input"] | {"features": whole["input"]["features"] | {"image_size": [10**6, 10**6]}}}, "features.image_size"),
        ({"input": whole["input"] | {"features": whole["input"]["features"] | {"image_size": [8, 8]}}}, "does not take what pipeline.json says"),
        ({"schema": 7}, "schema: found 7, this version reads 1"),
    ):
        path.write_text(json.dumps(whole | change))
        assert predict.main(command) == 2
        assert said in capsys.readouterr().err
    for text in ("[]", "{", "[" * 100_000):
        path.write_text(text)
        assert predict.main(command) == 2
        assert "pipeline.json: can't be read" in capsys.readouterr().err
    path.write_text(json.dumps(whole))
    (tmp_path / "copy" / "model.keras").write_bytes(b"no model")
    assert predict.main(command) == 2
    said = capsys.readouterr().err
    assert "model.keras: can't be loaded in safe mode" in said and said.count("\n") == 1


def test_a_pickle_is_not_loaded(rows, tmp_path, capsys):
    import pickle

    shutil.copytree(rows.final / "model", tmp_path / "copy")
    (tmp_path / "copy" / "model.skops").write_bytes(pickle.dumps(print))
    assert predict.main(["--model", str(tmp_path / "copy"), str(make_table(tmp_path / "t.csv"))]) == 2
    assert "the model can't be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "{0}"], "is one of the files to predict, or is named like one"),
        (["--csv", "{folder}/new.wav"], "is one of the files to predict, or is named like one"),
        (["--csv", "{folder}"], "is a folder; give a file"),
        (["--csv", "{folder}/nowhere/p.csv"], "there is no folder"),
        (["--csv", "-", "--json", "-"], "only one of them can have the standard output"),
        (["--top", "0"], "must be 1 or more"),
    ],
)
def test_what_can_not_be_done_is_said_before_anything_is(arguments, said, pictures, tmp_path, capsys):
    copy = shutil.copy(pictures.paths[0], tmp_path / "a.png")
    before = Path(copy).read_bytes()
    assert ask(pictures, copy, *(text.format(copy, folder=tmp_path) for text in arguments)) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and Path(copy).read_bytes() == before


def test_tables_that_do_not_fit_are_named(rows, tmp_path, capsys):
    header, *body = read_csv(held_out_table(rows, tmp_path / "t.csv"))
    write_csv(tmp_path / "t.csv", [header, [body[0][0], "", *body[0][2:]], *body[1:]])
    assert ask(rows, tmp_path / "t.csv", "--csv", tmp_path / "p.csv") == 1
    told = read_csv(tmp_path / "p.csv")[1:]
    assert [bool(row[1]) for row in told] == [False, *[True] * 5] and told[0][-1] == "column first is empty, infinite or not a number in row 1"
    write_csv(tmp_path / "u.csv", [[name for name in header if name != "second"], *([row[0], row[1], *row[3:]] for row in body)])
    assert ask(rows, tmp_path / "u.csv") == 2
    assert "1 of the 3 columns that the model was trained on are not in it: second" in capsys.readouterr().out


def test_data_on_the_standard_output_is_nothing_else(rows, tmp_path, capsys):
    assert ask(rows, held_out_table(rows, tmp_path / "t.csv"), "--json", "-") == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["predictions"]) == 6 and "6 of 6 tracks predicted" in err


@pytest.mark.slow
def test_a_classifier_needs_no_tensorflow(rows, tmp_path):
    table = held_out_table(rows, tmp_path / "t.csv")
    code = (
        f"import sys; from scripts import predict; code = predict.main(['--model', {str(rows.final)!r}, {str(table)!r}]); "
        "print(code, sorted({'tensorflow', 'keras', 'librosa', 'ray', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_itself(pictures, tmp_path):
    """A real process; the same numbers as in this one."""
    arguments = [sys.executable, "scripts/predict.py", "--study", "tiny", "--studies-dir", str(pictures.final.parents[1]), *pictures.paths]
    done = subprocess.run([*arguments, "--csv", str(tmp_path / "p.csv")], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert [row[1:-1] for row in read_csv(tmp_path / "p.csv")[1:]] == pictures.said()


def test_what_waits_for_a_slow_file_is_bounded_and_all_come_out_in_order(monkeypatch):
    from genre_models.predict import items

    monkeypatch.setattr(items, "MOST_HELD_BYTES", 4_000)
    made = [np.full((1, 100), number, np.float32) for number in range(100)]
    order = [*range(1, 70), 0, *range(99, 69, -1)]
    held, waiting, batches = [], {}, []

    def arrive():
        for number in order:
            waiting[number] = made[number].nbytes
            held.append(sum(waiting.values()))
            yield number, "broken" if number == 50 else made[number]

    def score(tracks):
        batches.append(len(tracks))
        for track in tracks:
            waiting.pop(int(track[0, 0]))
        return [track[:, :2] for track in tracks]

    found = list(items._in_order(arrive(), score))
    assert [number for number, _ in found] == list(range(100))
    assert found[50][1] == "broken" and all(p[0, 0] == number for number, p in found if number != 50)
    assert max(held) < 4_000 + 35 * 400 and max(batches) <= 32


def test_windows_of_sound_have_their_seconds():
    from types import SimpleNamespace

    from genre_models.predict.writing import segment_seconds

    features = {"clip_seconds": 30.0, "sr": 22_050, "n_fft": 2048, "hop_length": 512, "n_mels": 64}
    spans = segment_seconds(SimpleNamespace(kind="audio", segments=6, input={"features": features}))
    assert len(spans) == 6 and spans[0][0] == 0 and spans[-1][1] == pytest.approx(30, abs=0.2)
    assert all(end == start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
