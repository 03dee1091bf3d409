"""The development tracks in folds, for cross-validation. Pure: folds follow from ids, contents and a seed, never from the order of files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from genre_models.errors import CorpusError, GenreModelsError
from genre_models.grouping import Group, labels_of, mend, seeded_order

ATTEMPTS = 20  # orders that are tried where groups of several classes stand in each other's way


def deal_folds(groups: Sequence[Group], k: int, seed: int) -> dict[str, int]:
    """Deal whole groups into `k` folds, each with close to the same number of tracks of each class.

    Groups of several classes go first, then those of one, class by class and the largest first, equal ones in an order that the seed
    gives: each to the fold that then has fewest of the group's own classes, and of these to the smallest. With groups of one track,
    folds differ by one track at most, in each class and in all.

    Parameters
    ----------
    groups : sequence of tuple of ScanRow
        The development tracks, those that belong together in one group.
    k : int >= 2
    seed : int
        The study's.

    Returns
    -------
    dict of str to int
        Fold (from 0) by track id. Each fold has a track of each class.

    Raises
    ------
    CorpusError
        If a class has too few groups to have one in each fold.
    """
    _check_enough(groups, k)
    for attempt in range(ATTEMPTS):
        folds = _deal(seeded_order(groups, f"{k} folds, attempt {attempt}", seed), k)
        lacking = mend(folds, (1,) * k)
        if lacking is None:
            return {row.id: fold for fold, part in enumerate(folds) for group in part for row in group}
    raise CorpusError(
        f"class {lacking!r}: its tracks share too many groups with other classes to have one in each of {k} folds: "
        "take fewer folds, add tracks, or split its groups"
    )


def _deal(ordered: Sequence[Group], k: int) -> list[list[Group]]:
    sizes = Counter(row.label for group in ordered for row in group)
    of_several = [group for group in ordered if len(labels_of(group)) > 1]
    of_one = sorted((group for group in ordered if len(labels_of(group)) == 1), key=lambda group: group[0].label)
    folds: list[list[Group]] = [[] for _ in range(k)]
    filled = [dict.fromkeys(sizes, 0) for _ in range(k)]
    totals = [0] * k
    for group in (*of_several, *of_one):
        counts = Counter(row.label for row in group)

        def crowding(fold: int) -> tuple[float, ...]:
            lacking, crowded = 0, 0.0
            for label, n in counts.items():
                before = filled[fold][label]
                lacking += not before
                crowded += n * (before + n) / sizes[label]
            return -lacking, crowded, totals[fold], fold

        fold = min(range(k), key=crowding)
        folds[fold].append(group)
        totals[fold] += len(group)
        for label, n in counts.items():
            filled[fold][label] += n
    return folds


def validated_on(tracks: Sequence[Mapping[str, Any]], k: int, fold: int) -> list[dict[str, Any]]:
    """A task's rows with `fold` (from 0) of `k` as the validation part and the others as the training part.

    Raises
    ------
    GenreModelsError
        The task does not deal them into `k` folds, or no track of that fold is left.
    """
    if any(str(k) not in track.get("folds", {}) for track in tracks):
        raise GenreModelsError(f"folds: the task's tracks are not dealt into {k} folds; name that number to open_task or TaskData.task")
    parts = [{**track, "part": "validation" if track["folds"][str(k)] == fold else "train"} for track in tracks]
    if not any(track["part"] == "validation" for track in parts):
        raise GenreModelsError(f"folds: none of the tracks in fold {fold + 1} of {k} can be decoded")
    return parts


def name_deal(tracks: Sequence[Mapping[str, Any]], k: int) -> str:
    """A name for a task's tracks as they are dealt into `k` folds, or by hold-out where k = 1: 16 hex digits."""
    rows = [[track["id"], track["label"], track["part"] if k == 1 else track.get("folds", {}).get(str(k))] for track in tracks]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()


def _check_enough(groups: Sequence[Group], k: int) -> None:
    found = Counter(label for group in groups for label in labels_of(group))
    for label, n in sorted(found.items()):
        if n < k:
            remedy = f"take {n} folds or fewer, or add tracks" if n > 1 else "add tracks"
            raise CorpusError(
                f"class {label!r}: {k} folds need at least {k} development tracks of it, but there {'are' if n > 1 else 'is'} {n} "
                f"(byte-identical files and tracks of one group or artist count once): {remedy}"
            )
