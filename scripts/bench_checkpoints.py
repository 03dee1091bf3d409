"""What a checkpoint costs: seconds to write it (flushed to the disk) and to go on from it, in percent of an epoch.

    python scripts/bench_checkpoints.py --data gtzan:FOLDER
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

CONFIGURATIONS = (
    {"depth": 3, "filters": 8, "filter_growth": 1.5, "kernel": 3},
    {"depth": 4, "filters": 16, "filter_growth": 1.6, "kernel": 3},
    {"depth": 4, "filters": 32, "filter_growth": 2.0, "kernel": 3, "head": "flatten", "dense_units": 256},
)
EPOCHS = 7


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"), help="whose cache is used")
    options = parser.parse_args()
    from genre_models.families import FAMILIES
    from genre_models.objective import build
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    features = FeatureSettings(image_size=(64, 64), n_mels=64, hop_length=1024, clip_seconds="auto")
    data = open_task(DataSettings(source=options.data), {"cnn": features}, 0, options.studies_dir.resolve() / ".cache")
    data.prepare_features()
    objective = build(data.task({"metric": "val_accuracy", "direction": "maximize"}, {}))
    print(f"{data.corpus.name}, {len(data.split.train)} training tracks, one thread; medians of {EPOCHS - 1} epochs and checkpoints")
    print("| configuration | parameters | checkpoint | epoch | writing it | of an epoch | going on from it |\n|---|---|---|---|---|---|---|")
    for change in CONFIGURATIONS:
        params = FAMILIES["cnn"].defaults() | change
        spec = {"family": "cnn", "params": params, "features": data.features["cnn"], "epochs": EPOCHS, "seed": 1, "precision": "float32"}
        with tempfile.TemporaryDirectory(dir=options.studies_dir) as folder:
            print(f"| {', '.join(f'{k} {v}' for k, v in change.items())} | {measured(objective, spec, Path(folder))} |", flush=True)
    return 0


def measured(objective, spec: dict, folder: Path) -> str:
    """Cells of a configuration: parameters, size, seconds."""
    writing: list[float] = []
    resumed: list[float] = []

    def report(epoch: int, metrics: dict, snapshot) -> str:
        started = time.perf_counter()
        snapshot(str(folder / f"{epoch:04d}"))
        writing.append(time.perf_counter() - started)
        return "continue"

    outcome = objective.run(spec, report)
    epoch = statistics.median(e["seconds"] for e in outcome["history"][1:])
    for number in range(2, EPOCHS):
        started = time.perf_counter()

        def first(epoch: int, metrics: dict, snapshot, started: float = started) -> str:
            resumed.append(time.perf_counter() - started - metrics["seconds"])  # what comes before the epoch: building, reading, tracing apart
            return "stop"

        objective.run(spec, first, resume=str(folder / f"{number:04d}"))
    size = sum(p.stat().st_size for p in (folder / f"{EPOCHS - 1:04d}").rglob("*") if p.is_file()) / 1e6
    write, go_on = statistics.median(writing[1:]), statistics.median(resumed)
    return f"{outcome['parameters']:,} | {size:.2f} MB | {epoch:.2f} s | {1000 * write:.0f} ms | {100 * write / epoch:.1f} % | {go_on:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
