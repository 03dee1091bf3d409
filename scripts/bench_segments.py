"""Tracks whole or cut into windows: the same network, the same minutes, compared track by track.

    python scripts/bench_segments.py --data gtzan:FOLDER --minutes 2.5

For each number of segments and each fold the network trains for the same time (one thread, validation counted), and its best epoch predicts
the fold's tracks, as in a search. The difference to whole tracks is paired by track; its interval (95 %) is a bootstrap over tracks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PARAMS = {
    "depth": 4, "filters": 12, "filter_growth": 1.5, "kernel": 3, "dropout": 0.2, "optimizer": "adamw", "learning_rate": 2e-3,
    "weight_decay": 1e-2, "batch_size": 32,
}  # fmt: skip
IMAGE_SIZE = (64, 320)  # height, width: ten windows are 32 wide


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default="demo", metavar="SOURCE")
    p.add_argument("--segments", type=int, nargs="+", default=[1, 3, 6, 10])
    p.add_argument("--minutes", type=float, default=2.5, help="of each training (default: 2.5)")
    p.add_argument("--folds", type=int, choices=range(2, 21), default=3, metavar="K", help="2 to 20 (default: 3)")
    p.add_argument("--workers", type=int, default=2, help="trainings at a time, one thread each")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), help="whose cache is used")
    return p


def main() -> int:
    """Run the command."""
    options = parser().parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    features = {"cnn": FeatureSettings(image_size=IMAGE_SIZE, n_mels=IMAGE_SIZE[0], hop_length=2048, clip_seconds="auto")}
    settings = DataSettings.model_validate({"source": options.data, "validation": {"folds": options.folds}})
    data = open_task(settings, features, 0, options.studies_dir.resolve() / ".cache")
    data.prepare_features()
    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {})
    # Folds outside, so that a busy quarter of an hour falls on all numbers of segments alike.
    jobs = [(task, data.features["cnn"], n, fold, options.folds, 60 * options.minutes) for fold in range(options.folds) for n in options.segments]
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=4) as pool:
        results = pool.map(train, jobs, chunksize=1)
    tell(data.corpus.name, options, results)
    return 0


def train(job: tuple[Any, ...]) -> dict[str, Any]:
    """One training; which of the fold's tracks it told right."""
    task, features, n, fold, folds, seconds = job
    from genre_models.families import FAMILIES
    from genre_models.families.cnn import fit
    from genre_models.objective import build

    spec = {"features": features, "params": FAMILIES["cnn"].defaults() | PARAMS | {"segments": n}, "folds": folds}
    data = build(task).data(spec, fold)
    started = time.perf_counter()
    fitted = fit(
        spec["params"], data, epochs=10_000, seed=1,
        report=lambda epoch, metrics, snapshot: "stop" if time.perf_counter() - started >= seconds else "continue",
    )  # fmt: skip
    ids = data.validation_ids
    right = fitted.predict(ids).argmax(axis=1) == data.targets(ids)
    return {"segments": n, "epochs": fitted.epochs, "best": fitted.best_epoch, "right": dict(zip(ids, right.tolist(), strict=True))}


def tell(corpus: str, options: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Print the table."""
    right = {n: {} for n in options.segments}
    for result in results:
        right[result["segments"]] |= result["right"]
    tracks = sorted(right[options.segments[0]])
    whole = np.array([right[options.segments[0]][track] for track in tracks], float)
    print(f"{corpus}: {len(tracks)} development tracks, {options.folds} folds, {options.minutes:g} minutes a training\n")
    print(f"| segments | epochs | accuracy | difference to {options.segments[0]}, 95 % interval |\n|---|---|---|---|")
    for n in options.segments:
        here = np.array([right[n][track] for track in tracks], float)
        epochs = np.mean([r["epochs"] for r in results if r["segments"] == n])
        rows = np.random.default_rng(0).integers(0, len(tracks), (5000, len(tracks)))
        low, high = np.quantile((here - whole)[rows].mean(axis=1), [0.025, 0.975])
        told = "" if n == options.segments[0] else f"{(here - whole).mean():+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {n} | {epochs:.0f} | {here.mean():.3f} | {told} |")


if __name__ == "__main__":
    sys.exit(main())
