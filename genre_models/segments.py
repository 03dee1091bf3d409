"""Tracks cut into equal windows along time: how many, how wide, where each begins. NumPy only.

Only whole tracks are cached; a window is cut out of one when it is needed. A list of tracks with `n` segments each has its windows numbered
track by track: window ``k`` is segment ``k % n`` of track ``k // n``. The last columns, fewer than `n`, that fill no window are left over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre_models.errors import ConfigurationRefused


def segment_count(spec: Mapping[str, Any]) -> int:
    """Windows that a trial cuts each track into: its parameter `segments`, or where that is 0 or missing ``features.segments``."""
    return int(spec["params"].get("segments") or spec["features"].get("segments", 1))


def window_shape(track_shape: Sequence[int], segments: int) -> tuple[int, int, int]:
    """Shape of a window.

    Parameters
    ----------
    track_shape : (height, width, channels)
    segments : int
        Windows of a track.

    Raises
    ------
    ConfigurationRefused
        Where a window would have no column.
    """
    height, width, channels = (int(side) for side in track_shape)
    if segments > width:
        raise ConfigurationRefused(
            f"segments: {segments} windows can't be cut from {width} columns, each would be 0 columns wide: "
            "take fewer segments or wider features"
        )
    return height, width // segments, channels


def refused_window(reason: str, shape: Sequence[int], segments: int) -> str:
    """The reason why a network can't be built, with what segments have to do with it."""
    return reason if segments == 1 else f"{reason}, or fewer segments: each of {segments} windows of a track is {shape[1]} columns wide"


def cut(tracks: np.ndarray, segments: int) -> np.ndarray:
    """All windows of some tracks.

    Parameters
    ----------
    tracks : np.ndarray [shape=(n, height, width, channels)]
    segments : int

    Returns
    -------
    np.ndarray [shape=(n * segments, height, width // segments, channels)]
    """
    if segments == 1:
        return tracks
    height, width, channels = window_shape(tracks.shape[1:], segments)
    whole = tracks[:, :, : segments * width].reshape(len(tracks), height, segments, width, channels)
    return whole.swapaxes(1, 2).reshape(-1, height, width, channels)


def windows_at(tracks: np.ndarray, rows: Sequence[int], starts: Sequence[int], width: int) -> np.ndarray:
    """Windows of some tracks, each from a column of its own.

    Parameters
    ----------
    tracks : np.ndarray [shape=(n, height, track_width, channels)]
    rows : sequence of int [shape=(m,)]
        Of which track each window is.
    starts : sequence of int [shape=(m,)]
        First column of each, at most ``track_width - width``.
    width : int

    Returns
    -------
    np.ndarray [shape=(m, height, width, channels)]
        A copy.
    """
    every = np.lib.stride_tricks.sliding_window_view(tracks, width, axis=2)  # a view [n, height, places, channels, width]
    return np.ascontiguousarray(every[rows, :, starts].swapaxes(2, 3))


def grid_windows(data: Any, ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
    """Windows of some tracks where the grid puts them.

    Parameters
    ----------
    data : Data
        Without `segments` it is of whole tracks.
    ids : sequence of str
        The tracks whose windows are numbered.
    numbers : sequence of int
        Of the windows wanted.

    Returns
    -------
    np.ndarray [shape=(len(numbers), *data.input_shape)]
    """
    segments = segments_of(data)
    if segments == 1:
        return data.features([ids[number] for number in numbers])
    tracks, places = np.divmod(np.asarray(numbers, dtype=np.int64), segments)
    return data.windows([ids[track] for track in tracks], places * data.input_shape[1])


def segments_of(data: Any) -> int:
    """Windows of each track of `data`."""
    return getattr(data, "segments", 1)


def items_of(data: Any, ids: Sequence[str]) -> tuple[Sequence[str], np.ndarray]:
    """What a network takes of some tracks, before any is cut into windows: several rows of a table each, or the tracks themselves.

    Parameters
    ----------
    data : Data
        Where its tracks have several items, with ``items_of(ids)``.
    ids : sequence of str

    Returns
    -------
    item_ids : sequence of str
        What `data.features` is asked for.
    owners : np.ndarray of int [shape=(len(item_ids),)]
        Place in `ids` of the track that each belongs to.
    """
    several = getattr(data, "items_of", None)
    return (ids, np.arange(len(ids))) if several is None else several(ids)


def by_owner(p: np.ndarray, owners: np.ndarray, n: int) -> np.ndarray:
    """Probabilities of `n` tracks, each the mean of its items' [shape=(n, n_classes), dtype=p.dtype]; `owners` as of `items_of`."""
    if len(p) == n and np.array_equal(owners, np.arange(n)):
        return p
    sums = np.zeros((n, p.shape[-1]))
    np.add.at(sums, owners, p)
    return (sums / np.bincount(owners, minlength=n)[:, None]).astype(p.dtype)


def by_track(p: np.ndarray, segments: int) -> np.ndarray:
    """Probabilities of tracks, each the mean of its windows'.

    Parameters
    ----------
    p : np.ndarray [shape=(n * segments, n_classes)]

    Returns
    -------
    np.ndarray [shape=(n, n_classes), dtype=p.dtype]
    """
    return p if segments == 1 else p.reshape(-1, segments, p.shape[-1]).mean(axis=1)
