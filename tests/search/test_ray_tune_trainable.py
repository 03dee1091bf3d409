"""How a trial's failure in one of Ray Tune's processes is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.engines import ray_tune_trainable


class Trials:
    """What a tool trains with `fit`: it fails, in a backend's own words."""

    def make(self, spec: dict) -> Trials:
        raise RuntimeError(spec["words"])

    @staticmethod
    def reason_code(error: Exception) -> str:
        return "memory" if "OOM" in str(error) else getattr(error, "reason_code", "exception")


@pytest.mark.parametrize(("words", "code", "message"), [("OOM when allocating", "memory", "OOM when allocating"), ("shapes differ", "exception", "RuntimeError: shapes differ")])
def test_memory_that_is_used_up_is_told_as_such_in_a_backends_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: str, message: str) -> None:
    monkeypatch.setattr(ray_tune_trainable, "_built", [Trials()])
    parts = SimpleNamespace(spec=lambda family, sampled, number: {"words": words, "epochs": 1}, screen=lambda spec: None)
    with pytest.raises(RuntimeError):
        ray_tune_trainable.train_by_fit({"family": "cnn", "number": 3}, None, parts, str(tmp_path))
    told = json.loads((tmp_path / "3.json").read_text())
    assert (told["failed"], told["message"]) == (code, message)
