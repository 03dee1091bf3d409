"""The dashboard's guard and its login, asked by hostile clients."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from search.dashboard.guard import BODY_BYTES, Guard
from search.dashboard.login import Login, read_token
from search.errors import SearchError
from tests.search.dashboard_requests import ask

TOKEN = "correct-horse-battery-staple"


class Inside:
    """What is guarded; counts who got through."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Access-Control-Allow-Origin", "*"), ("X-Frame-Options", "ALLOWALL")])
        return [b"inside"]


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "127.0.0.1:9000", "127.8.9.1", "[::1]", "[::1]:8080", "Studies.Example:80"])
def test_own_names_are_answered(inside: Inside, host: str) -> None:
    assert ask(Guard(inside, {"studies.example"}), "/", host=host).body == b"inside"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.7", "[::2]", "0x7f000001", "localhost@evil.example", "evil.example:8080"]
)
def test_foreign_names_are_not(inside: Inside, host: str) -> None:
    """A page whose name was rebound to 127.0.0.1 reaches the port, with its own name in Host."""
    assert ask(Guard(inside), "/api/studies", host=host).status in (400, 421)
    assert inside.seen == []


@pytest.mark.parametrize("host", ["", "localhost,evil.example", "localhost:8080:80", "localhost/x", "[::1", "local host"])
def test_a_host_header_that_is_none(inside: Inside, host: str) -> None:
    assert ask(Guard(inside), "/", host=host).status == 400
    assert inside.seen == []


def test_beyond_loopback_plain_addresses_will_do_but_no_names(inside: Inside) -> None:
    guard = Guard(inside, any_address=True)
    assert ask(guard, "/", host="192.168.1.7:8080").status == ask(guard, "/", host="[fe80::1]").status == 200
    assert ask(guard, "/", host="evil.example").status == 421


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X"])
@pytest.mark.parametrize("path", ["/api/studies/1", "/api/studies/1/note", "/login", "/"])
def test_read_only_lets_nothing_but_reading_through(inside: Inside, method: str, path: str) -> None:
    answer = ask(Guard(inside), path, method)
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"
    assert inside.seen == []


