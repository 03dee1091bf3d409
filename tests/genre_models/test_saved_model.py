"""Which model a study's folder stands for."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from genre_models.errors import GenreModelsError
from genre_models.saved_model import _model_folder


def test_the_newest_look_that_was_carried_to_its_end_is_the_studys_model(tmp_path: Path) -> None:
    studies = tmp_path / "studies of mine"
    final = studies / "one" / "final"
    for name in ("", "look-2", "look-10", "look-11", "look-2.bak", "look-old"):
        (final / name / "model").mkdir(parents=True)
        (final / name / "model" / "pipeline.json").write_text("{}")
    assert _model_folder(final) == final / "look-11" / "model", "none was carried to its end"
    for name in ("", "look-2", "look-10"):
        (final / name / "metrics.json").write_text("{}")
    assert _model_folder(final) == final / "look-10" / "model"
    shutil.rmtree(final / "model")
    with pytest.raises(GenreModelsError, match="is a study, not a model; give its final/"):
        _model_folder(final.parent)
    shutil.rmtree(final)
    with pytest.raises(GenreModelsError, match=rf"make one with python scripts/final_eval\.py --study one --studies-dir {re.escape(shlex.quote(str(studies)))}"):
        _model_folder(final)
