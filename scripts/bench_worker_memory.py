"""Memory of one worker that trains on a large corpus: anonymous pages, those of the memory-mapped cache not counted.

    python scripts/bench_worker_memory.py --items 8000                                     a network from scratch; 2.6 GB in the temporary folder
    python scripts/bench_worker_memory.py --trials vgg16 mobilenet --items 1000            fine-tuning: the worker makes what it starts from
    python scripts/bench_worker_memory.py --trials linear_svm rbf_svm --items 8000         on whole maps, 25,088 numbers an item
    python scripts/bench_worker_memory.py --trials rbf_svm --pca 0.99 --items 8000

A cache of noise at the default size (128 x 1280, float16) stands for the corpus, or of noise at vgg16's block5_pool for classifiers; weights
are random: what is in them makes no difference to memory, but that of noise every item becomes a support vector. A worker builds its objective
and runs one trial, with validation, as in a search: of a network one epoch, or one of the head and one of fine-tuning. Shown is the most of
``RssAnon`` in /proc/self/status, sampled every 50 ms: what a node runs out of. The map's pages can be dropped by the system at any time.
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
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LABELS = tuple("abcdefgh")
CLASSIFIERS = ("linear_svm", "rbf_svm", "logistic", "mlp", "forest", "boosting")
NETWORKS = ("vgg16", "resnet50", "mobilenet", "efficientnet_b0")
MIB = 2**20


def spec_of(trial: str, pca: float) -> dict[str, Any]:
    """The trial's specification."""
    from genre_models.families import FAMILIES
    from genre_models.settings import FeatureSettings

    family, epochs = trial, 2
    if trial == "cnn":
        params, epochs = {"depth": 4, "filters": 8, "pool": "2-4", "batch_size": 32}, 1
    elif trial in NETWORKS:
        params = {"fine_tune_blocks": 1, "fine_tune_after": 1, "batch_size": 32}
    else:
        family, params, epochs = "classical", {"model": trial, "input": "vgg16/block5_pool", "pooling": "flat", "pca": pca}, 1
    features = FeatureSettings(weights="random").model_dump(mode="json")
    return {
        "family": family, "params": FAMILIES[family].defaults() | params, "features": features, "epochs": epochs, "seed": 1, "precision": "float32",
    }  # fmt: skip


def make_corpus(folder: Path, n_items: int, spec: dict[str, Any]) -> dict[str, Any]:
    """A cache of noise, and the task that knows it."""
    from genre_models.features import feature_key, feature_shape
    from genre_models.features.cache import RowCache
    from genre_models.features.trunk_rows import CutRows, pass_name
    from genre_models.sources import trial_input
    from genre_models.trunks.prepare import prepare_trunks

    tracks = [
        {"id": f"{i}", "label": LABELS[i % len(LABELS)], "path": f"{i}.wav", "content": str(i), "part": "validation" if i % 5 == 0 else "train"}
        for i in range(n_items)
    ]
    task = {
        "labels": list(LABELS), "kind": "audio", "demo": True, "cache_dir": str(folder), "tracks": tracks, "tables": {}, "trunks": {},
        "objective": {"metric": "val_accuracy", "direction": "maximize"}, "limits": {}, "threads": 1,
    }  # fmt: skip
    key, shape = feature_key("audio", spec["features"]), feature_shape("audio", spec["features"])
    trunk = trial_input(spec, task).trunk
    if spec["family"] != "classical":
        fill(RowCache(folder / f"features-{key}", shape, "float16"), shape, n_items)
    if trunk is not None:
        task["trunks"] = prepare_trunks([trunk | {"features": spec["features"]}], None)
        (facts,) = task["trunks"].values()
        at_cut = CutRows(folder, pass_name(trunk, key, masked=False), trunk["cut"], facts["layers"][trunk["cut"]]["shape"], trunk["pooling"] == "flat")
        for cache in at_cut.caches():
            fill(cache, cache.shape, n_items)
    return task


def fill(cache: Any, shape: tuple[int, ...], n_items: int) -> None:
    """Rows of noise."""
    import numpy as np

    rng = np.random.default_rng(0)
    with cache.writing():
        for first in range(0, n_items, 32):
            block = rng.random((32, *shape), np.float32).astype(np.float16)
            cache.append({str(i): block[i % 32] for i in range(first, min(first + 32, n_items))})


def work(given: Path) -> None:
    """What a worker does; prints the most of its anonymous memory and what was declared, in MiB, and the seconds of the trial."""
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous_mib())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    from genre_models.objective import build, screen

    spec, task = json.loads(given.read_text())
    objective, began = build(task), anonymous_mib()
    started = time.perf_counter()
    objective.run(spec, lambda epoch, metrics, snapshot: "continue")
    seconds = time.perf_counter() - started
    done.set()
    watching.join()
    print(json.dumps({"mib": peak, "began": began, "declared": screen(spec, task)["memory_mib"], "seconds": seconds}))


def anonymous_mib() -> float:
    """Anonymous resident memory of this process; Linux tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise SystemExit("error: this system does not tell anonymous memory (RssAnon in /proc/self/status); Linux does")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--items", type=int, nargs="+", default=[1000, 8000], metavar="N", help="sizes of the corpus (default: 1000 8000)")
    p.add_argument(
        "--trials", nargs="+", default=["cnn"], choices=("cnn", *NETWORKS, *CLASSIFIERS), metavar="TRIAL",
        help=f"cnn (default); fine-tuning of {', '.join(NETWORKS)}; on whole maps {', '.join(CLASSIFIERS)}",
    )  # fmt: skip
    p.add_argument("--pca", type=float, default=0.0, metavar="SHARE", help="of the variance that classifiers are given (default: 0, all numbers)")
    p.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return p


def main() -> int:
    """Run the command."""
    p = parser()
    options = p.parse_args()
    if options.work:
        work(options.work)
        return 0
    if min(options.items) < 100:
        p.error("--items: at least 100")
    print("| trial | items | cache on disk | anonymous memory at most | of it before the trial | declared for the trial | seconds |\n|---|---|---|---|---|---|---|")
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    for trial in options.trials:
        for n_items in options.items:
            with tempfile.TemporaryDirectory(prefix="bench_worker_memory_") as folder:
                spec, given = spec_of(trial, options.pca), Path(folder) / "given.json"
                given.write_text(json.dumps([spec, make_corpus(Path(folder), n_items, spec)]))
                command = [sys.executable, __file__, "--work", str(given)]
                done = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
                on_disk = sum(path.stat().st_size for path in Path(folder).rglob("rows.bin")) / MIB
            numbers = [f"{done[name]:,.0f} MiB" for name in ("mib", "began", "declared")]
            print(f"| {trial} | {n_items:,} | {on_disk:,.0f} MiB | {' | '.join(numbers)} | {done['seconds']:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
