"""Who may ask the dashboard for what. A WSGI middleware; knows requests, no studies.

optuna-dashboard has no login and lets whoever reaches it delete studies, a page of another site included: the browser of the user does reach it. So here,
in this order: the Host must be one of ours (a name that was rebound to 127.0.0.1 is not), the request must not come from another site, the method must be
one that is allowed, and where there is a token it must be known.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

from search.dashboard.login import Login
from search.dashboard.responses import Environ, StartResponse, WsgiApp, content, plain

#: The stock application's policy, and what it leaves open. WebGL of its parallel coordinates needs unsafe-eval; no script in a page or an attribute runs.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-eval'; "
    "connect-src 'self'; object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
)
#: Bytes of the longest note, and what surrounds it, that may be sent.
BODY_BYTES = 1 << 20
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
#: All that may be written: notes.
_NOTES = re.compile(r"/api/studies/[0-9]+(/[0-9]+)?/note")
_READING = ("GET", "HEAD")


def is_loopback(name: str) -> bool:
    """True for a name or address that only this machine can reach."""
    try:
        return ipaddress.ip_address(name.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def split_host(text: str) -> tuple[str, str] | None:
    """(name in lower case and without brackets, port or "") of a Host header or the same part of a URL; None where it is neither."""
    found = _HOST.fullmatch(text)
    return None if found is None else (found[1].strip("[]").lower(), found[2] or "")


class Guard:
    """Let through to `app` what is allowed.

    Parameters
    ----------
    app : WSGI application
    names : collection of str
        Host names by which the dashboard may be addressed, besides this machine's loopback ones.
    login : Login, optional
        Asks for the token; None where there is none.
    write : bool
        Whether notes may be changed.
    any_address : bool
        Whether a Host that is a plain IP address will do: where the dashboard listens beyond loopback. No name is resolved for one, so none can be rebound.
    """

    def __init__(self, app: WsgiApp, names: Collection[str] = (), login: Login | None = None, write: bool = False, any_address: bool = False) -> None:
        self._app, self._login, self._write, self._any_address = app, login, write, any_address
        self._names = {name.strip("[]").lower() for name in names}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # the stock application fails without one
        respond = _with_headers(start_response)
        refusal = self._refusal(environ)
        if refusal is not None:
            status, text, more = refusal
            if environ.get("PATH_INFO", "").startswith("/api/"):  # the page shows the reason
                return content(environ, respond, json.dumps({"reason": text}).encode(), "application/json", status, more)
            return plain(environ, respond, status, text, more)
        if self._login is not None and not self._login.knows(environ):
            return self._login.ask(environ, respond)
        return self._app(environ, respond)

    def _refusal(self, environ: Environ) -> tuple[str, str, list[tuple[str, str]]] | None:
        host = split_host(environ.get("HTTP_HOST", ""))
        if host is None:
            return "400 Bad Request", "the request does not say, in one Host header, whom it is for", []
        if not self._is_ours(host[0]):
            told = f"this dashboard does not answer to the name {host[0]}; if it is to, start it with --allow-host {host[0]}"
            return "421 Misdirected Request", told, []
        if self._is_foreign(environ, host):
            return "403 Forbidden", "the request comes from a page of another site", []
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method in _READING or (method == "POST" and path == "/login" and self._login is not None):
            return self._too_large(environ)
        if method != "PUT" or not self._write or not _NOTES.fullmatch(path):
            told = "notes may be written here, nothing else: trials belong to the search"
            return "405 Method Not Allowed", told if self._write else "this dashboard only shows; with --write notes may be written", [("Allow", "GET, HEAD")]
        if not _says_same_origin(environ, host):
            return "403 Forbidden", "a request that writes must say that it comes from this dashboard (Origin or Sec-Fetch-Site)", []
        return self._too_large(environ)

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name) or name in self._names:
            return True
        try:
            return self._any_address and ipaddress.ip_address(name) is not None
        except ValueError:
            return False

    @staticmethod
    def _is_foreign(environ: Environ, host: tuple[str, str]) -> bool:
        """True where a browser says that another site's page asks; a link that the user follows from there is none of that."""
        if "HTTP_ORIGIN" in environ and not _is_origin(environ["HTTP_ORIGIN"], host):
            return True
        if environ.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin"):
            return False
        followed = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("HTTP_SEC_FETCH_DEST") == "document"
        return not (followed and environ["REQUEST_METHOD"] in _READING)

    @staticmethod
    def _too_large(environ: Environ) -> tuple[str, str, list[tuple[str, str]]] | None:
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > BODY_BYTES:
            return "413 Content Too Large", f"at most {BODY_BYTES} bytes may be sent", []
        return None


def _is_origin(origin: str, host: tuple[str, str]) -> bool:
    """Whether an Origin is the one that the request is sent to; a proxy in front may have made https of it."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.path or parts.query:
        return False
    found = split_host(parts.netloc)
    return found is not None and found == host


def _says_same_origin(environ: Environ, host: tuple[str, str]) -> bool:
    if "HTTP_ORIGIN" in environ:
        return _is_origin(environ["HTTP_ORIGIN"], host)
    return environ.get("HTTP_SEC_FETCH_SITE") == "same-origin"


def _with_headers(start_response: StartResponse) -> StartResponse:
    """Put the security headers on an answer, and take off those that would let other sites read it."""
    fixed = {name.lower() for name, _ in HEADERS}

    def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-") and name.lower() not in fixed]
        own = [(name, value) for name, value in kept if name.lower() == "content-security-policy"]
        if not any(value.startswith("sandbox") for _, value in own):  # stricter ones, of pages that the dashboard only passes on, stay
            kept = [pair for pair in kept if pair not in own] + [("Content-Security-Policy", CONTENT_POLICY)]
        return start_response(status, [*kept, *HEADERS], exc_info) if exc_info else start_response(status, [*kept, *HEADERS])

    return respond
