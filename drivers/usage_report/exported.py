"""What do files say that somebody exported from the provider's Console?

Read strictly: every problem of every file is told at once, and a file with one says nothing at all.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from drivers.usage_report.wire import At, add, named, places_of, rounded
from governance.bill import Billed, Meters, Report, Stretch
from governance.errors import DefinitionError
from governance.parts import PICO
from governance.problems import MAX_PROBLEMS, Problem, shown

_DAY = "usage_date_utc"
_METERS = {
    "usage_input_tokens_no_cache": "input",
    "usage_input_tokens_cache_read": "cache_read",
    "usage_input_tokens_cache_write_5m": "cache_write_5m",
    "usage_input_tokens_cache_write_1h": "cache_write_1h",
    "usage_output_tokens": "output",
}
_USAGE = (_DAY, "model_version", *_METERS)
_COST = (_DAY, "model", "token_type", "cost_usd")
_COUNT = re.compile(r"\d{1,15}")
_AMOUNT = re.compile(r"-?\d{1,12}(\.\d{1,12})?")
_LARGEST = 64 * 2**20
"""Bytes; a larger file is not read."""


@dataclass
class _Found:
    """What was read so far, and what is wrong with it."""

    billed: dict[At, Billed] = field(default_factory=dict[At, Billed])
    problems: list[Problem] = field(default_factory=list[Problem])
    places: int = 0
    """The most digits that an amount has after its point."""
    days: dict[str, list[date]] = field(default_factory=lambda: {"tokens": [], "usd": []})


Row = Mapping[str, str]
Wrong = Callable[[str, str], None]
"""Takes a column and what is wrong with it."""


def read_exports(
    paths: Sequence[Path], *, workspaces: Sequence[str] = (), api_keys: Sequence[str] = ()
) -> Report:
    """One report from usage and cost exports, of what these workspaces and API keys (by name) used; all by default.

    It covers every day from a file's first to its last, and was taken when the oldest of the files was last written.

    Raises `DefinitionError` with every problem.
    """
    found = _Found()
    only = {"workspace": frozenset(workspaces), "api_key": frozenset(api_keys)}
    for path in paths:
        text = _text(path, found.problems)
        if text is not None:
            _read(str(path), text, only, found)
    if found.problems:
        raise DefinitionError(
            tuple(str(problem) for problem in sorted(found.problems)[:MAX_PROBLEMS])
        )
    taken = min(path.stat().st_mtime_ns // 1_000_000 for path in paths)
    source = " and ".join(path.name for path in paths)
    days = {what: _span(days) for what, days in found.days.items()}
    billed = rounded(found.billed, found.places)
    return Report(source, taken, billed, days["tokens"], days["usd"])


def _text(path: Path, problems: list[Problem]) -> str | None:
    try:
        if path.stat().st_size > _LARGEST:
            problems.append(Problem(str(path), None, "", f"is larger than {_LARGEST:,} bytes"))
            return None
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(Problem(str(path), None, "", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        problems.append(Problem(str(path), None, "", "is not text in UTF-8"))
    return None


def _read(name: str, text: str, only: Mapping[str, frozenset[str]], found: _Found) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems = found.problems
    try:
        header = next(rows, [])
        kind = _kind(name, header, only, problems)
        if kind is None:
            return
        seen: dict[tuple[str, ...], int] = {}
        for cells in rows:
            if cells:
                _line(name, rows.line_num, header, cells, kind, only, seen, found)
    except csv.Error as error:
        problems.append(Problem(name, rows.line_num, "", f"is not CSV: {error}"))
        return
    if not seen:
        problems.append(
            Problem(name, None, "", "has no line but its header: it says of no day what was billed")
        )


def _kind(
    name: str, header: Sequence[str], only: Mapping[str, frozenset[str]], problems: list[Problem]
) -> str | None:
    """`tokens` or `usd`; None when it is neither, which is a problem."""
    kind = "tokens" if "model_version" in header else "usd"
    needed = _USAGE if kind == "tokens" else _COST
    lacking = [c for c in (*needed, *(c for c, names in only.items() if names)) if c not in header]
    twice = sorted({c for c in header if header.count(c) > 1})
    meters = [c for c in header if c.startswith("usage_") and c not in (*_USAGE, "usage_type")]
    if lacking:
        told = ", ".join(map(repr, lacking))
        way_out = "Export it from the Console's Usage page (tokens) or Cost page (amounts)."
        problems.append(Problem(name, 1, "", f"has no column {told}. {way_out}"))
    if twice:
        problems.append(Problem(name, 1, "", f"has the column {', '.join(map(repr, twice))} twice"))
    if meters:
        told = ", ".join(map(repr, meters))
        problems.append(Problem(name, 1, "", f"counts {told}, which we do not know"))
    return None if lacking or twice or meters else kind


def _line(
    name: str, number: int, header: Sequence[str], cells: Sequence[str], kind: str,
    only: Mapping[str, frozenset[str]], seen: dict[tuple[str, ...], int], found: _Found,
) -> None:  # fmt: skip
    before = len(found.problems)

    def wrong(column: str, text: str) -> None:
        found.problems.append(Problem(name, number, column, text))

    if len(cells) != len(header):
        wrong("", f"has {len(cells):,} cells, and the header names {len(header):,}")
        return
    row = dict(zip(header, cells, strict=True))
    told = (*_METERS, "cost_usd", "list_price_usd")
    same = tuple(value for column, value in row.items() if column not in told)
    if same in seen:
        wrong("", f"tells the same use as line {seen[same]:,}: one of them is counted twice")
    seen.setdefault(same, number)
    day = _day(row[_DAY], wrong)
    line = _usage(row, wrong) if kind == "tokens" else _cost(row, wrong)
    if len(found.problems) > before or day is None:
        return
    found.days[kind].append(day)
    if all(not names or row[column] in names for column, names in only.items()):
        add(found.billed, day, line)
        found.places = max(found.places, places_of(row.get("cost_usd", "")))


def _usage(row: Row, wrong: Wrong) -> tuple[str, Billed]:
    counts: dict[str, int] = {}
    for column, meter in _METERS.items():
        if not _COUNT.fullmatch(row[column]):
            wrong(column, f"{shown(row[column])} is not a count of tokens")
        else:
            counts[meter] = int(row[column])
    if not row["model_version"].strip():
        wrong("model_version", "is empty")
    return named(row["model_version"]), Billed(tokens=Meters(**counts))


def _cost(row: Row, wrong: Wrong) -> tuple[str, Billed]:
    amount = row["cost_usd"]
    if not _AMOUNT.fullmatch(amount):
        wrong("cost_usd", f"{shown(amount)} is not an amount in USD")
        return "", Billed()
    return named(row["model"]), Billed(usd=int(Decimal(amount) * PICO), slack=1)


def _day(value: str, wrong: Wrong) -> date | None:
    """A day, or the day of an hour, as ISO 8601 spells them."""
    try:
        if len(value) > 10 and value[10] not in " T":
            raise ValueError
        return date.fromisoformat(value[:10])
    except ValueError:
        wrong(_DAY, f"{shown(value)} is not a UTC day such as 2026-11-24")
        return None


def _span(days: Sequence[date]) -> Stretch | None:
    return (min(days), max(days)) if days else None
