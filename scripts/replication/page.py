"""docs/replication.md: written anew from whatever runs have ended."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from scripts.replication.boxes import CUT, DONE, FAILED, ending_of
from scripts.replication.fma import cost_table, counts, fma
from scripts.replication.gtzan import gtzan, reconstructed
from scripts.replication.results import markdown
from scripts.replication.runs import LISTS, PRESETS, Corpus, Run
from scripts.replication.trainings import view_of
from scripts.replication.verdicts import MARGIN

HEAD = """# Earlier systems: what was claimed, and what comes out

    {command}

writes this page: each row's preset (`spaces/references/`, [presets](presets.md)) is run on the corpus at hand, within {minutes:g} minutes a row on {cores} cores ({demo:g} where that is the demo corpus); finished rows are kept, and the same
command goes on where it was stopped. {when}

Scores are of validation tracks, which the network was not trained on, never of held-out ones: nothing here looks at a test split. Where a report stops early, the score is that of the
weights which the lowest validation loss restores; where it does not, that of the last epoch. Intervals are 95 %, over groups of tracks that belong together; several seeds are averaged
by track. The claim's interval is Wilson's, from the number of tracks that the report tested on.

**agrees**: the difference from the claim, with its interval, is known to lie within {margin:.0f} points of none; of an order, each step is shown. **differs**: the interval leaves out none; of an order,
a step is shown to go the other way. **cannot tell**: neither. The networks are [reconstructed](#what-was-chosen-where-a-report-is-silent): a difference says that
the report can't be had from what it says, not that it is false.
"""


def write_page(
    studies_dir: Path, corpus: Corpus, runs: Sequence[Run], costs: Mapping[str, Any], minutes: tuple[float, float], at_once: int, faults: str, command: str
) -> str:
    """The page's text.

    Parameters
    ----------
    studies_dir : Path
    corpus : Corpus
    runs : sequence of Run
        All that the rows ask for, to be counted.
    costs : mapping
        From `scripts.replication.costs`; empty where they were not measured.
    minutes : (float, float)
        Of a row on the corpus, and of one on the demo corpus.
    at_once : int
    faults : str
        The section on what the reports got wrong; "" where it was not measured.
    command : str
        That writes this page.
    """
    rows, others = gtzan(studies_dir, corpus), [*counts(costs), *fma(studies_dir)]
    parts = [HEAD.format(command=command, minutes=minutes[0], demo=minutes[1], cores=at_once, margin=100 * MARGIN, when=_when(studies_dir, runs))]
    parts += ["## GTZAN", _splits(studies_dir, corpus, runs), markdown(rows)]
    parts += ["## FMA-small", "There is no FMA corpus on the machine of this page. What needs none is compared; that a preset runs is shown on the embedded demo corpus, whose scores mean nothing beside FMA's.", markdown(others)]
    if costs:
        parts += ["What the networks cost, in float32, one item at a time (the median, and 5 to 95 %); the reports do not name their processor.", cost_table(costs)]
    if faults:
        parts.append(faults)
    parts += ["## What was chosen where a report is silent", "\n".join(f"- **{row}**: {text}" for row, text in reconstructed(rows, PRESETS))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _when(studies_dir: Path, runs: Sequence[Run]) -> str:
    ended = [found for run in runs if (found := ending_of(studies_dir, run)) is not None]
    told = ", ".join(f"{n} {how}" for how in (DONE, CUT, FAILED) if (n := sum(each.how == how for each in ended)))
    hours = sum(each.seconds for each in ended) / 3600
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras", "scikit-learn"))
    left = len(runs) - len(ended)
    return f"As of {date.today()}: {told or 'nothing ended yet'}{f', {left} to do' if left else ''}; {hours:.1f} core-hours; Python {platform.python_version()}, {versions}, {_processor()}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not a Linux
        return platform.processor() or platform.machine()


def _splits(studies_dir: Path, corpus: Corpus, runs: Sequence[Run]) -> str:
    """How many tracks each split has."""
    told = []
    for split, words in (("random", "**random**: the corpus dealt at random, a fifth held out and not read, a fifth of the rest validating (rows with folds: every track of the rest once)"), (LISTS, "**fault-filtered lists**: the published lists of training and validation tracks that share no artist and leave out the faults that Sturm found")):
        view = next((found for run in runs if run.split == split and (found := view_of(studies_dir, run)) is not None and found.run.get("tracks")), None)
        if view is not None:
            sizes = [f"{n} {name.replace('_', ' ')}" for name, n in view.run["tracks"].items() if n]
            told.append(f"- {words}: {', '.join(sizes)}.")
    return "\n".join(told) or f"Corpus: {corpus.source.partition(':')[0]}."
