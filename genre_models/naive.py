"""The naive split: segments of the development tracks dealt one by one, so that a track is learned from and validated on.

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
from genre_models.segments import segment_count
from genre_models.training_data import DevelopmentData

CAVEAT = "NAIVE SPLIT: segments of one track lie in train and validation; these scores are no result"
NAIVE_NOTE = (
    f"{CAVEAT}. They show how much such a split flatters (python scripts/inflation.py measures it). Held-out tracks are not in it, and this study can never "
    "be evaluated on them"
)


class SegmentData:
    """Development tracks whose segments are items of their own, each for training or for validation, and scored one by one.

    Parameters
    ----------
    data : DevelopmentData
        In windows, two a track or more.
    ids : sequence of str
        Its tracks.
    is_validated : np.ndarray of bool [shape=(len(ids), data.segments)]
        Which segments are for validation.

    Attributes
    ----------
    labels, metric, input_shape
        As of `DevelopmentData`; an item is a window.
    train_ids, validation_ids : tuple of str
        Of segments, ``TRACK#NUMBER``, numbers from 1.
    """

    def __init__(self, data: DevelopmentData, ids: Sequence[str], is_validated: np.ndarray) -> None:
        self._data = data
        self.labels, self.metric, self.input_shape = data.labels, data.metric, data.input_shape
        named = np.array([[segment_id(id, number) for number in range(1, data.segments + 1)] for id in ids], dtype=object)
        self.train_ids, self.validation_ids = tuple(named[~is_validated]), tuple(named[is_validated])

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Segments [shape=(len(ids), *input_shape)]."""
        tracks, numbers = zip(*map(track_and_number, ids), strict=True)
        return self._data.windows(tracks, (np.array(numbers) - 1) * self.input_shape[1])

    def targets(self, ids: Sequence[str]) -> np.ndarray:
        """Class numbers [shape=(len(ids),)]."""
        return self._data.targets([track_and_number(id)[0] for id in ids])


def segment_id(track: str, number: int) -> str:
    """Name of a segment, by its number from 1."""
    return f"{track}#{number}"


def track_and_number(id: str) -> tuple[str, int]:
    """What `segment_id` put together."""
    track, _, number = id.rpartition("#")
    return track, int(number)


def deal_segments(
    tracks: Sequence[Mapping[str, Any]], segments: int, seed: int, *, holdout: float | None = None, folds: int = 1, fold: int = 0
) -> np.ndarray:
    """Choose the segments for validation at random, a part of those of each class.

    Parameters
    ----------
    tracks : sequence of mapping
        With ``id`` and ``label``.
    segments : int
        Of each.
    seed : int
    holdout : float, optional
        That part, where there are no folds.
    folds, fold : int
        Deal into so many folds, and take this one (from 0).

    Returns
    -------
    np.ndarray of bool [shape=(len(tracks), segments)]
        Follows from ids, classes and the seed, not from the order of tracks.
    """
    key = f"naive:{seed}:{folds}".encode()
    by_label: dict[str, list[tuple[bytes, int, int]]] = defaultdict(list)
    for row, track in enumerate(tracks):
        for column in range(segments):
            name = segment_id(track["id"], column + 1).encode()
            by_label[track["label"]].append((hashlib.blake2b(name, key=key, digest_size=8).digest(), row, column))
    chosen = np.zeros((len(tracks), segments), bool)
    for drawn in by_label.values():
        drawn.sort()
        taken = drawn[fold::folds] if folds > 1 else drawn[: max(1, round((holdout or 0.2) * len(drawn)))]
        chosen[[row for _, row, _ in taken], [column for _, _, column in taken]] = True
    return chosen


def naive_data(spec: Mapping[str, Any], task: Mapping[str, Any], fold: int | None, stores: dict[str, Any] | None = None) -> SegmentData:
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

    require_segments(spec)
    data, tracks = development_data(spec, task, task["tracks"], stores), task["tracks"]
    dealt = deal_segments(
        tracks, data.segments, task["naive"]["seed"], holdout=task["naive"]["holdout"], folds=spec.get("folds", 1), fold=fold or 0
    )
    return SegmentData(data, [track["id"] for track in tracks], dealt)


def segment_groups(tracks: Sequence[Mapping[str, Any]], segments: int) -> dict[str, int]:
    """Group of each segment, by its id: its track's, so that all segments of a track and of what belongs to it count as one."""
    groups = {track["id"]: track.get("group", -1 - row) for row, track in enumerate(tracks)}
    return {segment_id(id, number): group for id, group in groups.items() for number in range(1, segments + 1)}


def require_segments(spec: Mapping[str, Any]) -> None:
    """Raise ConfigurationRefused where a configuration does not cut tracks into windows."""
    if not _takes_windows(spec["family"]):
        raise ConfigurationRefused(f"{spec['family']}: takes whole tracks, but the naive split deals their segments")
    if segment_count(spec) < 2:
        raise ConfigurationRefused("segments: 1 window a track, but the naive split deals a track's windows one by one: take 2 or more")


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
        if not _takes_windows(family):
            raise SettingsError(f"data.split: naive deals segments of tracks, but families.{family} takes whole tracks: leave that family out (cnn can be cut)")
        most = max((number or settings["segments"] for number in values.get(family, {}).get("segments", (0,))), default=1)
        if most < 2:
            raise SettingsError(f"data.split: naive deals segments of tracks, but families.{family} has one a track: write segments: 6 there, or in features")


def _takes_windows(family: str) -> bool:
    from genre_models.families import FAMILIES

    return family not in FAMILIES or FAMILIES[family].inputs == "spectrogram"
