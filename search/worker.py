"""What happens inside a worker, whatever engine it belongs to: build the objective once, run trials, name their failures."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search.depot import DepotError, is_url, open_depot, split_name
from search.errors import SearchError, TrialFailed
from search.scratch import scratch
from search.trial import Decision, End, Objective, Snapshot, end_of, not_finite
from search.trial_cost import CostMeter, size_of

#: (epoch, metrics) -> "continue" | "save" | "stop" | "pause"
Ask = Callable[[int, Mapping[str, float]], str]
#: Told of each checkpoint that was written on the way, or could not be.
Saved = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Needed:
    """A folder or a file that a task names by its path, and that workers open.

    Attributes
    ----------
    keys : tuple of str
        Where in the task the path stands: ``("cache_dir",)``, ``("places", "/weights.h5")``.
    inside : tuple of str
        What of the folder is needed, as far as it is there: names of folders in it; all where none are named. Nothing of a file.
    """

    keys: tuple[str, ...]
    inside: tuple[str, ...] = ()


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
        A path or a URL; each trial writes below ``trials_dir/NNNN``.
    threads : int or None
        Threads a worker may use; None leaves that to the backend, which takes all cores.
    gpus : bool
        Whether it may use a GPU. Ray gives trials GPUs, but hides none from those that were given none, and a backend takes all that it sees.
    needs : tuple of Needed
        What the task names that must be on the worker's machine.
    """

    factory: str
    task: dict[str, Any]
    trials_dir: str
    threads: int | None = 1
    gpus: bool = True
    needs: tuple[Needed, ...] = ()

    def workdir(self, number: int) -> str:
        """Path or URL of a trial's artifacts."""
        return f"{self.trials_dir.rstrip('/')}/{number:04d}"


@dataclass(frozen=True)
class Errand:
    """One trial, or the rest of one, as it is handed to a worker; plain data. Places are paths or URLs.

    Attributes
    ----------
    number : int
    spec : dict
    workdir : str
        Folder of the trial's artifacts.
    checkpoints : str
        Folder below which ``EPOCH/`` is written when the trial is to pause, or to save on its way.
    resume : str or None
        Folder of the checkpoint to go on from.
    """

    number: int
    spec: dict[str, Any]
    workdir: str
    checkpoints: str
    resume: str | None = None


@dataclass(frozen=True)
class Failure:
    """A trial that raised, and what it cost until then."""

    reason_code: str
    message: str
    cost: dict[str, Any] = field(default_factory=dict)


