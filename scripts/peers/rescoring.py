"""The winner of a study scored again on folds of the development tracks: one judge for all engines.

    python -m scripts.peers.rescoring --space FILE --data SOURCE --studies-dir DIR --study NAME --seed N --folds K --trial N --value V

Our own objective trains the winner's configuration with the full budget on each fold, in float32, and says how many tracks of all folds it told right, with
the interval. The last line that is printed is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from scripts.peers.opened import open_space
from scripts.peers.study_facts import best_of, configurations_of
from search.errors import SearchError
from search.study_view import read_study


def rescore(space: Path, source: str | None, studies_dir: Path, study: str, seed: int, folds: int, trial: int, value: float) -> dict[str, Any]:
    """Score trial `trial`, whose best epoch had `value`: the study that lies there must be the one that was measured.

    Returns
    -------
    dict
        ``value``, ``interval`` (95 %; None where the objective is no accuracy), ``scores`` (of each fold), ``folds``, ``epochs``, ``seconds``, and
        ``configurations``, how many the study tried.

    Raises
    ------
    SearchError
        The study has no such trial.
    """
    view = read_study(studies_dir, study)
    winner = next((t for t in view.trials if t.number == trial and t.reports), None)
    if winner is None or abs(best_of(winner, view.maximize) - value) > 1e-5:
        has = "no epoch" if winner is None else f"{best_of(winner, view.maximize):.6f}"
        told = f"its trial {trial} has {has}, that of the line {value:.6f}"
        raise SearchError(f"{studies_dir / study}: is not the study that was measured: {told}; measure anew (--again), or give the --work folder of the measurement")
    won, opened = winner.spec, open_space(space, source, seed, studies_dir, (folds,))
    spec = opened.spec(won["family"], won["params"], won["seed"], "float32") | {"folds": folds}
    from genre_models.objective import build

    objective, began = build(opened.task), time.monotonic()
    outcome = objective.run(spec, lambda epoch, metrics, snapshot: "continue")
    told = {name: outcome[name] for name in ("value", "interval", "scores", "parameters")}
    told |= {"configurations": configurations_of(view.trials)}
    return told | {"folds": folds, "epochs": spec["epochs"], "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, required=True)
    parser.add_argument("--study", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--trial", type=int, required=True)
    parser.add_argument("--value", type=float, required=True)
    o = parser.parse_args()
    print(json.dumps(rescore(o.space, o.data, o.studies_dir.resolve(), o.study, o.seed, o.folds, o.trial, o.value)))
    return 0


if __name__ == "__main__":
    from scripts.ending import exit_code_of

    sys.exit(exit_code_of(main, stopped="stopped; nothing was kept"))
