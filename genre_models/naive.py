"""The naive split: segments of the development tracks (windows, or rows of a table) dealt one by one, so that a track is learned from and validated on.

Scores on it say how well a network knows tracks again, not how well it knows genres. It exists to show by how much that flatters; nothing that it touches may
be mistaken for a result. Held-out tracks are not in it. NumPy only.

Source
------
What it gains is known as the artist, album or track effect: E. Pampalk, A. Flexer, G. Widmer, "Improvements of audio-based music similarity and genre
classification", ISMIR 2005; B. L. Sturm, arXiv:1306.1461 (2013).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from genre_models.errors import ConfigurationRefused, SettingsError
from genre_models.segments import items_of, segment_count
from genre_models.training_data import DevelopmentData

CAVEAT = "NAIVE SPLIT: segments of one track lie in train and validation; these scores are no result"
NAIVE_NOTE = (
    f"{CAVEAT}. They show how much such a split flatters (python scripts/inflation.py measures it). Held-out tracks are not in it, and this study can never "
    "be evaluated on them"
)


class ItemsApart:
    """Development tracks whose items (windows of a track, rows of a table) are each for training or for validation, and scored one by one.

    Parameters
    ----------
    data : DevelopmentData
        With several items a track.
    names : sequence of str
        Of all its items, from `item_names`.
    is_validated : np.ndarray of bool [shape=(len(names),)]
        Which are for validation.

    Attributes
    ----------
    labels, metric, input_shape
        As of `DevelopmentData`.
    train_ids, validation_ids : tuple of str
        Of items.
    trunk, source_key, cache_dir
        As of `genre_models.source_data.SourceData`, of rows.
    """

    def __init__(self, data: DevelopmentData, names: Sequence[str], is_validated: np.ndarray) -> None:
        self._data, self._are_windows = data, data.segments > 1
        self.labels, self.metric, self.input_shape, self.trunk = data.labels, data.metric, data.input_shape, None
        self.source_key, self.cache_dir = getattr(data, "source_key", None), getattr(data, "cache_dir", None)
        self.train_ids = tuple(name for name, aside in zip(names, is_validated, strict=True) if not aside)
        self.validation_ids = tuple(name for name, aside in zip(names, is_validated, strict=True) if aside)

    def items_of(self, ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The items themselves."""
        return list(ids), np.arange(len(ids))

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Items [shape=(len(ids), *input_shape)]."""
        if not self._are_windows:
            return self._data.features(ids)
        tracks, numbers = zip(*map(track_and_number, ids), strict=True)
        return self._data.windows(tracks, (np.array(numbers) - 1) * self.input_shape[1])

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers [shape=(len(ids),)]."""
        return self._data.targets([track_and_number(id)[0] for id in ids] if self._are_windows else ids)


