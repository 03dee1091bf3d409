"""A call in a process of its own that is watched: how long it took and how much memory it came to. ``python -m tests.hostile.limited MODULE:FUNCTION ARGUMENT…``."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: More than this is never given; a test fails well before.
_HARD_BYTES = 6 << 30
SECONDS, MIB = 10.0, 1024


def run_limited(function: str, arguments: Sequence[str | Path], seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Call a function with each of the arguments, one after the other in one process.

    Returns
    -------
    list of dict
        For each ``result`` (as JSON), ``error`` (its class and text, or None), ``seconds``.

    Raises
    ------
    AssertionError
        A call took too long, or the process grew beyond a GiB or died.
    """
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.limited", function, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20 + seconds * len(arguments)
    )
    assert done.returncode == 0, f"the process died ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}"
    *told, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(arguments)
    for argument, each in zip(arguments, told, strict=True):
        assert each["seconds"] < seconds, (str(argument), each)
    assert last["peak_mib"] < MIB, last
    return told


def main() -> None:
    """Call, and print a line of JSON for each call, then what it came to."""
    resource.setrlimit(resource.RLIMIT_AS, (_HARD_BYTES, _HARD_BYTES))
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    for argument in sys.argv[2:]:
        started, error, result = time.monotonic(), None, None
        try:
            result = function(argument)
        except Exception as raised:  # told to the test, which knows which ones are allowed
            error = f"{type(raised).__name__}: {raised}"
        print(json.dumps({"result": result, "error": error, "seconds": round(time.monotonic() - started, 2)}, default=str), flush=True)
    print(json.dumps({"peak_mib": peak_mib()}))


def peak_mib() -> float:
    """The most this program has held. What getrusage tells counts the process that it was forked from too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
