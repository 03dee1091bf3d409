"""What an outcome says of the validation tracks: scores with intervals, and, in a few hundred bytes, what was scored on each track.

The latter is the outcome's ``items``, by which searches compare and resample trials without knowing what a track is. Owns the writing of it; its shape is
in docs/design.md, section 4.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre_models.metrics import SMALLEST_PROBABILITY, as_list, confusion_matrix, macro_f1, track_losses
from genre_models.resampling import item_scores, proportion_interval
from genre_models.score_intervals import macro_f1_interval
from genre_models.temperature import best_temperature

#: Hits of more epochs times tracks than this are kept of the best epoch alone (256 KiB before they are compressed).
MOST_HITS = 2**21


def scores_of(metric: str, y_true: np.ndarray, p: np.ndarray, hits: np.ndarray | None = None) -> str:
    """What a training scored on each validation track, as a text.

    Parameters
    ----------
    metric : {"val_accuracy", "val_loss"}
    y_true : np.ndarray of int [shape=(n,)]
    p : np.ndarray [shape=(n, n_classes)]
        Probabilities at the best epoch.
    hits : np.ndarray of bool [shape=(epochs, n)] or None
        Of every epoch, where they are known.

    Returns
    -------
    str
        Packed bits [n_states, n], a row for each epoch or for the best alone; of losses the best epoch's, in half precision.
    """
    if metric != "val_accuracy":
        return _text(track_losses(y_true, p).astype("<f2"))
    if hits is None or hits.shape[1] != len(p) or hits.size > MOST_HITS:
        hits = (p.argmax(axis=1) == y_true)[None]
    return _text(np.packbits(hits, axis=1))


def describe_items(ids: Sequence[Sequence[str]], parts: Sequence[str], metric: str, groups: Mapping[str, int]) -> dict[str, Any]:
    """The outcome's ``items``.

    Parameters
    ----------
    ids : sequence of sequence of str
        Validation tracks of each fold.
    parts : sequence of str
        What each training scored, from `scores_of`; training i on fold ``i % len(ids)``.
    metric : {"val_accuracy", "val_loss"}
    groups : mapping of str to int
        Tracks that are not in it stand alone.

    Returns
    -------
    dict
        JSON-able; ``groups`` is None where each track stands alone.
    """
    flat = [id for fold in ids for id in fold]
    numbers = group_numbers(flat, groups)
    return {
        "order": hashlib.blake2b("\n".join(f"{fold} {id}" for fold, of_fold in enumerate(ids) for id in of_fold).encode(), digest_size=8).hexdigest(),
        "folds": [len(of_fold) for of_fold in ids],
        "groups": None if numbers is None else _text(numbers.astype("<i4")),
        "kind": "hits" if metric == "val_accuracy" else "losses",
        "parts": list(parts),
    }


def validated(ids: Sequence[str], y_true: np.ndarray, p: np.ndarray, groups: Mapping[str, int]) -> dict[str, Any]:
    """Scores of the validation tracks beside the objective's, as the outcome has them.

    Returns
    -------
    dict
        ``interval`` of the accuracy, ``macro_f1``, ``macro_f1_interval``, and the ``temperature`` that suits the probabilities.
    """
    numbers, predicted = group_numbers(ids, groups), p.argmax(axis=1)
    return {
        "interval": as_list(proportion_interval(predicted == y_true, numbers)),
        "macro_f1": macro_f1(confusion_matrix(y_true, p)),
        "macro_f1_interval": as_list(macro_f1_interval(y_true, predicted, p.shape[1], numbers)),
        "temperature": best_temperature(np.log(np.maximum(p, SMALLEST_PROBABILITY)).astype(np.float64), y_true),
    }


def repeated_interval(ids: Sequence[Sequence[str]], parts: Sequence[str], groups: Mapping[str, int]) -> tuple[float, float] | None:
    """Interval of an accuracy that is the mean over several trainings on each fold; parameters as of `describe_items`, of hits."""
    sizes = [len(of_fold) for of_fold in ids]
    hits = []
    for number, text in enumerate(parts):
        n = sizes[number % len(sizes)]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(-1, -(-n // 8))
        hits.append(np.unpackbits(bits, axis=1)[:, :n])
    return proportion_interval(item_scores(hits, sizes), group_numbers([id for of_fold in ids for id in of_fold], groups))


def group_numbers(ids: Sequence[str], groups: Mapping[str, int]) -> np.ndarray | None:
    """Groups of some tracks, numbered from 0 in the order in which they come [shape=(n,)]; None where each track stands alone."""
    seen: dict[object, int] = {}
    numbers = [seen.setdefault(groups.get(id, id), len(seen)) for id in ids]
    return None if len(seen) == len(numbers) else np.array(numbers)


def _text(array: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode("ascii")
