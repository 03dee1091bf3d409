"""FMA as it is published: a tree of numbered mp3 files, and a table that says what they are.

A track's id is its number with six digits; its class is the table's root genre, its group the artist.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from genre_models.corpus.class_folders import resolve_folder
from genre_models.corpus.fma_table import TableRow, read_table
from genre_models.corpus.tracks import SUFFIXES, Corpus, Track, few, list_folder, make_corpus
from genre_models.errors import CorpusError

SUBSETS = ("small", "medium", "large", "full")  # each lies within the next; full has the tracks of large, untrimmed


def open_fma(source: str, input: str, subset: str | None) -> Corpus:
    """List FMA's tracks that have a root genre and a file.

    Parameters
    ----------
    source : str
        ``fma:FOLDER``: with ``fma_small``, ``fma_medium``, ``fma_large`` or ``fma_full`` in it, or the numbered folders themselves;
        and with ``fma_metadata/tracks.csv`` or ``tracks.csv``, also beside it.
    input : {"auto", "audio", "image"}
    subset : {"small", "medium", "large", "full"} or None
        Takes the tracks of that subset only.

    Raises
    ------
    CorpusError
        If the table or the audio is missing, or nothing is left.
    """
    if input == "image":
        raise CorpusError("data.input: image asks for pictures, but FMA is audio; leave it at auto")
    root = resolve_folder(source.removeprefix("fma:"), "fma_small (or another of FMA's audio folders) and fma_metadata/tracks.csv")
    table = _find_table(root)
    tree, notes = _find_tree(root, subset)
    files, said = _list_files(tree)
    chosen = _choose(table, tree, files, subset)
    if not chosen.tracks:
        raise CorpusError(
            f"{tree}: none of its {len(files)} audio files is a track of {table.name} with a root genre"
            f"{f' in the subset {subset}' if subset else ''}; is it the folder of this table?"
        )
    name = tree.name if subset is None or tree.name == f"fma_{subset}" else f"{tree.name} ({subset})"
    notes += [*said, *chosen.notes(table, tree, subset), "labels are FMA's root genres (genre_top); tracks of one artist stay together"]
    return make_corpus(source, name, "audio", chosen.tracks, notes, [tree])


def _find_table(root: Path) -> Path:
    places = [root / "fma_metadata" / "tracks.csv", root / "tracks.csv", root.parent / "fma_metadata" / "tracks.csv"]
    for place in places:
        if place.is_file():
            return place
    raise CorpusError(
        f"{root}: FMA's table is missing, neither fma_metadata/tracks.csv nor tracks.csv is there: unpack fma_metadata.zip in it"
    )


def _find_tree(root: Path, subset: str | None) -> tuple[Path, list[str]]:
    """The folder that holds 000, 001, …; of several the one that fits the subset, else the largest."""
    if _is_tree(root):
        return root, []
    trees = {name: root / f"fma_{name}" for name in SUBSETS if _is_tree(root / f"fma_{name}")}
    if not trees:
        raise CorpusError(
            f"{root}: no audio: it has none of {', '.join(f'fma_{name}/' for name in SUBSETS)} with folders 000, 001, … in it, nor these "
            "folders themselves: unpack fma_small.zip (or a larger one) in it"
        )
    wanted = [name for name in trees if subset is not None and SUBSETS.index(name) >= SUBSETS.index(subset)]
    taken = wanted[0] if wanted else list(trees)[-1]
    others = [f"fma_{name}" for name in trees if name != taken]
    if not others:
        return trees[taken], []
    return trees[taken], [f"{root}: taking fma_{taken}, not {', '.join(others)} (data.subset chooses, and so does naming one as data.source)"]


def _is_tree(folder: Path) -> bool:
    return folder.is_dir() and any(re.fullmatch(r"\d{3}", path.name) and path.is_dir() for path in list_folder(folder))


def _list_files(tree: Path) -> tuple[dict[str, Path], list[str]]:
    """Audio files by their six digits; where a track has several, lossless first."""
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in list_folder(tree):
        if re.fullmatch(r"\d{3}", folder.name) and folder.is_dir():
            for path in list_folder(folder):
                if path.suffix.lower() in SUFFIXES["audio"] and re.fullmatch(r"\d{6}", path.stem):
                    found[path.stem].append(path)
    files = {id: min(paths, key=lambda path: SUFFIXES["audio"].index(path.suffix.lower())) for id, paths in found.items()}
    several = sorted(id for id, paths in found.items() if len(paths) > 1)
    notes = [f"{len(several)} tracks have several files, of which the lossless is taken: {few(several)}"] if several else []
    return files, notes


@dataclass
class _Chosen:
    tracks: list[Track] = field(default_factory=list)
    without_genre: list[str] = field(default_factory=list)
    without_file: list[str] = field(default_factory=list)
    outside: int = 0  # files that are tracks of the table but not of the subset
    strangers: list[str] = field(default_factory=list)  # files that are not in the table

    def notes(self, table: Path, tree: Path, subset: str | None) -> list[str]:
        said = []
        if self.without_genre:
            said.append(f"{len(self.without_genre)} tracks have no root genre in {table.name} and are left out: {few(self.without_genre)}")
        if self.without_file:
            n = len(self.without_file)
            said.append(f"{n} tracks of {table.name} have no audio file in {tree.name} and are left out: {few(self.without_file)}")
        if self.outside:
            said.append(f"{self.outside} audio files are no tracks of the subset and are left out (data.subset: {subset})")
        if self.strangers:
            said.append(f"{len(self.strangers)} audio files are not in {table.name} and are left out: {few(self.strangers)}")
        return said


def _choose(table: Path, tree: Path, files: dict[str, Path], subset: str | None) -> _Chosen:
    """Of the table's rows those that have a file, a genre and, where one is asked for, the subset."""
    # What should be there: a smaller tree lacks the rest of the table by design, which is not worth a note.
    expected = subset or next((name for name in SUBSETS if tree.name == f"fma_{name}"), "full")
    chosen, left = _Chosen(), dict(files)
    for row in read_table(table):
        path = left.pop(row.id, None)
        if not _is_in(row, subset or "full"):
            chosen.outside += path is not None
        elif path is None:
            # Tracks without a genre would not be used with a file either.
            if row.genre and row.id not in files and _is_in(row, expected):
                chosen.without_file.append(row.id)
        elif not row.genre:
            chosen.without_genre.append(row.id)
        else:
            artist = f"artist {row.artist}" if row.artist else None
            album = f"album {row.album}" if row.album.isdecimal() else None  # -1 and nothing are no album
            chosen.tracks.append(Track(row.id, row.genre, path, row.part or None, artist, album))
    chosen.strangers = sorted(left)
    return chosen


def _is_in(row: TableRow, subset: str) -> bool:
    return subset == "full" or (row.subset in SUBSETS and SUBSETS.index(row.subset) <= SUBSETS.index(subset))
