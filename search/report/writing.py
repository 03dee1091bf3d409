"""Puts the report of a study together and writes it, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.cost_text import total_line
from search.depot import write_text
from search.report.curves import fronts, survival, trial_records
from search.report.evidence import Evidence, read_evidence
from search.report.families import best_trials, family_rows
from search.report.gathering import evidence_folder
from search.report.importance import LEAST_TRIALS, importances
from search.report.page import render
from search.report.repeating import commands, corpus_in_words, facts, preference_of_look
from search.report.scores import Scale
from search.report.sweep_blocks import sweep_blocks
from search.report.verdict import judge, selection_of
from search.selection import Selection, Statistics
from search.study_view import StudyView

REPORT = "report.html"


def write_report(
    view: StudyView,
    folder: Path,
    *,
    statistics: Statistics | None = None,
    looks: Sequence[Mapping[str, Any]] = (),
    doubts: Sequence[str] | None = None,
    troubles: Sequence[str] = (),
    output: Path | None = None,
    selected: tuple[Selection | None, str] | None = None,
    of_split: Sequence[tuple[str, str]] = (),
    looked_at_by: str = "",
) -> Path:
    """Write the report of a study.

    Parameters
    ----------
    view : StudyView
    folder : Path
        The study's; its evidence is read from there.
    statistics : Statistics, optional
        Without them nobody is said to tie with the winner.
    looks : sequence of mapping
        What looks at held-out tracks came to (docs/design.md, section 6).
    doubts : sequence of str, optional
        What is to be said against the data, a line each; None where it was not looked at.
    troubles : sequence of str
        What could not be shown, and why.
    output : Path, optional
        Where to; ``report.html`` in the study's folder by default.
    selected : (Selection or None, str), optional
        As `selection_of` gives it, where the caller has it already.
    of_split : sequence of (str, str)
        How the split was dealt: names and values for the list of what the study was run with.
    looked_at_by : str
        Which other studies looked at its held-out tracks.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        It can't be written.
    """
    selection, reason = selected or selection_of(view, statistics)
    winner = None if selection is None else selection.winner.trial
    again = commands(view, folder, winner, preference_of_look(view, winner, looks, statistics))
    heads, rows = family_rows(view, selection, statistics, looks)
    shown = _evidence(view, selection, folder, looks)
    swept = sweep_blocks(view, statistics)
    scale = Scale(view.metric or "score")
    data = {
        "metric": scale.name,
        "share": scale.is_share,
        "maximize": view.maximize,
        "winner": None if winner is None else winner.number,
        "trials": trial_records(view),
        "survival": survival(view),
        "importance": importances(view),
        "costs": fronts(view),
        "sweeps": [block.plot for block in swept if block.plot is not None],
        "curves": [piece.curve for evidence in shown for piece in evidence.pieces if piece.curve is not None and not piece.group],
    }
    text = render(
        name=view.name,
        demo=bool(view.run.get("demo")),
        caveat=str(view.run.get("caveat") or ""),
        corpus=corpus_in_words(view),
        verdict=judge(view, selection, reason, looks, again.get("look", ""), again["search"], looked_at_by),
        cost_heads=heads,
        rows=rows,
        sweeps=swept,
        spent=total_line(view.cost) or "",
        evidence=shown,
        doubts=view.run.get("doctor") if doubts is None else doubts,
        troubles=[*troubles, *(trouble for evidence in shown for trouble in evidence.troubles)],
        facts=facts(view, of_split),
        commands=again,
        scale=scale,
        least_trials=LEAST_TRIALS,
        data=data,
    )
    path = folder / REPORT if output is None else output
    write_text(path, text)
    return path


def _evidence(view: StudyView, selection: Selection | None, folder: Path, looks: Sequence[Mapping[str, Any]]) -> list[Evidence]:
    """The newest look's, if it was at the winner, else the winner's validation; then that of the other families."""
    best, found = best_trials(view, selection), []
    for trial in best:
        is_winner = selection is not None and trial is selection.winner.trial
        look = next((each for each in reversed(looks) if is_winner and each["trial"] == trial.number), None)
        shown = None if look is None else read_evidence(Path(look["folder"]) / "evidence")
        shown = shown or read_evidence(evidence_folder(folder, trial.number))
        if shown is not None:
            found.insert(0 if is_winner else len(found), shown)
    return found
