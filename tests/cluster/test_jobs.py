"""A search that is handed to the cluster as a Ray job."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import Desk, Run
from tests.postgres import VARIABLE, Server
from tests.search.conftest import ROOT, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("aiohttp_cors") is None, reason="Ray's job server is not installed: pip install -c constraints.txt -e '.[cluster]'"),
]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def submit(desk: Desk, name: str, *words: str) -> Run:
    """``ray job submit``, which follows the job's log until it is killed itself."""
    patience = json.dumps({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}})
    line = [*RAY, "job", "submit", f"--submission-id={name}", f"--runtime-env-json={patience}", "--", *words]
    return desk.run(line, desk.environment | {"RAY_API_SERVER_ADDRESS": desk.cluster.jobs_address})


def ask(desk: Desk, *words: str) -> str:
    """Another of ``ray job``'s commands."""
    environment = desk.environment | {"RAY_API_SERVER_ADDRESS": desk.cluster.jobs_address}
    return subprocess.run([*RAY, "job", *words], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True).stdout


def test_a_job_outlives_the_terminal_that_sent_it_and_its_workers_never_see_the_databases_url(
    desk: Desk, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = postgres.new_database(), desk.folder / "studies-url"
    kept.write_text(url)
    gate = desk.folder / "gate"
    command = desk.command({"gate": str(gate)}, storage=f"env:{VARIABLE}", trials=8)
    terminal = submit(desk, "night", "sh", "-c", f'{VARIABLE}="$(cat "$0")" exec "$@"', str(kept), *command)
    terminal.until(lambda: len(desk.nodes()) == 2)
    terminal.clean_up()
    workers = [p for node in desk.cluster.nodes[:2] for p in node.processes() if "Worker" in p.name()]
    assert len(workers) == 2 and all(VARIABLE not in Path(f"/proc/{p.pid}/environ").read_text() for p in workers)
    gate.touch()
    until(lambda: "succeeded" in ask(desk, "status", "night"), 60, lambda: ask(desk, "logs", "night"))

    monkeypatch.setenv(VARIABLE, url)
    desk.assert_sound(8)
    log = ask(desk, "logs", "night")
    assert "finished: None" in log and url not in log and terminal.process.returncode == -signal.SIGKILL
    sessions = Path(desk.environment["RAY_TMPDIR"], "ray", "session_latest")
    assert not [p for p in sessions.rglob("*") if p.is_file() and not p.is_symlink() and url.encode() in p.read_bytes()], "nor is it in Ray's logs"


def test_a_job_that_is_stopped_interrupts_its_trials_which_go_on_with_the_next(desk: Desk) -> None:
    trials_wanted = 40  # more than are done by the time that a slow machine has started `ray job stop`
    terminal = submit(desk, f"stopped-{os.getpid()}", *desk.command({"epoch_seconds": 0.5}, trials=trials_wanted))
    terminal.until(lambda: len(desk.places()) >= 6)
    ask(desk, "stop", f"stopped-{os.getpid()}")
    trials = desk.read().trials
    assert "interrupted" in [t.end for t in trials] and not [t for t in trials if t.end in ("orphan", "worker-lost") or t.state == "RUNNING"]
    again = desk.start({}, trials=trials_wanted)
    assert again.wait() == 0, again.text
    desk.assert_sound(trials_wanted)
