"""At which named points do the chaos tests kill or stop a process of ours?

A point is one comparison while nobody listens. `LOOPRAIL_CRASH=after-intend:3` in a process's environment, read once
when it starts, kills it at its third passage of that point; `after-intend:3:stop` stops it (SIGSTOP) instead. With
`LOOPRAIL_CRASH_MARK=<file>` it happens to one process only: the first that makes the file. The points are listed
here, described in tests/chaos/README.md, and a house test finds each of them once in the code.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

TRANSACTIONS = (
    "prepare", "pin", "open", "found", "claim", "advance", "intend", "done", "fail", "record", "stop",
    "ask", "posted", "answer", "learned", "begin-anew", "close", "end", "sent", "sweep", "end-stuck",
    "restart", "give-up", "give-up-run", "kept-house", "hand-out-anew", "forget", "calendar", "deal-with",
    "deliver", "trip", "switch-off", "unpause", "correct", "put-cap", "raise", "restored", "put-rules",
    "reconcile", "answer-fan-out",
)  # fmt: skip
"""Every transaction that writes to the store, with a point before and one after: what is asked for, what is durable."""

POINTS = (
    *(f"{side}-{name}" for name in TRANSACTIONS for side in ("before", "after")),
    "in-commit", "in-prepare",
    "before-model-send", "after-model-reply", "before-tool-send", "after-tool-reply",
    "before-push", "after-push", "before-save", "after-save", "before-box", "after-box",
    "before-suspend", "before-resume", "after-resume",
    "before-dispatch", "after-dispatch", "before-notice", "after-notice",
)  # fmt: skip
"""Every point there is."""

_heard: Callable[[str], None] | None = None


def point(name: str) -> None:
    """We are at that point."""
    if _heard is not None:
        _heard(name)


@contextmanager
def around(transaction: str) -> Generator[None]:
    """A point before the block and, when it ends well, one after it."""
    point(f"before-{transaction}")
    yield
    point(f"after-{transaction}")


def listen(heard: Callable[[str], None] | None) -> None:
    """From now on this process tells `heard` each point it passes; None ends that."""
    global _heard
    _heard = heard


class Doom:
    """Sends this very process a signal at one passage of one point."""

    def __init__(self, told: str, mark: Path | None = None) -> None:
        """`told` is `<point>:<passage>`, or with `:stop`. Raises `ValueError` when it is neither."""
        name, _, rest = told.partition(":")
        passage, _, how = rest.partition(":")
        if name not in POINTS or not passage.isdigit() or how not in ("", "stop"):
            raise ValueError(
                f"LOOPRAIL_CRASH={told!r} names no passage of a point; write <point>:<n> or "
                f"<point>:<n>:stop, where <point> is one of {', '.join(POINTS)}"
            )
        self._name, self._left, self._mark = name, int(passage), mark
        self._signal = signal.SIGSTOP if how else signal.SIGKILL

    def __call__(self, name: str) -> None:
        """One passage."""
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0 and self._first():
            # To this very thread: another one that takes it would let this one go on until the kernel has stopped it.
            signal.pthread_kill(threading.get_ident(), self._signal)

    def _first(self) -> bool:
        if self._mark is None:
            return True
        try:
            self._mark.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


if _told := os.environ.get("LOOPRAIL_CRASH"):
    _place = os.environ.get("LOOPRAIL_CRASH_MARK")
    listen(Doom(_told, Path(_place) if _place else None))
