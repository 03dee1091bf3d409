"""An objective that follows a curve instead of training: what the engine's tests and benchmarks run.

It is named by an import string like any other (``tests.search.scripted:build``), so it runs in real Ray workers.
"""

from __future__ import annotations

import math
import os
import time
import zlib
from pathlib import Path
from typing import Any

from tests.search import misbehaviour


def curve(quality: float, epoch: int) -> float:
    """What a trial of that quality scores after an epoch."""
    return quality * (1 - math.exp(-epoch / 3))


class Scripted:
    """Value after epoch e: ``quality * (1 - exp(-e / 3))``; `task` can make it misbehave.

    A snapshot is a file with the epoch in it; a resumed trial goes on after that epoch. Folds repeat the curve, each a little lower.

    task keys: ``epoch_seconds``; ``nan_widths``, ``nan_at``: configurations, or the epoch, whose value is NaN; ``memory_widths``: configurations that run out of memory; ``misbehave``: "nan", "raise", "memory" or "die" (the first ``times`` times, counted in the file ``deaths``);
    ``at_once``: families that report once; ``log``: a file to which every epoch is appended as ``pid seed epoch``; ``full_disk``: snapshots can't be written;
    ``snapshot_mib``: size of a snapshot; ``leak_mib``: kept after each trial; faults of `tests.search.misbehaviour` at an epoch: ``hang``, ``hog`` (with
    ``mib``), ``kill``, ``kill_in_snapshot``.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task

    def run(self, spec: dict[str, Any], report: Any, *, workdir: str | None = None, resume: str | None = None) -> dict[str, Any]:
        params, history, epoch = spec["params"], [], 0
        best, best_epoch, stopped_early, answer = -math.inf, 0, False, "continue"
        started = time.monotonic()
        if spec["family"] in self._task.get("at_once", ()):
            return self._at_once(spec, report)
        first, part_under_way = (1, 1) if resume is None else self._read(resume)
        for epoch in range(1, spec["epochs"] + 1):
            value = self._value(params, epoch)
            history.append({"epoch": epoch, "val_accuracy": value})
            if value > best:
                best, best_epoch = value, epoch
            if epoch < first or part_under_way > 1:
                if self._stops_early(params, epoch, best_epoch):
                    stopped_early = True
                    break
                continue
            time.sleep(self._task.get("epoch_seconds", 0.0))
            self._log(spec, epoch)
            self._misbehave(spec, epoch)
            answer = report(epoch, {"val_accuracy": value, "loss": 1 - value}, lambda folder, epoch=epoch: self._write(folder, epoch, 1, spec["seed"]))
            if answer != "continue":
                break
            if self._stops_early(params, epoch, best_epoch):
                stopped_early = True
                break
        scores, wanted = [best], spec.get("folds", 1) * spec.get("repeats", 1)
        scores += [best - 0.001 * part for part in range(2, part_under_way)]
        if answer == "continue" and wanted > 1 and stopped_early and part_under_way == 1:
            answer = report(spec["epochs"], {"val_accuracy": best}, lambda folder: self._write(folder, spec["epochs"], 2))
        while answer == "continue" and len(scores) < wanted:
            part = len(scores) + 1
            for beat in (1, 2):
                time.sleep(self._task.get("epoch_seconds", 0.0))
                self._log(spec, 100 * part + beat)
                answer = report(beat, {}, lambda folder, part=part: self._write(folder, 1, part))
                if answer != "continue":
                    break
            if answer == "continue":
                scores.append(best - 0.001 * part)
                step = spec["epochs"] + part - 1
                answer = report(step, {"val_accuracy": sum(scores) / part}, lambda folder, step=step, part=part: self._write(folder, step, part + 1))
        if workdir:
            Path(workdir).mkdir(parents=True, exist_ok=True)
            (Path(workdir) / "curve.csv").write_text("epoch\n")
        value = sum(scores) / len(scores)
        if "leak_mib" in self._task:
            misbehaviour.leak(self._task["leak_mib"])
        return {
            "value": value, "best_epoch": best_epoch, "epochs": epoch, "stopped_early": stopped_early, "history": history,
            "interval": [value - 0.1, value + 0.1], "parameters": 10, "seconds": time.monotonic() - started, "n_validation": 100,
            "parts": len(scores), "parts_wanted": wanted, "scores": scores,
        }  # fmt: skip

    def _at_once(self, spec: dict[str, Any], report: Any) -> dict[str, Any]:
        """A family without epochs: one report, at the full budget."""
        value, epochs = spec["params"]["quality"], spec["epochs"]
        self._log(spec, epochs)
        report(epochs, {"val_accuracy": value, "loss": 1 - value}, lambda folder: self._write(folder, epochs, 1))
        return {
            "value": value, "best_epoch": 1, "epochs": epochs, "stopped_early": False, "history": [{"epoch": epochs, "val_accuracy": value}],
            "interval": [value - 0.1, value + 0.1], "parameters": 10, "seconds": 0.0, "n_validation": 100,
        }  # fmt: skip

    def _stops_early(self, params: dict[str, Any], epoch: int, best_epoch: int) -> bool:
        return bool(params.get("patience")) and epoch - best_epoch >= params["patience"]

    def _misbehave(self, spec: dict[str, Any], epoch: int) -> None:
        for kind, commit in (("hang", misbehaviour.hang), ("hog", lambda: misbehaviour.hog(self._task["hog"]["mib"])), ("kill", misbehaviour.die)):
            if misbehaviour.is_due(self._task.get(kind), spec["seed"], epoch):
                commit()

    def _write(self, folder: str, epoch: int, part: int, seed: int = -1) -> None:
        if self._task.get("full_disk"):
            raise OSError(28, "No space left on device")
        Path(folder).mkdir(parents=True, exist_ok=True)
        if "snapshot_mib" in self._task:
            due = misbehaviour.is_due(self._task.get("kill_in_snapshot"), seed, epoch)
            misbehaviour.write_large(Path(folder) / "state", self._task["snapshot_mib"], due)
        text = f"{epoch} {part}"
        (Path(folder) / "epoch").write_text(f"{text} {zlib.crc32(text.encode())}")

    def _read(self, folder: str) -> tuple[int, int]:
        """The next epoch of the first part, and the part that was under way."""
        try:
            epoch, part, check = map(int, (Path(folder) / "epoch").read_text().split())
            if zlib.crc32(f"{epoch} {part}".encode()) != check:
                raise ValueError(f"{folder}: is not as it was written")
            return epoch + 1, part
        except (OSError, ValueError) as error:
            error.reason_code = "snapshot"
            raise

    def _value(self, params: dict[str, Any], epoch: int) -> float:
        kind = self._task.get("misbehave")
        if kind == "nan" or params["width"] in self._task.get("nan_widths", ()) or epoch == self._task.get("nan_at"):
            return math.nan
        if kind == "raise":
            raise ValueError("scripted to fail")
        if kind == "memory" or params["width"] in self._task.get("memory_widths", ()):
            raise MemoryError("scripted")
        if kind == "die":
            deaths = Path(self._task["deaths"])
            with deaths.open("a") as handle:
                handle.write("x")
            if deaths.stat().st_size <= self._task["times"]:
                os.kill(os.getpid(), 9)
        return curve(params["quality"], epoch) if not params.get("patience") else params["quality"]

    def _log(self, spec: dict[str, Any], epoch: int) -> None:
        if "log" in self._task:
            with open(self._task["log"], "a") as handle:
                handle.write(f"{os.getpid()} {spec['seed']} {epoch}\n")


def build(task: dict[str, Any]) -> Scripted:
    """The objective factory. Task keys: ``sees`` is a file that gets the GPUs which are to be seen here; ``unbuilt`` one that counts, and how often it fails first."""
    if "sees" in task:
        Path(task["sees"]).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    if "unbuilt" in task:
        file, times = task["unbuilt"]
        with open(file, "a") as counted:
            counted.write(".")
        if len(Path(file).read_text()) <= times:
            raise ImportError("no module named magic")
    return Scripted(task)
