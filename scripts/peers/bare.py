"""One trial of ours, or a bare Keras `fit` of the same model, timed in a process of its own.

    python -m scripts.peers.bare ours --configuration small --space FILE --data SOURCE --studies-dir DIR

Both train the same configuration on the same arrays, batch size and number of epochs, with the same number of threads, from a seed. It is done twice in the
process: a worker has trained before, except once. The last line that is printed is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

#: Parameters that are not the family's defaults: a small, a middling and a large network of spaces/cnn.yaml.
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "small": {"depth": 2, "filters": 8, "filter_growth": 1.0, "kernel": 3, "batch_size": 32},
    "middle": {"depth": 3, "filters": 16, "filter_growth": 1.3, "kernel": 5, "batch_size": 32, "dropout": 0.2},
    "large": {"depth": 4, "filters": 32, "filter_growth": 1.6, "kernel": 5, "batch_size": 32, "dense_units": 128, "dropout": 0.2, "spec_augment": True},
}
_PLAIN = {"optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "early_stopping": False}
#: Times that each is trained in one process.
TIMES = 2


def ours(opened: Any, spec: dict[str, Any]) -> Callable[[], list[float]]:
    """What trains one trial of ours and returns the seconds of its epochs."""
    from genre_models.objective import build

    objective = build(opened.task)
    objective.data(spec).features(())  # the corpus is in memory, as in a worker after its first trial

    def train() -> list[float]:
        return [row["seconds"] for row in objective.run(spec, lambda epoch, metrics, snapshot: "continue")["history"]]

    return train


def bare(opened: Any, spec: dict[str, Any], *, with_callbacks: bool = False) -> Callable[[], list[float]]:
    """What builds the same model, fits it as Keras' documentation shows, and returns the seconds of its epochs.

    A trial of ours also measures batch statistics before each validation and keeps the best weights; with callbacks `fit` does the former, too.
    """
    from genre_models.compiled import compiled, fit_arrays
    from genre_models.objective import build

    data = build(opened.task).data(spec)
    arrays = fit_arrays(data)
    made_of = {name: spec[name] for name in ("epochs", "seed", "precision")}

    def train() -> list[float]:
        clock = _clock()
        made = compiled(spec["family"], spec["params"], data, **made_of)
        callbacks = [clock, *(made.callbacks if with_callbacks else ())]
        made.model.fit(**made.fit_arguments, **arrays, epochs=spec["epochs"], callbacks=callbacks, verbose=0)
        return clock.seconds

    return train


def _clock() -> Any:
    """A Keras callback that has the seconds of each epoch."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self._began)

    return Clock()


#: What is compared: our trial; `fit`; `fit` that measures batch statistics as ours does.
KINDS: dict[str, Callable[..., Callable[[], list[float]]]] = {"ours": ours, "bare": bare, "callbacks": partial(bare, with_callbacks=True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--configuration", choices=CONFIGURATIONS, required=True)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(o.threads), "OMP_NUM_THREADS": str(o.threads), "TF_NUM_INTEROP_THREADS": "1"}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(json.dumps(timings(KINDS[o.kind], o.space, o.data, o.studies_dir.resolve(), o)))
    return 0


def timings(kind: Callable[..., Callable[[], list[float]]], space: Path, source: str | None, studies_dir: Path, o: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each training, from building the network to the end, and of a middling epoch after its first."""
    from genre_models.families import FAMILIES
    from scripts.peers.opened import open_space

    opened = open_space(space, source, o.seed, studies_dir)
    params = FAMILIES["cnn"].defaults() | _PLAIN | CONFIGURATIONS[o.configuration]
    train = kind(opened, opened.spec("cnn", params, o.seed, o.precision, o.epochs))
    told = []
    for _ in range(TIMES):
        began = time.perf_counter()
        epochs = train()
        told.append({"seconds": round(time.perf_counter() - began, 4), "epoch_seconds": round(statistics.median(epochs[1:] or epochs), 4)})
    return {"first": told[0], "again": told[-1]}


if __name__ == "__main__":
    from scripts.ending import exit_code_of

    sys.exit(exit_code_of(main, stopped="stopped"))
