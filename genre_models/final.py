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
from genre_models.features import compute_features, feature_key
from genre_models.framework import runs_compiled
from genre_models.item_scores import group_numbers
from genre_models.memory import PeakMemory
from genre_models.segments import by_owner, cut
from genre_models.sound_networks import NETWORKS, features_with_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from genre_models.scan import ScanRow

BATCH = 32  # held-out tracks whose features are in memory at once, and items that are predicted at once
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
    groups : np.ndarray of int [shape=(n,)] or None
        Tracks that go together, as those of one artist; None for each alone.
    """

    track_ids: tuple[str, ...]
    y_true: np.ndarray
    p: np.ndarray
    labels: tuple[str, ...]
    peak_ram_mib: float
    groups: np.ndarray | None = None


def verify_files(rows: Sequence[ScanRow], kind: str = "audio") -> None:
    """Check that every held-out file still has the content it was scanned with; makes no features.

    Parameters
    ----------
    rows : sequence of ScanRow
        The held-out tracks.
    kind : {"audio", "image", "table"}
        Of the corpus. The content of a table's track is its rows'.

    Raises
    ------
    CorpusError
        A file is missing or has changed; the message names it.
    """
    if kind == "table":
        from genre_models.corpus.table_rows import verify_rows

        verify_rows(rows)
        return
    for row in rows:
        try:
            same = content_hash(row.path) == row.content
        except OSError as error:
            raise CorpusError(f"held-out track {row.id}: {row.path} can't be read ({error.strerror or error}); {REMEDY}") from error
        if not same:
            raise CorpusError(f"held-out track {row.id}: {row.path} has changed since it was scanned; {REMEDY}")


def verify_table(path: str, rows: Sequence[ScanRow], columns: Sequence[str] | None = None) -> None:
    """Check that a table of features has finite rows of every held-out track; nothing of them is kept.

    Parameters
    ----------
    path : str
    rows : sequence of ScanRow
        The held-out tracks.
    columns : sequence of str, optional
        Those that are trained on; what stands in others does not matter. None for all of the table's features.

    Raises
    ------
    CorpusError
        It can't be read, or lacks a column or a track, or a row is not finite.
    """
    from genre_models.features.table import finite_rows

    for _ in finite_rows(path, rows, columns):
        pass


def heldout_features(kind: str, settings: dict, rows: Sequence[ScanRow], table: dict | None = None) -> Iterator[np.ndarray]:
    """Features of held-out items, one at a time, straight from their files.

    The only place where held-out items become features. To be called after the receipt ``opened`` is on disk.

    Parameters
    ----------
    kind : {"audio", "image", "handcrafted", "table", "vggish", "yamnet"}
        How a file becomes an array (`genre_models.sources`).
    settings : dict
        The resolved feature settings of the model.
    rows : sequence of ScanRow
        The held-out tracks.
    table : dict, optional
        Of kind "table" the ``path`` and ``sha256`` of the file, and the ``columns`` that were trained on.

    Yields
    ------
    np.ndarray [shape=(height, width, channels), (n_features,) or, of a table, (n_rows, n_features)]
        As the cache would hold it: uint8, float16, or float32.

    Raises
    ------
    CorpusError
        A file has changed since the scan, or can't be decoded any more; the message names it.
    """
    if kind == "table":
        from genre_models.features.table import heldout_vectors

        yield from heldout_vectors(table["path"], table["sha256"], rows, table.get("columns"))
        return
    for row in rows:
        try:
            yield compute_features(kind, settings, row.path, row.content)
        except CorpusError as error:
            raise CorpusError(f"held-out track {row.id}: {error}; the look stays open, nothing was scored: {REMEDY}") from error


def evaluate(
    folder: Path,
    rows: Sequence[ScanRow],
    progress: Callable[[int, int, str], None],
    vectors: dict[str, list[np.ndarray]] | None = None,
    groups: Mapping[str, int] | None = None,
) -> Evaluation:
    """Predict the held-out tracks with the saved model, in float32: each as the mean of its items, cut as in training.

    Parameters
    ----------
    folder : Path
        As `retrain` left it.
    rows : sequence of ScanRow
        The held-out tracks.
    progress : callable
        ``progress(done, total, what)``.
    vectors : dict, optional
        Kept by the caller between the models of one look: vectors of these tracks, which take long to make and little memory.
    groups : mapping of str to int, optional
        Tracks that go together; those that are not in it stand alone.

    Raises
    ------
    CorpusError
        A held-out file can't be used; see `heldout_features`.
    GenreModelsError
        The model does not give probabilities.
    """
    pipeline = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    labels = tuple(pipeline["labels"])
    with PeakMemory() as memory:
        predict = load_predictor(folder)
        items, parts = _items(pipeline, folder, rows, {} if vectors is None else vectors), []
        for start in range(0, len(rows), BATCH):
            parts.append(_by_track(predict, [next(items) for _ in rows[start : start + BATCH]]))
            progress(min(start + BATCH, len(rows)), len(rows), "held-out tracks")
        p = np.concatenate(parts)
    if p.shape != (len(rows), len(labels)) or not np.isfinite(p).all() or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise GenreModelsError(f"{folder}: one probability for each of {len(labels)} labels must come out, adding up to 1, but got shape {p.shape}")
    y_true = np.array([labels.index(row.label) for row in rows])
    ids = tuple(row.id for row in rows)
    return Evaluation(ids, y_true, p, labels, memory.peak_mib, group_numbers(ids, groups or {}))


def load_predictor(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from items as `heldout_features` gives them [n, ...] to float32 probabilities [n, n_classes].

    Networks are loaded by plain Keras in safe mode, classifiers by skops from a list of known types: a file from elsewhere runs no code of
    its own. What a family of the user's own saved in its way is loaded by that family's file, which the environment names.
    """
    classify = _load_by_family(folder)
    if classify is None and (folder / "model.keras").exists():
        return _load_network(folder / "model.keras")
    if classify is None:
        from genre_models.sklearn_model import load_vectors_predictor

        classify = load_vectors_predictor(folder)
    if not (folder / "trunk.keras").exists():
        return classify
    trunk = _load_network(folder / "trunk.keras")
    return lambda batch: classify(trunk(batch).reshape(len(batch), -1))


