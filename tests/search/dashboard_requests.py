"""Studies to show, and requests to show them with: straight to the WSGI application, as a hostile client would send them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.dashboard.app import make_app
from search.dashboard.folder_storage import FolderStorage
from search.dashboard.guard import Guard
from search.location import locate
from search.study import StudyOwner
from search.trial import End


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(app: Callable[..., Any], path: str, method: str = "GET", *, host: str = "localhost:8080", body: bytes = b"", **headers: str) -> Answer:
    """Send a request; `headers` as WSGI names them without HTTP_, such as ORIGIN."""
    place, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": place, "QUERY_STRING": query, "HTTP_HOST": host, "SERVER_NAME": "localhost", "SERVER_PORT": "8080",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http", "CONTENT_LENGTH": str(len(body)),
    } | {f"HTTP_{name}": value for name, value in headers.items()}  # fmt: skip
    if headers.get("CONTENT_TYPE"):
        environ["CONTENT_TYPE"] = headers["CONTENT_TYPE"]
    if not host:
        del environ["HTTP_HOST"]
    got: list[Any] = []
    chunks = app(environ, lambda status, sent, exc_info=None: got.extend([status, sent]))
    content = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    assert len({name.lower() for name, _ in got[1]}) == len(got[1]), "a header twice"
    return Answer(int(got[0].split()[0]), {name.lower(): value for name, value in got[1]}, content)


def make_study(studies_dir: Path, name: str, values: tuple[float, ...] = (0.4, 0.7, 0.6), family: str = "cnn", corpus: str = "gtzan", epochs: int = 3) -> None:
    """A study whose trials all had their full budget."""
    from optuna.distributions import FloatDistribution

    (studies_dir / name).mkdir(parents=True, exist_ok=True)
    owner = StudyOwner(locate(studies_dir, name), maximize=True, fingerprint={"objective": {"metric": "val_accuracy"}})
    owner.describe({"corpus": corpus})
    for number, value in enumerate(values):
        spec = {"family": family, "epochs": epochs, "seed": number, "params": {}}
        trial = owner.start(spec, {f"{family}/rate": (0.1 * (number % 9 + 1), FloatDistribution(0.0, 1.0))})
        for epoch in range(1, epochs + 1):
            owner.report(trial.number, epoch, value * epoch / epochs)
        outcome = {"value": value, "best_epoch": epochs, "epochs": epochs, "seconds": 2.5, "parameters": 1234, "interval": [value - 0.1, value + 0.1]}
        owner.finish(trial.number, End.FULL, value=value, outcome=outcome)
    owner.close()


def dashboard(studies_dir: Path, write: bool = False, storage: str | None = None) -> Guard:
    """The whole application, as the command puts it together for loopback."""
    return Guard(make_app(FolderStorage(studies_dir, storage, write), studies_dir, write), {"127.0.0.1"}, None, write)


def studies(app: Guard) -> dict[str, int]:
    """Numbers of the studies that are listed, by their names."""
    listed = json.loads(ask(app, "/api/studies").body)["study_summaries"]
    return {each["study_name"]: each["study_id"] for each in listed}


def detail(app: Guard, name: str) -> dict[str, Any]:
    """What the page of a study is told."""
    return json.loads(ask(app, f"/api/studies/{studies(app)[name]}").body)
