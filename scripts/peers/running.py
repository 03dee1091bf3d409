"""One engine's run, from the command to the line that is kept of it; the command is watched from outside and knows nothing of that."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from scripts.peers import environment
from scripts.peers.curves import best_at, improvements
from scripts.peers.engines import Engine
from scripts.peers.process_tree import MEMORY, ProcessTree
from scripts.peers.study_facts import facts_of
from scripts.peers.survival import survived
from scripts.peers.watching import StudyWatch
from search.errors import SearchError

LOOK_SECONDS = 0.5  # between two looks at the database
TREE_SECONDS = 3.0  # between two looks at the processes and their memory: a look takes some milliseconds a process
#: What a run may take beyond its minutes: start, the trial that is still finished, the report.
GRACE_SECONDS = 900
_PR_SET_PDEATHSIG = 1  # of Linux' prctl


@dataclass(frozen=True)
class Run:
    """What is to be measured.

    Attributes
    ----------
    engine : Engine
    seed : int
    minutes : float
        Of the search, as the command is told; what counts are these from the command on, whatever of them it takes to get ready.
    space : Path
        As the engine gets it.
    space_name : str
        As lines name it.
    source, corpus : str
        Where the corpus is, and what lines call it.
    cores : tuple of int
        That the command may use, with all that it starts.
    studies_dir : Path
    killed : bool
        Whether everything is killed at half time, and the command started again.
    """

    engine: Engine
    seed: int
    minutes: float
    space: Path
    space_name: str
    source: str
    corpus: str
    cores: tuple[int, ...]
    studies_dir: Path
    killed: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """What tells its line from others (`records.KEY`)."""
        told = {"engine": self.engine.name, "seed": self.seed, "minutes": self.minutes, "space": self.space_name, "corpus": self.corpus}
        return told | {"cores": len(self.cores), "killed": self.killed}

    @property
    def study(self) -> str:
        """Name of its study: of its own, so that nothing is gone on with."""
        return f"{self.engine.name}-{self.seed}-{self.minutes:g}{'-killed' if self.killed else ''}".replace(".", "_")

    def command(self, minutes: float) -> list[str]:
        """The command's words."""
        return self.engine.command(self.space, self.source, self.study, self.studies_dir, minutes, self.seed)


@dataclass
class Watched:
    """What was seen of a command from its start to its end."""

    wall_seconds: float
    returned: int | None  # None: it was killed
    peak_mib: float
    processes: int
    bystander_seconds: float


