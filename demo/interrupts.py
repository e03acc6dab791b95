"""When may Ctrl-C take effect, so that nothing is left half started or half ended?"""

import signal
from collections.abc import Generator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What a terminal or an operator sends, as KeyboardInterrupt, put off while something is `held`."""

    def __init__(self) -> None:
        self._held, self._pending = 0, False

    def install(self) -> None:
        """From now on these signals come here. For the main thread."""
        for number in _SIGNALS:
            signal.signal(number, self._arrived)

    def over(self) -> None:
        """From now on they are ignored: on its way out Python would take its handlers away and die of one."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def held(self) -> Generator[None]:
        """Whole or not at all: an interrupt that arrives within takes effect at its end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._pending and not self._held:
                self._pending = False
                raise KeyboardInterrupt

    def _arrived(self, *_: object) -> None:
        if self._held:
            self._pending = True
        else:
            raise KeyboardInterrupt


INTERRUPTS = Interrupts()
"""This process's; without `install` it holds nothing up."""
