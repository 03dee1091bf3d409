"""The faults that are measured: rows that know their track, watts by part, and the section of the page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scripts.inflation import HONEST, NAIVE
from scripts.replication import faults_all, faults_choosing, faults_energy, faults_segments
from tests import tiny_study

SEGMENTS = faults_segments.SEGMENTS


def test_rows_that_know_their_track_and_nothing_of_its_class_gain_all_by_being_torn_apart():
    rng, folds = np.random.default_rng(0), faults_segments.FOLDS
    tracks = [{"id": f"t{i}", "label": "ab"[i % 2], "group": i, "folds": {str(folds): i % folds}} for i in range(24)]
    owners = np.repeat(np.arange(24), SEGMENTS)
    x = rng.normal(size=(24, 30))[owners] + rng.normal(0, 0.1, (24 * SEGMENTS, 30))
    names = [f"t{owner}#{i % SEGMENTS}" for i, owner in enumerate(owners)]
    found = faults_segments.both_ways("logistic", {"tracks": tracks, "labels": ["a", "b"]}, x, names, owners)
    assert found["by track"][NAIVE] > 0.9 and found["by track"][HONEST] < 0.8
    assert found["segments"] == 240 and found["by segment"]["interval"][0] > 0


def test_models_that_are_done_are_not_fitted_again(tmp_path, monkeypatch):
    told = {HONEST: 0.5, NAIVE: 0.9, "difference": 0.4, "interval": [0.3, 0.5], "p_value": 0.0}
    models = dict.fromkeys(faults_segments.MODELS, {"by segment": told, "by track": told, "segments": 10})
    (tmp_path / "faults-segments.json").write_text(json.dumps({"data": "demo", "tracks": 1, "segments": 10, "folds": 3, "models": models}))
    monkeypatch.setattr(faults_segments, "windows_of", lambda *given: pytest.fail("computed again"))
    assert faults_segments.measure("demo", tmp_path)["models"] == models
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        faults_segments.measure("elsewhere", tmp_path)


def test_watts_of_a_step_are_its_energy_over_its_time():
    """0.001 kWh in 60 s are 60 W."""
    energy = {"cpu": {"kwh": 0.0006, "how": "modelled"}, "ram": {"kwh": 0.0004, "how": "constant"}, "gpu": None, "country": "DEU"}
    found = faults_energy.load_of({"wall_seconds": 60.0, "cpu_seconds": 55.0, "energy": energy, "emissions_kg": 0.00038})
    assert found["watts"] == pytest.approx(60.0) and found["parts"]["cpu"] == {"watts": pytest.approx(36.0), "how": "modelled"}
    assert found["kg_a_second"] == pytest.approx(0.00038 / 60) and "gpu" not in found["parts"]
    assert faults_energy.load_of({"wall_seconds": 1.0, "cpu_seconds": 1.0, "energy": None, "emissions_kg": None})["watts"] is None


def test_energy_that_can_not_be_told_leaves_the_published_part():
    text = faults_energy.render({"country": "DEU", "loads": {}, "trouble": "no meter"})
    assert "0.532" in text and "0.531" in text and "not measured on this machine: no meter" in text


def test_the_best_of_nine_is_rendered_without_a_study_of_our_own():
    from dataclasses import asdict

    from scripts.replication.faults_published import best_of_nine

    text = faults_choosing.render({"published": asdict(best_of_nine()), "here": None, "features": "table"})
    assert "0.495" in text and "0.483" in text and "fewer than two sizes" in text


def test_the_table_of_a_gtzan_folder_is_found(tmp_path):
    assert faults_choosing.table_of(f"gtzan:{tmp_path}") is None
    (tmp_path / "features_30_sec.csv").write_text("")
    assert faults_choosing.table_of(f"gtzan:{tmp_path}") == str(tmp_path / "features_30_sec.csv") and faults_choosing.table_of("demo") is None


def test_a_section_has_the_faults_that_were_measured(tmp_path):
    text = faults_all.render({"intervals": faults_all.measure("intervals", "demo", tmp_path, 1.0)}, "the command")
    assert "    the command\n" in text and "### Differences within chance (all)" in text and "### Validating" not in text
    assert "793 of 1596" in text and "9 of 1596" in text and "+0.120 (+0.024 to +0.213)" in text


@pytest.mark.slow
def test_sweeps_and_segments_of_a_corpus_are_measured_and_kept(tmp_path, monkeypatch):
    """On pictures of three classes, in studies of their own; the second call trains nothing."""
    corpus = str(tiny_study.make_corpus(tmp_path / "corpus", per_class=20))
    results = {name: faults_all.measure(name, corpus, tmp_path / "faults", 3.0) for name in ("validating", "segments")}
    sweep, alone = results["validating"]["rows"]
    assert sweep["settings"] == 3 and sweep["epochs"] == 20 and sweep["tracks"] == alone["tracks"] == results["segments"]["tracks"] == 48
    assert sweep["chosen_by"] >= sweep["apart"] - 0.02
    monkeypatch.setattr("subprocess.run", lambda *command, **more: pytest.fail("trained again"))
    assert faults_all.measure("validating", corpus, tmp_path / "faults", 3.0) == results["validating"]
    assert faults_all.measure("segments", corpus, tmp_path / "faults", 3.0) == results["segments"]
    assert "Segments of one track" in faults_all.render(results)


@pytest.mark.slow
def test_loads_take_power_that_is_told_by_part(tmp_path):
    found = faults_energy.measure(tmp_path, seconds=5.0)
    assert list(found["loads"]) == list(faults_energy.LOADS) and faults_energy.measure(tmp_path) == found
    if found["trouble"] is None:
        assert all(load["watts"] > 0 and load["parts"]["cpu"]["how"] in ("measured", "modelled", "constant") for load in found["loads"].values())
    assert "mg a second" in faults_energy.render(found)
