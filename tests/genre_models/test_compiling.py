"""Two processes must not compile into one cache at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from genre_models.features.compiling import compiling_alone
for turn in range(2):
    with compiling_alone():
        began = time.time()
        time.sleep(0.4)
        print(turn, began, time.time())
"""


def test_first_turns_of_processes_do_not_overlap(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [line.split() for process in started for line in process.communicate(timeout=60)[0].splitlines()]
    assert len(lines) == 6
    first = sorted((float(began), float(ended)) for turn, began, ended in lines if turn == "0")
    assert all(earlier[1] <= later[0] for earlier, later in zip(first, first[1:], strict=False))


def test_a_process_that_dies_in_it_lets_go(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    dead = subprocess.Popen([sys.executable, "-c", PROGRAM.replace("0.4", "60")], cwd=ROOT, env=environment)
    while not list(tmp_path.glob("genre-search-compiling-*")):
        time.sleep(0.02)
    dead.kill()
    dead.wait()
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 2
