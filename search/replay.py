"""One trial alone, again: does the same specification give the same curve?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from search.errors import StudyError
from search.study_view import StudyView
from search.trial import Objective, Trial


@dataclass(frozen=True)
class Replayed:
    """Two learning curves of one specification.

    Attributes
    ----------
    recorded, again : dict of int to float
        Epoch to value; with further folds, step to running mean.
    """

    recorded: dict[int, float]
    again: dict[int, float]

    @property
    def differing(self) -> list[int]:
        """Epochs whose values differ by more than the rounding of a double."""
        return [e for e, value in self.recorded.items() if e not in self.again or abs(value - self.again[e]) > 1e-12 * max(1.0, abs(value))]


def trial_to_replay(view: StudyView, number: int) -> Trial:
    """The trial of that number.

    Raises
    ------
    StudyError
        If there is none, or it has trained nothing that could be compared.
    """
    found = next((t for t in view.trials if t.number == number), None)
    if found is None:
        last = f"its trials are 0 to {len(view.trials) - 1}" if view.trials else "it has no trials yet"
        raise StudyError(f"--replay {number}: study '{view.name}' has no such trial; {last}")
    if not found.reports:
        raise StudyError(f"--replay {number}: trial {number} of study '{view.name}' trained no epoch ({found.end or found.state.lower()}): nothing to compare with")
    return found


def replay(objective: Objective, trial: Trial, metric: str, console: Console) -> Replayed:
    """Train a trial's specification for as many epochs as it had, in this process, and print both curves as it goes.

    The study is not written to, and nothing is left on disk.
    """
    last, again = max(trial.reports), {}
    width = len(str(last))
    epochs_before = trial.spec["epochs"]
    console.print(f"trial {trial.number}: {trial.family}, seed {trial.spec['seed']}, {last} of {epochs_before + trial.parts - 1} epochs", highlight=False)
    console.print(f"{'epoch':>{max(5, width)}}  {'recorded':>10}  {'again':>10}", highlight=False)

    def report(epoch: int, metrics: Mapping[str, float], snapshot: Any) -> str:
        if not metrics:
            return "continue"
        again[epoch] = float(metrics[metric])
        recorded = trial.reports.get(epoch)
        told = "" if recorded is None else f"{recorded:10.6f}"
        mark = "" if recorded is None or recorded == again[epoch] else f"  differs by {again[epoch] - recorded:+.2g}"
        console.print(f"{epoch:>{max(5, width)}}  {told:>10}  {again[epoch]:10.6f}{mark}", highlight=False)
        return "stop" if epoch >= last else "continue"

    objective.run(trial.spec, report)
    return Replayed(dict(trial.reports), again)
