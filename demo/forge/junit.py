"""Which tests failed, by pytest's own report?"""

import xml.etree.ElementTree as xml
from pathlib import Path

_MAX_BYTES = 5_000_000
_EXCERPT_LINES = 40


def failing(report: Path) -> list[dict[str, str]]:
    """Every failed or broken test: id, file, first line of the message, end of its log."""
    # The tests wrote this file: no link is followed, nothing huge is read.
    if report.is_symlink() or not report.is_file() or report.stat().st_size > _MAX_BYTES:
        return []
    try:
        cases = xml.parse(report).getroot().iter("testcase")
    except xml.ParseError:
        return []
    return [
        _failure(case, found)
        for case in cases
        for found in case
        if found.tag in ("failure", "error")
    ]


def _failure(case: xml.Element, found: xml.Element) -> dict[str, str]:
    name, where = case.get("name", ""), case.get("classname", "")
    file = case.get("file") or where.replace(".", "/") + ".py"
    module = file.removesuffix(".py").replace("/", ".")
    classes = where.removeprefix(module).strip(".").split(".") if where.startswith(module) else []
    lines = (found.text or "").splitlines()
    return {
        "test": "::".join((file, *filter(None, classes), name)),
        "file": file,
        "message": found.get("message", "").strip() or (lines[-1] if lines else "no message"),
        "log_excerpt": "\n".join(lines[-_EXCERPT_LINES:]),
    }
