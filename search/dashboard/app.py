"""The application behind the guard: a page of all studies, links by name, reports, and optuna-dashboard for the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from optuna_dashboard import wsgi

from search.dashboard.evidence import KINDS, NotListed
from search.dashboard.folder_storage import FolderStorage
from search.dashboard.note import in_brackets
from search.dashboard.responses import Environ, StartResponse, WsgiApp, content, page, plain, redirect
from search.dashboard.shown_study import ShownStudy
from search.errors import StudyError

#: What a file of a study may do in the browser: show itself. A report runs its own scripts, but in an origin of its own: it can read nothing here.
PASSED_ON_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:; font-src data:; worker-src blob:; connect-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_log = logging.getLogger(__name__)


def make_app(storage: FolderStorage, studies_dir: Path, write: bool) -> WsgiApp:
    """The application.

    Parameters
    ----------
    storage : FolderStorage
    studies_dir : Path
        As it is named on the page of all studies.
    write : bool
        As it is said there.
    """
    stock: Any = wsgi(storage, artifact_store=storage.store)
    stock.catchall = False  # what it stumbles over comes to us

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = _text(environ.get("PATH_INFO", ""))
        try:
            if path in ("", "/"):
                return page(environ, start_response, _index(storage, studies_dir, write))
            head, _, name = path.lstrip("/").partition("/")
            if head in ("study", "report"):
                found = next((shown for shown in storage.shown_studies() if shown.title == name.rstrip("/")), None)
                if found is None:
                    return plain(environ, start_response, "404 Not Found", "there is no study of that name")
                if head == "study":
                    return redirect(environ, start_response, f"/dashboard/studies/{found.number}")
                return _report(environ, start_response, found)
            return stock(environ, _sandboxed(start_response) if head == "artifacts" else start_response)
        except (KeyError, NotListed):
            return plain(environ, start_response, "404 Not Found", "there is no such study, trial or file")
        except Exception:  # one answer fails, in the log with its reason; the server goes on
            _log.exception("%s %s", environ["REQUEST_METHOD"], quote(path))
            return plain(environ, start_response, "500 Internal Server Error", "that went wrong; the dashboard's log says how")

    return app


def _text(path: str) -> str:
    """A path as WSGI has it, in letters."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _report(environ: Environ, start_response: StartResponse, shown: ShownStudy) -> Iterable[bytes]:
    file = shown.folder / "report.html"
    try:
        if not file.resolve(strict=True).is_relative_to(shown.folder.resolve()):
            raise FileNotFoundError
        body = file.read_bytes()
    except OSError:
        return plain(environ, start_response, "404 Not Found", "this study has no report yet")
    return content(environ, start_response, body, "text/html; charset=utf-8", headers=[("Content-Security-Policy", REPORT_POLICY), ("Cache-Control", "no-cache")])


def _sandboxed(start_response: StartResponse) -> StartResponse:
    """Files of studies are shown or played; what they hold never runs in the dashboard's origin."""

    def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        kinds = [value for name, value in headers if name.lower() == "content-type"]
        kept = [(name, value) for name, value in headers if name.lower() not in ("content-type", "content-security-policy")]
        kind = kinds[0] if kinds and (kinds[0] in KINDS.values() or not status.startswith("200")) else "application/octet-stream"
        return start_response(status, [*kept, ("Content-Type", kind), ("Content-Security-Policy", PASSED_ON_POLICY)], *([exc_info] if exc_info else []))

    return respond


# -- the page of all studies ---------------------------------------------------------------------------------------


def _index(storage: FolderStorage, studies_dir: Path, write: bool) -> str:
    rows = [_row(shown) for shown in storage.shown_studies()]
    rows += [{"title": name, "error": reason} for name, reason in storage.broken().items()]
    return _template().render(folder=studies_dir, write=write, rows=sorted(rows, key=lambda row: row["title"]))


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("index.html")


def _row(shown: ShownStudy) -> dict[str, Any]:
    try:
        standing = shown.standing()
    except StudyError as error:
        return {"title": shown.title, "error": str(error)}
    row: dict[str, Any] = {"title": shown.title, "number": shown.number, "corpus": standing.corpus, "metric": standing.metric, "caveat": standing.caveat}
    row["trials"] = sum(standing.counts.values())
    row["detail"] = ", ".join(f"{n} {state.lower()}" for state, n in sorted(standing.counts.items()))
    if standing.winner is not None:
        row |= {"winner": standing.winner.number, "family": standing.winner.family, "value": f"{standing.value:.3f}{in_brackets(standing.interval)}"}
        row["ties"] = len(standing.ties)
    try:
        metrics = standing.held_out or {}
        row["held_out"] = f"{metrics['accuracy']:.3f}{in_brackets(metrics['accuracy_ci95'])}"
        row["n_tracks"], looked_at = int(metrics["n_tracks"]), int(metrics["trial"])
        row["looked_at"] = None if standing.winner is not None and looked_at == standing.winner.number else looked_at
    except (KeyError, TypeError, ValueError):
        row["held_out"] = None
    if standing.has_report:
        row["report"] = f"/report/{quote(shown.title, safe='')}"
    return row
