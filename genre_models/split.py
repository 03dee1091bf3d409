"""Training, validation and held-out tracks.

Held-out tracks follow from ``data.split_seed`` alone, validation tracks from the study's seed. What belongs together lies on one side, which
`genre_models.sides` checks of every split.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from genre_models.errors import CorpusError
from genre_models.folds import deal_folds
from genre_models.grouping import Group, deal_groups, gather, number_recordings, read_groups
from genre_models.known_groups import KnownGroups
from genre_models.naive import NAIVE_NOTE
from genre_models.scan import Scan, ScanRow
from genre_models.settings import DataSettings, SplitLists, ValidationSettings
from genre_models.sides import check_sides, find_torn, warn_of_ties_across
from genre_models.split_lists import Parts, read_official, read_parts
from genre_models.split_notes import contradictory, note_copies, note_recordings


@dataclass(frozen=True)
class Split:
    """A corpus dealt into parts.

    Attributes
    ----------
    train, validation, test : tuple of ScanRow
        Sorted by id, all readable, without a track in common. `test` is held out, and empty where the user's lists name none. With
        validation by folds, `validation` is fold 0.
    split_id : str or None
        Names the held-out tracks; None where there are none.
    labels : tuple of str
        Sorted.
    notes : tuple of str
        What the user should know.
    groups : tuple of tuple of ScanRow
        `train` and `validation` together, tracks that must stay on one side in one group; sorted.
    left_out : tuple of str
        Ids of readable tracks that were not dealt, as copies of one recording under several classes.
    test_groups : tuple of tuple of ScanRow
        `test`, likewise in groups.
    """

    train: tuple[ScanRow, ...]
    validation: tuple[ScanRow, ...]
    test: tuple[ScanRow, ...]
    split_id: str | None
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    groups: tuple[Group, ...] = field(default=(), repr=False)
    left_out: tuple[str, ...] = ()
    test_groups: tuple[Group, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class _Ties:
    """What stays together: `gather` with the corpus's and the user's groups, and the recordings that lie in several files."""

    group_of: Mapping[str, str]
    same: Sequence[Sequence[str]]
    published: bool
    source: str

    def gather(self, rows: Iterable[ScanRow]) -> list[Group]:
        return gather(rows, self.group_of, self.same, published=self.published)

    def check(self, parts: Parts, *, given: bool, lenient: bool) -> None:
        torn = find_torn(parts, self.group_of, number_recordings(self.same), self.published)
        check_sides(torn, given=given, lenient=lenient, groups=self.source)


def deal(
    scan: Scan, data: DataSettings, seed: int, same: Sequence[Sequence[str]] = (), known: KnownGroups | None = None, lenient: bool | None = None
) -> Split:
    """Deal the readable tracks of a scan into parts.

    Parameters
    ----------
    scan : Scan
    data : DataSettings
    seed : int
        The study's; deals validation from the development tracks.
    same : sequence of sequence of str
        Ids of tracks that hold one recording (`genre_models.fingerprints.SameRecordings.sets`), by the rule that
        `genre_models.fingerprints.same_recording` states. Without it byte-identical files stay together, whatever their classes.
    known : KnownGroups, optional
        Where ``data.groups`` is ``artist`` or ``album``.
    lenient : bool, optional
        Whether lists that are given may have something on two sides; None is as ``data.on_two_sides`` says.

    Returns
    -------
    Split

    Raises
    ------
    CorpusError
        If a class has too few readable tracks to have one in each part, a list or groups file can't be used, or something lies on two sides of
        lists that are given.
    """
    readable = sorted((row for row in scan.rows if row.readable), key=lambda row: row.id)
    if not readable:
        raise CorpusError(
            f"none of the {len(scan.rows)} files of the corpus can be decoded; the first: {scan.rows[0].path}: {scan.rows[0].reason}"
        )
    ties, notes = _read_ties(data, readable, same, known)
    lists = data.split if data.split == "official" or isinstance(data.split, SplitLists) else None
    left_out = contradictory(readable, same) if lists is None else frozenset()
    readable = [row for row in readable if row.id not in left_out]
    groups = ties.gather(readable)
    if lists is not None:
        parts, list_notes = read_official(scan.rows) if lists == "official" else read_parts(lists, scan.rows)
        sides = _sides(parts, data.validation)
        ties.check(sides, given=True, lenient=data.on_two_sides == "warn" if lenient is None else lenient)
        notes += list_notes + warn_of_ties_across(sides, groups)
        parts = _complete_lists(parts, ties, data, seed)
        used = [row for part in parts.values() for row in part]
    else:
        _check_enough(scan.rows, left_out)
        test, development = deal_groups(groups, data.test_fraction, data.split_seed, "held-out", keep=2)
        parts = {**_deal_validation(development, data.validation, seed), "test": _rows(test)}
        ties.check(parts, given=False, lenient=False)
        notes += note_recordings(readable, same, left_out) if same else note_copies(groups)
        used = readable
    ordered = {name: tuple(sorted(rows, key=lambda row: row.id)) for name, rows in parts.items()}
    test = ordered.get("test", ())
    labels = tuple(sorted({row.label for row in used}))
    if data.validation.folds is not None:
        of = "the development tracks" if lists is None else "the tracks given for train and validation together"
        notes.append(f"validation by {data.validation.folds} folds of {of}; where one part is shown as validation, it is the first fold")
    notes += [NAIVE_NOTE] if data.split == "naive" else []
    together = tuple(ties.gather([*ordered["train"], *ordered["validation"]]))
    apart = tuple(ties.gather(test))
    name = name_split(test) if test else None
    return Split(ordered["train"], ordered["validation"], test, name, labels, tuple(notes), together, tuple(sorted(left_out)), apart)


def _read_ties(data: DataSettings, readable: Sequence[ScanRow], same: Sequence[Sequence[str]], known: KnownGroups | None) -> tuple[_Ties, list[str]]:
    """What ``data.groups`` asks for, and notes on it.

    Raises
    ------
    CorpusError
        If a file of groups can't be used.
    """
    if known is not None:
        return _Ties(known.group_of, same, False, f"data.groups: {known.by}"), list(known.notes)
    if data.groups in ("auto", "recording"):
        return _Ties({}, same, data.groups == "auto", "data.groups"), []
    group_of, notes = read_groups(data.groups, readable)
    return _Ties(group_of, same, True, data.groups), notes


def name_split(held_out: Iterable[ScanRow]) -> str:
    """Name a set of held-out tracks.

    Parameters
    ----------
    held_out : iterable of ScanRow

    Returns
    -------
    str
        The first 16 hex digits of the SHA-256 over the sorted (track id, content hash, label).
    """
    identity = sorted([row.id, row.content, row.label] for row in held_out)
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _sides(parts: Parts, validation: ValidationSettings) -> Parts:
    """The parts between which nothing is dealt anew: folds are dealt from the tracks of train and validation together."""
    if validation.folds is None or "validation" not in parts:
        return parts
    others = {part: rows for part, rows in parts.items() if part not in ("train", "validation")}
    return {"train and validation": [*parts["train"], *parts["validation"]], **others}


def _complete_lists(parts: Parts, ties: _Ties, data: DataSettings, seed: int) -> Parts:
    if "validation" not in parts or data.validation.folds is not None:
        listed = [*parts["train"], *parts.get("validation", ())]
        where = "data.split: train and validation together" if "validation" in parts else "data.split.train"
        _check_classes(listed, least=2, where=where, why="one for training and one for validation")
        parts = {**parts, **_deal_validation(ties.gather(listed), data.validation, seed)}
    labels = {row.label for rows in parts.values() for row in rows}
    if len(labels) < 2:
        raise CorpusError(f"data.split: its lists name tracks of one class only ({labels.pop()}), but at least 2 are needed")
    for part, rows in parts.items():
        missing = sorted(labels - {row.label for row in rows})
        if missing:
            raise CorpusError(f"data.split.{part}: no readable track of class {missing[0]!r}; each class needs one on each list")
    return parts


def _deal_validation(development: Sequence[Group], validation: ValidationSettings, seed: int) -> Parts:
    """Development tracks as training and validation tracks: a hold-out, or fold 0 for validation."""
    if validation.folds is None:
        held_out, rest = deal_groups(development, validation.holdout, seed, "validation", keep=1)
        return {"train": _rows(rest), "validation": _rows(held_out)}
    folds = deal_folds(development, validation.folds, seed)
    rows = _rows(development)
    return {"train": [row for row in rows if folds[row.id]], "validation": [row for row in rows if not folds[row.id]]}


def _check_enough(rows: Sequence[ScanRow], left_out: frozenset[str]) -> None:
    files = Counter(row.label for row in rows)
    readable = Counter(row.label for row in rows if row.readable and row.id not in left_out)
    for label in sorted(files):
        if readable[label] < 3:
            copies = sum(row.label == label and row.id in left_out for row in rows)
            told = f"; {copies} more are copies of tracks of other classes" if copies else ""
            raise CorpusError(
                f"class {label!r} has {readable[label]} readable tracks (of {files[label]} files in {_folder(rows, label)}{told}), but at least "
                "3 are needed, one each for training, validation and the held-out test: add tracks, or remove the class"
            )
    if len(files) < 2:
        raise CorpusError(f"only one class ({next(iter(files))}), but at least 2 are needed")


def _check_classes(rows: Sequence[ScanRow], least: int, where: str, why: str) -> None:
    for label, n in sorted(Counter(row.label for row in rows).items()):
        if n < least:
            raise CorpusError(f"{where}: class {label!r} has {n} readable tracks, but at least {least} are needed ({why})")


def _folder(rows: Sequence[ScanRow], label: str) -> str:
    return str(next(row.path.parent for row in rows if row.label == label))


def _rows(groups: Iterable[Group]) -> list[ScanRow]:
    return [row for group in groups for row in group]