def _load_by_family(folder: Path) -> Callable[[np.ndarray], np.ndarray] | None:
    from genre_models.own_models import is_loaded_by_family, load_own

    path = folder / "pipeline.json"
    pipeline = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return load_own(folder, pipeline) if is_loaded_by_family(pipeline) else None


def _load_network(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    model.jit_compile = runs_compiled()  # XLA takes longer to compile than a few hundred tracks to predict
    return lambda batch: np.asarray(model.predict_on_batch(batch), dtype=np.float32)


def _items(pipeline: dict, folder: Path, rows: Sequence[ScanRow], vectors: dict[str, list[np.ndarray]]) -> Iterator[np.ndarray]:
    """Items of each track [shape=(n_items, ...)]: its windows, its vector, or its rows in a table."""
    alone = {"kind": pipeline["kind"], "features": pipeline["features"], "table": None}  # models of before other inputs do not say
    found = pipeline.get("input", alone)
    features = features_with_copy(found["kind"], found["features"], folder)
    key = feature_key(found["kind"], features) if found["kind"] in ("handcrafted", *NETWORKS) else None
    if len(vectors.get(key, ())) == len(rows):
        yield from vectors[key]
        return
    table = found["table"]
    if pipeline["kind"] == "table":
        table = table | {"path": rows[0].path}  # the corpus, wherever it lies now
    made = []
    for track in heldout_features(found["kind"], features, rows, table):
        items = track if found["kind"] == "table" else cut(track[None], pipeline.get("segments", 1))
        if key is not None:
            made.append(items)
            vectors[key] = made
        yield items


def _by_track(predict: Callable[[np.ndarray], np.ndarray], tracks: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities of some tracks, each the mean of its items'."""
    items, owners = np.concatenate(tracks), np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    p = [predict(items[first : first + BATCH]) for first in range(0, len(items), BATCH)]
    return by_owner(np.concatenate(p), owners, len(tracks))
