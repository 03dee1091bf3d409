"""Ends what a killed driver leaves of its Ray, at once: ``python ray_watchman.py PID:STARTED …``. Run as a file, with the standard library alone.

Ray's agents notice that their node process is gone, and then try for a minute to tell a head that is gone too; Ray has no setting for that. This
process holds the reading end of a pipe whose other end only the driver has, so whatever ends the driver ends the wait.
"""

from __future__ import annotations

import os
import signal
import sys


def started_at(pid: int) -> str | None:
    """When a process began, in the system's ticks, so that a number that was given again is not taken for it; None if there is none.

    Source: proc_pid_stat(5), field 22; the name in field 2 may hold spaces and brackets.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def main(watched: list[str]) -> None:
    """Wait for the end of the driver, then kill those of its processes that are left."""
    sys.stdin.buffer.read()
    for word in watched:
        pid, _, started = word.partition(":")
        if started_at(int(pid)) == started:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    main(sys.argv[1:])
