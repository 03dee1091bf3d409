"""What a trial scored on each validation item, as its outcome tells it (docs/design.md, section 4). Pure; does not know what an item is."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

from search.trial import Trial


@dataclass(frozen=True)
class ItemScores:
    """Scores of one trial.

    Attributes
    ----------
    order : str
        Names the items and their order: trials with the same one can be compared item by item.
    folds : tuple of int
        Items of each fold, one number where there are none.
    groups : np.ndarray of int [shape=(n_items,)] or None
        None where each item stands alone.
    parts : tuple of np.ndarray [shape=(n_states, n_items of the fold)]
        Of each training; a row for each state (epoch) that its best one was chosen among.
    """

    order: str
    folds: tuple[int, ...]
    groups: np.ndarray | None
    parts: tuple[np.ndarray, ...]


def item_scores(trial: Trial) -> ItemScores | None:
    """A trial's scores; None where its outcome has none that this version reads."""
    told = trial.outcome.get("items")
    try:
        folds = tuple(int(size) for size in told["folds"])
        read = {"hits": _hits, "losses": _losses}[told["kind"]]
        parts = tuple(read(_bytes(text), folds[number % len(folds)]) for number, text in enumerate(told["parts"]))
        groups = None if told["groups"] is None else np.frombuffer(_bytes(told["groups"]), "<i4")
        if not parts or (groups is not None and len(groups) != sum(folds)):
            return None
        return ItemScores(str(told["order"]), folds, groups, parts)
    except (TypeError, KeyError, ValueError, ZeroDivisionError, zlib.error):  # none, or another version's: it can't be compared
        return None


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _hits(raw: bytes, n: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, (n + 7) // 8), axis=1, count=n).astype(bool)


def _losses(raw: bytes, n: int) -> np.ndarray:
    return np.frombuffer(raw, "<f2").reshape(-1, n).astype(np.float64)
