"""The folder ``evidence/``: files, and ``index.json`` that says what they are.

``index.json``: ``{"schema": 1, "about": text, "made_from": text, "items": [{"title", "kind", "path", "alt", "caption"?, "group"?}]}``, where items of one group and title
belong together. Kinds: ``image`` (PNG, JPEG); ``audio`` (mp3); ``table``, a JSON file ``{"corner", "columns": [text], "rows": [{"name", "note"?, "cells": [{"text", "shade"?, "tone"?}]}]}``
with shades from 0 to 1 and tones good or bad; ``curve``, a JSON file ``{"x", "y", "range", "series": [{"name", "style": "line" | "points", "x", "y", "low"?, "high"?, "text"?}]}``.
File names come from this program, never from a track.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_models.doctor.findings import shown
from genre_models.durable import fsync_tree, write_text
from genre_models.evidence.clips import write_clip, write_picture
from genre_models.evidence.confusion import confusion_caption, confusion_table
from genre_models.evidence.mistakes import Mistake, mistakes_caption, mistakes_table, most_confident_mistakes
from genre_models.evidence.predictions import Predictions
from genre_models.evidence.reliability import reliability_caption, reliability_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genre_models.final import Evaluation
    from genre_models.scan import ScanRow

SCHEMA = 1
#: Mistakes that are shown with picture and sound.
PICTURED = 8
_GROUP = "The most confident mistakes"


def write_evidence(
    folder: Path,
    predictions: Predictions,
    files: Mapping[str, Path],
    kind: str,
    about: str,
    *,
    made_from: str = "",
    calibration: Mapping[str, Any] | None = None,
    pictured: int = PICTURED,
) -> None:
    """Write the evidence of a model's answers; the folder is replaced whole.

    Parameters
    ----------
    folder : Path
    predictions : Predictions
    files : mapping of str to Path
        The file of each track that may be shown; of others no picture is made.
    kind : {"audio", "image", "table"}
        Of the corpus; tracks of a table have no picture.
    about : str
        Whose answers to what.
    made_from : str
        Names the predictions, for who wants to know whether the folder is up to date.
    calibration : mapping, optional
        As of `reliability_curve`.
    pictured : int
        Mistakes with picture and sound, at most.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        mistakes = most_confident_mistakes(predictions)
        items = [_table(partial, "confusion", "Which classes are taken for which", confusion_table(predictions), confusion_caption(predictions))]
        write_text(partial / "reliability.json", json.dumps(reliability_curve(predictions, calibration)))
        caption = reliability_caption(predictions)
        items.append({"title": "Can the probabilities be believed?", "kind": "curve", "path": "reliability.json", "alt": caption, "caption": caption})
        items += _pictures(partial, mistakes[:pictured], files, kind)
        if mistakes:
            items.append(_table(partial, "mistakes", "Mistakes, the surest first", mistakes_table(mistakes), mistakes_caption(mistakes, len(predictions.ids))))
        write_text(partial / "index.json", json.dumps({"schema": SCHEMA, "about": about, "made_from": made_from, "items": items}, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        fsync_tree(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_held_out(folder: Path, evaluation: Evaluation, rows: Sequence[ScanRow], pipeline: Mapping[str, Any], calibration: Mapping[str, Any]) -> None:
    """Write the evidence of a look; to be called by the look alone, whose tracks these are.

    Parameters
    ----------
    folder : Path
    evaluation : Evaluation
    rows : sequence of ScanRow
        The held-out tracks.
    pipeline : mapping
        ``pipeline.json`` of the model.
    calibration : mapping
        Of ``metrics.json``.
    """
    predictions = Predictions(evaluation.labels, evaluation.track_ids, evaluation.y_true, evaluation.p, evaluation.groups)
    about = f"{len(rows)} held-out tracks, looked at once, and what the final model said (trial {pipeline['trial']}, {pipeline['spec']['family']})"
    write_evidence(folder, predictions, {row.id: Path(row.path) for row in rows}, pipeline["kind"], about, calibration=calibration)


def _table(folder: Path, name: str, title: str, table: dict, caption: str) -> dict:
    write_text(folder / f"{name}.json", json.dumps(table))
    return {"title": title, "kind": "table", "path": f"{name}.json", "alt": caption, "caption": caption}


def _pictures(folder: Path, mistakes: list[Mistake], files: Mapping[str, Path], kind: str) -> list[dict]:
    items = []
    for number, mistake in enumerate(mistakes if kind in ("audio", "image") else (), 1):
        path, title, stem = files.get(mistake.id), shown(mistake.id), folder / f"mistake-{number}"
        if path is None:
            continue
        picture = write_picture(kind, path, stem)
        if picture is not None:
            what = "Spectrogram" if kind == "audio" else "Image"
            items.append({"title": title, "kind": "image", "path": picture.name, "alt": f"{what} of {title}", "caption": mistake.text, "group": _GROUP})
        clip = write_clip(path, stem.with_suffix(".mp3")) if kind == "audio" else None
        if clip is not None:
            items.append({"title": title, "kind": "audio", "path": clip.name, "alt": f"Six seconds of {title}", "caption": mistake.text, "group": _GROUP})
    return items
