"""How may a single value of a registry file be spelled?"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from croniter import CroniterBadDateError, croniter
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)

from governance.problems import shown

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CRON = re.compile(r"[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}")
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def _cron(text: str) -> str:
    # `R` and `H` make croniter pick a slot at random: two readers would disagree about the schedule.
    spelled = _CRON.fullmatch(text) and not any(f[0] in "RrHh" for f in text.split())
    if not spelled or not croniter.is_valid(text):
        raise ValueError(f"{shown(text)} is not a cron line of five fields, such as '0 6 * * 1-5'")
    try:
        croniter(text, _SOME_DAY).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{shown(text)} never fires: there is no such day") from None
    return text


_timezones = cache(available_timezones)


def _timezone(text: str) -> str:
    if text not in _timezones():
        raise ValueError(f"{shown(text)} is not an IANA time zone, such as 'Europe/Berlin'")
    return text


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", value)):
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    raise ValueError(f"{shown(value)} is not a duration, such as '90m', '12h' or '3d'")


def _git_ref(text: str) -> str:
    if ".." in text or text.endswith((".lock", ".")):
        raise ValueError(f"{shown(text)} is not a branch, tag or commit as git names them")
    return text


def _spelled(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    unit = next(u for u in ("w", "d", "h", "m") if seconds % _UNITS[u] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _shape(value: Any) -> str:
    return "per tool" if isinstance(value, dict) else "whole"


Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]
"""Lower case letters, digits and single dashes: it becomes part of keys, branches and deployment names."""

DottedName = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=64)]
"""A name that may hold a version number, as models and images do: `claude-opus-4-8`, `python-3.11`."""

AliasName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
"""Lower case letters, digits and underscores; never a dot, so it cannot be taken for a tool."""

Versioned = Annotated[
    str, Field(pattern=r"^(\./)?[a-z0-9][a-z0-9._-]*@v[1-9][0-9]{0,3}$", max_length=80)
]
"""A name and the version that is meant, as in `triage.md@v4`."""

ToolName = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)
]
"""`connector.tool`."""

ToolOrAlias = Annotated[
    str,
    Field(
        pattern=r"^([a-z][a-z0-9_]*|[a-z0-9]+(-[a-z0-9]+)*\.[A-Za-z0-9_][A-Za-z0-9_.-]*)$",
        max_length=120,
    ),
]
"""`connector.tool`, or a short name from `aliases` in org.yaml."""

BareTool = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
"""A tool as its own connector calls it."""

RepositoryName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=120),
]
"""As people say it, such as `northwind/api`."""

EventName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*(\.\*)?$", max_length=200)
]
"""A Prefect event, such as `northwind.build.failed`; with `.*` all that begin so."""

GitRef = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=200),
    AfterValidator(_git_ref),
]
"""A branch, tag or commit."""

OneLine = Annotated[str, Field(pattern=r"^[^\n{}]*$", max_length=300)]
"""One line for people; without braces, which other systems take for a template."""

Command = Annotated[str, Field(min_length=1, max_length=4000)]
Cron = Annotated[str, Field(max_length=100), AfterValidator(_cron)]
Timezone = Annotated[str, Field(max_length=64), AfterValidator(_timezone)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(_spelled, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhdw]$"}),
]
"""A whole number of minutes, hours, days or weeks: `90m`, `12h`, `3d`, `1w`."""

Usd = Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=6)]

Grants = Annotated[
    Annotated[tuple[Name, ...], Tag("whole")]
    | Annotated[dict[Name, tuple[BareTool, ...]], Tag("per tool")],
    Discriminator(_shape),
]
"""Connectors as a list (all their tools), or by connector the tools that are granted."""
