"""Tracks that an exported model is compared with its original on: files that were named, development tracks in the cache, or else made-up ones.

Only differences between two runs of one model are looked at, never a label. The cache holds no held-out track.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.errors import CorpusError
from genre_models.export.description import input_shape
from genre_models.features import compute_features, feature_dtype, feature_key, feature_shape
from genre_models.segments import cut

if TYPE_CHECKING:
    from genre_models.saved_model import SavedModel

MOST_TRACKS = 48
_SECONDS = 6.0  # of a made-up track


def probe_items(model: SavedModel, paths: Sequence[str] = ()) -> tuple[np.ndarray, str]:
    """Items as the model takes them [shape=(n, ...)], in the type of the features, and what they are, in words.

    Parameters
    ----------
    model : SavedModel
    paths : sequence of str
        Files to compare on, as of scripts/predict.py.

    Raises
    ------
    CorpusError
        None of the files can be read.
    """
    if paths:
        return _of_files(model, paths)
    cached = _cached_rows(model)
    if cached is not None:
        return cached, f"{len(cached)} items of development tracks in the cache"
    return _made_up(model)


def _of_files(model: SavedModel, paths: Sequence[str]) -> tuple[np.ndarray, str]:
    from genre_models.features.store import decode_one
    from genre_models.predict import list_sources

    made, reason = [], None
    for source in list_sources(paths, model).sources[:MOST_TRACKS]:
        if source.reason is not None or source.rows is not None:
            found: Any = source.reason if source.reason is not None else source.rows
        else:
            found = decode_one(model.kind, dict(model.input["features"]), str(source.path), None)
            found = cut(found[None], model.segments) if isinstance(found, np.ndarray) else found
        if isinstance(found, np.ndarray):
            made.append(found)
        else:
            reason = reason or found
    if not made:
        raise CorpusError(f"--check {' '.join(paths[:3])}: none of the files can be read: {reason}")
    return np.concatenate(made), f"{len(made)} tracks that were named"


def _cached_rows(model: SavedModel) -> np.ndarray | None:
    """Features that the study kept; None where its cache is not above the model's folder any more."""
    from genre_models.features.cache import RowCache

    for cache in (folder / ".cache" for folder in model.folder.resolve().parents):
        if not cache.is_dir():
            continue
        if model.kind == "table":
            return _cached_table(cache, model.input["table"])
        kind, settings = model.kind, model.input["features"]
        folder = cache / f"features-{feature_key(kind, settings)}"
        if not (folder / "rows.bin").is_file():
            return None
        known, rows = RowCache(folder, feature_shape(kind, settings), feature_dtype(kind)).open()
        numbers = sorted(known.values())
        chosen = numbers[:: max(1, len(numbers) // MOST_TRACKS)][:MOST_TRACKS]
        return cut(np.ascontiguousarray(rows[chosen]), model.segments) if chosen else None
    return None


def _cached_table(cache: Path, table: dict[str, Any]) -> np.ndarray | None:
    for folder in sorted(cache.glob("table-*")):
        try:
            facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["facts"]
            if (facts["sha256"], facts["columns"]) == (table.get("sha256"), table["columns"]):
                return np.array(np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)[:MOST_TRACKS])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another table's, or being made
    return None


def _made_up(model: SavedModel) -> tuple[np.ndarray, str]:
    rng = np.random.default_rng(0)
    if model.kind == "table":
        return _like_training(model, rng), f"{MOST_TRACKS} made-up rows"
    if model.kind == "image":
        height, width, channels = feature_shape("image", model.input["features"])
        coarse = rng.integers(0, 256, (16, (height + 15) // 16, (width + 15) // 16, channels), dtype=np.uint8)
        pictures = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
        return cut(np.ascontiguousarray(pictures), model.segments), "16 made-up pictures"
    from genre_models.demo.instruments import SR
    from genre_models.demo.styles import STYLES
    from genre_models.demo.track import render_track

    import soundfile

    made = []
    with tempfile.TemporaryDirectory() as folder:
        for style in STYLES:
            path = Path(folder) / f"{style.name}.wav"
            soundfile.write(path, render_track(style.name, 0, 1, _SECONDS), SR)
            made.append(compute_features(model.kind, model.input["features"], path))
    items = cut(np.stack(made), model.segments)
    return items, f"{len(items)} items of {len(made)} tracks of demo music"


def _like_training(model: SavedModel, rng: np.random.Generator) -> np.ndarray:
    """Rows with the mean and spread of training, where the model standardises."""
    mean, deviation = 0.0, 1.0
    if model.file.suffix == ".skops":
        from genre_models.sklearn_model import load_vectors_predictor

        steps = dict(load_vectors_predictor(model.folder).pipeline.steps)
        if "standardise" in steps:
            mean, deviation = steps["standardise"].mean_, steps["standardise"].scale_
    else:
        import keras

        norms = [layer for layer in keras.saving.load_model(model.file, compile=False, safe_mode=True).layers if isinstance(layer, keras.layers.Normalization)]
        if norms:
            mean, deviation = np.asarray(norms[0].mean).ravel(), np.sqrt(np.asarray(norms[0].variance)).ravel()
    return (rng.standard_normal((MOST_TRACKS, *input_shape(model))) * deviation + mean).astype(np.float32)
