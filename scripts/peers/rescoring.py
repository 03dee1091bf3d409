"""The winner of a study scored again on folds of the development tracks: one judge for all engines.

    python -m scripts.peers.rescoring --space FILE --data SOURCE --studies-dir DIR --study NAME --seed N --folds K

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
from scripts.peers.study_facts import winner_of
from search.study_view import read_study


def rescore(space: Path, source: str | None, studies_dir: Path, study: str, seed: int, folds: int) -> dict[str, Any]:
    """Score the winner.

    Returns
    -------
    dict
        ``value``, ``interval`` (95 %; None where the objective is no accuracy), ``scores`` (of each fold), ``folds``, ``epochs``, ``seconds``.
    """
    opened = open_space(space, source, seed, studies_dir, (folds,))
    won = winner_of(read_study(studies_dir, study)).spec
    spec = opened.spec(won["family"], won["params"], won["seed"], "float32") | {"folds": folds}
    from genre_models.objective import build

    objective, began = build(opened.task), time.monotonic()
    outcome = objective.run(spec, lambda epoch, metrics, snapshot: "continue")
    told = {name: outcome[name] for name in ("value", "interval", "scores", "parameters")}
    return told | {"folds": folds, "epochs": spec["epochs"], "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, required=True)
    parser.add_argument("--study", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    o = parser.parse_args()
    print(json.dumps(rescore(o.space, o.data, o.studies_dir.resolve(), o.study, o.seed, o.folds)))
    return 0


if __name__ == "__main__":
    from scripts.ending import exit_code_of

    sys.exit(exit_code_of(main, stopped="stopped; nothing was kept"))
