"""Memory of one worker that trains on a large corpus: anonymous pages, those of the memory-mapped cache not counted.

    python scripts/bench_worker_memory.py --items 8000          2.6 GB in the temporary folder, and some minutes
    python scripts/bench_worker_memory.py --items 1000 2000

A cache of noise at the default size (128 x 1280, float16) stands for the corpus: what is in it makes no difference to memory. A worker builds
its objective and trains a small network from scratch for an epoch, with validation, as in a search. Shown is the most of ``RssAnon`` in
/proc/self/status, sampled every 50 ms: what a node runs out of. The map's pages can be dropped by the system at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LABELS = tuple("abcdefgh")
PARAMS = {"depth": 4, "filters": 8, "pool": "2-4", "batch_size": 32}


def write_cache(folder: Path, n_items: int) -> dict:
    """Rows of noise, and the task that knows them."""
    import numpy as np

    from genre_models.features import feature_key, feature_shape
    from genre_models.features.cache import RowCache
    from genre_models.settings import FeatureSettings

    features = FeatureSettings().model_dump(mode="json")
    shape = feature_shape("audio", features)
    cache, noise = RowCache(folder / f"features-{feature_key('audio', features)}", shape, "float16"), np.random.default_rng(0)
    blocks = noise.random((32, *shape), np.float32).astype(np.float16)
    with cache.writing():
        for first in range(0, n_items, 32):
            cache.append({str(i): blocks[i % 32] for i in range(first, min(first + 32, n_items))})
    tracks = [
        {"id": f"{i}", "label": LABELS[i % len(LABELS)], "path": f"{i}.wav", "content": str(i), "part": "validation" if i % 5 == 0 else "train"}
        for i in range(n_items)
    ]
    return {
        "labels": list(LABELS), "kind": "audio", "demo": True, "cache_dir": str(folder), "tracks": tracks, "features": features,
        "objective": {"metric": "val_accuracy", "direction": "maximize"}, "limits": {}, "tables": {}, "trunks": {}, "threads": 1,
    }  # fmt: skip


def work(task_file: Path) -> None:
    """What a worker does; prints the most of its anonymous memory, in MiB, and the seconds of the epoch."""
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous_mib())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    from genre_models.families import FAMILIES
    from genre_models.objective import build

    task = json.loads(task_file.read_text())
    spec = {"family": "cnn", "params": FAMILIES["cnn"].defaults() | PARAMS, "features": task["features"], "epochs": 1, "seed": 1, "precision": "float32"}
    started = time.perf_counter()
    build(task).run(spec, lambda epoch, metrics, snapshot: "continue")
    done.set()
    watching.join()
    print(json.dumps({"mib": peak, "seconds": time.perf_counter() - started}))


def anonymous_mib() -> float:
    """Anonymous resident memory of this process; Linux tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise SystemExit("error: this system does not tell anonymous memory (RssAnon in /proc/self/status); Linux does")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 8000], metavar="N", help="sizes of the corpus (default: 1000 8000)")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return 0
    if min(options.items) < 100:
        parser.error("--items: at least 100")
    print("| items of 128 × 1280 | features on disk | anonymous memory at most | seconds of the epoch |\n|---|---|---|---|")
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    for n_items in options.items:
        with tempfile.TemporaryDirectory(prefix="bench_worker_memory_") as folder:
            task_file = Path(folder) / "task.json"
            task_file.write_text(json.dumps(write_cache(Path(folder), n_items)))
            command = [sys.executable, __file__, "--work", str(task_file)]
            done = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
        print(f"| {n_items} | {n_items * 320 / 1024:.0f} MiB | {done['mib']:.0f} MiB | {done['seconds']:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
