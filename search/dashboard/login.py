"""The token: who has shown it once gets a cookie that stands for it. The token itself is in no cookie, no log and, after the first request, in no URL."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from search.dashboard.responses import Environ, StartResponse, page, plain, redirect
from search.errors import SearchError
from search.location import STORAGE_PATTERN

#: A shorter one could be guessed.
SHORTEST = 16
_FORM_BYTES = 4096
_REMEDY = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Studies</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:20vh auto;padding:0 1rem}
input,button{font:inherit;padding:.4rem .6rem}input{width:100%%;box-sizing:border-box;margin:.5rem 0}</style>
<h1>Studies</h1><form method="post" action="/login"><label for="token">The token of this dashboard</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>%s<button>Show the studies</button></form></html>
"""


def read_token(source: str | None, file: Path | None) -> str | None:
    """The token as it was named on the command line: ``env:NAME``, or a file; None where neither is given.

    Raises
    ------
    SearchError
        If it can't be had, is too short, or was itself written on the command line, where every user of the machine can read it.
    """
    if source is not None and file is not None:
        raise SearchError("--token and --token-file: give one of them")
    if source is None and file is None:
        return None
    if source is not None:
        match = STORAGE_PATTERN.fullmatch(source)
        if match is None:
            raise SearchError("--token must be env:NAME, the environment variable that holds it: on the command line everybody on this machine could read it")
        told, token = f"--token {source}", os.environ.get(match[1])
        if token is None:
            raise SearchError(f"{told}: the variable {match[1]} is not set; {_REMEDY}, and export it")
    else:
        told = f"--token-file {file}"
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise SearchError(f"{told}: others may read it; run: chmod 600 {file}")
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SearchError(f"{told}: can't be read ({getattr(error, 'strerror', None) or error}); make one with: (umask 077; python -c 'import secrets; print(secrets.token_urlsafe())' > FILE)") from error
    token = token.strip()
    if len(token) < SHORTEST or not re.fullmatch(r"[!-~]+", token):
        raise SearchError(f"{told}: the token must be at least {SHORTEST} characters without spaces, found {len(token)}; {_REMEDY}")
    return token


class Login:
    """Ask for the token once, then know the browser by its cookie.

    Parameters
    ----------
    token : str
    port : int
        Part of the cookie's name: browsers keep one jar for all ports of a host.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token.encode()
        self._cookie_name = f"dashboard-{port}"
        self._cookie_value = hmac.new(self._token, b"session of the dashboard", hashlib.sha256).hexdigest()

    def knows(self, environ: Environ) -> bool:
        """True for a request with the cookie, or with the token as ``Authorization: Bearer``."""
        if "token" in dict(parse_qsl(environ.get("QUERY_STRING", ""))) or (environ["REQUEST_METHOD"] == "POST" and environ.get("PATH_INFO") == "/login"):
            return False  # seen to, and taken out of the URL, in any case
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(self._cookie_name)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._cookie_value.encode())

    def ask(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request that did not come with the cookie: let in who shows the token, show others the form."""
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        path = environ.get("PATH_INFO", "/")
        if environ["REQUEST_METHOD"] == "POST":
            form = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), _FORM_BYTES)).decode("utf-8", "replace")
            given, rest, path = dict(parse_qsl(form)).get("token"), [], "/"
        else:
            given, rest = dict(query).get("token"), [(key, value) for key, value in query if key != "token"]
        if given is not None and self._is_token(given):
            cookie = f"{self._cookie_name}={self._cookie_value}; Path=/; HttpOnly; SameSite=Strict"
            place = quote(path.encode("latin-1"), safe="/") + (f"?{urlencode(rest)}" if rest else "")
            return redirect(environ, start_response, place, [("Set-Cookie", cookie)])
        if path.startswith(("/api/", "/artifacts/", "/static/", "/csv/")):
            return plain(environ, start_response, "401 Unauthorized", "this dashboard wants its token", [("WWW-Authenticate", "Bearer")])
        wrong = "<p role=alert>That is not the token.</p>" if given is not None else ""
        return page(environ, start_response, _PAGE % wrong, "401 Unauthorized", [("WWW-Authenticate", "Bearer")])

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)
