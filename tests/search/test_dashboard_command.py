"""The dashboard's command: what can't be served, and a server that is really asked."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.search.dashboard_requests import make_study

ROOT = Path(__file__).parents[2]


def test_what_can_not_be_served_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from search.dashboard.command import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["--studies-dir", str(tmp_path), "--port", port]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"port {port}" in error and "--port" in error
    for arguments, told in [
        (["--host", "0.0.0.0"], "a token is needed"),
        (["--host", "::"], "a token is needed"),
        (["--studies-dir", str(tmp_path / "none")], "no such folder"),
        (["--token", "in-the-clear-is-not-good"], "must be env:NAME"),
        (["--token", "env:NOT_SET_HERE"], "the variable NOT_SET_HERE is not set"),
        (["--studies-dir", str(tmp_path), "--port", "99999"], "between 0 and 65535"),
        (["--studies-dir", str(tmp_path), "--storage", "postgresql://u:p@h/d"], "must be env:NAME"),
    ]:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and told in error and "in-the-clear" not in error


@pytest.mark.slow
def test_a_real_server_answers_and_ends_cleanly(tmp_path: Path) -> None:
    make_study(tmp_path, "s")
    with subprocess.Popen(
        [sys.executable, "-m", "search.dashboard", "--studies-dir", str(tmp_path), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background of a shell ignores Ctrl-C, and so would this
    ) as server:
        try:
            line = server.stdout.readline()
            url = line.split()[1]
            assert url.startswith("http://127.0.0.1:") and "read-only" in line
            with urllib.request.urlopen(f"{url}api/studies", timeout=10) as answer:
                assert b'"study_name": "s"' in answer.read() and answer.headers["X-Frame-Options"] == "DENY"
            port = int(url.split(":")[2].strip("/"))
            for raw, status in [
                (b"DELETE /api/studies/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
                (b"GET /api/studies HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
                (b"GET /api/studies HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
                (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
                (b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", b"413"),
                (b"GET /static/../../../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"40"),
                (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
            ]:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    client.sendall(raw)
                    got = client.recv(200)
                assert got.split(b" ", 1)[1].startswith(status), (raw[:60], got)
        finally:
            started = time.monotonic()
            server.send_signal(signal.SIGINT)
            out, told = server.communicate(timeout=20)
    assert server.returncode == 0 and told == "" and time.monotonic() - started < 10
