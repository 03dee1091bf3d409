"""The questions of an audit, and its answers in words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_models.audit.classifier import ask, is_told
from genre_models.audit.facts import Fact, facts_of, hints
from genre_models.durable import write_text
from genre_models.errors import CacheError
from genre_models.parallel import Lost, run_jobs
from genre_models.scan import ScanRow
from genre_models.split import Split

LEAST_GROUPS = 10
"""On each side; fewer can't be told apart with any certainty."""
MOST_BRIEFLY = 3000
"""Tracks that the classifier is asked about before a search, drawn by groups: an area is then known to about 0.02, in a second or two."""
_VERSION = 1  # of the answers


@dataclass(frozen=True)
class Answer:
    """What came of one question.

    Attributes
    ----------
    question : str
        ``"train from held out"``, ``"train from validation"``, ``"the class"``.
    score : float or None
        Area under the ROC curve, of more than two classes the share told right; None where it was not asked, with the reason in `why_not`.
    interval : (float, float) or None
        95 %, over groups.
    chance : float
        What knowing nothing gives.
    facts : tuple of (str, float)
        What each fact scores alone, the most telling first; empty where all of them together tell nothing.
    gives_away : str
        The most telling fact in words, on both sides.
    is_auc : bool
        Which of the two the score is.
    why_not : str
    """

    question: str
    score: float | None = None
    interval: tuple[float, float] | None = None
    chance: float = 0.5
    facts: tuple[tuple[str, float], ...] = ()
    gives_away: str = ""
    is_auc: bool = True
    why_not: str = ""

    @property
    def is_told(self) -> bool:
        """Whether the facts tell it, beyond doubt and by more than a little."""
        return is_told(self.interval, self.chance)

    @property
    def line(self) -> str:
        """In one line."""
        if self.score is None:
            return f"{self.question}: not asked: {self.why_not}"
        ends = "" if self.interval is None else f" ({self.interval[0]:.2f}–{self.interval[1]:.2f})"
        measure = "AUC" if self.is_auc else "accuracy"
        can = "can" if self.is_told else "can hardly" if self.interval is not None and self.interval[0] > self.chance else "can not"
        told = f"{self.question}: {can} be told by facts of the files alone: {measure} {self.score:.2f}{ends}, chance {self.chance:.2f}"
        return told + (f"; {self.gives_away}" if self.is_told and self.gives_away else "")


@dataclass(frozen=True)
class Audit:
    """All answers.

    Attributes
    ----------
    answers : tuple of Answer
    facts : tuple of str
        What the classifier saw.
    """

    answers: tuple[Answer, ...]
    facts: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """A line for each pair of sides that can be told apart."""
        remedy = "what is learned on the one is judged on files of another kind: deal at random (no data.split), or bring all files to one form"
        return [f"WARNING: {each.line}; {remedy}" for each in self.answers if each.is_told and each.question != "the class"]

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {"facts": list(self.facts), "answers": [asdict(each) | {"is_told": each.is_told} for each in self.answers], "warnings": self.warnings}


def audit_split(split: Split, cache_dir: Path, *, briefly: bool = False) -> Audit:
    """Ask whether facts of files tell the sides of a split apart.

    Parameters
    ----------
    split : Split
        Of its held-out tracks nothing but the scan's facts is used.
    cache_dir : Path
        Answers are kept there.
    briefly : bool
        As before a search: no classifier is asked where no fact alone hints at a difference, nor about the class.

    Raises
    ------
    CacheError
        If the cache can't be written.
    """
    group_of = {row.id: number for number, group in enumerate((*split.groups, *split.test_groups)) for row in group}
    pairs = [("train from validation", split.train, split.validation)]
    if split.test:
        pairs.insert(0, ("train from held out", split.train, split.test))
    answers, seen = [], []
    for question, one, other in pairs:
        rows, y = [*one, *other], np.repeat([0, 1], [len(one), len(other)])
        facts, groups = facts_of(rows), np.array([group_of[row.id] for row in rows])
        seen += [fact.name for fact in facts]
        if briefly and any(hints(fact, y == 1) for fact in facts):
            drawn = _drawn(groups)
            facts, y, groups = facts_of([rows[place] for place in drawn]), y[drawn], groups[drawn]
        elif briefly and facts:
            answers.append(Answer(question, why_not="no fact is spread over them otherwise than chance has it"))
            continue
        answers.append(_told_apart(question, facts, y, groups, cache_dir))
    if not briefly:
        answers.append(_class([*split.train, *split.validation], group_of, cache_dir))
    return Audit(tuple(answers), tuple(dict.fromkeys(seen)))


