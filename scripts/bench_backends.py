"""Keras' backends side by side: the same configurations, tracks, seed and epochs, in turn; seconds of an epoch, and as a ratio to TensorFlow's.

    python scripts/bench_backends.py --data gtzan:DIR

Each backend that is installed has a process of its own, alive throughout; in each round every one trains every configuration once, so that what else the
machine does meets all of them. Told are medians over the rounds, and of the ratios within a round the median, smallest and largest. The first epoch stands
apart: networks are traced or compiled in it. Memory is anonymous memory, the largest seen after a training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that it runs from a checkout, installed or not

from genre_models.framework import BACKENDS, DEFAULT_BACKEND, missing_backend
from scripts.ending import exit_code_of

CONFIGURATIONS = {
    "cnn, batch norm, dropout": {"depth": 3, "filters": 16, "kernel": 3},
    "cnn, kernel 5, flat head": {"depth": 2, "filters": 16, "kernel": 5, "batch_norm": False, "head": "flatten", "dense_units": 64},
    "cnn, masks, mixup": {"depth": 3, "filters": 16, "spec_augment": True, "mixup": 0.2},
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python scripts/bench_backends.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default="demo", metavar="SOURCE")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="whose cache is used (default: ./studies)")
    p.add_argument("--epochs", type=int, default=6, metavar="N", help="of each training, the first apart (default: 6)")
    p.add_argument("--rounds", type=int, default=5, metavar="N", help="trainings of each configuration on each backend (default: 5)")
    p.add_argument("--side", type=int, default=64, metavar="PIXELS", help="side of images, and mel bands (default: 64)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of each training (default: 1)")
    p.add_argument("--child", choices=tuple(BACKENDS), help=argparse.SUPPRESS)
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    if options.child is not None:
        return serve(options.child)
    return exit_code_of(lambda: compare(options), stopped="stopped; nothing was kept")


def compare(options: argparse.Namespace) -> int:
    """Let all backends train in turn, and print what it took."""
    from genre_models.errors import GenreModelsError

    if options.epochs < 2 or options.rounds < 1 or options.threads < 1:
        raise GenreModelsError("--epochs must be 2 or more, --rounds and --threads 1 or more")
    task, specs, told = _work(options)
    missing = [note for note in map(missing_backend, BACKENDS) if note]
    backends = [name for name in BACKENDS if missing_backend(name) is None]
    print(told, *(f"left out: {note}" for note in missing), sep="\n", flush=True)
    children = {name: Child(name, task | {"backend": name, "threads": options.threads}) for name in backends}
    try:
        took: dict[str, dict[str, list[dict[str, float]]]] = {name: {each: [] for each in backends} for name in CONFIGURATIONS}
        for _ in range(options.rounds):
            for name, spec in specs.items():
                for backend in backends:
                    took[name][backend].append(children[backend].ask(spec | {"backend": backend}))
        _tell(took, {name: child.ready for name, child in children.items()})
    finally:
        for child in children.values():
            child.end()
    return 0


def _work(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, dict[str, Any]], str]:
    """The task, the specification of each configuration, and both in words."""
    from genre_models.families import FAMILIES
    from genre_models.prepare import open_task
    from genre_models.settings import DataSettings, FeatureSettings

    features = FeatureSettings(image_size=(options.side, options.side), n_mels=options.side, hop_length=1024, clip_seconds="auto")
    data = open_task(DataSettings(source=options.data), {"cnn": features}, 0, options.studies_dir.expanduser().resolve() / ".cache")
    data.prepare_features()
    task = data.task({"metric": "val_accuracy", "direction": "maximize"}, {"gflops": None, "memory_mib": None})
    common = {"family": "cnn", "features": data.features["cnn"], "epochs": options.epochs, "seed": 1, "precision": "float32", "retry_of": None}
    specs = {name: common | {"params": FAMILIES["cnn"].defaults() | change} for name, change in CONFIGURATIONS.items()}
    told = f"{data.corpus.name}: {len(data.split.train)} training and {len(data.split.validation)} validation tracks, float32, {options.threads} thread(s), "
    return task, specs, f"{told}{options.rounds} rounds of {options.epochs} epochs; {_load()}"


def _load() -> str:
    one, five, _ = os.getloadavg()
    return f"load of the machine before: {one:.1f} in the last minute, {five:.1f} in five, on {os.cpu_count()} cores"


class Child:
    """A backend's process.

    Attributes
    ----------
    ready : dict
        ``seconds`` until Keras was there, and ``mib``.
    """

    def __init__(self, backend: str, task: dict[str, Any]) -> None:
        words = [sys.executable, __file__, "--child", backend]
        self._backend = backend
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
        self.ready = self.ask(task)

    def ask(self, given: dict[str, Any]) -> dict[str, float]:
        """Hand over one line, and wait for the answer."""
        from genre_models.errors import GenreModelsError

        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise GenreModelsError(f"the process of {self._backend} ended (exit code {self._process.wait()}); what it said stands above")
        return json.loads(answer)

    def end(self) -> None:
        """Let the process end: there is nothing more to read for it."""
        self._process.stdin.close()
        self._process.wait()


def serve(backend: str) -> int:
    """A child: the task on the first line of standard input, then a specification a line; an answer to each on standard output."""
    from genre_models.objective import build
    from search.process_memory import anonymous_mib

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers

    def tell(answer: dict[str, float]) -> None:
        answers.write(json.dumps(answer | {"mib": anonymous_mib()}) + "\n")
        answers.flush()

    started = time.perf_counter()
    objective = build(json.loads(sys.stdin.readline()))
    tell({"seconds": time.perf_counter() - started})
    for line in sys.stdin:
        outcome = objective.run(json.loads(line), lambda epoch, metrics, snapshot: "continue")
        first, *others = (epoch["seconds"] for epoch in outcome["history"])
        tell({"first": first, "epoch": statistics.median(others), "value": outcome["value"]})
    return 0


def _tell(took: dict[str, dict[str, list[dict[str, float]]]], ready: dict[str, dict[str, float]]) -> None:
    for backend, answer in ready.items():
        print(f"{backend}: Keras there after {answer['seconds']:.1f} s, {answer['mib']:.0f} MiB")
    print(f"\n| configuration | backend | s/epoch | of {DEFAULT_BACKEND}'s (smallest to largest) | first epoch, s | memory, MiB | validation |\n|---|---|---|---|---|---|---|")
    for name, by_backend in took.items():
        for backend, rounds in by_backend.items():
            ratios = [mine["epoch"] / theirs["epoch"] for mine, theirs in zip(rounds, by_backend[DEFAULT_BACKEND], strict=True)]
            median = {key: statistics.median(each[key] for each in rounds) for key in ("epoch", "first", "value")}
            print(
                f"| {name} | {backend} | {median['epoch']:.3f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {median['first']:.2f} "
                f"| {max(each['mib'] for each in rounds):.0f} | {median['value']:.3f} |"
            )
    print(f"\n{_load().replace('before', 'after')}")


if __name__ == "__main__":
    sys.exit(main())
