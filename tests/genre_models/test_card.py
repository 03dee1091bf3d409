"""The card: data and licence as far as they are known, costs as far as they were measured, limits, and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genre_models.card import card
from genre_models.settings import DataSettings, FeatureSettings

ROOT = Path(__file__).parents[2]
DATA = DataSettings(source="gtzan:~/gtzan").model_dump(mode="json")
ENERGY = {"cpu": {"kwh": 0.001, "how": "modelled"}, "ram": {"kwh": 0.0002, "how": "constant"}, "gpu": None, "country": "DEU"}
COSTS = {
    "cost": {"retrain": {"wall_seconds": 12.2, "cpu_seconds": 20.4, "peak_ram_mib": 700.0, "energy": ENERGY}, "evaluation": {"wall_seconds": 2.0, "peak_ram_mib": 415.0}},
    "energy_kwh": 0.0012,
    "emissions_kg": 0.0004,
    "latency": {"features_ms": {"median": 12.3, "p95": 20.0}, "network_ms": {"median": 3.2, "p95": 4.0}, "clip_seconds": 29.7, "threads": 1},
    "disk_bytes": 120_000,
}


def metrics(**changes) -> dict:
    return {
        **{"family": "cnn", "study": "s", "trial": 4, "demo": False, "labels": ["blues", "rock"], "n_tracks": 6, "n_groups": 6, "look": 1, "split_id": "abc"},
        **{"accuracy": 0.5, "accuracy_ci95": [0.3, 0.7], "macro_f1": 0.5, "macro_f1_ci95": None, "log_loss": 1.0, "log_loss_ci95": None, "ece": 0.1},
        **{"calibration": {"temperature": None}, "reason": None, "validation_accuracy": 0.6, "expected": None, "epochs": 3, "train_seconds": 12.2},
        **{"peak_ram_evaluation_mib": 500.0, "model": "model.keras", "model_sha256": "f" * 64, "also": []},
        "per_class": {"blues": {"recall": 0.25, "support": 4}, "rock": {"recall": 1.0, "support": 2}},
        **changes,
    }


def pipeline(source: str = "gtzan:~/gtzan", data: dict | None = None, **changes) -> dict:
    features = FeatureSettings().model_dump(mode="json")
    return {
        **{"versions": {"keras": "3"}, "kind": "audio", "parameters": 1234, "features": features, "n_tracks": 24, "segments": 6, "train_seconds": 12.2},
        "about": {"corpus": "music", "source": source, "data": DATA | (data or {}), "tracks": {}},
        **changes,
    }


@pytest.mark.parametrize(
    ("source", "demo", "licence"),
    [
        ("gtzan:~/gtzan", False, "GTZAN (Tzanetakis and Cook 2002): its recordings have no stated licence"),
        ("fma:~/fma", False, "FMA (Defferrard et al. 2017): each track has the Creative Commons licence that its artist chose."),
        ("~/music", False, "Licence: unknown to this program"),
        ("~/music, gtzan:~/gtzan", False, "GTZAN (Tzanetakis and Cook 2002): its recordings have no stated licence"),
        ("demo", True, "Licence: music made by this program"),
    ],
)
def test_the_licence_of_the_data_is_said_or_said_to_be_unknown(source, demo, licence):
    said = card(metrics(demo=demo), pipeline(source))
    assert licence in said and f"Corpus: music ({source}); 24 tracks to learn from, 6 held out." in said
    assert ("unknown to this program" in said) == ("~/music" in source)
    assert ("**demo**" in said) == demo


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "20% of each class held out at random by groups (seed 0), before anything was trained. Kept on one side: copies of a recording (no two"),
        ({"split": {"train": "a.txt", "validation": None, "test": "b.txt"}}, "lists that were given: train a.txt, test b.txt."),
        ({"split": "official"}, "the one that the corpus was published with."),
        ({"near_duplicates": "ignore", "groups": "artists.csv"}, "Kept on one side: files of the same bytes and the groups of artists.csv ("),
        ({"groups": "artist"}, "copies of a recording and artists ("),
    ],
)
def test_the_split_and_what_was_kept_together_are_said(data, said):
    told = card(metrics(), pipeline(data=data))
    assert said in told
    assert ("whether an artist is on both sides is not known" in told) == ("groups" not in data)


def test_what_a_naive_split_gave_is_marked():
    assert "**NAIVE SPLIT**" in card(metrics(), pipeline(data={"split": "naive"})) and "NAIVE" not in card(metrics(), pipeline())


def test_costs_are_told_as_far_as_they_were_measured():
    told = card(metrics(**COSTS), pipeline())
    for line in (
        "| training | 12 s, 20 s of processors, 700 MiB |",
        "| evaluation, once | 2.0 s |",
        "| energy and CO₂ of both | 1.2 Wh, 0.4 g CO₂ (cpu modelled, ram constant, grid of DEU) |",
        "| one track, in use | features 12.3 ms (95 % under 20), network 3.2 ms (95 % under 4) for a clip of 29.7 s, 1 thread |",
        "| on disk | 0.12 MB |",
    ):
        assert line in told
    assert "415 MiB" not in told and "| memory of evaluation | 500 MiB at most, the process as a whole |" in told, "one memory of the evaluation"
    without_carbon = card(metrics(**COSTS | {"emissions_kg": None}), pipeline())
    assert "| energy of both | 1.2 Wh (" in without_carbon and "CO₂" not in without_carbon
    nothing = card(metrics(cost={"retrain": None, "evaluation": None}, energy_kwh=None, emissions_kg=None, latency=None), pipeline())
    for text in ("CO₂", " Wh", "None", "in use", "on disk"):
        assert text not in nothing
    assert "| training | 12 s |" in nothing


def test_limits_use_and_repetition_are_those_of_the_model():
    told = card(metrics(), pipeline())
    assert "It hears the first 29.7 s of a track and no more." in told and "6 tracks are few" in told and "Least often found is blues: 25% of its tracks." in told
    assert "are few" not in card(metrics(accuracy_ci95=[0.48, 0.52]), pipeline())
    assert "It hears" not in card(metrics(), pipeline(kind="image"))
    commands = re.findall(r"^    python (\S+ ?\S*)", told, re.MULTILINE)
    assert commands == ["scripts/final_eval.py --study", "scripts/predict.py --study", "scripts/export.py --study", "-m search.run"]
    assert all((ROOT / command.split()[0]).is_file() for command in commands if command.startswith("scripts"))
    assert "--model studies/s/final/look-3 FILE…" in card(metrics(look=3), pipeline())
    about = pipeline()["about"] | {"commands": {"look": "LOOK", "replay": "REPLAY", "study": "--study s --studies-dir '/my studies'", "final": "'/my studies/s/final'"}}
    told = card(metrics(look=2), pipeline(about=about))
    assert "    LOOK\n    python scripts/predict.py --model '/my studies/s/final'/look-2 FILE…\n" in told and "--to onnx\n    REPLAY\n" in told
    assert "predict.py --study s --studies-dir '/my studies' FILE…" in card(metrics(), pipeline(about=about))


@pytest.mark.parametrize(("kind", "what"), [("audio", "tracks"), ("image", "images"), ("table", "tracks")])
def test_what_is_told_apart_is_named(kind, what):
    assert f"Tells 2 classes of {what} apart: blues, rock." in card(metrics(), pipeline(kind=kind))


def test_models_of_before_say_what_they_know():
    told = card(metrics(), {key: value for key, value in pipeline().items() if key not in ("about", "segments")})
    assert "Corpus: not recorded; 24 tracks" in told and "Licence: unknown to this program" in told
