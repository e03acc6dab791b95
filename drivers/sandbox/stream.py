"""How do bytes go in and out of a running `docker exec`, with every wait bounded?

The SDK's exec stream has no timeout of its own (a silent exec held a client with `timeout=2` for 6 s), so
the connection is ours: one request that is upgraded to a raw socket, read with `select`.
"""

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import IO

from drivers.sandbox.cell import Sink
from governance.errors import Unavailable

_TICK_S = 0.2
_CHUNK = 65_536


class ExecStream:
    """One exec's streams over the engine's Unix socket. Close it."""

    def __init__(self, engine: str, version: str, exec_id: str, *, timeout_s: float) -> None:
        """Starts the exec. Raises `Unavailable` when the engine does not answer or refuses."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._frames = _Frames()
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(engine)
            self._start(version, exec_id)
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"docker engine '{engine}'", f"exec not started: {error}") from error

    def _start(self, version: str, exec_id: str) -> None:
        body = json.dumps({"Detach": False, "Tty": False})
        self._socket.sendall(
            f"POST /v{version}/exec/{exec_id}/start HTTP/1.1\r\nHost: docker\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = self._socket.recv(_CHUNK)
            if not received:
                raise ConnectionError("the engine closed the connection")
            answer += received
        head, _, early = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if status not in (b"101", b"200"):
            raise ConnectionError(f"status {status.decode()}: {early.decode('utf-8', 'replace')}")
        self._frames.feed(early)

    def close(self) -> None:
        """Let go of the connection; the command goes on unless it was ended."""
        self._socket.close()

    def pump(
        self, stdin: IO[bytes] | None, sink: Sink, deadline: float, cancel: threading.Event
    ) -> str | None:
        """Feed stdin and hand out output until the command ends (None) or is to be ended.

        `deadline` is on the monotonic clock. Returns `timeout`, `output` or `cancelled` otherwise.
        """
        self._socket.setblocking(False)
        feed = _Feed(self._socket, stdin)
        while True:
            for stream, data in self._frames.take():
                if not sink(stream, data):
                    return "output"
            if cancel.is_set():
                return "cancelled"
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            writers = [self._socket] if feed.open else []
            ready, writable, _ = select.select([self._socket], writers, [], min(left, _TICK_S))
            if writable:
                feed.more()
            if ready and not self._receive():
                return None

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._frames.feed(data)
        return bool(data)


class _Feed:
    """Sends a file as the other side takes it, then closes our half."""

    def __init__(self, connection: socket.socket, source: IO[bytes] | None) -> None:
        self._connection, self._source = connection, source
        self._rest = memoryview(b"")
        self.open = source is not None

    def more(self) -> None:
        if not self._rest and self._source is not None:
            self._rest = memoryview(self._source.read(_CHUNK))
        try:
            if self._rest:
                self._rest = self._rest[self._connection.send(self._rest) :]
                return
            self._connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError, OSError):
            # The command no longer reads; what it said is still to come.
            pass
        self.open = False


class _Frames:
    """Cuts the engine's stream (8 bytes of header: stream number, length) into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream, self._left = 0, 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Iterator[tuple[int, bytes]]:
        while self._buffer:
            if not self._left:
                if len(self._buffer) < 8:
                    return
                self._stream, self._left = struct.unpack(">BxxxL", self._buffer[:8])
                del self._buffer[:8]
                continue
            data = bytes(self._buffer[: self._left])
            del self._buffer[: len(data)]
            self._left -= len(data)
            yield self._stream, data
