"""The meter of a machine as those see it who started it: a process of its own (`search.node_meter`), and what it has told so far."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Any

import search
from search.energy_section import EnergySettings
from search.node_meter import ProcessorTime
from search.trial_cost import meters

#: Seconds between readings: what is lost with a driver that is killed, besides what the study had not yet written.
READING_SECONDS = 2.0
#: A search that is over within this is not measured; most that end so soon have nothing to do.
_DELAY_SECONDS = 1.0
#: The last reading is waited for so long.
_LAST_SECONDS = 2.0


class Meter:
    """Starts a meter soon, in the background, and hands over what it says.

    Parameters
    ----------
    settings : EnergySettings
    roots : collection of int, optional
        Processes that are measured, with all below them; this one if none are given.
    delay_seconds : float, optional
        Until the meter is started; by default a second.
    """

    def __init__(self, settings: EnergySettings, roots: Collection[int] = (), delay_seconds: float | None = None) -> None:
        roots = list(roots) or [os.getpid()]
        self._told: deque[dict[str, Any]] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_begun = False
        self._closing = threading.Event()
        self._settings = {
            "roots": roots,
            "before": ProcessorTime(roots).read(),
            "seconds": READING_SECONDS,
            "country": settings.country_iso_code,
            "cpu_watts": settings.cpu_watts,
            "ram_watts": settings.ram_watts,
        }
        self._delay_seconds = _DELAY_SECONDS if delay_seconds is None else delay_seconds
        self._thread = threading.Thread(target=self._run, name="energy-meter", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._closing.wait(self._delay_seconds):
            return
        root = str(Path(search.__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
        command = [sys.executable, "-P", "-m", "search.node_meter", json.dumps(self._settings)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        except OSError as error:
            self._told.append({"error": str(error)})
            return
        meters.add(process.pid)
        self._process = process
        if self._closing.is_set():
            process.kill()
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                self._has_begun = self._has_begun or "how" in said or "error" in said
                self._told.append(said)
        code = process.wait()
        meters.discard(process.pid)
        if not self._has_begun and not self._closing.is_set():
            self._told.append({"error": f"its process ended with {code}"})

    def take(self) -> list[dict[str, Any]]:
        """What it has said since this was asked last."""
        said = []
        while self._told:
            said.append(self._told.popleft())
        return said

    def watch(self, pids: Collection[int]) -> None:
        """Measure these processes too, from now on."""
        if self._process is not None and pids:
            with contextlib.suppress(OSError):
                self._process.stdin.write(f"{' '.join(map(str, sorted(pids)))}\n".encode())
                self._process.stdin.flush()

    def close(self) -> None:
        """Let it read once more, and end it; afterwards `take` has all."""
        self._closing.set()
        process = self._process
        if process is not None and self._has_begun:
            with contextlib.suppress(OSError):
                process.stdin.close()
            self._thread.join(_LAST_SECONDS)
        if process is not None and process.poll() is None:  # still at CodeCarbon's start, which nobody waits for
            process.kill()
        self._thread.join(_LAST_SECONDS)
