"""The command: ``python -m search.dashboard``."""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.dashboard.guard import BODY_BYTES, Guard, is_loopback
from search.dashboard.login import Login, read_token
from search.errors import SearchError

if TYPE_CHECKING:
    from search.dashboard.responses import WsgiApp

EPILOG = """what it is: optuna-dashboard over every study of the folder, live ones too, with a note on how each stands and its evidence; http://127.0.0.1:8080/
studies are opened read-only: nothing that is done here can harm one. With --write notes may be edited, and nothing else.

from another machine, best through a tunnel:   ssh -L 8080:127.0.0.1:8080 HOST     then http://127.0.0.1:8080/ here
on a network that you trust, with a token:     (umask 077; python -c 'import secrets; print(secrets.token_urlsafe())' > token)
                                               python -m search.dashboard --host 0.0.0.0 --token-file token --allow-host NAME-OF-THIS-MACHINE
The traffic is not encrypted: where others can listen, put a proxy with TLS before it (and name its host with --allow-host).
A script shows the token with the header 'Authorization: Bearer TOKEN'.

exit codes: 0 ended by Ctrl-C or SIGTERM; 2 bad input, or the port is in use"""
#: Seconds that a client may be silent, and bytes of a request's head.
_SILENT_SECONDS, _HEAD_BYTES = 30, 32 << 10
_THREADS, _CONNECTIONS = 8, 100


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m search.dashboard",
        description="Show all studies in the browser, read-only, on this machine alone unless told otherwise.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--storage", metavar="env:NAME", help="also show all studies of the PostgreSQL database whose URL the environment variable NAME holds")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on; any that others can reach needs a token (default: 127.0.0.1)")
    p.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    p.add_argument("--write", action="store_true", help="notes on studies and trials may be edited; nothing else ever")
    p.add_argument("--token-file", type=Path, metavar="FILE", help="a file with the token that everybody has to show once; only its owner may be able to read it")
    p.add_argument("--token", metavar="env:NAME", help="the same, from the environment variable NAME")
    p.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name by which browsers may address this dashboard, besides localhost; may be repeated")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        return _serve(options)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _serve(options: argparse.Namespace) -> int:
    token = read_token(options.token, options.token_file)
    host, studies_dir = options.host.strip("[]"), options.studies_dir.expanduser().resolve()
    if not 0 <= options.port <= 65535:
        raise SearchError(f"--port {options.port}: must be between 0 and 65535")
    if not is_loopback(host) and token is None:
        raise SearchError(
            f"--host {options.host}: others could reach that address, so a token is needed: --token-file FILE or --token env:NAME; or leave --host out and "
            "come through a tunnel (ssh -L 8080:127.0.0.1:8080 HOST)"
        )
    if not studies_dir.is_dir():
        raise SearchError(f"--studies-dir {options.studies_dir}: no such folder; start a study first, with python -m search.run --space FILE")
    if options.storage is not None:
        from search.location import locate

        locate(studies_dir, ".", options.storage)
    from search.dashboard.app import make_app
    from search.dashboard.folder_storage import FolderStorage

    listener = _Listener(host, options.port)
    shown = studies_dir.relative_to(Path.cwd()) if studies_dir.is_relative_to(Path.cwd()) else studies_dir
    app = make_app(FolderStorage(studies_dir, options.storage, options.write), shown, options.write)
    login = None if token is None else Login(token, listener.port)
    listener.serve(Guard(app, {host, *options.allow_host}, login, options.write, any_address=not is_loopback(host)), _told(options, listener.port, token))
    return 0


def _told(options: argparse.Namespace, port: int, token: str | None) -> str:
    host = options.host if options.host not in ("0.0.0.0", "::") else (options.allow_host or ["127.0.0.1"])[0]
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    more = "notes may be written" if options.write else "read-only"
    return f"dashboard: http://{host}:{port}/  ({more}{'' if token is None else ', behind the token'}; Ctrl-C ends it)"


class _Listener:
    """A socket that is bound, and the server on it."""

    def __init__(self, host: str, port: int) -> None:
        import socket

        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError as error:
            remedy = "end what listens there, or take another with --port" if error.errno == errno.EADDRINUSE else "see --host and --port"
            raise SearchError(f"{host} port {port}: can't listen there ({error.strerror or error}); {remedy}") from error
        self.port: int = self._socket.getsockname()[1]

    def serve(self, app: WsgiApp, told: str) -> None:
        """Answer requests until Ctrl-C or SIGTERM."""
        import waitress

        warnings.filterwarnings("ignore", module="optuna")  # what it thinks of a plot is of no use in the log
        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait a moment is no news
        server: Any = waitress.create_server(
            app, sockets=[self._socket], threads=_THREADS, connection_limit=_CONNECTIONS, channel_timeout=_SILENT_SECONDS, max_request_header_size=_HEAD_BYTES,
            max_request_body_size=BODY_BYTES, expose_tracebacks=False, ident=None, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(told, flush=True)
        server.run()  # ends by itself on KeyboardInterrupt
        server.close()