def item_names(data: DevelopmentData, ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Names of the items of some tracks, and for each the place of its track in `ids` [shape=(n_items,)].

    A window is ``TRACK#NUMBER``, numbers from 1; a row of a table has the name that the table's store gives it.
    """
    if data.segments > 1:
        return [f"{id}#{number}" for id in ids for number in range(1, data.segments + 1)], np.repeat(np.arange(len(ids)), data.segments)
    return items_of(data, ids)


def track_and_number(window: str) -> tuple[str, int]:
    """Track and number of a window, by its name."""
    track, _, number = window.rpartition("#")
    return track, int(number)


def deal_items(names: Sequence[str], labels: Sequence[str], seed: int, *, holdout: float | None = None, folds: int = 1, fold: int = 0) -> np.ndarray:
    """Choose the items for validation at random, a part of those of each class.

    Parameters
    ----------
    names, labels : sequence of str
        Of all items.
    seed : int
    holdout : float, optional
        That part, where there are no folds.
    folds, fold : int
        Deal into so many folds, and take this one (from 0).

    Returns
    -------
    np.ndarray of bool [shape=(len(names),)]
        Follows from names, classes and the seed, not from their order.
    """
    key = f"naive:{seed}:{folds}".encode()
    by_label: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for place, (name, label) in enumerate(zip(names, labels, strict=True)):
        by_label[label].append((hashlib.blake2b(name.encode(), key=key, digest_size=8).digest(), place))
    chosen = np.zeros(len(names), bool)
    for drawn in by_label.values():
        drawn.sort()
        taken = drawn[fold::folds] if folds > 1 else drawn[: max(1, round((holdout or 0.2) * len(drawn)))]
        chosen[[place for _, place in taken]] = True
    return chosen


def naive_data(spec: Mapping[str, Any], task: Mapping[str, Any], fold: int | None, stores: dict[str, Any] | None = None) -> ItemsApart:
    """What a trial of a naive study trains on.

    Parameters
    ----------
    spec, task : mapping
        As in docs/design.md, sections 4 and 5; the task with ``naive``: ``{"seed", "holdout"}``.
    fold : int or None
        From 0.
    stores : dict, optional
        As of `genre_models.sources.development_data`.

    Raises
    ------
    ConfigurationRefused
        The configuration has one item a track.
    """
    from genre_models.sources import development_data

    require_items(spec, task)
    data, tracks = development_data(spec, task, task["tracks"], stores), task["tracks"]
    names, owners = item_names(data, [track["id"] for track in tracks])
    how, labels = task["naive"], [tracks[owner]["label"] for owner in owners]
    dealt = deal_items(names, labels, how["seed"], holdout=how["holdout"], folds=spec.get("folds", 1), fold=fold or 0)
    return ItemsApart(data, names, dealt)


def item_groups(spec: Mapping[str, Any], task: Mapping[str, Any], stores: dict[str, Any] | None = None) -> dict[str, int]:
    """Group of each item, by its name: its track's, so that all items of a track and of what belongs to it count as one."""
    from genre_models.sources import development_data

    tracks = task["tracks"]
    names, owners = item_names(development_data(spec, task, tracks, stores), [track["id"] for track in tracks])
    return {name: tracks[owner].get("group", -1 - int(owner)) for name, owner in zip(names, owners, strict=True)}


def require_items(spec: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    """Raise ConfigurationRefused where a configuration has one item a track: there is nothing to deal apart."""
    from genre_models.sources import table_facts, trial_input

    if _takes_windows(spec["family"]):
        if segment_count(spec) < 2:
            raise ConfigurationRefused("segments: 1 window a track, but the naive split deals a track's windows one by one: take 2 or more")
        return
    found = trial_input(spec, task)
    if found.kind != "table" or found.trunk is not None:
        raise ConfigurationRefused(f"{spec['family']}: takes whole tracks, but the naive split deals their segments")
    if table_facts(found, task)["n_items"] <= len(task["tracks"]):
        raise ConfigurationRefused(f"{found.features['table']}: has one row a track, but the naive split deals a track's rows one by one")


def require_families_with_segments(values: Mapping[str, Mapping[str, Collection[Any]]], features: Mapping[str, Mapping[str, Any]]) -> None:
    """Check a space before anything is computed.

    Parameters
    ----------
    values : mapping
        Family to the values that each of its parameters may take.
    features : mapping
        Family to its feature settings.

    Raises
    ------
    SettingsError
        A family that takes whole tracks, or never more than one segment.
    """
    for family, settings in features.items():
        possible = values.get(family, {})
        if not _takes_windows(family):
            if set(possible.get("input", ())) != {"table"}:
                raise SettingsError(
                    f"data.split: naive deals segments of tracks, but families.{family} takes whole tracks: leave it out (cnn can be cut into segments; "
                    "classical and feedforward can take the rows of a table with several a track, with input: table)"
                )
            continue
        most = max((number or settings["segments"] for number in possible.get("segments", (0,))), default=1)
        if most < 2:
            raise SettingsError(f"data.split: naive deals segments of tracks, but families.{family} has one a track: write segments: 6 there, or in features")


def _takes_windows(family: str) -> bool:
    from genre_models.families import FAMILIES

    return family not in FAMILIES or FAMILIES[family].inputs == "spectrogram"
