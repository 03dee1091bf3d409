"""A real PostgreSQL server for tests, by the project's own script: loopback only, with passwords."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "postgres.sh"
#: With everything in it that URLs, templates, shells and configuration files take for their own.
PASSWORD = "Zaunkönig@7/{x}:%41#?&'\"$ +"
#: The variable that tests put a database's URL in.
VARIABLE = "STUDIES_DB"


class Server:
    """A running server; its databases belong to a role that is no superuser."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._admin_url = _run("start", folder).strip()
        self._databases = 0
        self.execute("CREATE ROLE driver LOGIN PASSWORD '" + PASSWORD.replace("'", "''") + "'")

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return self._admin_url.partition("@")[2].partition("/")[0]

    def new_database(self) -> str:
        """URL of a new, empty database."""
        self._databases += 1
        name = f"studies_{self._databases}"
        self.execute(f"CREATE DATABASE {name} OWNER driver")
        return self.url(name)

    def url(self, database: str, password: str = PASSWORD, address: str | None = None) -> str:
        """URL of a database for the role that is no superuser."""
        return f"postgresql+psycopg://driver:{quote(password, safe='')}@{address or self.address}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as superuser; its rows."""
        import psycopg

        url = self._admin_url.replace("+psycopg", "").rpartition("/")[0]
        with psycopg.connect(f"{url}/{database}", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def listen(self, address: str, network: str) -> None:
        """Answer on one more address too, to whoever is on that network and has a password."""
        ((hba,),) = self.execute("SHOW hba_file")
        with Path(hba).open("a") as file:
            file.write(f"host all all {network} scram-sha-256\n")
        self.execute(f"ALTER SYSTEM SET listen_addresses = '127.0.0.1,{address}'")
        self.restart()

    def restart(self, mode: str = "fast") -> None:
        """``immediate`` is a crash and a recovery."""
        _run("restart", self.folder, mode)

    def stop(self) -> None:
        _run("stop", self.folder)

    def start(self) -> None:
        _run("start", self.folder)


def _run(*arguments: object) -> str:
    # Into a file, not a pipe: the server inherits it and would keep a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run([str(SCRIPT), *map(str, arguments)], stdout=output, stderr=subprocess.STDOUT, timeout=60)
        output.seek(0)
        text = output.read()
    if done.returncode:
        raise RuntimeError(text)
    return text


@contextmanager
def running_server() -> Iterator[Server]:
    """A server for the length of the block; skips where none can be had."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the package psycopg is not installed: pip install -e '.[postgresql]'")
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user, who must get there
        place = Path(folder) / "cluster"
        try:
            server = Server(place)
        except RuntimeError as error:
            pytest.skip(f"PostgreSQL can't be started here: {error}")
        try:
            yield server
        finally:
            _run("stop", place, "immediate")