def measure(run: Run) -> dict[str, Any]:
    """Run it, and return its line, without the score on folds.

    Raises
    ------
    SearchError
        The command failed, or did not end; the message has the end of its log. Of a run that is killed only where the first command failed: that
        the second did is what was to be found out.
    """
    folder = run.studies_dir / run.study
    _put_aside(folder)  # left over from a measurement that was cut short: a run is measured whole or not at all
    load, log = environment.load(), run.studies_dir / f"{run.study}.log"
    line = run.key | {"precision": run.engine.changes["precision"], "load_before": load, "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    line |= {"versions": environment.versions(), "machine": environment.machine(), "revision": environment.revision(), "memory": MEMORY}
    line |= {"space_sha256": space_hash(run.space)}
    watch = StudyWatch(folder / "study.db", time.monotonic())
    if run.killed:
        line |= _killed_and_again(run, watch, log)
    else:
        watched = _watched(run, run.command(run.minutes), watch, log, 60 * run.minutes + GRACE_SECONDS)
        _require_end(watched, log)
        line |= _told(watched)
    return line | _facts(run, watch, line["wall_seconds"])


def _told(watched: Watched) -> dict[str, Any]:
    told = {"wall_seconds": round(watched.wall_seconds, 2), "peak_mib": round(watched.peak_mib, 1), "processes": watched.processes}
    return told | {"beside": round(watched.bystander_seconds / watched.wall_seconds, 4)}


def _facts(run: Run, watch: StudyWatch, wall_seconds: float) -> dict[str, Any]:
    """What the study says: the curve, epochs, trials, seconds of training, the winner."""
    facts = facts_of(run.studies_dir, run.study, watch, 60 * run.minutes, was_killed=run.killed)
    points = [(round(at, 2), round(value, 6)) for at, value in facts.pop("points")]  # Keras' scores are in float32: 0.2 is more than 0.2 then
    curve = improvements(points, facts["maximize"])
    workers = len(run.cores) if run.engine.trials_at_once else 1
    available = workers * wall_seconds
    training = facts["training_seconds"]
    told = {"curve": curve, "best": best_at(curve, 60 * run.minutes), "workers": workers}
    return facts | told | {"overhead_seconds": None if training is None else round(available - training, 1)}


def _watched(run: Run, words: list[str], watch: StudyWatch, log: Path, limit_seconds: float, kill_after: float | None = None) -> Watched:
    """Start the command and look at it until it ends, or until it is killed: after `kill_after` seconds, once it has trained an epoch."""
    began, last_look = time.monotonic(), 0.0
    already = len(watch.seen)
    with log.open("a") as out:
        out.write(f"$ {' '.join(words)}\n")
        out.flush()
        process = subprocess.Popen(words, cwd=environment.ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_confined_to(run.cores))
    tree = ProcessTree(process.pid)
    try:
        while process.poll() is None:
            watch.look()
            seconds = time.monotonic() - began
            if seconds - last_look >= TREE_SECONDS:
                tree.look()
                last_look = seconds
            is_due = kill_after is not None and seconds >= kill_after and len(watch.seen) > already
            if is_due or seconds > limit_seconds:
                tree.kill()
                process.wait()
                return Watched(time.monotonic() - began, None, tree.peak_mib, tree.most, tree.bystanders.seconds)
            time.sleep(LOOK_SECONDS)
        wall_seconds = time.monotonic() - began
    finally:
        tree.kill()  # whoever is left over, and all where this process is to end
        process.wait()
        watch.look()
    return Watched(wall_seconds, process.returncode, tree.peak_mib, tree.most, tree.bystanders.seconds)


def _confined_to(cores: Collection[int]) -> Callable[[], None]:
    """What the command's process does before it becomes the command: take its cores, and ask to be killed should this process be."""
    if not hasattr(os, "sched_setaffinity"):
        raise SearchError("cores can't be given to a command on this system: measure on Linux")
    libc = ctypes.CDLL(None)

    def confine() -> None:
        os.sched_setaffinity(0, cores)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return confine


def _require_end(watched: Watched, log: Path) -> None:
    if watched.returned != 0:
        how = f"did not end within {GRACE_SECONDS:g} seconds of its time" if watched.returned is None else f"ended with exit code {watched.returned}"
        raise SearchError(f"{log}: the command {how}:\n{log.read_text(errors='replace')[-2000:]}")


def _killed_and_again(run: Run, watch: StudyWatch, log: Path) -> dict[str, Any]:
    """SIGKILL to everything at half time, then the same command again, for what is left of the time."""
    half = 30 * run.minutes
    first = _watched(run, run.command(run.minutes), watch, log, 60 * run.minutes + GRACE_SECONDS, kill_after=half)
    _require_end(replace(first, returned=first.returned or 0), log)
    if first.returned is not None:
        raise SearchError(f"{log}: the command ended after {first.wall_seconds:.0f} s, before it could be killed: give it more minutes")
    states, before = watch.states(), list(watch.seen)
    left = run.minutes if run.engine.total_minutes else max(0.01, run.minutes - first.wall_seconds / 60)
    second = _watched(run, run.command(left), watch, log, 60 * run.minutes + GRACE_SECONDS)
    after = watch.seen[len(before) :]
    kept = survived(before, states, after, watch.states(), watch.specs())
    error = None if second.returned == 0 else (log.read_text(errors="replace").strip().splitlines() or [""])[-1][:300]
    kept |= {"second_run": second.returned, "error": error, "killed_after_seconds": round(first.wall_seconds, 1)}
    taken_over = {number for number, spec in watch.specs().items() if spec.get("retry_of") is not None}
    started = next((seen.seconds for seen in after if not (seen.came_with_trial and seen.number in taken_over)), None)
    kept["seconds_to_next_epoch"] = None if started is None else round(started - first.wall_seconds, 1)
    peak, most = max(first.peak_mib, second.peak_mib), max(first.processes, second.processes)
    both = Watched(first.wall_seconds + second.wall_seconds, None, peak, most, first.bystander_seconds + second.bystander_seconds)
    return _told(both) | {"survival": kept}


def space_hash(space: Path) -> str:
    """Of what a space file says, as an engine gets it, but for what the command line or the engine's own name decides."""
    said = yaml.safe_load(space.read_text(encoding="utf-8"))
    kept = {key: value for key, value in said.items() if key in ("data", "features", "objective", "budget", "resources", "families")}
    kept["data"] = {key: value for key, value in kept.get("data", {}).items() if key != "source"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _put_aside(folder: Path) -> None:
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-left-{time.time_ns()}"))
