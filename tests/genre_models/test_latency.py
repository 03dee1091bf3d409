"""How long a saved model takes for a clip: features and network apart, warm, on development tracks alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from genre_models import final, latency
from genre_models.errors import GenreModelsError

FEATURES = {"sr": 8000, "clip_seconds": 1.5}
PIPELINE = {"kind": "audio", "features": FEATURES, "segments": 2, "spec": {}, "input": {"kind": "audio", "features": FEATURES}}
TASK = {"tracks": [{"id": f"t{n}", "path": f"/corpus/{n}.wav"} for n in range(40)]}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths whose features were made; the first call of all is slow, as one that compiles."""
    paths: list[str] = []
    batches: list[int] = []

    def compute(kind: str, settings: dict, path: str, content: str | None) -> np.ndarray:
        time.sleep(0.004 if paths else 0.3)
        paths.append(path)
        return np.zeros((4, 8, 1), np.float32)

    def predict(batch: np.ndarray) -> np.ndarray:
        time.sleep(0.002 if batches else 0.3)
        batches.append(len(batch))
        assert batch.shape == (2, 4, 4, 1), "all windows of a clip"
        return np.full((2, 2), 0.5, np.float32)

    monkeypatch.setattr(latency, "compute_features", compute)
    monkeypatch.setattr(final, "load_predictor", lambda folder: predict)
    return paths


def test_features_and_network_are_timed_apart_and_warm(opened: list[str], tmp_path: Path) -> None:
    found = latency.measure_latency(tmp_path, PIPELINE, TASK)
    assert 4 <= found["features_ms"]["median"] <= found["features_ms"]["p95"] < 100 and found["features_ms"]["clips"] == latency.CLIPS
    assert 2 <= found["network_ms"]["median"] <= found["network_ms"]["p95"] < 100 and found["network_ms"]["clips"] == latency.CALLS
    assert found["clip_seconds"] == 1.5 and found["threads"] >= 1
    assert set(opened) <= {track["path"] for track in TASK["tracks"]} and len(set(opened)) == latency.CLIPS
    assert json.loads(json.dumps(found)) == found


def test_a_slow_model_is_not_measured_for_ever(opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_SECONDS", 0.01)
    found = latency.measure_latency(tmp_path, PIPELINE, {"tracks": TASK["tracks"][:1]})
    assert found["features_ms"]["clips"] == 1 and 1 <= found["network_ms"]["clips"] < latency.CALLS


def test_without_development_tracks_there_is_nothing_to_measure_on(opened: list[str], tmp_path: Path) -> None:
    with pytest.raises(GenreModelsError, match="no development track"):
        latency.measure_latency(tmp_path, PIPELINE, {"tracks": []})
