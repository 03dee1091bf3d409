"""What happens inside a worker, whatever engine it belongs to: build the objective once, run trials, name their failures."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import TrialFailed
from search.trial import Objective, Snapshot, not_finite

#: (epoch, metrics) -> "continue" | "stop" | "pause"
Ask = Callable[[int, Mapping[str, float]], str]


@dataclass(frozen=True)
class Workplace:
    """What a worker needs to build its objective; plain data, so that it can be sent.

    Attributes
    ----------
    factory : str
        ``"package.module:function"``; called once with `task`.
    task : dict
        JSON-able; the search does not look inside.
    trials_dir : str
        Each trial writes below ``trials_dir/NNNN``.
    threads : int
        Threads a worker may use.
    """

    factory: str
    task: dict[str, Any]
    trials_dir: str
    threads: int = 1

    def workdir(self, number: int) -> str:
        """Folder of a trial's artifacts."""
        return str(Path(self.trials_dir) / f"{number:04d}")


@dataclass(frozen=True)
class Failure:
    """A trial that raised."""

    reason_code: str
    message: str


def available_cores() -> int:
    """Cores this process may use: fewer than the machine has, where a batch system or a container says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS cannot tell


def build_objective(place: Workplace) -> Objective:
    """Import the factory and build the objective, with thread pools bounded before any library makes them."""
    # Ray sets OMP_NUM_THREADS, but TensorFlow's pools do not read it.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(place.threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    module, _, function = place.factory.partition(":")
    return getattr(importlib.import_module(module), function)(place.task)


def run_trial(objective: Objective, spec: dict[str, Any], ask: Ask, workdir: str) -> dict[str, Any] | Failure:
    """Run one trial; an exception becomes a :class:`Failure`, so that one bad configuration never ends a worker."""

    def report(epoch: int, metrics: Mapping[str, float], snapshot: Snapshot) -> str:
        bad = not_finite(metrics)
        if bad is not None:
            raise TrialFailed("nan", f"{bad} is {metrics[bad]} at epoch {epoch}")
        return ask(epoch, metrics)

    try:
        return objective.run(spec, report, workdir=workdir)
    except MemoryError as error:
        return Failure("memory", _one_line(error) or "out of memory")
    except Exception as error:  # whatever a model or a library raises belongs to the trial, not to the search
        return Failure(getattr(error, "reason_code", "exception"), _one_line(error))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else text[:400] + " …"
    return text if hasattr(error, "reason_code") else f"{type(error).__name__}: {text}"
