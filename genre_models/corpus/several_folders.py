"""Several folders of class folders as one corpus: classes are joined by their names.

An id that two folders hold gets the folder's name, in both: ``rock/a`` becomes ``rock/a@first`` and ``rock/a@second``, so that it does not
depend on the order of the list. Only where folders have one name does it: these are told apart by their place among each other, as ``music.1``
and ``music.2``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from genre_models.corpus.class_folders import ClassFolders, check_layout, choose_kind, find_class_folders, list_tracks
from genre_models.corpus.tracks import NOUN, SUFFIXES, Corpus, Track, few, make_corpus
from genre_models.errors import CorpusError


def open_several(sources: Sequence[str], input: str) -> Corpus:
    """List the tracks of several folders.

    Parameters
    ----------
    sources : sequence of str
        Folders, or ``gtzan:FOLDER``; at least one.
    input : {"auto", "audio", "image"}
        ``auto`` takes the kind that there is more of in all folders together.

    Raises
    ------
    CorpusError
        If a folder can't be used, has none of the kind that is taken, or is named twice; if two of them lead to the same file; or if there is
        only one class.
    """
    found = [find_class_folders(source) for source in sources]
    for folder in found:
        check_layout(folder)
    _check_distinct(sources, found)
    names = _name_folders(found)
    counts = {kind: sum(folder.counts[kind] for folder in found) for kind in SUFFIXES}
    kind, notes = choose_kind(f"the {len(found)} folders of data.source", counts, input)
    for folder in found:
        if not folder.counts[kind]:
            other = "image" if kind == "audio" else "audio"
            raise CorpusError(
                f"{folder.root}: has no {NOUN[kind]} ({folder.counts[other]} {NOUN[other]}), but the others of data.source are taken as "
                f"{NOUN[kind]}: take it off the list, or set data.input: {other} if all have {NOUN[other]}"
            )
    listed = []
    for name, folder in zip(names, found, strict=True):
        tracks, said = list_tracks(folder, kind)
        listed.append((name, tracks))
        notes += [f"{name}: {note}" for note in said]
    _check_files_distinct(sources, [tracks for _, tracks in listed])
    tracks, said = _merge(listed)
    shown = " + ".join(names[:3]) + (f" + {len(names) - 3} more" if len(names) > 3 else "")
    return make_corpus(", ".join(sources), shown, kind, tracks, [*notes, *said], [folder.folders[kind] for folder in found])


def _check_distinct(sources: Sequence[str], found: Sequence[ClassFolders]) -> None:
    first: dict[str, str] = {}
    for source, folder in zip(sources, found, strict=True):
        place = str(folder.root.resolve())
        if place in first:
            raise CorpusError(f"data.source names the folder {place} twice, as {first[place]} and as {source}; take one of them off")
        first[place] = source


def _check_files_distinct(sources: Sequence[str], listed: Sequence[list[Track]]) -> None:
    resolved = cache(Path.resolve)  # of folders, so that a file costs one look at the disk
    first: dict[Path, str] = {}
    for source, tracks in zip(sources, listed, strict=True):
        places = [track.path.resolve() if track.path.is_symlink() else resolved(track.path.parent) / track.path.name for track in tracks]
        twice = next((place for place in places if place in first), None)
        if twice is not None:
            raise CorpusError(
                f"data.source: the file {twice} is listed twice, by {first[twice]} and by {source}, and would be two tracks; "
                "take one of them off the list, or if a link leads there remove the link"
            )
        first |= dict.fromkeys(places, source)


def _name_folders(found: Sequence[ClassFolders]) -> list[str]:
    names = [folder.root.name or str(folder.root) for folder in found]
    total, seen = Counter(names), Counter()
    told_apart = []
    for name in names:
        seen[name] += 1
        told_apart.append(name if total[name] == 1 else f"{name}.{seen[name]}")
    return told_apart


def _merge(listed: Sequence[tuple[str, list[Track]]]) -> tuple[list[Track], list[str]]:
    times = Counter(track.id for _, tracks in listed for track in tracks)
    shared = sorted(id for id, n in times.items() if n > 1)
    merged = [replace(track, id=f"{track.id}@{name}") if times[track.id] > 1 else track for name, tracks in listed for track in tracks]
    twice = [id for id, n in Counter(track.id for track in merged).items() if n > 1]
    if twice:
        raise CorpusError(
            f"data.source: two files would have the id {twice[0]}, because a file's own name has the @ and a folder's name in it; rename it"
        )
    notes = [f"{name}: {len(tracks)} tracks of {len({track.label for track in tracks})} classes" for name, tracks in listed]
    if shared:
        notes.append(
            f"{len(shared)} ids lie in more than one folder; these tracks have the folder's name in theirs, as {shared[0]}@FOLDER: {few(shared)}"
        )
    labels = sorted({track.label for track in merged})
    folded: dict[str, list[str]] = {}
    for label in labels:
        folded.setdefault(label.casefold(), []).append(label)
    alike = [" and ".join(spellings) for spellings in folded.values() if len(spellings) > 1]
    if alike:
        notes.append(f"classes that differ in case only are not joined: {few(alike)}; rename the folders if they are one class")
    return merged, notes
