"""Evidence of the winner and of the best of each family: made where it is missing, by what the composition root hands in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from search.artifacts import TRIALS
from search.depot import open_depot
from search.errors import SearchError
from search.report.families import best_trials
from search.selection import Selection
from search.study_view import StudyView

#: Brings a folder of evidence up to date: ``make(artifacts, folder, about, winner)``.
Make = Callable[[Path, Path, str, bool], None]


def evidence_folder(folder: Path, number: int) -> Path:
    """Where the evidence of a trial lies in a study's folder."""
    return folder / TRIALS / f"{number:04d}" / "evidence"


def gather_evidence(view: StudyView, selection: Selection | None, folder: Path, make: Make, refused: type[Exception] | tuple[type[Exception], ...] = ()) -> list[str]:
    """Bring the evidence of the winner and the best of each family up to date, as far as their artifacts were kept.

    Parameters
    ----------
    view : StudyView
    selection : Selection or None
    folder : Path
        The study's.
    make : callable
    refused : exception type or tuple of these
        What `make` raises where it can't.

    Returns
    -------
    list of str
        What could not be made, and why; a report is written all the same.
    """
    troubles = []
    winner = None if selection is None else selection.winner.trial
    for trial in best_trials(view, selection):
        about = f"trial {trial.number} ({trial.family}{', the winner' if trial is winner else ''})"
        try:
            depot = open_depot(_depot_root(folder))
            name = f"{TRIALS}/{trial.number:04d}"
            if not depot.may_hold(name):
                continue  # only the best few are kept
            with depot.reading(name) as artifacts:
                make(artifacts, evidence_folder(folder, trial.number), about, trial is winner)
        except (SearchError, OSError, *_types(refused)) as error:
            troubles.append(f"{about}: {error}")
    return troubles


def _types(refused: type[Exception] | Iterable[type[Exception]]) -> tuple[type[Exception], ...]:
    return (refused,) if isinstance(refused, type) else tuple(refused)


def _depot_root(folder: Path) -> str:
    """Where the study's artifacts lie (`search.depot.require_depot`)."""
    memory = folder / "artifacts.json"
    if not memory.is_file():
        return str(folder)
    try:
        return str(json.loads(memory.read_text(encoding="utf-8"))["place"])
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{memory}: can't be read ({error}); run the search command again, it writes the file") from error
