"""The first thing on the page, in words that need no explanation: who won, how sure that is, and what number to quote. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.errors import StudyError
from search.report.scores import Scale
from search.selection import Selection, Statistics
from search.study_view import StudyView
from search.winner import ahead_of, defaults_beside, unconfirmed

_NAMED = 6  # trials that are named one by one, at most


@dataclass(frozen=True)
class Tile:
    """One number, large: what it is, the number, its 95 % interval, and what to make of it."""

    label: str
    value: str
    interval: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """What the page begins with.

    Attributes
    ----------
    headline : str
    tiles : tuple of Tile
    sentences : tuple of str
    ask : str
        What to do for the number that is still missing; empty where nothing is.
    command : str
        The command for that.
    """

    headline: str
    tiles: tuple[Tile, ...] = ()
    sentences: tuple[str, ...] = ()
    ask: str = ""
    command: str = ""


def selection_of(view: StudyView, statistics: Statistics | None) -> tuple[Selection | None, str]:
    """The winner and what is known of it; or None, and the reason in words."""
    try:
        return view.selection(statistics), ""
    except StudyError as error:
        return None, str(error)


def judge(view: StudyView, selection: Selection | None, reason: str, looks: Sequence[Mapping[str, Any]], look_command: str, search_command: str, looked_at_by: str = "") -> Verdict:
    """The verdict.

    Parameters
    ----------
    view : StudyView
    selection : Selection or None
    reason : str
        Why there is no winner.
    looks : sequence of mapping
        What looks at held-out tracks came to: ``look, trial, family, n, scores, others`` (docs/design.md, section 6).
    look_command, search_command : str
        The commands that take a look, and that go on with the search.
    looked_at_by : str
        Who else looked at these held-out tracks; empty where nobody did.
    """
    if selection is None:
        return Verdict("There is no winner yet", sentences=(f"{reason[:1].upper()}{reason[1:]}.",), ask="Go on with the search:", command=search_command)
    scale, winner = Scale(view.metric or "score"), selection.winner
    look = next((each for each in reversed(looks) if each["trial"] == winner.trial.number), None)
    tiles = [Tile(f"{scale.name} in validation", scale.text(winner.value), scale.interval(winner.scored.outcome.get("interval")), "the score it was chosen by, so it flatters")]
    tiles += _expected(selection, scale)
    tiles += [] if view.run.get("caveat") else _held_out(look, looks)
    sentences = [_what_was_done(view, selection, scale), *_defaults(selection, scale), *_preference(selection, scale), *_ties(selection, scale), *_unconfirmed(view, selection, scale), *_ahead(view, selection, scale), *_other_looks(looks, look, winner.trial.number)]
    headline = f"{winner.trial.family} won: trial {winner.trial.number}"
    if look is not None:
        return Verdict(headline, tuple(tiles), (*sentences, *_against_expected(selection, scale, look), *_quote(look)))
    if view.run.get("caveat"):
        return Verdict(headline, tuple(tiles), tuple(sentences))
    if view.run.get("split_id", "") is None:
        return Verdict(headline, tuple(tiles), (*sentences, "Nothing was held out, so there is no number that no choice was made by."))
    if looks:
        return Verdict(headline, tuple(tiles), tuple(sentences))
    if _ahead(view, selection, scale):
        return Verdict(headline, tuple(tiles), tuple(sentences), "Held-out tracks can be looked at once, so let the search go on first:", search_command)
    if looked_at_by:
        sentences.append(f"Its held-out tracks were looked at already, by {looked_at_by}; a further look is worth less, is refused without a reason, and has that on its receipt.")
        return Verdict(headline, tuple(tiles), tuple(sentences), "If it must be, with your reason:", f"{look_command} --again REASON")
    return Verdict(headline, tuple(tiles), tuple(sentences), "The number to quote is still missing: the score on tracks that no search has seen. It can be had once:", look_command)


def _what_was_done(view: StudyView, selection: Selection, scale: Scale) -> str:
    counted, full = sum(t.counts for t in view.trials), sum(t.is_full for t in view.trials)
    families = len({t.family for t in view.trials})
    minutes = view.elapsed_seconds / 60
    spent = f" in {minutes:.0f} minute{'s' if round(minutes) != 1 else ''}" if 1 <= minutes < 120 else f" in {minutes / 60:.1f} hours" if minutes >= 120 else ""
    kinds = f" of {families} families" if families > 1 else ""
    winner = selection.winner
    folds = "" if winner.scored is winner.trial else f", {len(selection.contenders)} of these scored again on {winner.scored.spec.get('folds')} folds"
    epochs = "" if winner.trial.is_at_once else f" Its best epoch was {winner.trial.outcome.get('best_epoch', '?')} of {winner.trial.spec.get('epochs', '?')}."
    which = "the best" if selection.prefer is None else "the one chosen"
    tried = f"1 configuration was tried{spent}" if counted == 1 else f"{counted} configurations{kinds} were tried{spent}"
    ended = "to the end" if counted == full == 1 else f"{full} of them to the end"
    return f"{tried}, {ended}{folds}; trial {winner.trial.number} is {which}, with {scale.text(winner.value)} {scale.name}.{epochs}"


def _defaults(selection: Selection, scale: Scale) -> list[str]:
    """What the search was worth, beside the configuration that nobody searched for."""
    if selection.winner.trial.has_defaults:
        found = ": the search found no configuration that scored higher" if selection.winner is selection.contenders[0] else ""
        return [f"It has the defaults of its family, which were tried first{found}."]
    if (defaults := defaults_beside(selection)) is None:
        return []
    told = selection.against_winner[defaults.trial.number]
    sign = -1 if selection.maximize else 1
    ends = None if told.interval is None else sorted(sign * end for end in told.interval)
    verdict = "which may be chance" if told.is_tie else "which is more than chance alone gives two models named beforehand"
    gained, worth = scale.difference(sign * told.difference, ends), selection.gain_over(defaults)
    left = "" if worth is None else f"; after the optimism of choosing, expect {scale.difference(worth)}"
    return [f"The defaults of its family, trial {defaults.trial.number}, came to {scale.text(defaults.value)}: from there the search brought {gained}, {verdict} (paired test, 95 %){left}."]


def _preference(selection: Selection, scale: Scale) -> list[str]:
    best = selection.contenders[0]
    if selection.prefer is None or best is selection.winner:
        return []
    return [f"By the rule '{selection.prefer}' the cheapest of those near the best won; the highest score was trial {best.trial.number}'s, {scale.text(best.value)}."]


def _unconfirmed(view: StudyView, selection: Selection, scale: Scale) -> list[str]:
    """Of trials whose confirmation failed."""
    found = unconfirmed(selection, view.trials)
    if not found:
        return []
    named = ", ".join(f"that of trial {trial.number} ({scale.text(trial.value)}) ended as {last.end}" for trial, last in found)
    if selection.winner.scored is selection.winner.trial:
        return [f"No confirmation on {selection.folds} folds succeeded: {named}; so the scores are those of the search."]
    return [f"No candidates, though they had scored more than the winner in the search, are those whose confirmation failed: {named}."]


def _ahead(view: StudyView, selection: Selection, scale: Scale) -> list[str]:
    """Of a trial that waits and is better already; the page of a search that runs does not say so, which would be old in a minute."""
    trial = ahead_of(selection, view.trials)
    if trial is None or any(t.state == "RUNNING" for t in view.trials):
        return []
    at = f"{scale.text(trial.best(selection.maximize))} by epoch {max(trial.reports)} of {trial.spec['epochs']}"
    return [f"Trial {trial.root} was not at its end, but ahead of it, with {at}: the same search with more time goes on with it."]


def _expected(selection: Selection, scale: Scale) -> list[Tile]:
    found = selection.expected
    if found is None or found.states == 1:
        return []
    confirmed = selection.winner.scored is not selection.winner.trial
    kind = "confirmed" if confirmed else "full"
    among = f"{found.candidates} {kind} trials and their epochs" if found.candidates > 1 else f"its {found.states} epochs"
    more = "; that these were let in by their scores on the same tracks is not in it" if confirmed else ""
    return [Tile("what that is worth", scale.text(found.expected), scale.interval(found.interval), f"after the optimism of choosing among {among}{more}")]


def _held_out(look: Mapping[str, Any] | None, looks: Sequence[Mapping[str, Any]]) -> list[Tile]:
    """The winner's score on held-out tracks, or the newest of another trial, which is said to be that one's."""
    if look is None and not looks:
        return [Tile("held out", "not looked at", "", "the number to quote; see below")]
    shown = look or looks[-1]
    score = shown["scores"][0]
    scale = Scale(score["name"])
    label = f"{score['name']} on held-out tracks"
    note = f"{shown['n']:,} tracks that no search process had seen: the number to quote"
    if look is None:
        note = f"of trial {shown['trial']}, not this winner"
    return [Tile(label, scale.text(score["value"]), scale.interval(score["interval"]), note)]


def _ties(selection: Selection, scale: Scale) -> list[str]:
    against = selection.against_winner
    if not against:
        return []
    ties = [each for each in selection.contenders if each.trial.number in against and against[each.trial.number].is_tie]
    if not ties:
        return [_told_apart(selection)]
    named = ", ".join(str(each.trial.number) for each in ties[:_NAMED]) + (f" and {len(ties) - _NAMED} more" if len(ties) > _NAMED else "")
    lines = [f"It can't be told apart from {'the other one' if len(against) == 1 else f'{len(ties)} of the other {len(against)}'} (paired test, 95 %): trial{'s' if len(ties) > 1 else ''} {named}. Any of these may be as good."]
    cheapest = min((each for each in ties), key=lambda each: each.trial.outcome.get("fit_seconds", float("inf")))
    ours, theirs = selection.winner.trial.outcome.get("fit_seconds"), cheapest.trial.outcome.get("fit_seconds")
    if ours and theirs and theirs < ours / 2:
        lines.append(f"The cheapest of them, trial {cheapest.trial.number} ({cheapest.trial.family}, {scale.text(cheapest.value)}), took {theirs:.3g} s to fit, the winner {ours:.3g} s.")
    return lines


def _told_apart(selection: Selection) -> str:
    """Nobody ties with the winner: who scored worse, who better (by a preference, the best need not win), and what the test does not cover."""
    against, winner = selection.against_winner, selection.winner
    better = sum(told.difference > 0 for told in against.values())
    counts = [f"{n} scored {what}" for n, what in ((len(against) - better, "worse"), (better, "better")) if n]
    kind = "scored again" if winner.scored is not winner.trial else "trained to the end"
    unknown = len(selection.contenders) - 1 - len(against)
    more = f" {unknown} more can't be compared, for want of a record of the same tracks." if unknown else ""
    others = "the other one" if len(against) == 1 else f"all {len(against)} others"
    return (
        f"The paired test (95 %) tells it from {others} {kind}: {', '.join(counts)}. A test is one of two models named beforehand, and the winner was "
        f"chosen by scores on these very tracks, so it is somewhat too sure.{more}"
    )


def _other_looks(looks: Sequence[Mapping[str, Any]], shown: Mapping[str, Any] | None, winner: int) -> list[str]:
    lines = []
    for look in looks:
        if look is shown:
            continue
        score = look["scores"][0]
        scale = Scale(score["name"])
        why = "" if look["trial"] == winner else ", which is not the winner any more"
        lines.append(f"Look {look['look']} was at trial {look['trial']} ({look['family']}){why}: {scale.text(score['value'])} on {look['n']:,} held-out tracks.")
    return lines


def _against_expected(selection: Selection, scale: Scale, look: Mapping[str, Any]) -> list[str]:
    """How the held-out score stands to what validation let expect, where both are the same score."""
    found, score = selection.expected, look["scores"][0]
    if found is None or found.interval is None or found.states == 1 or score["name"] != scale.name:
        return []
    low, high = found.interval
    verdict = "which is within what was to be expected" if low <= score["value"] <= high else f"which is {'less' if score['value'] < low else 'more'} than was to be expected"
    return [f"Held-out tracks gave {scale.text(score['value'])}, {verdict} after the choice ({scale.interval(found.interval)})."]


def _quote(look: Mapping[str, Any]) -> list[str]:
    more = [f"{each['name']} {Scale(each['name']).text(each['value'])}" for each in look["scores"][1:]]
    again = f" It was look {look['look']} at these tracks, so they are not as fresh as they were." if look["look"] > 1 else ""
    caution = f" But {look['caution']}." if look.get("caution") else ""
    return [f"The final model was trained anew on all other tracks and scored once on {look['n']:,} held-out ones{': ' + ', '.join(more) if more else ''}.{again}{caution}"]
