"""From a source to a list of tracks: class folders, GTZAN's layout, or the demo.

Looks at names only; whether a file can be decoded is the scan's business. A track's id is ``CLASS/STEM``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genre_models.errors import CorpusError

Progress = Callable[[int, int, str], None]

# Where two files have one id the earlier suffix stays: lossless before lossy.
SUFFIXES = {"audio": (".wav", ".flac", ".au", ".ogg", ".mp3"), "image": (".png", ".jpg", ".jpeg")}
GTZAN_FOLDERS = {"audio": "genres_original", "image": "images_original"}
_NOUN = {"audio": "audio files", "image": "images"}


@dataclass(frozen=True)
class Track:
    """One recording.

    Attributes
    ----------
    id : str
        ``CLASS/STEM``.
    label : str
        The class.
    path : Path
        Absolute.
    """

    id: str
    label: str
    path: Path


@dataclass(frozen=True)
class Corpus:
    """The tracks of a source.

    Attributes
    ----------
    source : str
        As it was asked for.
    name : str
        Short, for titles.
    kind : {"audio", "image"}
    demo : bool
        True for the music that this project synthesises; its numbers say nothing about real genres.
    tracks : tuple of Track
        Sorted by id.
    labels : tuple of str
        Sorted.
    notes : tuple of str
        What the user should know: choices that were made, files that were passed over.
    """

    source: str
    name: str
    kind: str
    demo: bool
    tracks: tuple[Track, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_corpus(source: str, input: str = "auto", cache_dir: str | Path = "studies/.cache", progress: Progress | None = None) -> Corpus:
    """List the tracks of a source.

    Parameters
    ----------
    source : str
        ``demo``, a folder with one subfolder for each class, or ``gtzan:FOLDER``.
    input : {"auto", "audio", "image"}
        What to take where there is both; ``auto`` takes the larger set and says so in the notes.
    cache_dir : str or Path
        Where the demo is rendered to.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If the folder is missing or empty, or holds fewer than two classes.
    """
    if source == "demo":
        return _open_demo(input, Path(cache_dir), progress)
    gtzan = source.startswith("gtzan:")
    root = Path(source.removeprefix("gtzan:")).expanduser().absolute()
    if not root.exists():
        raise CorpusError(f"{root}: no such folder; give data.source (or --data) a folder with one subfolder for each class")
    if not root.is_dir():
        raise CorpusError(f"{root}: is a file; give data.source (or --data) the folder that holds one subfolder for each class")
    if gtzan:
        kind, folder, choice = _choose_gtzan_folder(root, input)
        tracks, notes = _tracks_of(folder, kind, gtzan_names=True)
    else:
        folder = root
        kind, choice = _choose_kind(root, {kind: _count(root, kind) for kind in SUFFIXES}, input)
        tracks, notes = _tracks_of(folder, kind)
    return _corpus(source, root.name or str(root), kind, tracks, [*choice, *notes], folder)


def _open_demo(input: str, cache_dir: Path, progress: Progress | None) -> Corpus:
    if input == "image":
        raise CorpusError(
            "data.input: image asks for pictures, but the demo corpus is audio; leave it at auto or give data.source a folder"
        )
    from genre_models import demo

    folder = demo.render_demo(cache_dir.expanduser().absolute() / f"demo-v{demo.DEMO_VERSION}-seed0", seed=0, progress=progress)
    tracks, notes = _tracks_of(folder, "audio")
    return _corpus("demo", "demo", "audio", tracks, notes, folder)


def _corpus(source: str, name: str, kind: str, tracks: list[Track], notes: list[str], folder: Path) -> Corpus:
    from genre_models.demo import MARKER

    labels = tuple(sorted({track.label for track in tracks}))
    if len(labels) < 2:
        raise CorpusError(
            f"{folder}: only one class with {_NOUN[kind]} ({labels[0]}), but at least 2 are needed: add a subfolder for each class"
        )
    # By its marker, so that a rendered demo says what it is also where it is named as a plain folder.
    is_demo = (folder / MARKER).is_file()
    if is_demo:
        notes = ["demo corpus: music synthesised by this project; its numbers say nothing about real genres", *notes]
    return Corpus(source, name, kind, is_demo, tuple(sorted(tracks, key=lambda track: track.id)), labels, tuple(notes))


def _choose_gtzan_folder(root: Path, input: str) -> tuple[str, Path, list[str]]:
    folders = {kind: root / name for kind, name in GTZAN_FOLDERS.items()}
    counts = {kind: _count(folder, kind) if folder.is_dir() else 0 for kind, folder in folders.items()}
    if not any(folder.is_dir() for folder in folders.values()):
        raise CorpusError(
            f"{root}: has neither genres_original/ nor images_original/; give gtzan: the folder that holds them, "
            "or leave out 'gtzan:' if the class folders lie directly in it"
        )
    kind, notes = _choose_kind(root, counts, input)
    return kind, folders[kind], notes


def _choose_kind(root: Path, counts: dict[str, int], input: str) -> tuple[str, list[str]]:
    if not any(counts.values()):
        raise _nothing_found(root)
    if input != "auto":
        if not counts[input]:
            other = "image" if input == "audio" else "audio"
            raise CorpusError(
                f"{root}: data.input: {input}, but there are no {_NOUN[input]} ({counts[other]} {_NOUN[other]}); set data.input: {other}"
            )
        return input, []
    taken, other = ("audio", "image") if counts["audio"] >= counts["image"] else ("image", "audio")
    if not counts[other]:
        return taken, []
    return taken, [
        f"{root}: {counts[taken]} {_NOUN[taken]} and {counts[other]} {_NOUN[other]}: "
        f"taking the {_NOUN[taken]} (data.input: {other} takes the others)"
    ]


def _nothing_found(root: Path) -> CorpusError:
    suffixes = " ".join(suffix[1:] for kind in SUFFIXES.values() for suffix in kind)
    if any((root / name).is_dir() for name in GTZAN_FOLDERS.values()):
        return CorpusError(f"{root}: has GTZAN's layout, not class folders: write data.source: gtzan:{root}")
    if any(_is_media(path, kind) for path in _entries(root) for kind in SUFFIXES):
        return CorpusError(f"{root}: its files lie directly in it; sort them into one subfolder for each class")
    if not any(_entries(root)):
        return CorpusError(f"{root}: the folder is empty; it must hold one subfolder for each class, with {suffixes} files in it")
    return CorpusError(f"{root}: no {suffixes} files in its subfolders; it must hold one subfolder for each class")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"{folder}: can't be listed ({error.strerror}); check its permissions") from error


def _is_media(path: Path, kind: str) -> bool:
    return path.suffix.lower() in SUFFIXES[kind] and not path.is_dir()


def _count(root: Path, kind: str) -> int:
    return sum(_is_media(path, kind) for folder in _entries(root) if folder.is_dir() for path in _entries(folder))


def _tracks_of(root: Path, kind: str, *, gtzan_names: bool = False) -> tuple[list[Track], list[str]]:
    kept: dict[str, Track] = {}
    dropped: list[str] = []
    unnamed = nested = 0
    without: list[str] = []
    for folder in (path for path in _entries(root) if path.is_dir()):
        entries = _entries(folder)
        media = [path for path in entries if _is_media(path, kind)]
        nested += sum(path.is_dir() for path in entries)
        if not media:
            without.append(folder.name)
        # The sort is the rule: lossless suffixes first, then by name.
        for path in sorted(media, key=lambda path: (SUFFIXES[kind].index(path.suffix.lower()), path.name)):
            id = f"{folder.name}/{_gtzan_stem(path.stem, folder.name) if gtzan_names else path.stem}"
            if not _is_text(id):
                unnamed += 1
            elif id in kept:
                dropped.append(f"{path.name} (kept {kept[id].path.name})")
            else:
                kept[id] = Track(id, folder.name, path)
    notes = []
    if dropped:
        notes.append(f"{len(dropped)} files share the name of another but for the suffix and are left out, lossless first: {_few(dropped)}")
    if unnamed:
        notes.append(f"{unnamed} files have names that are not valid UTF-8 and are left out; rename them")
    if without:
        notes.append(f"{len(without)} subfolders hold no {_NOUN[kind]} and are no classes: {_few(without)}")
    if nested:
        notes.append(f"{nested} folders inside class folders are not read; files must lie directly in the folder of their class")
    return list(kept.values()), notes


def _gtzan_stem(stem: str, label: str) -> str:
    # The images in circulation are named blues00000.png where the audio is blues.00000.wav.
    match = re.fullmatch(re.escape(label) + r"(\d{5})", stem)
    return f"{label}.{match[1]}" if match else stem


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
