"""Mixed bfloat16 beside float32: the same configurations, data, seed and epochs, in turn; time ratio and validation difference.

    python scripts/bench_precision.py --data gtzan:DIR

Where the processor has no bfloat16 in hardware (flags avx512_bf16 or amx_bf16), `precision: auto` is float32, and this
shows why.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

CONFIGURATIONS = (
    {"depth": 3, "filters": 16, "filter_growth": 1.5, "kernel": 3, "learning_rate": 2e-3},
    {"depth": 4, "filters": 16, "filter_growth": 1.6, "kernel": 3, "learning_rate": 2e-3},
    {"depth": 3, "filters": 12, "filter_growth": 1.5, "kernel": 5, "learning_rate": 2e-3},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"), help="whose cache is used")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    from genre_models.families import FAMILIES
    from genre_models.objective import build, resolve_precision
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    features = FeatureSettings(image_size=(64, 64), n_mels=64, hop_length=1024, clip_seconds="auto")
    data = open_task(DataSettings(source=options.data), {"cnn": features}, 0, options.studies_dir.resolve() / ".cache")
    data.prepare_features()
    objective = build(data.task({"metric": "val_accuracy", "direction": "maximize"}, {"gflops": None, "memory_mib": None}))
    print(f"{data.corpus.name}, {len(data.split.train)} training tracks, {options.epochs} epochs, one thread; auto is {resolve_precision('auto')} here")
    print("| configuration | float32 s/epoch | bfloat16 s/epoch | ratio | val float32 | val bfloat16 | difference |")
    print("|---|---|---|---|---|---|---|")
    for change in CONFIGURATIONS:
        spec = {"family": "cnn", "params": FAMILIES["cnn"].defaults() | change, "features": data.features["cnn"], "epochs": options.epochs}
        spec |= {"seed": 1, "retry_of": None}
        took, best = {}, {}
        for precision in ("float32", "bfloat16"):
            outcome = objective.run(spec | {"precision": precision}, lambda epoch, metrics, snapshot: "continue")
            took[precision] = statistics.median(epoch["seconds"] for epoch in outcome["history"][1:])
            best[precision] = outcome["value"]
        told = ", ".join(f"{name} {value}" for name, value in change.items())
        ratio = took["bfloat16"] / took["float32"]
        print(
            f"| {told} | {took['float32']:.2f} | {took['bfloat16']:.2f} | {ratio:.2f} "
            f"| {best['float32']:.3f} | {best['bfloat16']:.3f} | {best['bfloat16'] - best['float32']:+.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
