"""What the dashboard says of a study in words: who leads or has won, how sure that is, what the held-out look said, and what to do next."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from search.dashboard.evidence import look_folder
from search.errors import StudyError
from search.preference import read_preference, recorded_preference
from search.selection import Selection
from search.study_view import select_winner
from search.trial import Trial

_LARGEST_BYTES = 16 << 20
#: What Markdown, or HTML in it, could take for more than a letter.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$<>&:@-])")


@dataclass(frozen=True)
class Standing:
    """How a study stands.

    Attributes
    ----------
    name, metric, corpus : str
    counts : dict of str to int
        Trials by Optuna's states.
    winner : Trial or None
        Of those that had the full budget.
    value : float or None
        The score it is chosen by.
    interval : list of two floats, or None
    ties : list of int
        Trials that the search could not tell from the winner, as of its end.
    held_out : dict or None
        ``metrics.json`` of the newest look.
    has_report : bool
    waits_for : str or None
        Why there is no winner yet.
    caveat : str or None
        Why its scores are no result, where they are none.
    """

    name: str
    metric: str
    corpus: str
    counts: dict[str, int]
    winner: Trial | None
    value: float | None
    interval: list[float] | None
    ties: list[int]
    held_out: dict[str, Any] | None
    has_report: bool
    waits_for: str | None
    caveat: str | None = None

    @property
    def is_running(self) -> bool:
        """True while trials run, as far as the study says."""
        return self.counts.get("RUNNING", 0) > 0


def standing_of(folder: Path, name: str, trials: list[Trial], maximize: bool, attrs: Mapping[str, Any]) -> Standing:
    """Read how a study stands.

    Parameters
    ----------
    folder : Path
        The study's.
    name : str
    trials : list of Trial
    maximize : bool
    attrs : mapping
        The study's attributes.
    """
    counts: dict[str, int] = {}
    for trial in trials:
        if trial.confirms is None:
            counts[trial.state] = counts.get(trial.state, 0) + 1
    selection, why = _selection(name, trials, maximize, attrs)
    held_out = _read_json(look_folder(folder) / "metrics.json")
    scored = None if selection is None else selection.winner.scored
    return Standing(
        name=name,
        metric=str(attrs.get("metric") or "value"),
        corpus=str(attrs.get("corpus") or ""),
        counts=counts,
        winner=None if selection is None else selection.winner.trial,
        value=None if selection is None else selection.winner.value,
        interval=None if scored is None else scored.outcome.get("interval"),
        ties=[] if selection is None else _ties(folder / "leaderboard.csv", selection.winner.trial.number),
        held_out=held_out,
        has_report=(folder / "report.html").is_file(),
        waits_for=why,
        caveat=attrs.get("caveat") or None,
    )


def _selection(name: str, trials: list[Trial], maximize: bool, attrs: Mapping[str, Any]) -> tuple[Selection | None, str | None]:
    """The winner as the search would name it; where a paired test would have to say who is near the best, the best."""
    prefer = recorded_preference(str(attrs.get("prefer") or "best"))
    try:
        rule = read_preference(prefer)
        if rule is not None and rule.within is None:
            prefer = "best"
        return select_winner(name, trials, maximize, attrs.get("confirm"), prefer), None
    except StudyError as error:
        return None, str(error).partition(": ")[2] or str(error)
    except ValueError as error:  # a rule of a later version
        return None, str(error)


def _ties(file: Path, winner: int) -> list[int]:
    """Trials that the leaderboard of the last run calls a tie with the winner; none where it names another winner."""
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            return []
        with file.open(newline="", encoding="utf-8") as stream:
            told = {row["trial"]: row.get("against_winner") for row in csv.DictReader(stream) if row.get("trial")}
    except (OSError, ValueError, KeyError, csv.Error):
        return []
    return [int(number) for number, verdict in told.items() if verdict == "tie" and number.isdigit()] if told.get(str(winner)) == "winner" else []


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            return None
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def note_of(standing: Standing, studies_dir: Path) -> str:
    """The note, in Markdown; names in it are taken literally."""
    own = standing.name
    lines = [f"## {_winner_line(standing)}", "", *([f"**{literally(standing.caveat)}**", ""] if standing.caveat else [])]
    lines += [f"- {line}" for line in _facts(standing)]
    lines += ["", *_held_out_lines(standing.held_out)]
    if standing.has_report:
        lines += ["", f"[The report of this study](/report/{quote(own, safe=str())})"]
    if standing.held_out is None and standing.winner is not None and not standing.caveat:
        shown = Path(os.path.relpath(studies_dir)) if studies_dir.is_relative_to(Path.cwd()) else studies_dir
        where = "" if shown == Path("studies") else f" --studies-dir {shlex.quote(str(shown))}"
        lines += ["", "This study has not looked at its held-out tracks yet. When the search is done, the one look is:", ""]
        lines += [f"    python scripts/final_eval.py --study {shlex.quote(own)}{where}"]
    return "\n".join(lines) + "\n"


def literally(text: object) -> str:
    """A text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def _winner_line(standing: Standing) -> str:
    if standing.winner is None:
        return "No winner yet"
    said = "leads so far" if standing.is_running else "wins in validation"
    which = f"Trial {standing.winner.number} ({literally(standing.winner.family)})"
    return f"{which} {said}: {literally(standing.metric)} {standing.value:.3f}{in_brackets(standing.interval)}"


def _facts(standing: Standing) -> list[str]:
    counts = ", ".join(f"{n} {state.lower()}" for state, n in sorted(standing.counts.items())) or "none yet"
    lines = [f"trials: {counts}"]
    if standing.waits_for:
        lines.append(literally(standing.waits_for))
    if standing.ties:
        named = ", ".join(map(str, standing.ties[:12])) + (" …" if len(standing.ties) > 12 else "")
        lines.append(f"can't be told apart from it (paired, 95 %): trial{'s' if len(standing.ties) > 1 else ''} {named}")
    if standing.corpus:
        lines.append(f"corpus: {literally(standing.corpus)}")
    return lines


def _held_out_lines(metrics: Mapping[str, Any] | None) -> list[str]:
    """What the look said; of a file that is not as it should be, nothing."""
    try:
        if metrics is None:
            return []
        demo = " (demo: synthesised music)" if metrics.get("demo") else ""
        which = f"{int(metrics['n_tracks'])} held-out tracks, trial {int(metrics['trial'])} ({literally(metrics['family'])})"
        line = f"**On {which}: accuracy {metrics['accuracy']:.3f}{in_brackets(metrics['accuracy_ci95'])}**"
        return [line + f", macro F1 {metrics['macro_f1']:.3f}{in_brackets(metrics['macro_f1_ci95'])}{demo}"]
    except (KeyError, TypeError, ValueError):
        return ["The held-out look's metrics.json can't be understood."]


def in_brackets(interval: Any) -> str:
    """A 95 % interval, with a space before it; nothing where there is none."""
    if not interval:
        return ""
    low, high = interval
    return f" (95 % {low:.3f}–{high:.3f})"
