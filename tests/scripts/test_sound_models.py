"""Models that hear sound, by every way from a file to their input: asked and exported, they say what the look said, from the features of training."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from genre_models import plots
from scripts import export
from tests import tiny_study
from tests.saved_looks import CNN, ask, check_features, make_sounds, read_csv, take_look

NETWORK = {"weights": "random", "trunk_side": 32}
WAYS = {
    "mel": ("cnn", CNN | {"segments": 2}, {}, ["onnx", "tflite"]),
    "handcrafted": ("classical", {"model": "logistic", "input": "handcrafted"}, {}, []),
    "network": ("mobilenet", {"head_units": "8", "cut": "conv_pw_3_relu", "channels": "colour"}, NETWORK, ["onnx", "tflite"]),
    "network-classical": ("classical", {"model": "logistic", "input": "mobilenet/conv_pw_3_relu"}, NETWORK, ["onnx"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_sound_is_told_as_in_the_look_and_exported_whole(way, tmp_path, capsys, monkeypatch):
    family, params, settings, formats = WAYS[way]
    monkeypatch.setattr(plots, "DOTS_PER_INCH", 40)
    looked = take_look(tmp_path, make_sounds(tmp_path / "corpus"), family, params, {"n_mels": 32, "clip_seconds": "auto"} | settings)
    shutil.rmtree(tmp_path / "studies" / ".seals")  # nothing but the model's folder is needed
    assert ask(looked, *looked.paths, "--csv", tmp_path / "p.csv", "--segments", "--workers", 1) == 0
    told = [row for row in read_csv(tmp_path / "p.csv")[1:] if row[1] == ""]
    assert [row[2:-1] for row in told] == looked.said()
    assert "takes sound, the first 1 s of a track" in capsys.readouterr().out
    if way in ("mel", "handcrafted"):  # the others hear what the first does
        check_features(looked, tmp_path)
    if not formats:
        return
    pytest.importorskip("onnxruntime")
    for to in formats:  # the pretrained network goes with it
        assert export.main(["--model", str(looked.final), "--to", to, "--output", str(tmp_path / "out")]) == 0, to
        assert "of development tracks in the cache" in capsys.readouterr().out
    # The features of the program beside it are made by other code than training's, from the same settings.
    done = subprocess.run([sys.executable, str(tmp_path / "out" / "run_onnx.py"), looked.paths[0]], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    label, p = done.stdout.splitlines()[0].split()
    assert float(p) == pytest.approx(float(looked.said()[0][1 + tiny_study.LABELS.index(label)]), abs=0.02)
    if way == "mel":
        moved = shutil.copytree(looked.final / "model", tmp_path / "moved" / "model")  # no cache above it: demo music stands in
        assert export.main(["--model", str(moved), "--to", "onnx"]) == 0
        out = capsys.readouterr().out
        assert "compared on 16 items of 8 tracks of demo music" in out and "no metrics.json lies beside the model" in out
