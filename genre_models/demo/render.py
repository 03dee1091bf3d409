"""Writes the demo corpus: a folder that is complete or absent, rendered on all cores.

Owns the folder, its marker and the processes. Imports NumPy and SciPy only where a track is rendered. The folder holds
``march/march.00000.wav`` and so on, 22,050 Hz, mono, 16 bit, and the marker `MARKER`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genre_models.demo.styles import STYLES
from genre_models.durable import fsync_path, fsync_tree
from genre_models.errors import CorpusError, no_locks
from genre_models.parallel import Lost, available_cores, run_jobs

DEMO_VERSION = 4
"""Version of the generator: raised with any change that changes a sample. Callers put it in the name of the folder."""

MARKER = "demo.json"
"""File in a complete corpus that says what made it."""

_BATCH = 6
_INLINE_SECONDS = 150.0
"""Below this much music a second process costs more than it saves."""

Progress = Callable[[int, int, str], None]


def render_demo(
    folder: Path,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    tracks_per_style: int = 60,
    seconds: float = 6.0,
    workers: int | None = None,
) -> Path:
    """Render the demo corpus, unless it is there.

    The music is synthesised by this package. The same arguments give the same bytes for any number of workers (on one build of NumPy
    and SciPy; another processor's sine may differ in the last bit of a sample).

    Parameters
    ----------
    folder : Path
        Where the corpus goes. Until it is complete, it is rendered in a hidden sibling.
    seed : int
        Seed of the corpus.
    progress : callable, optional
        ``progress(done, total, what)``, counting tracks, called in this process.
    tracks_per_style : int
        Tracks of each of the eight styles, at least 1.
    seconds : float
        Length of a track, at least 0.5.
    workers : int, optional
        Processes; as many as cores where left out, and none beside this one for a small corpus. More than one are
        spawned, so a script that calls this must guard its main part with ``if __name__ == "__main__":``.

    Returns
    -------
    Path
        `folder`, complete.

    Raises
    ------
    CorpusError
        If a size is out of range, `folder` holds something else than this very corpus, or it can't be written.
    CacheError
        If it is on a file system without locks.
    """
    if tracks_per_style < 1 or not seconds >= 0.5:
        raise CorpusError(
            f"demo corpus: tracks_per_style must be at least 1 and seconds at least 0.5, found {tracks_per_style} and {seconds}"
        )
    folder = Path(folder)
    sizes = {"tracks_per_style": tracks_per_style, "seconds": float(seconds)}
    marker = {"generator": "genre_models.demo", "version": DEMO_VERSION, "seed": seed, **sizes}
    if _complete(folder, marker):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_writer(folder):
        if _complete(folder, marker):  # by whom we waited for
            return folder
        for left_over in folder.parent.glob(f".{folder.name}.rendering-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        # The process id keeps a worker that outlived its killed parent out of our folder.
        rendering = folder.with_name(f".{folder.name}.rendering-{os.getpid()}")
        try:
            _render_all(rendering, seed, tracks_per_style, seconds, workers, progress)
            (rendering / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
            fsync_tree(rendering)
            os.rename(rendering, folder)
            fsync_path(folder.parent)
        finally:
            shutil.rmtree(rendering, ignore_errors=True)
    return folder


def _complete(folder: Path, marker: dict[str, object]) -> bool:
    """Tell whether the very corpus is there; raise if something else is in its place."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CorpusError(
            f"{folder}: the demo corpus must go into a new or empty folder, found other files; name another or remove it"
        ) from None
    if found != marker:
        raise CorpusError(f"{folder}: holds another demo corpus ({found}), wanted {marker}; name another folder or remove this one")
    return True


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the operating system's lock on the folder's name; a killed process loses it by itself."""
    with open(folder.with_name(f".{folder.name}.lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise no_locks(folder.parent, error) from error
        yield


def _render_all(rendering: Path, seed: int, tracks_per_style: int, seconds: float, workers: int | None, progress: Progress | None) -> None:
    for style in STYLES:
        (rendering / style.name).mkdir(parents=True)
    tracks = [(style.name, number) for number in range(tracks_per_style) for style in STYLES]
    jobs = [(tracks[first : first + _BATCH], str(rendering), seed, seconds) for first in range(0, len(tracks), _BATCH)]
    if workers is None:
        workers = 1 if len(tracks) * seconds < _INLINE_SECONDS else available_cores()
    done = 0
    for finished in _run(jobs, workers):
        if isinstance(finished, Lost):  # a full disk, or no memory
            raise CorpusError(f"{rendering.parent}: the demo corpus could not be rendered there: {finished.reason}")
        done += finished
        if progress is not None:
            progress(done, len(tracks), "demo corpus")


def _run(jobs: list[tuple], workers: int) -> Iterator[int | Lost]:
    """Yield the number of tracks of each job when they are written; one worker is this process."""
    if workers > 1:
        yield from (result for _, result in run_jobs(_write_batch, jobs, workers))
        return
    for job in jobs:
        yield _write_batch(*job)


def _write_batch(batch: list[tuple[str, int]], rendering: str, seed: int, seconds: float) -> int:
    """Render tracks and write them; returns how many."""
    from genre_models.demo.instruments import SR
    from genre_models.demo.track import render_track

    for style_name, number in batch:
        samples = render_track(style_name, number, seed, seconds)
        with wave.open(str(Path(rendering, style_name, f"{style_name}.{number:05d}.wav")), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SR)
            file.writeframes(samples.astype("<i2").tobytes())
    return len(batch)
