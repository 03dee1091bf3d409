"""How long a saved model takes for one clip: making its features, and what the network or classifier says of them, apart.

Measured on development tracks, in this process, one clip at a time, after some calls that are not counted: what is compiled or loaded at the first call is not
part of it. Units: milliseconds.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models import final
from genre_models.errors import GenreModelsError
from genre_models.features import compute_features
from genre_models.segments import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: Clips that are measured, and calls of the model for all of them together, at most; and the seconds that either may take.
CLIPS, CALLS = 15, 45
_SECONDS = 5.0
_WARM_UP = 3


def measure_latency(folder: Path, pipeline: Mapping[str, Any], task: Mapping[str, Any], threads: int | None = None) -> dict[str, Any]:
    """Time a saved model on clips it was trained on.

    Parameters
    ----------
    folder : Path
        As `genre_models.retrain` left it.
    pipeline : mapping
        ``pipeline.json`` of the model.
    task : mapping
        The development tracks (docs/design.md, section 5).
    threads : int, optional
        That the model may use, to be told with it; None for all cores of this process.

    Returns
    -------
    dict
        ``features_ms`` and ``network_ms``, each ``{"median", "p95", "clips"}`` or None, ``clip_seconds`` (of sound), ``threads``. Features of a
        table are read, not made: None. A clip's network time is that of all its windows.

    Raises
    ------
    GenreModelsError, OSError
        A development file can't be read any more, or the rows of a table are not in the cache.
    """
    found = pipeline.get("input", {"kind": pipeline["kind"], "features": pipeline["features"]})
    tracks = _spread(task["tracks"], CLIPS)
    if found["kind"] == "table":
        made, items = None, _table_items(pipeline, task, tracks)
    else:
        made, items = _time_features(found, tracks, pipeline.get("segments", 1))
    predict = final.load_predictor(folder)
    for item in items[:1] * _WARM_UP:
        _predict(predict, item)
    network = _timed(lambda item: _predict(predict, item), (items * (1 + CALLS // len(items)))[:CALLS])[0]
    clip_seconds = None if found["kind"] in ("table", "image") else found["features"].get("clip_seconds")
    return {"features_ms": made, "network_ms": _summary(network), "clip_seconds": clip_seconds, "threads": threads or _cores()}


def _spread(tracks: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """So many tracks at even distances, so that every class and folder has a chance."""
    if not tracks:
        raise GenreModelsError("there is no development track to measure the latency on")
    return [tracks[place] for place in np.unique(np.linspace(0, len(tracks) - 1, count).astype(int))]


def _time_features(found: Mapping[str, Any], tracks: Sequence[Mapping[str, Any]], segments: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Of each track's features the time; and its items [shape=(n_windows, ...)]."""

    def make(track: Mapping[str, Any]) -> np.ndarray:
        return compute_features(found["kind"], dict(found["features"]), track["path"], None)

    make(tracks[0])
    spent, arrays = _timed(make, tracks)
    return _summary(spent), [cut(array[None], segments) for array in arrays]


def _table_items(pipeline: Mapping[str, Any], task: Mapping[str, Any], tracks: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    from genre_models.retrain import complete
    from genre_models.sources import open_store, trial_input

    store = open_store(trial_input(complete(pipeline["spec"], task), task), task)
    return [store.features(store.items_of([track["id"]])[0]) for track in tracks]


def _predict(predict: Callable[[np.ndarray], np.ndarray], items: np.ndarray) -> None:
    for first in range(0, len(items), final.BATCH):
        predict(items[first : first + final.BATCH])


def _timed(call: Callable[[Any], Any], inputs: Sequence[Any]) -> tuple[list[float], list[Any]]:
    """Milliseconds of each call, and what it gave; ends early where it takes too long in all."""
    spent, given, end = [], [], time.perf_counter() + _SECONDS
    for each in inputs:
        started = time.perf_counter()
        given.append(call(each))
        spent.append(1000 * (time.perf_counter() - started))
        if time.perf_counter() > end:
            break
    return spent, given


def _summary(spent: Sequence[float]) -> dict[str, Any]:
    return {"median": round(float(np.median(spent)), 3), "p95": round(float(np.percentile(spent, 95)), 3), "clips": len(spent)}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
