"""A wire between client and server that can be cut: a TCP forwarder, so that a network's faults are those that the client's real library meets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

#: (bytes from the client) -> "pass", "drop" (cut before they arrive) or "mute" (they arrive; cut before the answer is back)
Judge = Callable[[bytes], str]


class Wire:
    """Forwards connections to a server.

    Parameters
    ----------
    address : str
        ``host:port`` of the server.

    Attributes
    ----------
    address : str
        Where to connect instead.
    judge : callable
        Asked about what each client sends.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self.judge: Judge = lambda data: "pass"
        self.is_down = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, without a word to either side's library."""
        while self._pairs:
            self._end(self._pairs.pop())

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_down:
                    client.close()
                    continue
                pair = (client, socket.create_connection(self._server))
                self._pairs.append(pair)
                threading.Thread(target=self._carry, args=(pair, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(pair, False), daemon=True).start()

    def _carry(self, pair: tuple[socket.socket, socket.socket], to_server: bool) -> None:
        source, target = pair if to_server else pair[::-1]
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                verdict = self.judge(data) if to_server else "pass"
                if verdict == "drop":
                    break
                if verdict == "mute":
                    pair[0].close()  # the client's side first, so that no answer gets through
                    target.sendall(data)
                    pair[1].settimeout(5)
                    pair[1].recv(1)  # the server has done what it was asked to
                    break
                target.sendall(data)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
