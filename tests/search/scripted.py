"""An objective that follows a curve instead of training: what the engine's tests and benchmarks run.

It is named by an import string like any other (``tests.search.scripted:build``), so it runs in real Ray workers.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any


class Scripted:
    """Value after epoch e: ``quality * (1 - exp(-e / 3))``; `task` can make it misbehave.

    task keys: ``epoch_seconds``; ``misbehave``: "nan", "raise", "memory" or "die" (the first ``times`` times, counted in the file ``deaths``);
    ``log``: a file to which every epoch is appended as ``pid seed epoch``.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task

    def run(self, spec: dict[str, Any], report: Any, *, workdir: str | None = None, resume: str | None = None) -> dict[str, Any]:
        params, history, value, epoch = spec["params"], [], 0.0, 0
        best, best_epoch, stopped_early = -math.inf, 0, False
        started = time.monotonic()
        for epoch in range(1, spec["epochs"] + 1):
            time.sleep(self._task.get("epoch_seconds", 0.0))
            self._log(spec, epoch)
            value = self._value(params, epoch)
            history.append({"epoch": epoch, "val_accuracy": value})
            if value > best:
                best, best_epoch = value, epoch
            answer = report(epoch, {"val_accuracy": value, "loss": 1 - value}, lambda folder: None)
            if answer == "stop":
                break
            if params.get("patience") and epoch - best_epoch >= params["patience"]:
                stopped_early = True
                break
        if workdir:
            Path(workdir).mkdir(parents=True, exist_ok=True)
            (Path(workdir) / "curve.csv").write_text("epoch\n")
        return {
            "value": best, "best_epoch": best_epoch, "epochs": epoch, "stopped_early": stopped_early, "history": history,
            "interval": [best - 0.1, best + 0.1], "parameters": 10, "seconds": time.monotonic() - started, "n_validation": 100,
        }  # fmt: skip

    def _value(self, params: dict[str, Any], epoch: int) -> float:
        kind = self._task.get("misbehave")
        if kind == "nan":
            return math.nan
        if kind == "raise":
            raise ValueError("scripted to fail")
        if kind == "memory":
            raise MemoryError("scripted")
        if kind == "die":
            deaths = Path(self._task["deaths"])
            with deaths.open("a") as handle:
                handle.write("x")
            if deaths.stat().st_size <= self._task["times"]:
                os.kill(os.getpid(), 9)
        quality = params["quality"]
        return quality * (1 - math.exp(-epoch / 3)) if not params.get("patience") else quality

    def _log(self, spec: dict[str, Any], epoch: int) -> None:
        if "log" in self._task:
            with open(self._task["log"], "a") as handle:
                handle.write(f"{os.getpid()} {spec['seed']} {epoch}\n")


def build(task: dict[str, Any]) -> Scripted:
    """The objective factory."""
    return Scripted(task)
