"""How much the naive split flatters: one configuration, trained with tracks kept whole and with their segments dealt apart, on the same development tracks.

    python -m search.run --space spaces/gtzan.yaml --data gtzan:FOLDER --study honest --minutes 5
    python scripts/inflation.py --study honest

Both ways each segment of each development track is predicted once, by a network that was not trained on it: by k folds of whole tracks (and of what belongs
to them), and by k folds of segments dealt at random, so that the network has heard the rest of the track. Everything else is the same: configuration, seed,
number of training segments, choice of the best epoch by validation. The difference is paired by segment, and by track (a track's class is that of its
segments' mean probabilities); its 95 % interval is over groups of tracks. Held-out tracks are not touched.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from genre_models.errors import GenreModelsError
from genre_models.families.own import add_own_families, require_family
from search.errors import SearchError, StudyError

if TYPE_CHECKING:
    from search.study_view import StudyView
    from search.trial import Trial

HONEST, NAIVE = "tracks whole", "segments apart"
SEGMENTS = 6  # where the configuration does not cut tracks


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python scripts/inflation.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--study", required=True, metavar="NAME")
    p.add_argument("--trial", type=int, metavar="N", help="whose configuration (default: the winner's)")
    p.add_argument("--segments", type=int, metavar="N", help=f"segments of each track (default: the configuration's, or {SEGMENTS} where it has one)")
    p.add_argument("--folds", type=int, choices=range(2, 21), default=3, metavar="K", help="2 to 20 (default: 3)")
    p.add_argument("--epochs", type=int, metavar="N", help="of each training (default: the study's full budget)")
    p.add_argument("--workers", type=int, default=2, help="trainings at a time, one thread each (default: 2)")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        return _measure(options)
    except (SearchError, GenreModelsError) as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"error: {error}", markup=False, highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _measure(options: argparse.Namespace) -> int:
    from genre_models.durable import write_text
    from genre_models.naive import require_items
    from search.study_view import read_study

    if options.workers < 1 or (options.epochs is not None and options.epochs < 1):
        raise SearchError("--workers and --epochs must be 1 or more")
    if options.json is not None and not options.json.expanduser().absolute().parent.is_dir():
        raise SearchError(f"{options.json}: there is no folder {options.json.expanduser().absolute().parent}; make it, or choose another place")
    studies_dir = options.studies_dir.expanduser().resolve()
    view = read_study(studies_dir, options.study)
    trial = _trial(view, options.trial)
    files = add_own_families()
    require_family(trial.family, view.fingerprint.get("families", {}).get(trial.family, {}).get("code"))
    spec = _spec_of(trial, options)
    task = _task_of(view, spec, studies_dir / ".cache", options.folds) | {"own_families": files}
    require_items(spec, task)
    jobs = [(task, spec, fold, way) for fold in range(options.folds) for way in (HONEST, NAIVE)]
    with multiprocessing.get_context("spawn").Pool(min(options.workers, len(jobs)), maxtasksperchild=4) as pool:
        results = pool.map(train, jobs, chunksize=1)
    found = compare(task, [job[3] for job in jobs], results)
    found |= {"study": view.name, "source": view.run.get("source"), "trial": trial.number, "family": trial.family, "folds": options.folds}
    found |= {"epochs": spec["epochs"], "tracks": len(task["tracks"])}
    if options.json is not None:
        write_text(options.json.expanduser().absolute(), json.dumps({"schema": 1, **found}, indent=1) + "\n")
    _tell(found)
    return 0


def _trial(view: StudyView, number: int | None) -> Trial:
    """The trial whose configuration is trained.

    Raises
    ------
    StudyError
        There is none.
    """
    from genre_models import resampling
    from scripts.final_request import caveat_of

    if caveat_of(view):
        raise StudyError(f"study '{view.name}' has the naive split itself: name an honest one, both splits are then made here")
    if "data" not in view.run:
        raise StudyError(f"study '{view.name}': its run.json is missing or incomplete; run the search command again, it writes the file")
    if number is None:
        trial = view.winner(resampling)
    else:
        trial = next((each for each in view.trials if each.number == number), None)
        if trial is None:
            raise StudyError(f"--trial {number}: study '{view.name}' has trials 0 to {len(view.trials) - 1}")
    return trial


def _spec_of(trial: Trial, options: argparse.Namespace) -> dict[str, Any]:
    """The trial's specification, with the segments, epochs and folds that are asked for.

    Raises
    ------
    SearchError
        One segment a track, or of a family that is not cut into segments.
    """
    from genre_models.segments import segment_count

    spec = {key: value for key, value in trial.spec.items() if key not in ("folds", "repeats", "confirms")}
    if "segments" in spec["params"]:
        if options.segments is not None and options.segments < 2:
            raise SearchError(f"--segments {options.segments}: a track must be cut into 2 or more, or there is nothing to deal apart")
        own = segment_count(spec)
        spec["params"] = spec["params"] | {"segments": options.segments or (own if own > 1 else SEGMENTS)}
    elif options.segments is not None:
        raise SearchError(f"--segments: trial {trial.number} is of family {trial.family}, which is not cut into segments; leave it out")
    return spec | {"epochs": options.epochs or spec["epochs"], "folds": options.folds}


def _task_of(view: StudyView, spec: dict[str, Any], cache_dir: Path, folds: int) -> dict[str, Any]:
    """The study's development tracks and features, dealt into folds of whole tracks."""
    from genre_models.framework import backend_of
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    features = {spec["family"]: FeatureSettings.of_resolved(spec["features"])}
    values = {spec["family"]: {name: [value] for name, value in spec["params"].items()}}
    settings = DataSettings.model_validate(view.run["data"])
    data = open_task(settings, features, view.run["seed"], cache_dir, values=values, fold_counts=(folds,), earlier=view.run)
    *_, failed = data.prepare_features()
    if data.unavailable:
        raise SearchError("; ".join(data.unavailable.values()))
    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {}, (folds,))
    return task | {"tracks": [track for track in task["tracks"] if track["id"] not in failed], "backend": backend_of(spec)}


