"""Answers of our own, and the types of WSGI (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


def plain(environ: Environ, start_response: StartResponse, status: str, text: str, headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    """A line of text."""
    return content(environ, start_response, f"{text}\n".encode(), "text/plain; charset=utf-8", status, headers)


def page(environ: Environ, start_response: StartResponse, html: str, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    """A page, which no cache keeps."""
    return content(environ, start_response, html.encode(), "text/html; charset=utf-8", status, [("Cache-Control", "no-store"), *headers])


def content(
    environ: Environ, start_response: StartResponse, body: bytes, kind: str, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    """Some bytes of a media type."""
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def redirect(environ: Environ, start_response: StartResponse, path: str, headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    """Send the browser to another path of this dashboard; two slashes at its beginning would be another machine's name."""
    place = "/" + path.lstrip("/\\")
    return plain(environ, start_response, "303 See Other", f"see {place}", [("Location", place), ("Cache-Control", "no-store"), *headers])
