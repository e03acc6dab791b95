"""How do bytes go in and out of a process of ours, with every wait bounded?"""

import os
import selectors
import subprocess
import threading
import time
from typing import IO

from drivers.sandbox.cell import Sink

_TICK_S = 0.2
_CHUNK = 65_536


def pump(
    process: "subprocess.Popen[bytes]",
    stdin: IO[bytes] | None,
    sink: Sink,
    deadline: float,
    cancel: threading.Event,
) -> str | None:
    """Feed stdin and hand out output until both streams end (None) or the command is to be ended.

    `deadline` is on the monotonic clock. Returns `timeout`, `output` or `cancelled` otherwise.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, 1)
        selector.register(process.stderr, selectors.EVENT_READ, 2)
        feed = _Feed(process, stdin, selector)
        while len(selector.get_map()) > feed.open:
            if cancel.is_set():
                return "cancelled"
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            for key, _ in selector.select(min(left, _TICK_S)):
                if key.data == 0:
                    feed.more()
                elif not _moved(key, selector, sink):
                    return "output"
    return None


def _moved(key: selectors.SelectorKey, selector: selectors.BaseSelector, sink: Sink) -> bool:
    data = os.read(key.fd, _CHUNK)
    if not data:
        selector.unregister(key.fileobj)
        return True
    return sink(key.data, data)


class _Feed:
    """Writes a file as the other side takes it, then closes the pipe."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        source: IO[bytes] | None,
        selector: selectors.BaseSelector,
    ) -> None:
        self._source, self._selector = source, selector
        self._rest = memoryview(b"")
        self._pipe = process.stdin
        self.open = 0
        if self._pipe is not None:
            os.set_blocking(self._pipe.fileno(), False)
            selector.register(self._pipe, selectors.EVENT_WRITE, 0)
            self.open = 1

    def more(self) -> None:
        assert self._pipe is not None
        assert self._source is not None
        if not self._rest:
            self._rest = memoryview(self._source.read(_CHUNK))
        try:
            if self._rest:
                self._rest = self._rest[os.write(self._pipe.fileno(), self._rest) :]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The command no longer reads; what it said is still to come.
            pass
        self._selector.unregister(self._pipe)
        self._pipe.close()
        self.open = 0
