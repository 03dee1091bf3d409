"""How much a random split flatters each family: the best trial of each, trained again on random deals of the very same tracks.

    python -m search.run --space SPACE --study lists        with data.split: {train: FILE, validation: FILE}, such as the fault-filtered lists
    python scripts/bench_split.py --study lists --deals 5

A study on lists that keep artists (or albums, or recordings) apart scores its trials on tracks of artists it has not heard. Here the best
trial of each family is trained again: on the lists, and on random deals of the same tracks, as many in each part of each class. Only who is
on which side differs. What is gained is the flattery: the network knows the artist.
The trials were chosen by their score on the lists, which flatters that score, so the gain is, if anything, told too small; trained again with
other seeds it loses that flattery, and that score is the one compared. Held-out tracks are not touched.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--study", required=True, metavar="NAME")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR")
    p.add_argument("--deals", type=int, default=5, help="random deals, and trainings on the lists with other seeds (default: 5)")
    p.add_argument("--workers", type=int, default=2, help="trainings at a time, one thread each")
    return p


def main() -> int:
    """Run the command."""
    options = parser().parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    from search.study_view import read_study

    view = read_study(options.studies_dir.resolve(), options.study)
    best: dict[str, Any] = {}
    for trial in sorted((t for t in view.trials if t.is_full), key=lambda t: t.value if view.maximize else -t.value):
        best[trial.family] = trial
    task = open_task_of(view, best, options.studies_dir.resolve() / ".cache")
    jobs = [
        (task, trial.spec, deal, on_lists)
        for deal in range(options.deals)
        for trial in best.values()
        for on_lists in (True, False)
    ]  # fmt: skip
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=6) as pool:
        scores = pool.map(train, jobs, chunksize=1)
    tell(view, task, best, jobs, scores)
    return 0


def open_task_of(view: Any, best: dict[str, Any], cache_dir: Path) -> dict[str, Any]:
    """The study's development tracks, with everything that the families' best trials need."""
    from genre_models.framework import import_keras
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    import_keras()
    features = {family: FeatureSettings.of_resolved(trial.spec["features"]) for family, trial in best.items()}
    values = {family: {name: [value] for name, value in trial.spec["params"].items()} for family, trial in best.items()}
    data = open_task(DataSettings.model_validate(view.run["data"]), features, view.run["seed"], cache_dir, values=values, earlier=view.run)
    data.prepare_features()
    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {})
    data.prepare_networks(task)
    return task


def dealt(tracks: list[dict[str, Any]], deal: int) -> list[dict[str, Any]]:
    """The same tracks in a random deal with as many of each class in each part; byte-identical files stay together."""
    rng = np.random.default_rng([20_141, deal])
    moved = []
    for label in sorted({track["label"] for track in tracks}):
        of_label = [track for track in tracks if track["label"] == label]
        wanted = sum(track["part"] == "train" for track in of_label)
        groups: dict[str, list[dict[str, Any]]] = {}
        for track in of_label:
            groups.setdefault(track["content"], []).append(track)
        order = list(groups.values())
        taken = 0
        for number in rng.permutation(len(order)):
            part = "train" if taken < wanted else "validation"
            moved += [track | {"part": part} for track in order[number]]
            taken += len(order[number])
    return moved


def train(job: tuple[Any, ...]) -> float:
    """One training; its validation accuracy."""
    task, spec, deal, on_lists = job
    from genre_models.objective import build

    tracks = task["tracks"] if on_lists else dealt(task["tracks"], deal)
    spec = {key: value for key, value in spec.items() if key not in ("folds", "repeats")} | {"seed": 1000 + deal}
    outcome = build(task | {"tracks": tracks}).run(spec, lambda epoch, metrics, snapshot: "continue")
    return outcome["val_accuracy"]


def tell(view: Any, task: dict[str, Any], best: dict[str, Any], jobs: list[tuple[Any, ...]], scores: list[float]) -> None:
    """Print the table."""
    n = sum(track["part"] == "train" for track in task["tracks"])
    print(f"study {view.name}: {n} training and {len(task['tracks']) - n} validation tracks; means of {jobs[-1][2] + 1} trainings, with their standard deviation\n")
    print("| family | trial | chosen at | on the lists, other seeds | on random deals | random deals flatter by |\n|---|---|---|---|---|---|")
    for family, trial in best.items():
        of_family = [(job[3], score) for job, score in zip(jobs, scores, strict=True) if job[1]["family"] == family]
        lists, deals = (np.array([score for on_lists, score in of_family if on_lists is kind]) for kind in (True, False))
        spread = [f"{each.mean():.3f} ± {each.std(ddof=1) if len(each) > 1 else 0:.3f}" for each in (lists, deals)]
        print(f"| {family} | {trial.number} | {trial.value:.3f} | {spread[0]} | {spread[1]} | {deals.mean() - lists.mean():+.3f} |")


if __name__ == "__main__":
    sys.exit(main())
