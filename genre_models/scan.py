"""One look at every file, blind to labels: is it readable, and how long, loud and large is it.

The scan may read held-out files too, and therefore keeps no samples, pixels or features of any, but hashes, counts and sizes. Units: seconds, hertz, dB, pixels.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from genre_models.audio import Undecodable, probe_audio
from genre_models.content import content_hash
from genre_models.corpus import Corpus, Progress, Track
from genre_models.errors import CacheError, CorpusError
from genre_models.features.image import probe_image
from genre_models.parallel import Lost, run_jobs

_VERSION = 3  # of the facts; raise it when the same file would be described differently
_SAVE_SECONDS = 60.0  # what a kill loses at most of a long scan
_SYSTEM_ERROR = 2  # libsndfile's SF_ERR_SYSTEM: a call of the operating system failed
_FACTS = (
    *("duration_seconds", "sr", "channels", "loudness_db", "clipped_share", "silent_share", "missing"),
    *("width", "height", "border", "colours", "contrast", "brightness", "decoded"),
)


@dataclass(frozen=True, slots=True)
class ScanRow:
    """What is known of one file.

    Attributes
    ----------
    id, label : str
    path : Path
    content : str
        Hash of the file's bytes, or of the numbers of a table's rows; empty where they could not be read at all.
    bytes : int
    readable : bool
    reason : str or None
        Why it is not readable.
    duration_seconds : float or None
    sr : int or None
        Hertz, of the file.
    channels : int or None
    width, height : int or None
        Pixels.
    loudness_db : float or None
        Root mean square, dB of full scale.
    duplicate_group : str or None
        The same for all readable files with the same bytes; None where there is only one.
    official_part, group, album : str or None
        As `genre_models.corpus.Track` has them.
    decoded : str or None
        Hash of what was decoded: the same for the same samples or pixels in another container.
    missing : str or None
        Of a sound file that ends before it says it does: in words, what is missing.
    clipped_share, silent_share : float or None
        Of a sound's samples those at full scale; of its seconds those below -60 dB of full scale.
    border : str or None
        Of an image with one colour around all four sides: widths (left, top, right, bottom) and colour.
    colours : str or None
        ``"grey"``, the name of a colour map, or ``"other"``.
    contrast : int or None
        0 to 255: how far any pixel is from the first one.
    brightness : float or None
        0 to 255: mean of some of its pixels; None also where a scan of before has it not.
    """

    id: str
    label: str
    path: Path
    content: str
    bytes: int
    readable: bool
    reason: str | None = None
    duration_seconds: float | None = None
    sr: int | None = None
    channels: int | None = None
    width: int | None = None
    height: int | None = None
    loudness_db: float | None = None
    duplicate_group: str | None = None
    official_part: str | None = None
    group: str | None = None
    album: str | None = None
    decoded: str | None = None
    missing: str | None = None
    clipped_share: float | None = None
    silent_share: float | None = None
    border: str | None = None
    colours: str | None = None
    contrast: int | None = None
    brightness: float | None = None

    @property
    def labelled_id(self) -> str:
        """The id, and the class where the id does not hold it: ``rock/a``, but ``000002 Rock``."""
        return self.id if self.id.startswith(f"{self.label}/") else f"{self.id} {self.label}"


@dataclass(frozen=True)
class Scan:
    """All files of a corpus.

    Attributes
    ----------
    rows : tuple of ScanRow
        Sorted by id, unreadable ones included.
    fingerprint : str
        16 hex digits over the (labelled id, content) of the readable rows, sorted by id.
    kind : {"audio", "image", "table"}
    decoded, cached : int
        Files decoded now, and files known from an earlier scan.
    """

    rows: tuple[ScanRow, ...]
    fingerprint: str
    kind: str = "audio"
    decoded: int = 0
    cached: int = 0


def scan_corpus(corpus: Corpus, cache_dir: str | Path, workers: int | None = None, progress: Progress | None = None) -> Scan:
    """Look at every file of a corpus, in parallel, once.

    Parameters
    ----------
    corpus : Corpus
    cache_dir : str or Path
        Facts are kept there by path, size and time of change, so that a second scan decodes nothing.
    workers : int or None
        Processes; None for one on each core.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Scan
        A file that can't be decoded is a row with its reason, never an error.
    """
    if corpus.kind == "table":
        return _scan_table(corpus, progress)
    stores = _stores(corpus, Path(cache_dir).expanduser() / "scans")
    known = {store: _load(store) for store in stores}
    stamps = {track.id: _stamp(track.path) for track in corpus.tracks}
    facts = {
        track.id: known[store][str(track.path)]["facts"]
        for store, tracks in stores.items()
        for track in tracks
        if _is_current(known[store].get(str(track.path)), stamps[track.id])
    }
    new = [track for track in corpus.tracks if track.id not in facts]
    if corpus.kind == "audio":
        _check_mp3_can_be_decoded(new)
    saved_at = time.monotonic()
    try:
        with closing(run_jobs(look_at, [(str(track.path), corpus.kind) for track in new], workers)) as results:
            for number, result in results:
                facts[new[number].id] = {"reason": result.reason, "again": True} if isinstance(result, Lost) else result
                if progress is not None:
                    progress(len(facts), len(corpus.tracks), "scan")
                if time.monotonic() - saved_at > _SAVE_SECONDS:
                    with suppress(OSError):  # said at the end
                        _save(stores, known, stamps, facts)
                    saved_at = time.monotonic()
    except BaseException:
        with suppress(OSError):  # after Ctrl-C too: what was looked at need not be looked at again
            _save(stores, known, stamps, facts)
        raise
    if new:
        try:
            _save(stores, known, stamps, facts)
        except OSError as error:
            raise CacheError(
                f"{error.filename or cache_dir}: can't be written ({error.strerror}); free space, or choose another folder for the cache"
            ) from error
    return _made(corpus, stamps, facts, len(new))


def _scan_table(corpus: Corpus, progress: Progress | None) -> Scan:
    from genre_models.corpus.table_rows import scan_table

    facts = scan_table(corpus)
    if progress is not None:
        progress(len(facts), len(facts), "scan")
    return _made(corpus, {id: [fact["bytes"]] for id, fact in facts.items()}, facts, len(facts))


def _made(corpus: Corpus, stamps: dict, facts: dict[str, dict], decoded: int) -> Scan:
    rows = _rows(corpus.tracks, stamps, facts)
    fingerprint = _digest([[row.labelled_id, row.content] for row in rows if row.readable])
    return Scan(rows, fingerprint, corpus.kind, decoded=decoded, cached=len(corpus.tracks) - decoded)


def look_at(path: str, kind: str) -> dict:
    """Describe one file (runs in a worker process).

    Parameters
    ----------
    path : str
    kind : {"audio", "image"}

    Returns
    -------
    dict
        ``content`` and what `probe_audio` or `probe_image` gives; with ``reason`` where it can't be decoded, and ``again`` where
        that may pass (the disk, permissions, memory).
    """
    try:
        content = content_hash(path)
    except OSError as error:
        return {"reason": f"can't be read: {error.strerror or error}", "again": True}
    try:
        if os.path.getsize(path) == 0:
            raise Undecodable("is empty (0 bytes)")
        return {"content": content, **(probe_audio(path) if kind == "audio" else probe_image(path))}
    except Undecodable as error:
        return {"content": content, "reason": str(error), **({"again": True} if may_pass(error.__cause__) else {})}


def may_pass(error: BaseException | None) -> bool:
    """Whether what went wrong with a file is the disk's or the memory's fault, and not its own."""
    if error is None:
        return False
    if isinstance(error, OSError):  # of a broken file Pillow raises it without a number ("truncated"), and this package with EINVAL
        return error.errno not in (None, errno.EINVAL)
    if isinstance(error, MemoryError):
        return True
    import soundfile

    return isinstance(error, soundfile.LibsndfileError) and error.code == _SYSTEM_ERROR


def _stores(corpus: Corpus, folder: Path) -> dict[Path, list[Track]]:
    """The tracks by the file that keeps their facts: one for each folder of the source, so that folders are known alone and in lists."""
    stores: dict[Path, list[Track]] = {}
    for track in corpus.tracks:
        root = str(track.path.parent.parent)
        stores.setdefault(folder / f"{_digest([_VERSION, corpus.kind, root])}.jsonl", []).append(track)
    return stores


def _check_mp3_can_be_decoded(tracks: Sequence[Track]) -> None:
    """Raise one error instead of one reason for each file, where the installed library is too old."""
    n = sum(track.path.suffix.lower() == ".mp3" for track in tracks)
    if not n:
        return
    from genre_models.sound_stream import decodes_mp3, library_version

    if not decodes_mp3():
        raise CorpusError(
            f"{n} files are mp3, as {next(track.path for track in tracks if track.path.suffix.lower() == '.mp3')}, but the installed "
            f"libsndfile {library_version()} can't decode it (1.1 and newer can): pip install --upgrade soundfile, or convert them to FLAC"
        )


def _rows(tracks: tuple[Track, ...], stamps: dict, facts: dict[str, dict]) -> tuple[ScanRow, ...]:
    copies = Counter(fact["content"] for fact in facts.values() if "reason" not in fact)
    rows = []
    for track in sorted(tracks, key=lambda track: track.id):
        fact, stamp = facts[track.id], stamps[track.id]
        content = fact.get("content", "")
        rows.append(
            ScanRow(
                id=track.id,
                label=track.label,
                path=track.path,
                content=content,
                bytes=stamp[0] if stamp else 0,
                readable="reason" not in fact,
                reason=fact.get("reason"),
                duplicate_group=content[:12] if copies[content] > 1 and "reason" not in fact else None,
                official_part=track.official_part,
                group=track.group,
                album=track.album,
                **{name: fact.get(name) for name in _FACTS},
            )
        )
    return tuple(rows)


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]  # the last also where two files of an archive, alike in size and date, were exchanged


def _is_current(entry: dict | None, stamp: list[int] | None) -> bool:
    return entry is not None and stamp is not None and entry.get("stamp") == stamp


def _load(store: Path) -> dict[str, dict]:
    known = {}
    try:
        lines = store.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return known
    for line in lines:
        try:
            entry = json.loads(line)
            known[entry["path"]] = {"stamp": entry["stamp"], "facts": dict(entry["facts"])}
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _save(stores: Mapping[Path, Sequence[Track]], known: Mapping[Path, dict], stamps: dict, facts: dict[str, dict]) -> None:
    for store, tracks in stores.items():
        entries = dict(known[store])
        for track in tracks:
            if track.id in facts and stamps[track.id] is not None and not facts[track.id].get("again"):
                entries[str(track.path)] = {"stamp": stamps[track.id], "facts": facts[track.id]}
        store.parent.mkdir(parents=True, exist_ok=True)
        partial = store.with_suffix(f".{os.getpid()}.partial")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"path": path, **entry}) + "\n" for path, entry in sorted(entries.items()))
        partial.replace(store)


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