def train(job: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One training; of the segments that it did not learn from: places among all segments, places of their tracks, probabilities [shape=(n, n_classes)]."""
    task, spec, fold, way = job
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    import importlib

    from genre_models.families import FAMILIES
    from genre_models.naive import ItemsApart, deal_items, item_names
    from genre_models.objective import build
    from genre_models.sources import development_data

    build(task)  # sets up the framework
    data, tracks, folds = development_data(spec, task, task["tracks"]), task["tracks"], spec["folds"]
    names, owners = item_names(data, [track["id"] for track in tracks])
    if way == NAIVE:
        dealt = deal_items(names, [tracks[owner]["label"] for owner in owners], spec["seed"], folds=folds, fold=fold)
    else:
        dealt = np.array([tracks[owner]["folds"][str(folds)] == fold for owner in owners])
    apart = ItemsApart(data, names, dealt)
    module = importlib.import_module(FAMILIES[spec["family"]].module)
    fitted = module.fit(
        spec["params"], apart, epochs=spec["epochs"], seed=spec["seed"], precision=spec["precision"], report=lambda epoch, metrics, snapshot: "continue"
    )
    return np.flatnonzero(dealt), owners[dealt], np.asarray(fitted.predict(apart.validation_ids))


def compare(task: dict[str, Any], ways: Sequence[str], results: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Scores of both ways, and the naive one's advantage, by segment and by track.

    Returns
    -------
    dict
        ``by segment`` and ``by track``, each ``{HONEST, NAIVE, "difference", "interval", "p_value"}``, and ``segments``, how many there are.
    """
    from genre_models.resampling import compare_paired

    labels, tracks = task["labels"], task["tracks"]
    y, groups = np.array([labels.index(track["label"]) for track in tracks]), np.array([track["group"] for track in tracks])
    p, owners = {}, None
    for way in (HONEST, NAIVE):
        places, of_tracks, found = (np.concatenate(parts) for parts in zip(*(each for each, of in zip(results, ways, strict=True) if of == way), strict=True))
        order = places.argsort()  # each segment once
        p[way], owners = found[order], of_tracks[order]
    by_track = {way: np.stack([np.bincount(owners, weights=column, minlength=len(tracks)) for column in each.T], axis=1) for way, each in p.items()}
    told: dict[str, Any] = {"segments": len(owners)}
    for unit, scored, truth, numbers in (("by segment", p, y[owners], groups[owners]), ("by track", by_track, y, groups)):
        hits = {way: (each.argmax(axis=1) == truth).astype(float) for way, each in scored.items()}
        paired = compare_paired(hits[NAIVE], hits[HONEST], numbers)
        scores = {way: float(each.mean()) for way, each in hits.items()}
        told[unit] = scores | {"difference": paired.difference, "interval": paired.interval and list(paired.interval), "p_value": paired.p_value}
    return told


def _tell(found: dict[str, Any]) -> None:
    print(
        f"study {found['study']} ({found['source']}): trial {found['trial']}, {found['family']}, {found['epochs']} epochs; {found['tracks']} development tracks, "
        f"{found['segments']} segments, {found['folds']} folds\n"
    )
    print(f"| accuracy | {HONEST} | {NAIVE} (naive) | the naive split flatters by, 95 % interval |\n|---|---|---|---|")
    for unit in ("by segment", "by track"):
        told = found[unit]
        ends = "" if told["interval"] is None else f" ({told['interval'][0]:+.3f} to {told['interval'][1]:+.3f})"
        print(f"| {unit} | {told[HONEST]:.3f} | {told[NAIVE]:.3f} | {told['difference']:+.3f}{ends} |")


if __name__ == "__main__":
    sys.exit(main())