def available_cores() -> int:
    """Cores this process may use: fewer than the machine has, where a batch system or a container says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS cannot tell


def build_objective(place: Workplace) -> Objective:
    """Import the factory and build the objective, with thread pools bounded and GPUs hidden before any library makes or takes them."""
    # Ray sets OMP_NUM_THREADS, but TensorFlow's pools do not read it.
    if place.threads is not None:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(place.threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    if not place.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    module, _, function = place.factory.partition(":")
    return getattr(importlib.import_module(module), function)(place.task)


def run_trial(objective: Objective, errand: Errand, ask: Ask, saved: Saved | None = None) -> dict[str, Any] | Failure:
    """Run one trial; an exception becomes a :class:`Failure`, so that one bad configuration never ends a worker.

    A checkpoint is ``{"epoch", "folder", "bytes", "seconds"}``, the folder relative to that of all checkpoints; or ``{"error"}`` where it could
    not be written; what writing took is a phase of the outcome, ``checkpoint``; `saved` also gets ``leg``, the seconds of this leg until then. The outcome of a trial that was told to pause has the checkpoint itself
    under that name; one that was told to save hands it to `saved` and goes on: the objective sees "continue". A checkpoint that can't be read costs its epochs, not the trial. Artifacts that can't be brought to their URL
    cost nothing else; the outcome then says why (``artifacts_error``). What the trial took is in the outcome's ``cost`` (`search.trial_cost`), and
    ``disk_bytes`` is the size of its artifacts.
    """
    with CostMeter() as meter:
        result = _attempt(objective, errand, ask, saved)
    if isinstance(result, Failure):
        return replace(result, cost=meter.cost)
    return result | {"cost": meter.cost}


def _attempt(objective: Objective, errand: Errand, ask: Ask, saved: Saved | None) -> dict[str, Any] | Failure:
    written: dict[str, Any] = {}
    last, answer, saving_seconds, fit_seconds, started = 0, Decision.CONTINUE, 0.0, 0.0, time.perf_counter()
    since = started

    def report(epoch: int, metrics: Mapping[str, float], snapshot: Snapshot) -> str:
        nonlocal last, answer, saving_seconds, fit_seconds, since
        bad = not_finite(metrics)
        if bad is not None:
            raise TrialFailed("nan", f"{bad} is {metrics[bad]} at epoch {epoch}")
        if metrics:  # what the objective says of an epoch's seconds counts; of one that says nothing, what went by since the report before
            metrics = {"seconds": time.perf_counter() - since, **metrics}
        fit_seconds += metrics.get("seconds", time.perf_counter() - since)
        answer = ask(epoch, metrics)
        since = time.perf_counter()
        last = epoch if metrics else last
        if answer not in (Decision.PAUSE, Decision.SAVE):
            return answer
        # At a beat the epoch is one of a further part: it must not take the name of an earlier checkpoint.
        name = f"{epoch:04d}" if metrics else f"{last:04d}-{epoch:04d}"
        began = time.perf_counter()
        checkpoint = write_checkpoint(errand.checkpoints, name, epoch, snapshot)
        saving_seconds += time.perf_counter() - began
        if answer == Decision.PAUSE:
            written["checkpoint"] = checkpoint
            return answer
        if saved is not None:
            leg = {"seconds": time.perf_counter() - started, "fit_seconds": fit_seconds}
            saved(checkpoint if "error" in checkpoint else {**checkpoint, "leg": leg})
        since = time.perf_counter()
        return Decision.CONTINUE

    try:
        with _at_hand(errand) as (workdir, resume):
            try:
                outcome = objective.run(errand.spec, report, workdir=workdir, resume=resume)
            except Exception as error:
                if resume is None or getattr(error, "reason_code", None) != "snapshot":
                    raise
                outcome = objective.run(errand.spec, report, workdir=workdir, resume=None)
            if answer not in (Decision.STOP, Decision.PAUSE) or _is_whole(outcome, errand.spec):  # of one that was stopped nobody keeps them
                written["disk_bytes"] = size_of(workdir)
                written |= _hand_in(workdir, errand.workdir) if workdir != errand.workdir else {}
        return {**outcome, **_phases(outcome, saving_seconds), **written}
    except MemoryError as error:
        return Failure("memory", _one_line(error) or "out of memory")
    except Exception as error:  # whatever a model or a library raises belongs to the trial, not to the search
        return Failure(getattr(error, "reason_code", "exception"), _one_line(error))


def _is_whole(outcome: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """True of a trial that may win, though its last report was answered with an end that came too late."""
    return end_of(outcome, End.PRUNED, spec["epochs"]) in (End.FULL, End.EARLY_STOP)


def _phases(outcome: Mapping[str, Any], saving_seconds: float) -> dict[str, Any]:
    """The outcome's phases with ``checkpoint``, which for the objective was part of reporting; nothing where it tells none."""
    if "phases" not in outcome:
        return {}
    phases = {"report": 0.0, **outcome["phases"]}
    return {"phases": phases | {"report": max(0.0, phases["report"] - saving_seconds), "checkpoint": saving_seconds}}


@contextmanager
def _at_hand(errand: Errand) -> Iterator[tuple[str, str | None]]:
    """Folders on this machine: for the trial's artifacts, and with the checkpoint to go on from, None where it can't be had."""
    with ExitStack() as stack:
        workdir = str(stack.enter_context(scratch("trials"))) if is_url(errand.workdir) else errand.workdir
        resume = errand.resume
        if resume is not None and is_url(resume):
            root, name = split_name(resume)
            try:
                resume = str(stack.enter_context(open_depot(root).reading(name)))
            except DepotError:
                resume = None  # as one that can't be read
        yield workdir, resume


def _hand_in(folder: str, place: str) -> dict[str, str]:
    """Bring artifacts from a scratch folder to their URL; ``{"artifacts_error"}`` where that fails."""
    root, name = split_name(place)
    try:
        open_depot(root).put(Path(folder), name)
    except (DepotError, OSError) as error:
        return {"artifacts_error": _one_line(error)}
    return {}


def write_checkpoint(place: str, name: str, epoch: int, snapshot: Snapshot) -> dict[str, Any]:
    """Let the objective write its state into a folder of that name, which is whole or absent; a full disk costs the checkpoint, not the trial.

    Parameters
    ----------
    place : str
        Path or URL of the folder of all of the trial's checkpoints.
    name : str
    epoch : int
    snapshot : callable
        ``snapshot(folder)``.
    """
    started = time.perf_counter()
    try:
        with open_depot(place).writing(name) as folder:
            snapshot(str(folder))
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except MemoryError:
        raise
    except Exception as error:  # a framework has words of its own for a full disk, and what a snapshot raises is no fault of the configuration
        return {"error": _one_line(error)}
    return {"epoch": epoch, "folder": f"{split_name(place)[1]}/{name}", "bytes": size, "seconds": time.perf_counter() - started}


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else text[:400] + " …"
    return text if hasattr(error, "reason_code") or isinstance(error, SearchError) else f"{type(error).__name__}: {text}"
