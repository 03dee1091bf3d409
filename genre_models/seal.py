"""The seal on a held-out set: who looked at it, when, with which model, and what came out.

Owns: the meaning of the receipts in ``FOLDER/SPLIT_ID.jsonl``. Two events make a look: ``opened`` is on disk before the first held-out item
is read, ``closed`` after the last result is. Knows nothing of models and corpora: it takes plain strings and numbers.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genre_models.errors import SealedError
from genre_models.receipts import BrokenChain, Receipts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Standing = Literal["unopened", "ours-open", "ours-closed"]


@dataclass(frozen=True)
class Also:
    """The best trial of another family, looked at beside the winner."""

    family: str
    trial: int
    spec_sha256: str


@dataclass(frozen=True)
class Candidate:
    """What wants to look: a study's trial with its specification's hash, the reason if it is not the first, and what is looked at beside it."""

    study: str
    trial: int
    spec_sha256: str
    again: str | None = None
    also: tuple[Also, ...] = ()


@dataclass(frozen=True)
class Look:
    """One look at the held-out tracks: its receipt when opened, and its scores when closed."""

    opened: dict
    closed: dict | None = None

    @property
    def number(self) -> int:
        return self.opened["look"]

    @property
    def also(self) -> tuple[Also, ...]:
        """What was looked at beside the winner."""
        return tuple(Also(**one) for one in self.opened.get("also", ()))  # receipts of one model do not say

    def is_of_winner(self, candidate: Candidate) -> bool:
        """Whether this model was looked at; where a reason for a further look is given, whether for that reason."""
        same = all(self.opened[key] == getattr(candidate, key) for key in ("study", "trial", "spec_sha256"))
        return same and candidate.again in (None, self.opened["reason"])

    def is_of(self, candidate: Candidate) -> bool:
        """Whether every model that is asked for was looked at, the winner as the winner."""
        return self.is_of_winner(candidate) and set(candidate.also) <= set(self.also)

    def describe(self) -> str:
        """The receipt in words: who looked, when, at what, and the score."""
        opened, closed = self.opened, self.closed
        models = ", ".join(f"{name} {sha[:12]}" for name, sha in opened["models"].items() if not name.startswith("also/"))
        lines = [
            f"look {self.number} of split {opened['split_id']}: study {opened['study']}, trial {opened['trial']}, opened {opened['time']}",
            f"  {opened['n_tracks']} held-out tracks; {models}",
        ]
        if opened["reason"]:
            lines.append(f"  looked again because: {opened['reason']}")
        if closed is None:
            lines.append("  not closed: the evaluation was interrupted")
        else:
            lines.append(f"  closed {closed['time']}: {_in_words(closed['scores'])}")
        for one in self.also:
            scores = {} if closed is None else closed.get("also", {}).get(one.family, {})
            lines.append(f"  also {one.family}, trial {one.trial}{': ' + _in_words(scores) if scores else ''}")
        return "\n".join(lines)


class Seal:
    """The receipts of one split.

    Parameters
    ----------
    folder : str or Path
        Where receipts lie (``studies/.seals``); made when the first receipt is written.
    split_id : str
        Names the held-out set.
    """

    def __init__(self, folder: str | Path, split_id: str) -> None:
        if not re.fullmatch(r"[\w-]{1,80}", split_id):
            raise BrokenChain(f"{split_id[:80]!r} is no split's id; put run.json back as the search wrote it")
        self.split_id = split_id
        self.path = Path(folder) / f"{split_id}.jsonl"
        self._receipts = Receipts(self.path, split_id)

    def looks(self) -> tuple[Look, ...]:
        """All looks at this split, in order.

        Raises
        ------
        BrokenChain
            The receipts were changed.
        """
        return self._looks(self._receipts.read())

    def check(self, candidate: Candidate) -> tuple[Standing, Look | None]:
        """Whether this model may be looked at.

        Returns
        -------
        tuple
            ``("unopened", None)``: a new look may be opened. ``("ours-open", look)``: ours, interrupted, to be completed.
            ``("ours-closed", look)``: ours, and done. The same model with the same reason means the same look.

        Raises
        ------
        SealedError
            Another model was looked at and no reason for a further look is given.
        BrokenChain
            The receipts were changed.
        """
        return self._standing(self.looks(), candidate)

    def open(self, candidate: Candidate, look: int, models: Mapping[str, str], tracks: Mapping[str, str]) -> Look:
        """Write the receipt ``opened``; it is on disk when this returns, and only then may a held-out item be read.

        Parameters
        ----------
        candidate : Candidate
            What looks.
        look : int
            The number this look was prepared as.
        models : mapping of str to str
            File name to SHA-256 of everything that predicts, saved beforehand; names of `candidate.also` begin with ``also/FAMILY/``.
        tracks : mapping of str to str
            Held-out track id to content hash.

        Raises
        ------
        SealedError
            Someone else opened the split since `check`.
        """
        with self._receipts.locked() as (events, append):
            before = self._looks(events)
            standing, _ = self._standing(before, candidate)
            if standing != "unopened" or any(other.number >= look for other in before):
                raise SealedError(f"another process opened split {self.split_id} meanwhile; run the same command again\n{before[-1].describe()}")
            receipt = {"study": candidate.study, "trial": candidate.trial, "spec_sha256": candidate.spec_sha256, "reason": candidate.again}
            receipt |= {"event": "opened", "look": look, "models": dict(models), "n_tracks": len(tracks), "tracks": dict(tracks)}
            if candidate.also:
                receipt["also"] = [asdict(one) for one in candidate.also]
            return Look(append(receipt))

    def close(self, look: int, scores: Mapping, also: Mapping[str, Mapping] | None = None) -> Look:
        """Write the receipt ``closed`` with the scores; the look is over when this returns.

        Parameters
        ----------
        look : int
            Its number.
        scores : mapping
            At least accuracy, accuracy_ci95 and macro_f1.
        also : mapping, optional
            Family to the same scores, of all that was looked at beside the winner.

        Raises
        ------
        SealedError
            That look was never opened, or is closed already.
        """
        event = {"event": "closed", "look": look, "scores": dict(scores)}
        if also:
            event["also"] = {family: dict(others) for family, others in also.items()}
        with self._receipts.locked() as (events, append):
            found = next((other for other in self._looks(events) if other.number == look), None)
            if found is None or found.closed is not None:
                what = "was never opened" if found is None else "is closed already"
                raise SealedError(f"look {look} of split {self.split_id} can't be closed: it {what}")
            return Look(found.opened, append(event))

    def _looks(self, events: Sequence[Mapping]) -> tuple[Look, ...]:
        """Looks of chained events. The chain holds whatever it was made of: what is no receipt of ours is refused like one that was changed."""
        strange = next((number for number, event in enumerate(events, 1) if not _is_receipt(event)), None)
        if strange is not None:
            raise BrokenChain(
                f"{self.path}, line {strange} is no receipt that this program writes. What this file says about looks can't be trusted; restore it from a backup"
            )
        opened = {event["look"]: event for event in events if event["event"] == "opened"}
        closed = {event["look"]: event for event in events if event["event"] == "closed"}
        return tuple(Look(receipt, closed.get(number)) for number, receipt in opened.items())

    def _standing(self, looks: Sequence[Look], candidate: Candidate) -> tuple[Standing, Look | None]:
        ours = [look for look in looks if look.is_of(candidate)]
        if ours:
            return ("ours-open" if ours[-1].closed is None else "ours-closed"), ours[-1]
        if looks and not candidate.again:
            receipts = "\n".join(look.describe() for look in looks)
            what, remedy = "with another model", ""
            if any(look.is_of_winner(candidate) for look in looks):
                what = "with this winner, but not with all the others that are asked for now"
                remedy = "the same command without --also shows that look, or completes it; "
            raise SealedError(
                f"the held-out tracks were already looked at {what} ({self.path})\n{receipts}\n{remedy}"
                "choosing between models by held-out scores makes them worth less; if it must be, --again REASON records why"
            )
        return "unopened", None


@dataclass(frozen=True)
class Overlap:
    """What another opened split had of these held-out tracks.

    Attributes
    ----------
    split_id : str
    same : int
        Tracks with the same content.
    namesakes : int
        With the same id alone: the same music, where a table has got columns since or a file another container; or another corpus that names its tracks alike.
    """

    split_id: str
    same: int
    namesakes: int


def overlaps(folder: str | Path, split_id: str, tracks: Mapping[str, str]) -> list[Overlap]:
    """Other opened splits that hold some of these tracks, those with most of them first.

    Parameters
    ----------
    folder : str or Path
        Where receipts lie.
    split_id : str
        The split that `tracks` are the held-out set of.
    tracks : mapping of str to str
        Held-out track id to content hash.

    Raises
    ------
    BrokenChain
        Another split's receipts were changed.
    """
    found = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        if path.stem != split_id and re.fullmatch("[0-9a-z]+", path.stem):  # a copy that somebody keeps beside it is no split's
            looked = [pair for look in Seal(folder, path.stem).looks() for pair in look.opened["tracks"].items()]
            ids, contents = ({pair[place] for pair in looked} for place in (0, 1))
            same = sum(content in contents for content in tracks.values())
            namesakes = sum(id in ids and content not in contents for id, content in tracks.items())
            found += [Overlap(path.stem, same, namesakes)] if same or namesakes else []
    return sorted(found, key=lambda each: (-each.same, -each.namesakes))


def looked_at_by_others(folder: str | Path, split_id: str | None, study: str) -> str:
    """Which other studies looked at a split's held-out tracks, in words; empty where none did, or where its receipts can't be read."""
    try:
        looks = () if split_id is None else Seal(folder, split_id).looks()
    except BrokenChain:  # whoever wants to look is told
        return ""
    others = list(dict.fromkeys(look.opened["study"] for look in looks if look.opened["study"] != study))
    return f"stud{'y' if len(others) == 1 else 'ies'} {', '.join(others)}" if others else ""


def _is_receipt(event: Mapping) -> bool:
    """Whether an event has what `Look` and its readers take for granted."""
    if not isinstance(event.get("look"), int) or not isinstance(event.get("time"), str):
        return False
    if event.get("event") == "closed":
        also = event.get("also", {})
        return isinstance(also, dict) and all(map(_are_scores, (event.get("scores"), *also.values())))
    kinds = {"study": str, "trial": int, "spec_sha256": str, "models": dict, "n_tracks": int, "tracks": dict}
    if not isinstance(event.get("also", []), list):
        return False
    named = [(one.get("family"), one.get("trial"), one.get("spec_sha256")) if isinstance(one, dict) and len(one) == 3 else () for one in event.get("also", ())]
    return (
        event.get("event") == "opened"
        and all(isinstance(event.get(key), kind) for key, kind in kinds.items())
        and isinstance(event.get("reason", 0), str | None)
        and all(isinstance(value, str) for value in (*event["models"].values(), *event["tracks"].values()))
        and all(list(map(type, one)) == [str, int, str] for one in named)
    )


def _are_scores(scores: object) -> bool:
    if not isinstance(scores, dict):
        return False
    interval = scores.get("accuracy_ci95")
    numbers = [scores.get("accuracy"), scores.get("macro_f1"), *(interval if isinstance(interval, list) and len(interval) == 2 else [0] if interval is None else [None])]
    return all(isinstance(number, int | float) for number in numbers)


def _in_words(scores: Mapping) -> str:
    interval = scores.get("accuracy_ci95")  # null where all tracks are one group
    told = "" if not interval else " [{:.3f}, {:.3f}]".format(*interval)
    return f"accuracy {scores['accuracy']:.3f}{told}, macro F1 {scores['macro_f1']:.3f}"
