"""Artist and album as the tags of sound files say them (ID3, also in WAV, and Vorbis comments), and nothing else of the tags.

Tags are other people's data: they are read in worker processes with bounded memory, and whatever can't be read says nothing. What was read is kept in the
cache by the content of the file; what could not be asked, as the disk failed or its worker died, is asked again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from genre_models.corpus import Progress
from genre_models.durable import write_text
from genre_models.errors import CacheError
from genre_models.parallel import run_jobs
from genre_models.scan import ScanRow, may_pass

_VERSION = 1  # of what is read; raise it when the same file would say something else
_MOST_MEMORY = 2**30  # bytes that a worker may hold: a compressed frame can claim to unfold to anything
_LONGEST = 200  # characters of a name
# Names of one thing in the kinds of tags, the first that is there counts.
_KEYS = {"artist": ("artist", "TPE1"), "album_artist": ("albumartist", "TPE2"), "album": ("album", "TALB")}


@dataclass(frozen=True, slots=True)
class Tags:
    """What a file says of itself; None where it says nothing.

    Attributes
    ----------
    artist, album_artist, album : str or None
    """

    artist: str | None = None
    album_artist: str | None = None
    album: str | None = None


def read_tags(rows: Sequence[ScanRow], cache_dir: Path, workers: int | None = None, progress: Progress | None = None) -> dict[str, Tags]:
    """Read the tags of some files.

    Parameters
    ----------
    rows : sequence of ScanRow
        Sound files.
    cache_dir : Path
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional

    Returns
    -------
    dict of str to Tags
        By track id.

    Raises
    ------
    CacheError
        If the cache can't be written.
    """
    store = cache_dir / "tags" / f"v{_VERSION}.json"
    known = _load(store)
    new = list({row.content: row for row in rows if row.content not in known}.values())
    with closing(run_jobs(tags_within_bounds, [(str(row.path),) for row in new], workers)) as results:
        for done, (number, result) in enumerate(results, 1):
            if isinstance(result, dict):  # else its worker was killed, as for memory, or the disk failed
                known[new[number].content] = result
            if progress is not None:
                progress(done, len(new), "tags")
    if new:
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            write_text(store, json.dumps(_load(store) | known), shared=True)  # another search may have read some meanwhile
        except OSError as error:
            raise CacheError(f"{store}: can't be written ({error.strerror}); free space, or choose another folder for the cache") from error
    return {row.id: Tags(**known.get(row.content, {})) for row in rows}


def tags_within_bounds(path: str) -> dict[str, str]:
    """`tags_of` in a worker process, which from then on can hold no more than `_MOST_MEMORY`."""
    _bound_memory()
    return tags_of(path)


def tags_of(path: str) -> dict[str, str]:
    """What one file's tags say; nothing where they are broken.

    Raises
    ------
    OSError
        If the file itself can't be read (now).
    """
    import mutagen

    try:
        found = mutagen.File(path)
    except Exception as error:  # its parsers stumble over broken tags with whatever comes; the sound was decoded without them
        _raise_failure_of_disk(error)
        return {}
    tags = getattr(found, "tags", None)
    if not tags:
        return {}
    said = {name: _first(tags, keys) for name, keys in _KEYS.items()}
    return {name: text for name, text in said.items() if text}


def _raise_failure_of_disk(error: BaseException | None) -> None:
    """Raise the failure of the disk that an error of the library stands for, if it does: it wraps some, and raises others in handling them."""
    while error is not None:
        if isinstance(error, OSError) and may_pass(error):
            raise OSError(error.errno, error.strerror)
        error = error.__cause__ or error.__context__


def _first(tags: object, keys: Sequence[str]) -> str | None:
    for key in keys:
        try:
            values = tags[key]
        except (KeyError, ValueError, TypeError):  # a kind of tags in which that is no key
            continue
        texts = getattr(values, "text", values)
        text = str(texts[0] if isinstance(texts, (list, tuple)) and texts else texts or "")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]  # it will be printed
        if text:
            return text
    return None


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not on every system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(_MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _load(store: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(store.read_text(encoding="utf-8"))
        return {content: asdict(Tags(**tags)) for content, tags in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or damaged: read again
        return {}