def _drawn(groups: np.ndarray) -> np.ndarray:
    """Places of `MOST_BRIEFLY` tracks or a few more, of all where there are no more [shape=(n,)]."""
    numbers, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(0).permutation(len(numbers))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), MOST_BRIEFLY)) + 1
    return np.flatnonzero(np.isin(groups, numbers[order[:enough]]))


def _told_apart(question: str, facts: Sequence[Fact], y: np.ndarray, groups: np.ndarray, cache_dir: Path) -> Answer:
    fewest = min(len(np.unique(groups[y == side])) for side in (0, 1))
    if fewest < LEAST_GROUPS:
        return Answer(question, why_not=f"a side has {fewest} tracks or groups, {LEAST_GROUPS} are needed")
    if not facts:
        return Answer(question, why_not="the files do not differ in any fact that the scan knows")
    found = _ask(facts, y, 2 * groups + y, cache_dir)  # a torn group is two here: one on each side
    if isinstance(found, Lost):
        return Answer(question, why_not=found.reason)
    if not found["alone"]:
        return _answer(question, facts, found, "")
    best = facts[int(np.argmax(found["alone"]))]
    one, other = question.split(" from ")
    told = f"the {best.name} gives it away (alone {max(found['alone']):.2f}): {one} {best.of(y == 0)}, {other} {best.of(y == 1)}"
    return _answer(question, facts, found, told)


def _class(rows: Sequence[ScanRow], group_of: dict[str, int], cache_dir: Path) -> Answer:
    facts, labels = facts_of(rows), sorted({row.label for row in rows})
    y, groups = np.array([labels.index(row.label) for row in rows]), np.array([group_of[row.id] for row in rows])
    counts = Counter(y.tolist())
    if not facts:
        return Answer("the class", why_not="the files do not differ in any fact that the scan knows")
    if min(counts.values()) < LEAST_GROUPS:
        return Answer("the class", why_not=f"a class has {min(counts.values())} development tracks, {LEAST_GROUPS} are needed")
    found = _ask(facts, y, groups, cache_dir)
    if isinstance(found, Lost):
        return Answer("the class", why_not=found.reason)
    alone, told = found["alone"], ""
    if alone:
        told = f"most by the {facts[int(np.argmax(alone))].name} (alone {max(alone):.2f}). Where that is not the music's, a network may learn it instead"
    return _answer("the class", facts, found, told, is_auc=len(labels) == 2)


def _answer(question: str, facts: Sequence[Fact], found: dict[str, Any], told: str, is_auc: bool = True) -> Answer:
    alone = sorted(((fact.name, round(score, 4)) for fact, score in zip(facts, found["alone"])), key=lambda pair: -pair[1])
    interval = None if found["interval"] is None else tuple(found["interval"])
    return Answer(question, found["score"], interval, found["chance"], tuple(alone), told, is_auc)


def _ask(facts: Sequence[Fact], y: np.ndarray, groups: np.ndarray, cache_dir: Path) -> dict[str, Any] | Lost:
    """`genre_models.audit.classifier.ask`, from the cache if it was asked before."""
    _, numbers = np.unique(groups, return_inverse=True)
    arguments = ([fact.values.tolist() for fact in facts], [bool(fact.categories) for fact in facts], y.tolist(), numbers.reshape(-1).tolist())
    file = cache_dir / "audits" / f"{hashlib.blake2b(json.dumps([_VERSION, arguments]).encode(), digest_size=8).hexdigest()}.json"
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if len(kept["alone"]) in (0, len(facts)) and {"score", "interval", "chance"} <= kept.keys():
            return kept
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not asked before, or damaged: it is asked again
    with closing(run_jobs(ask, [arguments], 1)) as results:
        ((_, found),) = list(results)
    if isinstance(found, dict):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(found), shared=True)
        except OSError as error:
            raise CacheError(f"{file}: can't be written ({error.strerror}); free space, or choose another folder for the cache") from error
    return found
