"""A wire to a Postgres server that can be cut at the moment that matters."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

When = Literal["never", "before", "after"]
COMMIT = b"COMMIT\0"


class Wire:
    """Passes on what is said, until it is told to cut: before a commit reaches the server, or before its answer comes back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f":{parts.port}/", f":{port}/")
        self.cut: When = "never"
        self.deaf = False
        """Whether it hangs up on whoever comes anew."""
        self.cuts = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for side in self._sockets:
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.deaf:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._sockets += (client, server)
                for one, other in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pass_on, args=(one, other, client))
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, one: socket.socket, other: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while said := one.recv(65536):
                if one is client and COMMIT in said and self.cut != "never":
                    self._cut(said, client, other)
                    break
                other.sendall(said)
        for side in (one, other):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()

    def _cut(self, said: bytes, client: socket.socket, server: socket.socket) -> None:
        """Nobody hears the answer: the client has hung up before there is one."""
        self.cuts += 1
        after, self.cut = self.cut == "after", "never"
        client.shutdown(socket.SHUT_RDWR)
        if after:
            server.sendall(said)


@contextmanager
def wire(url: str) -> Generator[Wire]:
    between = Wire(url)
    try:
        yield between
    finally:
        between.close()
