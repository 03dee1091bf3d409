"""The winner trained on every development track, and its one evaluation on the held-out ones.

Owns: the final retrain, the saved model's folder (``model.keras`` and ``pipeline.json``), and `heldout_features`, the one function of the project
that turns held-out items into features. It never touches the shared cache: nothing of a held-out item stays on disk.
What is written about the result is `genre_models.verdict`'s; that it happens once is `genre_models.look`'s.
"""

from __future__ import annotations

import importlib
import json
import platform
import shutil
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from genre_models.durable import fsync_tree, write_text
from genre_models.errors import CorpusError, GenreModelsError
from genre_models.families import FAMILIES
from genre_models.memory import PeakMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from genre_models.scan import ScanRow

BATCH = 32  # items in memory at once while held-out features are made
RECORDED_VERSIONS = ("keras", "tensorflow", "torch", "jax", "numpy", "librosa", "soundfile", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Winner:
    """The trial to be retrained, as its study recorded it.

    Parameters
    ----------
    study : str
    trial : int
    spec : dict
        The whole resolved configuration (docs/design.md, section 4).
    best_epoch : int
        Epochs of the retrain, 1 or more.
    learning_rates : tuple of float
        One for each of these epochs, as the trial had them.
    history : tuple of dict
        The trial's epochs, for the picture of its learning curve.
    validation_accuracy : float or None
        At `best_epoch`; None where the trial did not record it.
    """

    study: str
    trial: int
    spec: dict
    best_epoch: int
    learning_rates: tuple[float, ...]
    history: tuple[dict, ...]
    validation_accuracy: float | None


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


def retrain(winner: Winner, task: dict, folder: Path, on_epoch: Callable[[int, dict], None]) -> None:
    """Train the winner on every track of `task` and save it; the folder is whole, and flushed, once it has its name.

    Parameters
    ----------
    winner : Winner
    task : dict
        The development tracks (docs/design.md, section 5); their parts are not heeded, all are trained on.
    folder : Path
        Replaced if it exists: a leftover of a retrain that no receipt speaks of.
    on_epoch : callable
        Gets each epoch's number and metrics.

    Raises
    ------
    GenreModelsError
        The configuration can't be built, or training diverged.
    """
    from genre_models.objective import development_data

    def report(epoch: int, metrics: dict, snapshot: object) -> str:
        on_epoch(epoch, metrics)
        return "continue"

    started = time.perf_counter()
    spec, family = winner.spec, importlib.import_module(FAMILIES[winner.spec["family"]].module)
    data = development_data(spec, task | {"tracks": [track | {"part": "train"} for track in task["tracks"]]})
    fitted = family.fit(
        spec["params"],
        data,
        epochs=winner.best_epoch,
        seed=spec["seed"],
        report=report,
        precision=spec["precision"],
        learning_rates=list(winner.learning_rates),
    )
    partial = folder.with_name(f".{folder.name}.partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    fitted.save(partial)
    seconds = time.perf_counter() - started
    write_text(partial / "pipeline.json", json.dumps(_pipeline(winner, task, data, fitted, seconds), indent=1) + "\n")
    fsync_tree(partial)
    partial.rename(folder)
    fsync_tree(folder)


def _pipeline(winner: Winner, task: dict, data, fitted, seconds: float) -> dict:
    """What a user of the saved model needs to know beside its weights, and where it comes from."""
    versions = {"python": platform.python_version()}
    for name in RECORDED_VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an optional backend that is not installed
    return {
        "schema": 1,
        "labels": list(task["labels"]),
        "kind": task["kind"],
        "demo": task["demo"],
        "features": winner.spec["features"],
        "input_shape": list(data.input_shape),
        "study": winner.study,
        "trial": winner.trial,
        "spec": winner.spec,
        "epochs": winner.best_epoch,
        "learning_rates": list(winner.learning_rates),
        "n_tracks": len(data.train_ids),
        "parameters": fitted.parameters,
        "train_seconds": round(seconds, 3),
        "history": fitted.history,
        "versions": versions,
    }


def verify_files(rows: Sequence[ScanRow]) -> None:
    """Check that every file still has the content it was scanned with; makes no features.

    Raises
    ------
    CorpusError
        A file is missing or has changed; the message names it.
    """
    for row in rows:
        _verify(row)


def _verify(row: ScanRow) -> None:
    from genre_models.scan import content_hash

    remedy = "put the file back as it was when the study was made, then run the same command again"
    try:
        found = content_hash(row.path)
    except OSError as error:
        raise CorpusError(f"held-out track {row.id}: {row.path} can't be read ({error.strerror or error}); {remedy}") from error
    if found != row.content:
        raise CorpusError(f"held-out track {row.id}: {row.path} has changed since it was scanned; {remedy}")


def heldout_features(kind: str, settings: dict, rows: Sequence[ScanRow]) -> Iterator[np.ndarray]:
    """Features of held-out items, one at a time, straight from their files.

    The only place where held-out items become features. To be called after the receipt ``opened`` is on disk.

    Parameters
    ----------
    kind : str
        "audio" or "image".
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
    from genre_models.features import compute_features

    for row in rows:
        _verify(row)
        try:
            features = compute_features(kind, settings, row.path)
        except Exception as error:  # decoders raise what they like; whatever it is, the user needs the file's name
            raise CorpusError(
                f"held-out track {row.id}: {row.path} passed the scan but can't be decoded now ({error}); the look stays open: "
                "mend the installation (is a decoder missing?), then run the same command again"
            ) from error
        yield features


def evaluate(folder: Path, rows: Sequence[ScanRow], progress: Callable[[int, int, str], None]) -> Evaluation:
    """Predict the held-out tracks with the saved model, in float32.

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
    labels = tuple(pipeline["labels"])
    with PeakMemory() as memory:
        predict = load_predictor(folder)
        features = heldout_features(pipeline["kind"], pipeline["features"], rows)
        parts = []
        for start in range(0, len(rows), BATCH):
            batch = np.stack([next(features) for _ in rows[start : start + BATCH]])
            parts.append(predict(batch))
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
    return lambda batch: np.asarray(model.predict_on_batch(batch), dtype=np.float32)