@pytest.mark.parametrize(
    "headers",
    [
        {"ORIGIN": "https://evil.example"},
        {"ORIGIN": "null"},
        {"ORIGIN": "http://localhost:8081"},
        {"ORIGIN": "http://localhost:8080.evil.example"},
        {"ORIGIN": "http://[::1"},
        {"SEC_FETCH_SITE": "cross-site"},
        {"SEC_FETCH_SITE": "same-site", "SEC_FETCH_MODE": "no-cors", "SEC_FETCH_DEST": "image"},
        {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate", "SEC_FETCH_DEST": "iframe"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_pages_of_other_sites_get_nothing(inside: Inside, headers: dict[str, str], method: str) -> None:
    assert ask(Guard(inside, write=True), "/api/studies/1/note", method, **headers).status == 403
    assert inside.seen == []


def test_a_link_from_elsewhere_may_be_followed(inside: Inside) -> None:
    headers = {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate", "SEC_FETCH_DEST": "document"}
    assert ask(Guard(inside), "/dashboard", **headers).status == 200
    assert ask(Guard(inside, write=True), "/api/studies/1/note", "PUT", **headers).status == 403


def test_with_write_notes_may_be_written_from_our_own_page_and_nothing_else(inside: Inside) -> None:
    guard = Guard(inside, write=True)
    own = {"ORIGIN": "http://localhost:8080"}
    assert ask(guard, "/api/studies/12/note", "PUT", body=b"{}", **own).status == 200
    assert ask(guard, "/api/studies/12/345/note", "PUT", body=b"{}", SEC_FETCH_SITE="same-origin").status == 200
    assert ask(guard, "/api/studies/12/note", "PUT", body=b"{}").status == 403  # a browser would have said whence
    for method, path in [("DELETE", "/api/studies/12"), ("POST", "/api/studies"), ("POST", "/api/studies/12/rename"), ("POST", "/api/trials/3/tell"), ("PUT", "/api/studies/12/note/x")]:
        assert ask(guard, path, method, **own).status == 405
    assert inside.seen == [("PUT", "/api/studies/12/note"), ("PUT", "/api/studies/12/345/note")]


def test_too_much_is_not_read(inside: Inside) -> None:
    guard = Guard(inside, write=True)
    assert ask(guard, "/api/studies/1/note", "PUT", body=bytes(BODY_BYTES + 1), ORIGIN="http://localhost:8080").status == 413
    assert ask(guard, "/", body=bytes(BODY_BYTES + 1)).status == 413
    assert inside.seen == []


def test_answers_carry_security_headers_and_none_that_opens_them(inside: Inside) -> None:
    for guard, path in ((Guard(inside), "/"), (Guard(inside, login=Login(TOKEN, 80)), "/")):
        headers = ask(guard, path).headers
        assert "access-control-allow-origin" not in headers
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "script-src 'self' 'unsafe-eval';" in policy


# -- the token -----------------------------------------------------------------------------------------------------


def cookie_of(guard: Guard) -> str:
    return ask(guard, f"/?token={TOKEN}").headers["set-cookie"]


def test_without_the_token_nothing_is_shown(inside: Inside) -> None:
    guard = Guard(inside, login=Login(TOKEN, 8080))
    for path in ("/", "/dashboard", "/api/studies", "/static/bundle.js", "/?token=", "/?token=wrong-wrong-wrong-wrong", "/?token=%00%ff"):
        assert ask(guard, path).status == 401
    assert ask(guard, "/", COOKIE="dashboard-8080=nonsense").status == 401
    assert ask(guard, "/", COOKIE="dashboard-8080=ä; =;;").status == 401
    assert ask(guard, "/", AUTHORIZATION=f"Bearer {TOKEN}x").status == 401
    assert inside.seen == []


def test_the_token_leaves_the_url_and_the_cookie_stands_for_it(inside: Inside) -> None:
    guard = Guard(inside, login=Login(TOKEN, 8080))
    answer = ask(guard, f"/dashboard/studies/3?x=1&token={TOKEN}&y=a%20b")
    assert answer.status == 303 and answer.headers["location"] == "/dashboard/studies/3?x=1&y=a+b"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie and TOKEN.encode() not in answer.body
    assert inside.seen == []
    assert ask(guard, "/api/studies", COOKIE=f"other=1; {cookie.partition(';')[0]}").status == 200
    assert ask(Guard(inside, login=Login(TOKEN + "2", 8080)), "/", COOKIE=cookie.partition(";")[0]).status == 401


def test_a_link_with_the_token_leads_nowhere_else(inside: Inside) -> None:
    """A path with two slashes would be another machine's name to the browser."""
    guard = Guard(inside, login=Login(TOKEN, 8080))
    for path in ("//evil.example/x", "/\\evil.example", "///evil.example"):
        location = ask(guard, f"{path}?token={TOKEN}").headers["location"]
        assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_the_form_lets_in(inside: Inside) -> None:
    guard = Guard(inside, login=Login(TOKEN, 8080))
    assert ask(guard, "/login", "POST", body=b"token=wrong", ORIGIN="http://localhost:8080").status == 401
    assert ask(guard, "/login", "POST", body=f"token={TOKEN}".encode(), ORIGIN="https://evil.example").status == 403
    answer = ask(guard, "/login", "POST", body=f"token={TOKEN}".encode(), ORIGIN="http://localhost:8080")
    assert answer.status == 303 and answer.headers["location"] == "/" and "set-cookie" in answer.headers
    assert ask(guard, "/", AUTHORIZATION=f"Bearer {TOKEN}").status == 200


def test_a_token_comes_from_a_file_of_ones_own_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    monkeypatch.setenv("DASH", TOKEN)
    assert read_token(None, file) == read_token("env:DASH", None) == TOKEN
    assert read_token(None, None) is None
    file.chmod(0o644)
    with pytest.raises(SearchError, match="chmod 600"):
        read_token(None, file)
    monkeypatch.setenv("DASH", "short")
    with pytest.raises(SearchError, match="at least 16 characters"):
        read_token("env:DASH", None)
    with pytest.raises(SearchError, match="must be env:NAME") as told:
        read_token(TOKEN, None)
    assert TOKEN not in str(told.value)
    with pytest.raises(SearchError, match="can't be read"):
        read_token(None, tmp_path / "none")
