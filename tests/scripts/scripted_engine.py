"""A command that takes an engine's words and writes epochs into a study without training: four a trial, one every 0.2 seconds, until its time is up."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--space", "--data", "--study", "--studies-dir"):
        parser.add_argument(name, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fails", action="store_true")
    o = parser.parse_args()
    if o.fails:
        print("the tool can't do that", file=sys.stderr)
        return 3
    import optuna

    folder = Path(o.studies_dir) / o.study
    folder.mkdir(exist_ok=True)
    study = optuna.create_study(study_name=o.study, storage=f"sqlite:///{folder / 'study.db'}", direction="maximize", load_if_exists=True)
    end = time.monotonic() + 60 * o.minutes
    while time.monotonic() < end:
        trial = study.ask()
        trial.set_user_attr("spec", {"family": "cnn", "seed": trial.number, "epochs": 4})
        for epoch in range(1, 5):
            time.sleep(0.2)
            trial.report(trial.number / 1000 + epoch / 10, epoch)
        study.tell(trial, trial.number / 1000 + 0.4)
    return 0


if __name__ == "__main__":
    sys.exit(main())
