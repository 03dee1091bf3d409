"""The one evaluation of a saved model on the held-out tracks.

Owns `heldout_features`, the one function of the project that turns held-out items into features. It never touches the shared cache: nothing
of a held-out item stays on disk. Training the model is `genre_models.retrain`'s, what is written about the result `genre_models.verdict`'s, and
that it happens once `genre_models.look`'s.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genre_models.content import content_hash
from genre_models.errors import CorpusError, GenreModelsError
from genre_models.features import compute_features
from genre_models.memory import PeakMemory
from genre_models.segments import by_track, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from genre_models.scan import ScanRow

BATCH = 32  # held-out tracks whose features are in memory at once, and windows that are predicted at once
REMEDY = "put the file back as it was when the study was made, then run the same command again"


@dataclass(frozen=True)
class Evaluation:
    """What the saved model said about the held-out tracks.

    Parameters
    ----------
    track_ids : tuple of str
    y_true : np.ndarray of int [shape=(n,)]
        Class numbers, in the order of `labels`.
    p : np.ndarray of float32 [shape=(n, n_classes)]
        Probabilities.
    labels : tuple of str
    peak_ram_mib : float
        Largest resident memory of this process meanwhile.
    """

    track_ids: tuple[str, ...]
    y_true: np.ndarray
    p: np.ndarray
    labels: tuple[str, ...]
    peak_ram_mib: float


def verify_files(rows: Sequence[ScanRow]) -> None:
    """Check that every held-out file still has the content it was scanned with; makes no features.

    Raises
    ------
    CorpusError
        A file is missing or has changed; the message names it.
    """
    for row in rows:
        try:
            same = content_hash(row.path) == row.content
        except OSError as error:
            raise CorpusError(f"held-out track {row.id}: {row.path} can't be read ({error.strerror or error}); {REMEDY}") from error
        if not same:
            raise CorpusError(f"held-out track {row.id}: {row.path} has changed since it was scanned; {REMEDY}")


def heldout_features(kind: str, settings: dict, rows: Sequence[ScanRow]) -> Iterator[np.ndarray]:
    """Features of held-out items, one at a time, straight from their files.

    The only place where held-out items become features. To be called after the receipt ``opened`` is on disk.

    Parameters
    ----------
    kind : {"audio", "image"}
    settings : dict
        The resolved feature settings of the model.
    rows : sequence of ScanRow
        The held-out tracks.

    Yields
    ------
    np.ndarray [shape=(height, width, channels)]
        As the cache would hold it, uint8 or float16.

    Raises
    ------
    CorpusError
        A file has changed since the scan, or can't be decoded any more; the message names it.
    """
    for row in rows:
        try:
            yield compute_features(kind, settings, row.path, row.content)
        except CorpusError as error:
            raise CorpusError(f"held-out track {row.id}: {error}; the look stays open, nothing was scored: {REMEDY}") from error


def evaluate(folder: Path, rows: Sequence[ScanRow], progress: Callable[[int, int, str], None]) -> Evaluation:
    """Predict the held-out tracks with the saved model, in float32: each as the mean of its windows, cut as in training.

    Parameters
    ----------
    folder : Path
        As `retrain` left it.
    rows : sequence of ScanRow
        The held-out tracks.
    progress : callable
        ``progress(done, total, what)``.

    Raises
    ------
    CorpusError
        A held-out file can't be used; see `heldout_features`.
    GenreModelsError
        The model does not give probabilities.
    """
    pipeline = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    labels, segments = tuple(pipeline["labels"]), pipeline.get("segments", 1)
    with PeakMemory() as memory:
        predict = load_predictor(folder)
        features = heldout_features(pipeline["kind"], pipeline["features"], rows)
        parts = []
        for start in range(0, len(rows), BATCH):
            batch = np.stack([next(features) for _ in rows[start : start + BATCH]])
            windows = cut(batch, segments)
            p = [predict(windows[first : first + BATCH]) for first in range(0, len(windows), BATCH)]
            parts.append(by_track(np.concatenate(p), segments))
            progress(start + len(batch), len(rows), "held-out tracks")
        p = np.concatenate(parts)
    if p.shape != (len(rows), len(labels)) or not np.isfinite(p).all() or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise GenreModelsError(f"{folder}: one probability for each of {len(labels)} labels must come out, adding up to 1, but got shape {p.shape}")
    y_true = np.array([labels.index(row.label) for row in rows])
    return Evaluation(tuple(row.id for row in rows), y_true, p, labels, memory.peak_mib)


def load_predictor(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from features [n, height, width, channels] to float32 probabilities [n, n_classes].

    The model is loaded by plain Keras in safe mode: a file from elsewhere runs no code of its own.
    """
    import keras

    model = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    model.jit_compile = False  # XLA takes longer to compile than a few hundred tracks to predict
    return lambda batch: np.asarray(model.predict_on_batch(batch), dtype=np.float32)
