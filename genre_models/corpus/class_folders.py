"""A folder with one subfolder for each class, plain or as GTZAN is laid out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from genre_models.corpus.tracks import NOUN, SUFFIXES, Track, few, list_folder
from genre_models.errors import CorpusError

GTZAN_FOLDERS = {"audio": "genres_original", "image": "images_original"}


@dataclass(frozen=True)
class ClassFolders:
    """A folder of class folders, before it is settled which kind of file is taken.

    Attributes
    ----------
    root : Path
        Absolute, as the user names it.
    is_gtzan : bool
    folders : dict of str to Path
        By kind, the folder that holds the class folders.
    counts : dict of str to int
        Files of each kind.
    """

    root: Path
    is_gtzan: bool
    folders: dict[str, Path]
    counts: dict[str, int]


def find_class_folders(source: str) -> ClassFolders:
    """Look what lies in a folder.

    Parameters
    ----------
    source : str
        A folder, or ``gtzan:FOLDER``.

    Raises
    ------
    CorpusError
        If it is missing, is no folder, or does not have the layout.
    """
    is_gtzan = source.startswith("gtzan:")
    root = resolve_folder(source.removeprefix("gtzan:"), "one subfolder for each class")
    if not is_gtzan:
        return ClassFolders(root, False, dict.fromkeys(SUFFIXES, root), {kind: _count(root, kind) for kind in SUFFIXES})
    folders = {kind: root / name for kind, name in GTZAN_FOLDERS.items()}
    if not any(folder.is_dir() for folder in folders.values()):
        raise CorpusError(
            f"{root}: has neither genres_original/ nor images_original/; give gtzan: the folder that holds them, "
            "or leave out 'gtzan:' if the class folders lie directly in it"
        )
    counts = {kind: _count(folder, kind) if folder.is_dir() else 0 for kind, folder in folders.items()}
    return ClassFolders(root, True, folders, counts)


def resolve_folder(text: str, holds: str) -> Path:
    """A folder of the user's as an absolute path.

    Parameters
    ----------
    text : str
        With ``~`` or relative.
    holds : str
        What must be in it, for the error.

    Raises
    ------
    CorpusError
        If it is missing or a file.
    """
    root = Path(text).expanduser().absolute()
    if not root.exists():
        raise CorpusError(f"{root}: no such folder; give data.source (or --data) a folder with {holds}")
    if not root.is_dir():
        raise CorpusError(f"{root}: is a file; give data.source (or --data) the folder that holds {holds}")
    return root


def choose_kind(where: str, counts: dict[str, int], input: str) -> tuple[str, list[str]]:
    """Settle which kind of file is taken, and say so where there was a choice.

    Parameters
    ----------
    where : str
        For messages.
    counts : dict of str to int
        Files of each kind; not all zero.
    input : {"auto", "audio", "image"}

    Raises
    ------
    CorpusError
        If there is none of the kind asked for.
    """
    if input != "auto":
        if not counts[input]:
            other = "image" if input == "audio" else "audio"
            raise CorpusError(
                f"{where}: data.input: {input}, but there are no {NOUN[input]} ({counts[other]} {NOUN[other]}); set data.input: {other}"
            )
        return input, []
    taken, other = ("audio", "image") if counts["audio"] >= counts["image"] else ("image", "audio")
    if not counts[other]:
        return taken, []
    return taken, [
        f"{where}: {counts[taken]} {NOUN[taken]} and {counts[other]} {NOUN[other]}: "
        f"taking the {NOUN[taken]} (data.input: {other} takes the others)"
    ]


def check_layout(found: ClassFolders) -> None:
    """Refuse a folder that holds no class folders, or another layout.

    Raises
    ------
    CorpusError
        With the nearest remedy.
    """
    root = found.root
    if found.is_gtzan:
        if not any(found.counts.values()):
            raise CorpusError(f"{root}: no files in the class folders of genres_original/ or images_original/; unpack GTZAN there again")
        return
    if _is_fma(found):
        raise CorpusError(f"{root}: has FMA's layout, not class folders: write data.source: fma:{root}")
    if any(found.counts.values()):
        return
    suffixes = " ".join(suffix[1:] for kind in SUFFIXES.values() for suffix in kind)
    if any((root / name).is_dir() for name in GTZAN_FOLDERS.values()):
        raise CorpusError(f"{root}: has GTZAN's layout, not class folders: write data.source: gtzan:{root}")
    if any(_is_media(path, kind) for path in list_folder(root) for kind in SUFFIXES):
        raise CorpusError(f"{root}: its files lie directly in it; sort them into one subfolder for each class")
    if not any(list_folder(root)):
        raise CorpusError(f"{root}: the folder is empty; it must hold one subfolder for each class, with {suffixes} files in it")
    raise CorpusError(f"{root}: no {suffixes} files in its subfolders; it must hold one subfolder for each class")


def list_tracks(found: ClassFolders, kind: str) -> tuple[list[Track], list[str]]:
    """The tracks of one kind, and what was passed over.

    Of files with one id the earliest in `SUFFIXES` is kept. The images of GTZAN in circulation are named blues00000.png where the audio is
    blues.00000.wav; they get the audio's id.
    """
    kept: dict[str, Track] = {}
    dropped: list[str] = []
    unnamed = nested = 0
    without: list[str] = []
    for folder in (path for path in list_folder(found.folders[kind]) if path.is_dir()):
        entries = list_folder(folder)
        media = [path for path in entries if _is_media(path, kind)]
        nested += sum(path.is_dir() for path in entries)
        if not media:
            without.append(folder.name)
        # The sort is the rule: lossless suffixes first, then by name.
        for path in sorted(media, key=lambda path: (SUFFIXES[kind].index(path.suffix.lower()), path.name)):
            id = f"{folder.name}/{_gtzan_stem(path.stem, folder.name) if found.is_gtzan else path.stem}"
            if not _is_text(id):
                unnamed += 1
            elif id in kept:
                dropped.append(f"{path.name} (kept {kept[id].path.name})")
            else:
                kept[id] = Track(id, folder.name, path)
    notes = []
    if dropped:
        notes.append(f"{len(dropped)} files share the name of another but for the suffix and are left out, lossless first: {few(dropped)}")
    if unnamed:
        notes.append(f"{unnamed} files have names that are not valid UTF-8 and are left out; rename them")
    if without:
        notes.append(f"{len(without)} subfolders hold no {NOUN[kind]} and are no classes: {few(without)}")
    if nested:
        notes.append(f"{nested} folders inside class folders are not read; files must lie directly in the folder of their class")
    return list(kept.values()), notes


def _is_media(path: Path, kind: str) -> bool:
    return path.suffix.lower() in SUFFIXES[kind] and not path.is_dir()


def _count(root: Path, kind: str) -> int:
    return sum(_is_media(path, kind) for folder in list_folder(root) if folder.is_dir() for path in list_folder(folder))


def _is_fma(found: ClassFolders) -> bool:
    """Whether its subfolders are FMA's trees, or the folders 000, 001, … of one, which would be taken for classes."""
    folders = [path.name for path in list_folder(found.root) if path.is_dir()]
    if "fma_metadata" in folders and not any(found.counts.values()):
        return True
    numbered = [name for name in folders if re.fullmatch(r"\d{3}", name)]
    if not numbered or set(folders) - set(numbered) - {"fma_metadata"}:
        return False
    return any(re.fullmatch(rf"{numbered[0]}\d{{3}}", path.stem) for path in list_folder(found.root / numbered[0]))


def _gtzan_stem(stem: str, label: str) -> str:
    match = re.fullmatch(re.escape(label) + r"(\d{5})", stem)
    return f"{label}.{match[1]}" if match else stem


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
