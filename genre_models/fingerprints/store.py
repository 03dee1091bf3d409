"""Codes of all files of a scan: computed once, kept by content in the cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.audio import Undecodable
from genre_models.corpus import Progress
from genre_models.features.cache import RowCache
from genre_models.fingerprints.audio_code import code_frames, code_of_audio
from genre_models.fingerprints.image_code import COLUMNS, code_of_image
from genre_models.parallel import Lost, run_jobs
from genre_models.scan import ScanRow

_VERSION = 1  # raise it when the same file would have another code
_FEW = 24  # files that are done sooner than processes have started
_BATCH, _BATCH_SECONDS = 2_000, 2.0  # codes that go to the disk together


@dataclass
class Codes:
    """Codes by content.

    Attributes
    ----------
    of : dict of str to np.ndarray [shape=(frames, 2), dtype=uint32]
        Views into the cache: read when they are looked at.
    computed, cached : int
    failed : dict of str to str
        Reasons by content, of files that can't be decoded any more.
    """

    of: dict[str, np.ndarray] = field(default_factory=dict)
    computed: int = 0
    cached: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def codes_of(rows: Sequence[ScanRow], kind: str, cache_dir: Path, workers: int | None = None, progress: Progress | None = None) -> Codes:
    """Read the codes of some files, and compute those that are not there.

    Parameters
    ----------
    rows : sequence of ScanRow
        Readable, of one kind, no content twice.
    kind : {"audio", "image"}
    cache_dir : Path
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional

    Raises
    ------
    CacheError
        If the cache can't be written.
    """
    found = Codes()
    lengths: dict[int, list[ScanRow]] = {}
    for row in rows:
        lengths.setdefault(code_frames(row.duration_seconds or 0.0) if kind == "audio" else COLUMNS, []).append(row)
    for n_frames, group in sorted(lengths.items()):
        key = hashlib.blake2b(json.dumps([_VERSION, kind, n_frames]).encode(), digest_size=8).hexdigest()
        cache = RowCache(cache_dir / f"fingerprints-{key}", (n_frames, 2), "uint32")
        with cache.writing():
            sound = cache.find_sound(row.content for row in group)
            missing = [row for row in group if row.content not in sound]
            found.cached += len(sound)
            _compute(missing, kind, n_frames, cache, workers, progress, found, len(rows))
        row_of, stored = cache.open()
        found.of |= {row.content: stored[row_of[row.content]] for row in group if row.content in row_of}
    return found


def _compute(
    rows: list[ScanRow],
    kind: str,
    n_frames: int,
    cache: RowCache,
    workers: int | None,
    progress: Progress | None,
    found: Codes,
    total: int,
) -> None:
    batch: dict[str, np.ndarray] = {}
    flushed_at = time.monotonic()
    jobs = [(kind, str(row.path), row.content, row.border, n_frames) for row in rows]
    try:
        with closing(_results(jobs, workers)) as results:
            for number, result in results:
                content = rows[number].content
                if isinstance(result, np.ndarray):
                    batch[content] = result
                    found.computed += 1
                else:
                    found.failed[content] = result.reason if isinstance(result, Lost) else result
                if len(batch) >= _BATCH or time.monotonic() - flushed_at > _BATCH_SECONDS:
                    cache.append(batch)
                    batch, flushed_at = {}, time.monotonic()
                if progress is not None:
                    progress(found.cached + found.computed + len(found.failed), total, "fingerprints")
    finally:
        cache.append(batch)  # after Ctrl-C too


def _results(jobs: list[tuple], workers: int | None) -> Iterator[tuple[int, Any]]:
    if len(jobs) > _FEW:
        yield from run_jobs(code_one, jobs, workers)
        return
    # The scan has decoded each of them in a process of its own, so none is expected to take this one down.
    yield from ((number, code_one(*job)) for number, job in enumerate(jobs))


def code_one(kind: str, path: str, content: str, border: str | None, n_frames: int) -> np.ndarray | str:
    """Compute one file's code, in a worker process; a text instead of an array is the reason why there is none."""
    from genre_models.content import content_hash

    try:
        if content_hash(path) != content:
            return "has changed since the scan"
        return code_of_audio(path, n_frames) if kind == "audio" else code_of_image(path, border)
    except (Undecodable, OSError) as error:
        return str(error)
