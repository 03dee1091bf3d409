"""What is said of a search's winner: its score, what that is worth, and who can't be told apart from it."""

from __future__ import annotations

from collections.abc import Iterable

from search.leaderboard import best_of_each
from search.selection import Contender, Paired, Selection
from search.trial import Trial

#: Trials that are named one by one, at most.
_NAMED = 8


def winner_lines(selection: Selection, metric: str) -> list[str]:
    """A few lines about the winner.

    Parameters
    ----------
    selection : Selection
    metric : str
        What the scores are.
    """
    winner, best = selection.winner, selection.contenders[0]
    again = "" if winner.scored is winner.trial else f" on {winner.scored.spec['folds']} folds"
    lines = [f"winner: trial {winner.trial.number}, {winner.trial.family}: {metric} {winner.value:.3f}{again}{_interval(winner.scored.outcome.get('interval'))}"]
    if selection.prefer is not None:
        price = "" if (told := selection.prefer.price_text(winner.trial)) is None else f" ({told})"
        lines.append(f"  by prefer: {selection.prefer}: the cheapest{price} of those near the best, trial {best.trial.number} with {best.value:.3f}")
    if winner.trial.has_defaults and winner is best:
        lines.append("  it has the defaults of its family, which were tried first: no other configuration scored higher")
    lines += _worth(selection)
    lines += _ties(selection)
    return lines


def defaults_beside(selection: Selection) -> Contender | None:
    """The trial of the declared defaults of the winner's family, if it is another one that can be compared with the winner."""
    family, against = selection.winner.trial.family, selection.against_winner
    return next((each for each in selection.contenders if each.trial.has_defaults and each.trial.family == family and each.trial.number in against), None)


def ahead_of(selection: Selection, trials: Iterable[Trial]) -> Trial | None:
    """The best of the trials that wait to go on, if it is better already than the winner, which was trained to the end."""
    sign = 1 if selection.maximize else -1
    waiting = [t for t in trials if t.state == "WAITING" and t.reports and t.confirms is None and t.parts == 1]  # of several parts some may be worse
    best = max(waiting, key=lambda t: sign * t.best(selection.maximize), default=None)
    return best if best is not None and sign * best.best(selection.maximize) > sign * selection.winner.value else None


def ahead_lines(selection: Selection, trials: Iterable[Trial]) -> list[str]:
    """A line about the trial that would win if it could go on; none where there is none."""
    if (trial := ahead_of(selection, trials)) is None:
        return []
    at = f"{trial.best(selection.maximize):.3f} by epoch {max(trial.reports)} of {trial.spec['epochs']}"
    return [f"  not at its end, but ahead of it: trial {trial.root}, {at}; the same command with more time goes on with it"]


def unconfirmed(selection: Selection, trials: Iterable[Trial]) -> list[tuple[Trial, Trial]]:
    """Trials that are no candidates because their own confirmation failed, with it: those that scored more than the winner had before; all, where none succeeded."""
    trials, sign = list(trials), 1 if selection.maximize else -1
    candidates = {each.trial.number for each in selection.contenders if each.scored is not each.trial}
    last = {t.confirms: t for t in trials if t.confirms is not None and t.spec["folds"] == selection.folds}  # of several, the newest retry
    failed = [t for t in trials if t.is_full and t.number in last and t.number not in candidates]
    return [(t, last[t.number]) for t in failed if not candidates or sign * t.value > sign * selection.winner.trial.value]


def unconfirmed_lines(selection: Selection, trials: Iterable[Trial]) -> list[str]:
    """A line for each of `unconfirmed`."""
    is_one = selection.winner.scored is not selection.winner.trial
    told = "no candidate: trial {} with {:.3f}, since its confirmation" if is_one else "not confirmed: trial {} has {:.3f} of the search alone, since its confirmation"
    return [
        f"  {told.format(trial.number, trial.value)}, trial {last.number}, ended as {last.end}" + (f": {last.reason}" if last.reason else "")
        for trial, last in unconfirmed(selection, trials)
    ]


def _worth(selection: Selection) -> list[str]:
    found = selection.expected
    if found is None or found.states == 1:
        return []
    epochs = f" and {found.states:,} epochs" if found.states > found.candidates else ""
    confirmed = selection.winner.scored is not selection.winner.trial
    among = f"{found.candidates} {'confirmed' if confirmed else 'full'} trials{epochs}" if found.candidates > 1 else f"{found.states:,} epochs"
    unknown = len(selection.contenders) - found.candidates
    more = f" ({unknown} more without a record of their items)" if unknown else ""
    if confirmed:
        more += ", not counting that they were let in by scores on the same items"
    return [f"  expected after the optimism of choosing among {among}{more}: {found.expected:.3f}{_interval(found.interval)}"]


def _ties(selection: Selection) -> list[str]:
    against = selection.against_winner
    if not against:
        return []
    ties = [each.trial.number for each in selection.contenders if each.trial.number in against and against[each.trial.number].is_tie]
    named = ", ".join(map(str, ties[:_NAMED])) + (f" and {len(ties) - _NAMED} more" if len(ties) > _NAMED else "")
    lines = []
    if ties:
        lines.append(f"  can't be told apart from {'the other' if len(against) == 1 else f'{len(ties)} of {len(against)} others'} (paired, 95 %): trial{'s' if len(ties) > 1 else ''} {named}")
    else:
        lines.append(f"  told apart from all {len(against)} others (paired, 95 %)" if len(against) > 1 else "  told apart from the other (paired, 95 %)")
    others = [each.trial for each in selection.contenders if each is not selection.winner and each.trial.number in against]
    shown = {others[0].number: "next"} | {trial.number: f"best {family}" for family, trial in best_of_each(others).items() if family != selection.winner.trial.family}
    if (defaults := defaults_beside(selection)) is not None:
        shown[defaults.trial.number] = f"{shown[defaults.trial.number]}, the defaults" if defaults.trial.number in shown else "the defaults"
    return lines + [f"  {what}, trial {number}: {_compared(against[number], selection)}" for number, what in shown.items()]


def _compared(told: Paired, selection: Selection) -> str:
    sign = 1 if selection.maximize else -1
    ends = None if told.interval is None else sorted(sign * end for end in told.interval)
    verdict = "a tie" if told.is_tie else "worse" if told.difference < 0 else "better"
    return f"{sign * told.difference:+.3f}{_interval(ends, '+.3f')}, {verdict}"


def _interval(interval: object, form: str = ".3f") -> str:
    return f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else ""
