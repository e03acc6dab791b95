"""What is wrong with a registry file, where exactly, and what is the way out?"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_PROBLEMS = 50
"""Of one file; whoever mends fifty will ask again."""

Path = tuple[str | int, ...]
"""Where a value stands inside a file: keys and list positions."""

_TAGS = ("whole", "per tool")
_WANTED = {
    "string_type": "is not text; put it in quotes",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "bool_type": "is not true or false",
    "decimal_type": "is not an amount",
    "decimal_parsing": "is not an amount",
    "float_type": "is not a number",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping of fields",
    "finite_number": "is not a finite number",
    "greater_than": "is too small: it must be more than {gt:,}",
    "greater_than_equal": "is too small: it must be at least {ge:,}",
    "less_than": "is too big: it must be less than {lt:,}",
    "less_than_equal": "is too big: at most {le:,} is allowed",
    "string_too_long": "is too long: at most {max_length:,} characters are allowed",
    "string_too_short": "is too short: at least {min_length:,} characters are needed",
    "string_pattern_mismatch": "is not spelled as it must be ({pattern})",
    "date_type": "is not a day, such as 2026-12-01",
    "date_parsing": "is not a day, such as 2026-12-01",
    "date_from_datetime_parsing": "is not a day, such as 2026-12-01",
    "decimal_max_places": "has too many decimals: at most {decimal_places:,} are allowed",
    "decimal_max_digits": "has too many digits: at most {max_digits:,} are allowed",
    "literal_error": "is not one of {expected}",
}


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend. `line` is None where the file as a whole is meant."""

    file: str
    line: int | None
    field: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.text}" if self.field else f"{place}: {self.text}"


def shown(value: object) -> str:
    """A found value in a message: quoted, escaped and short; a mapping or list by its kind only."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def few(problems: Sequence[Problem], file: str) -> tuple[Problem, ...]:
    """The first problems of a file, and how many more there are."""
    more = len(problems) - MAX_PROBLEMS
    if more <= 0:
        return tuple(problems)
    return (*problems[:MAX_PROBLEMS], Problem(file, None, "", f"and {more:,} more problems"))


def suggest(name: object, known: Iterable[str], what: str = "known") -> str:
    """`; did you mean 'x'?`, or what is known when nothing comes close."""
    names = sorted(known)
    close = get_close_matches(str(name)[:100], names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f" ({what}: {listed})" if names else f" ({what}: none)"


def dotted(path: Path) -> str:
    """`harness.max_steps`, `subagents[1].model`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if re.fullmatch(r"[\w./-]{1,60}", part) else shown(part)
            )
    return text


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of a value, or of the nearest thing around it that stands in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def placed(
    lines: Mapping[Path, int], file: str, findings: Iterable[tuple[Path, str]]
) -> list[Problem]:
    """Findings about a file's values, each with its line."""
    return [Problem(file, line_of(lines, at), dotted(at), said) for at, said in findings]


def in_order(problem: Problem) -> tuple[str, int, str, str]:
    """By file and line, what is about the whole file first."""
    return problem.file, problem.line or 0, problem.field, problem.text


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    file: str,
    lines: Mapping[Path, int],
    above: Path = (),
) -> tuple[Problem, ...]:
    """Every finding of a validation, in our words. `above` is where the model stands in the file."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = above + tuple(p for p in detail["loc"] if p not in _TAGS and p != "[key]")
        found.append(Problem(file, line_of(lines, path), dotted(path), _said(detail, model)))
    return tuple(found)


def _said(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, found = detail["type"], detail["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        owner = _owner(model, detail["loc"][:-1])
        fields = [f.alias or name for name, f in owner.model_fields.items()]
        hint = suggest(detail["loc"][-1], fields, "its fields")
        return f"is not a field of {owner.__name__}{hint}"
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    wanted = _WANTED.get(kind)
    if wanted is None:
        return f"{shown(found)}: {detail['msg']}"
    said = wanted.format(**detail.get("ctx", {}))
    if kind == "literal_error":
        said += _close(found, detail)
    return f"{shown(found)} {said}"


def _close(found: object, detail: ErrorDetails) -> str:
    allowed = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
    close = get_close_matches(str(found)[:100], allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _owner(model: type[BaseModel], loc: Path) -> type[BaseModel]:
    """The model a field was refused by: follows the location down through lists, mappings and unions."""
    for part in loc:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is not None:
            model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)
