"""How are tables, times, money and other people's texts shown in a terminal?

Whatever came from outside is escaped: it can neither style, hide nor reorder anything, and stays in its place.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from governance.approvals import plain
from governance.parts import usd


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of equal length, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def one_line(text: str, most: int | None = None) -> str:
    """The text escaped, on one line; with `most`, cut to so many characters."""
    flat = plain(text).replace("\n", "\\n").replace("\t", "\\t")
    return flat if most is None or len(flat) <= most else flat[: most - 1] + "…"


def margined(text: str) -> str:
    """The whole text escaped, each line behind a bar, so that no line of it can pass for one of ours."""
    return "\n".join(f"| {line}" for line in plain(text.removesuffix("\n")).split("\n"))


def now_ms() -> int:
    """The clock: Unix milliseconds, UTC."""
    return time.time_ns() // 1_000_000


def stamp(ms: int | None) -> str | None:
    """A time as programs read it: RFC 3339, UTC."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def moment_of(text: str) -> int | None:
    """A moment that a person wrote, RFC 3339 with its offset, in Unix milliseconds; None for anything else."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if told.tzinfo is None else int(told.timestamp() * 1000)


def span(ms: int) -> str:
    """A duration in its largest whole unit: `12 s`, `5 min`, `3 h`, `2 d`."""
    seconds = max(0, ms) // 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def money(pico: int) -> str:
    """Whole pico-USD as people read it."""
    return f"{usd(pico):,.4f} USD"


def exact(pico: int) -> str:
    """Whole pico-USD as programs read it: USD as a decimal, every digit."""
    return f"{usd(pico):f}"
