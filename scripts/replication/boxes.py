"""Runs the trainings, several at a time, each row within its box of time; what is finished is not run again.

A row's box of M minutes on N cores is M x N minutes of processor time of its runs, so that other work on the machine does not make it smaller. When it is used
up, those under way are told to stop, which they do after their epoch, and those not begun are left: both count as cut, until a larger box is given. A run that was killed, with this
process or alone, goes on from its checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from genre_models.durable import write_text
from scripts.replication.runs import Corpus, Run

ROOT = Path(__file__).resolve().parents[2]
RECORD, SPACE, LOG = "replicated.json", "space.yaml", "replicate.log"
DONE, CUT, FAILED = "done", "cut", "failed"
_POLL_SECONDS = 0.25
#: After this long a run that was told to stop is killed; an epoch may take a while.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes
    ----------
    how : {"done", "cut", "failed"}
    minutes : float
        The box it had.
    seconds : float
        Of processor time, in the process that ended it.
    why : str
        Of one that failed: what its command said.
    """

    how: str
    minutes: float
    seconds: float
    why: str = ""


@dataclass
class _UnderWay:
    """A run's process."""

    run: Run
    process: subprocess.Popen
    seconds: float = 0.0  # of processor time, with its children's, when it was last looked at

    def look(self) -> float:
        """Processor time so far."""
        try:
            own = psutil.Process(self.process.pid)
            times = [own.cpu_times(), *(child.cpu_times() for child in own.children(recursive=True))]
            self.seconds = max(self.seconds, sum(each.user + each.system + each.children_user + each.children_system for each in times))
        except psutil.Error:
            return self.seconds  # it has ended, or a child has meanwhile
        return self.seconds


@dataclass
class _Box:
    """A row under way."""

    row: str
    waiting: list[Run] = field(default_factory=list)
    spent_seconds: float = 0.0  # by runs that have ended
    under_way: list[_UnderWay] = field(default_factory=list)
    is_over: bool = False


class Boxes:
    """Rows' runs, in order.

    Parameters
    ----------
    rows : sequence of (str, sequence of Run)
        In the order in which they are to run; a row may come several times and has one box.
    corpus : Corpus
    studies_dir : Path
    minutes : float
        Of each row, with all cores.
    at_once : int
        Runs at a time, a core each.
    tell : callable
        Gets a line for whoever watches.
    """

    def __init__(
        self, rows: Sequence[tuple[str, Sequence[Run]]], corpus: Corpus, studies_dir: Path, minutes: float, at_once: int, tell: Callable[[str], None]
    ) -> None:
        self._corpus, self._dir, self._minutes, self._at_once, self._tell = corpus, studies_dir, minutes, at_once, tell
        self._boxes = {row: _Box(row) for row, _ in rows}
        self._order: list[tuple[_Box, Run]] = []
        seen: set[str] = set()
        for row, runs in rows:
            for run in runs:
                if run.study in seen:
                    continue
                seen.add(run.study)
                if not is_settled(studies_dir, run, minutes):
                    self._boxes[row].waiting.append(run)
                    self._order.append((self._boxes[row], run))
                elif (ended := ending_of(studies_dir, run)) is not None:
                    self._boxes[row].spent_seconds += ended.seconds
        self._begun = time.monotonic()

    def run(self) -> None:
        """Run all; leaves no process behind however it ends."""
        if self._order:
            self._tell(f"{len(self._order)} runs to do, {self._at_once} at a time, at most {self._minutes:g} minutes for each row")
        try:
            while any(box.waiting or box.under_way for box in self._boxes.values()):
                self._collect()
                self._close()
                self._fill()
                time.sleep(_POLL_SECONDS)
        finally:
            for box in self._boxes.values():
                for each in box.under_way:
                    _end(each.process)

    def _fill(self) -> None:
        free = self._at_once - sum(len(box.under_way) for box in self._boxes.values())
        for box, run in self._order:
            if free > 0 and run in box.waiting:
                box.waiting.remove(run)
                box.under_way.append(_UnderWay(run, self._start(run)))
                free -= 1

    def _start(self, run: Run) -> subprocess.Popen:
        folder = self._dir / run.study
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / SPACE, run.space(self._corpus))
        command = [sys.executable, "-m", "search.run", "--space", str(folder / SPACE), "--study", run.study, "--studies-dir", str(self._dir)]
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with (folder / LOG).open("w", encoding="utf-8") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})

    def _collect(self) -> None:
        for box in self._boxes.values():
            for each in list(box.under_way):
                each.look()
                if each.process.poll() is None:
                    continue
                box.under_way.remove(each)
                box.spent_seconds += each.seconds
                how = DONE if each.process.returncode == 0 else CUT if box.is_over else FAILED
                self._record(each.run, box, how, each.seconds)

    def _close(self) -> None:
        for box in self._boxes.values():
            spent = box.spent_seconds + sum(each.seconds for each in box.under_way)
            if box.is_over or spent < 60 * self._minutes * self._at_once:
                continue
            box.is_over = True
            for each in box.under_way:
                each.process.send_signal(signal.SIGTERM)
            for run in box.waiting:
                self._record(run, box, CUT, 0.0)
            box.waiting.clear()

    def _record(self, run: Run, box: _Box, how: str, seconds: float) -> None:
        folder = self._dir / run.study
        folder.mkdir(parents=True, exist_ok=True)
        why = _last_words(folder / LOG) if how == FAILED else ""
        record = {"ended": how, "minutes": self._minutes, "seconds": round(seconds, 1), "why": why}
        write_text(folder / RECORD, json.dumps(record) + "\n")
        left = sum(len(each.waiting) + len(each.under_way) for each in self._boxes.values())
        took, since = f"{seconds / 60:.1f} core-minutes", (time.monotonic() - self._begun) / 60
        self._tell(f"[{since:.1f} min] {box.row}: {run.study} {how}, {took}{': ' + why if why else ''}; {left} left")


def is_settled(studies_dir: Path, run: Run, minutes: float) -> bool:
    """Whether there is nothing to run: it is done, or was cut by no smaller a box than this."""
    ended = ending_of(studies_dir, run)
    return ended is not None and (ended.how == DONE or ended.how == CUT and ended.minutes >= minutes)


def ending_of(studies_dir: Path, run: Run) -> Ended | None:
    """How a run ended; None where it did not yet."""
    try:
        told = json.loads((studies_dir / run.study / RECORD).read_text(encoding="utf-8"))
        return Ended(told["ended"], told["minutes"], told["seconds"], told["why"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or half a one: it is run again
        return None


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")[:300]


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
