"""What must hold of a study after any fault, once the same command has gone on to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from search.schedule import rungs
from search.study_view import StudyView
from search.trial import MAX_RETRIES, End, Trial
from tests.search.scripted import curve

Finished = dict[int, tuple[str, str, float | None, dict[int, float]]]


def finished_trials(view: StudyView) -> Finished:
    """What a fault may not change any more: state, end, value and reports of each ended trial by its number."""
    return {t.number: (t.state, t.end, t.value, t.reports) for t in view.trials if t.end is not None}  # state and end are written at once


def assert_sound(view: StudyView, trials: int, log: Path, before: Finished | None = None, *, factor: int = 3, afresh: Iterable[int] = ()) -> None:
    """Nothing finished is lost, nothing runs, nothing is there twice, the totals add up, and what was lost was repeated from its last rung.

    Parameters
    ----------
    view : StudyView
        Of the scripted objective, one part a trial.
    trials : int
        The budget's.
    log : Path
        Of the epochs that were trained (``log`` of the scripted task).
    before : dict, optional
        `finished_trials` before the fault.
    factor : int
        The reduction factor.
    afresh : iterable of int
        Seeds whose checkpoint was lost too.
    """
    assert (before or {}).items() <= finished_trials(view).items(), "what was finished is still there, unchanged"
    assert [t.number for t in view.trials] == list(range(len(view.trials)))
    assert not [t.number for t in view.trials if t.end is None or t.state in ("RUNNING", "WAITING")]
    assert sum(t.counts for t in view.trials) == trials
    _assert_no_duplicates(view.trials)
    for trial in view.trials:
        _assert_follows_its_curve(trial)
    assert_repeats_are_few(view.trials, log, factor, frozenset(afresh))
    if any(t.is_full for t in view.trials):
        assert view.winner().value == max(t.value for t in view.trials if t.is_full)


def _assert_no_duplicates(trials: list[Trial]) -> None:
    counted = Counter(t.root for t in trials if t.counts)
    assert not [root for root, n in counted.items() if n > 1], "one trial of a line counts"
    seeds = Counter(t.spec["seed"] for t in trials if t.retry_of is None)
    assert max(seeds.values()) == 1
    for trial in trials:
        successors = [t for t in trials if t.retry_of == trial.number]
        assert len(successors) == (trial.is_lost and not _was_given_up(trial, trials)), f"trial {trial.number} ({trial.end}) has {len(successors)} successors"
        for successor in successors:
            assert (successor.spec["seed"], successor.params, successor.root) == (trial.spec["seed"], trial.params, trial.root)


def _was_given_up(trial: Trial, trials: list[Trial]) -> bool:
    forgiven = (End.INTERRUPTED, End.ORPHAN)  # by engines that train outside the driver; an inline one is killed less often here
    crashes, before = 0, trial
    while before.retry_of is not None:
        before = trials[before.retry_of]
        crashes += before.end not in forgiven
    return trial.end not in forgiven and crashes >= MAX_RETRIES


def _assert_follows_its_curve(trial: Trial) -> None:
    reports, epochs = trial.reports, trial.spec["epochs"]
    assert reports == {epoch: curve(trial.spec["params"]["quality"], epoch) for epoch in range(1, max(reports, default=0) + 1)}
    if trial.end == End.FULL:
        assert len(reports) == epochs and trial.value == max(reports.values())
    if trial.end == End.PRUNED:
        assert 0 < len(reports) < epochs


def assert_repeats_are_few(trials: list[Trial], log: Path, factor: int, afresh: frozenset[int]) -> None:
    """A trial that was lost after epoch e goes on after the last rung below e, or later: its checkpoint there was known once an epoch had followed."""
    levels = rungs(1, trials[0].spec["epochs"], factor)
    lost = Counter(t.spec["seed"] for t in trials if t.is_lost)
    for seed, legs in legs_of(log).items():
        assert len(legs) - 1 <= lost[seed], f"{legs} of a trial that was lost {lost[seed]} times"
        for (_, last), (first, _) in zip(legs, legs[1:], strict=False):
            saved = max((level for level in levels if level < last - 1), default=0)
            assert first <= last + 1
            assert first > saved or seed in afresh, f"lost at epoch {last}, begun again at {first}: more than from the rung at {saved}"


def legs_of(log: Path) -> dict[int, list[tuple[int, int]]]:
    """Of each seed the stretches of epochs (first, last) that were trained in one go."""
    legs: dict[int, list[tuple[int, int]]] = {}
    holders: dict[int, int] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        pid, seed, epoch = map(int, line.split())
        known = legs.setdefault(seed, [])
        if holders.get(seed) == pid and known[-1][1] + 1 == epoch:
            known[-1] = (known[-1][0], epoch)
        else:
            known.append((epoch, epoch))
        holders[seed] = pid
    return legs
