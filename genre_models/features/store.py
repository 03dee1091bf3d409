"""Features of the development tracks: made once by `FeatureStore.prepare`, then read by any number of processes.

A reader mends what has been removed or cut off since. What it has mapped when a file is cut off ends its process (SIGBUS): that is a lost worker,
and the next one mends.

The store knows the tracks it was given and no others, so no held-out item can be decoded or read through it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genre_models.corpus import Progress
from genre_models.errors import CacheError, CorpusError, HeldOutError
from genre_models.features import compute_features, feature_dtype, feature_key, feature_shape
from genre_models.features.cache import RowCache
from genre_models.parallel import Lost, run_jobs

# What is flushed to the disk together, so at most held in memory and at most lost by a kill.
_BATCH_BYTES, _BATCH_SECONDS = 16 * 2**20, 2.0


@dataclass(frozen=True)
class Prepared:
    """What `FeatureStore.prepare` did.

    Attributes
    ----------
    decoded : int
        Files decoded now.
    cached : int
        Tracks whose features were there already.
    seconds : float
    failed : dict of str to str
        Reasons by track id; these tracks have no features.
    """

    decoded: int
    cached: int
    seconds: float
    failed: dict[str, str] = field(default_factory=dict)


class FeatureStore:
    """Features of a fixed list of tracks under one setting.

    Parameters
    ----------
    cache_dir : str or Path
    kind : {"audio", "image", "handcrafted"}
    settings : mapping
        As `genre_models.features.resolve_features` gives them.
    tracks : sequence of mapping
        With ``id``, ``path`` and ``content``: development tracks only.

    Attributes
    ----------
    shape : (int, int, int) or (int,)
        Of one item: height, width, channels; or the number of handcrafted features.
    dtype : np.dtype
    """

    def __init__(self, cache_dir: str | Path, kind: str, settings: Mapping, tracks: Sequence[Mapping]) -> None:
        self.kind, self.settings = kind, dict(settings)
        self.shape, self.dtype = feature_shape(kind, settings), np.dtype(feature_dtype(kind))
        self._tracks = {track["id"]: track for track in tracks}
        folder = Path(cache_dir).expanduser() / f"features-{feature_key(kind, settings)}"
        self._cache = RowCache(folder, self.shape, self.dtype.name)
        self._rows: np.ndarray | None = None
        self._row_of: dict[str, int] = {}

    def prepare(self, workers: int | None = None, progress: Progress | None = None) -> Prepared:
        """Make the features that are missing or broken, in parallel.

        Parameters
        ----------
        workers : int or None
            Processes; None for one on each core.
        progress : callable, optional
            ``progress(done, total, what)``, counted in files.

        Returns
        -------
        Prepared
            A track whose file can't be decoded any more is in ``failed``.

        Raises
        ------
        CacheError
            If the cache can't be written, as on a full disk; what is stored so far stays valid.
        """
        started = time.perf_counter()
        by_content: dict[str, list[Mapping]] = {}
        for track in self._tracks.values():
            by_content.setdefault(track["content"], []).append(track)

        def on_wait() -> None:
            if progress is not None:
                progress(0, len(by_content), "waiting for another process that writes these features")

        with self._cache.writing(on_wait):
            missing = {content: list(by_content[content]) for content in sorted(by_content.keys() - self._cache.find_sound(by_content))}
            cached = sum(len(tracks) for content, tracks in by_content.items() if content not in missing)
            reasons: dict[str, str] = {}
            decoded, n_missing = 0, len(missing)
            # Byte-identical files are decoded once; the second is tried where the first has gone.
            while jobs := [(content, tracks.pop(0)) for content, tracks in missing.items() if tracks]:
                done = self._decode(jobs, workers, reasons, progress, n_missing, decoded)
                decoded += len(done)
                missing = {content: tracks for content, tracks in missing.items() if content not in done}
        self._rows = None  # rows were added: map again
        failed = {track["id"]: reasons[content] for content in missing for track in by_content[content]}
        return Prepared(decoded, cached, time.perf_counter() - started, failed)

    def features(self, ids: Sequence[str]) -> np.ndarray:
        """Read the features of some tracks; what is missing is made now, by one process at a time.

        Parameters
        ----------
        ids : sequence of str

        Returns
        -------
        np.ndarray [shape=(len(ids), *self.shape), dtype=self.dtype]
            Contiguous, in the order of `ids`.

        Raises
        ------
        HeldOutError
            If an id is not one of the store's tracks.
        CacheError
            If a track has no features in the cache and none can be made, or the cache can't be written.
        """
        unknown = [str(id) for id in ids if id not in self._tracks]
        if unknown:
            raise HeldOutError(
                f"features of {unknown[0]} were asked for, but it is not one of the {len(self._tracks)} development tracks: "
                "held-out tracks are read by the final evaluation only"
            )
        if self._rows is None or any(id not in self._row_of for id in ids):  # rows may have been added since
            self._open()
        if any(id not in self._row_of for id in ids):
            failed = self.prepare(workers=1).failed  # not at fault here: the cache was removed or cut off after it was prepared
            self._open()
            if absent := [str(id) for id in ids if id not in self._row_of]:
                told = failed.get(absent[0], "the cache is being removed")
                raise CacheError(f"{self._cache.folder}: {len(absent)} of {len(ids)} items have no features: {absent[0]}: {told}")
        return np.ascontiguousarray(self._rows[[self._row_of[id] for id in ids]])

    def _open(self) -> None:
        row_of, self._rows = self._cache.open()
        self._row_of = {id: row_of[track["content"]] for id, track in self._tracks.items() if track["content"] in row_of}

    def _decode(
        self,
        jobs: list[tuple[str, Mapping]],
        workers: int | None,
        reasons: dict[str, str],
        progress: Progress | None,
        total: int,
        before: int,
    ) -> set[str]:
        """Decode one file for each job's content; return the contents that are stored, put the others' reasons into `reasons`."""
        arguments = [(self.kind, self.settings, str(track["path"]), content) for content, track in jobs]
        batch: dict[str, np.ndarray] = {}
        done: set[str] = set()
        flushed_at = time.monotonic()
        try:
            with closing(run_jobs(decode_one, arguments, workers)) as results:
                for count, (number, result) in enumerate(results, 1):
                    content = jobs[number][0]
                    if isinstance(result, np.ndarray):
                        batch[content] = result
                        done.add(content)
                    else:
                        reasons[content] = result.reason if isinstance(result, Lost) else result
                    if len(batch) * self._cache.row_bytes >= _BATCH_BYTES or time.monotonic() - flushed_at > _BATCH_SECONDS:
                        batch, full = {}, batch
                        self._cache.append(full)
                        del full  # not held until the next is full
                        flushed_at = time.monotonic()
                    if progress is not None:
                        progress(min(before + count, total), total, "features")
        finally:
            self._cache.append(batch)  # after Ctrl-C too
        return done


def decode_one(kind: str, settings: dict, path: str, content: str) -> np.ndarray | str:
    """Compute one item's features in a worker process; a text instead of an array is the reason why there are none."""
    try:
        return compute_features(kind, settings, path, content)
    except CorpusError as error:
        return str(error)
