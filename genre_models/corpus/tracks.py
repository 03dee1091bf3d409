"""What a corpus is: its tracks, their labels, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre_models.errors import CorpusError

Progress = Callable[[int, int, str], None]

# Where two files have one id the earlier suffix stays: lossless before lossy.
SUFFIXES = {"audio": (".wav", ".flac", ".au", ".ogg", ".mp3"), "image": (".png", ".jpg", ".jpeg")}
NOUN = {"audio": "audio files", "image": "images", "table": "rows"}


@dataclass(frozen=True, slots=True)
class Track:
    """One recording.

    Attributes
    ----------
    id : str
        ``CLASS/STEM``, or a name without a class where the source gives it one.
    label : str
        The class.
    path : Path
        Absolute; of a table's tracks the table.
    official_part : {"train", "validation", "test"} or None
        Where the source's own split puts it.
    group : str or None
        Tracks of one group stay on one side of a split; of FMA it is the artist.
    album : str or None
        Where the source knows it; as `group`, a name that no other album has.
    """

    id: str
    label: str
    path: Path
    official_part: str | None = None
    group: str | None = None
    album: str | None = None


@dataclass(frozen=True)
class Corpus:
    """The tracks of a source.

    Attributes
    ----------
    source : str
        As it was asked for; several folders joined by commas.
    name : str
        Short, for titles.
    kind : {"audio", "image", "table"}
    demo : bool
        True if music that this project synthesises is in it; its numbers say nothing about real genres.
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


def make_corpus(source: str, name: str, kind: str, tracks: Iterable[Track], notes: Sequence[str], folders: Sequence[Path]) -> Corpus:
    """Put a corpus together.

    Parameters
    ----------
    source, name, kind : str
    tracks : iterable of Track
        At least one.
    notes : sequence of str
    folders : sequence of Path
        Where the tracks lie.

    Raises
    ------
    CorpusError
        If there is only one class.
    """
    from genre_models.demo import MARKER

    tracks = tuple(sorted(tracks, key=lambda track: track.id))
    labels = tuple(sorted({track.label for track in tracks}))
    if len(labels) < 2:
        where = ", ".join(map(str, folders))
        raise CorpusError(
            f"{where}: only one class with {NOUN[kind]} ({labels[0]}), but at least 2 are needed: add a subfolder for each class"
        )
    # By its marker, so that a rendered demo says what it is also where it is named as a plain folder.
    is_demo = any((folder / MARKER).is_file() for folder in folders)
    if is_demo:
        notes = ["demo corpus: music synthesised by this project; its numbers say nothing about real genres", *notes]
    return Corpus(source, name, kind, is_demo, tracks, labels, tuple(notes))


def list_folder(folder: Path) -> list[Path]:
    """Entries of a folder but for hidden ones, sorted.

    Raises
    ------
    CorpusError
        If it can't be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"{folder}: can't be listed ({error.strerror}); check its permissions") from error


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of some names in one line."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
