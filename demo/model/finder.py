"""Which of the things seen is worth an agent's time?"""

import json
import re
from typing import cast

from demo.model.view import Json, Move, View, objects

_NAMES = ("test", "nodeid", "test_id", "key", "identifier", "id", "name", "title")
_MESSAGES = ("message", "error", "assertion", "log", "excerpt", "output", "description", "body")
_FINE = frozenset({"passed", "success", "succeeded", "skipped", "closed", "done", "cancelled"})


def find(view: View) -> Move:
    """Findings by the schema of the request, one for each failure in what was seen."""
    _, marked, seen = view.brief.rpartition("Seen:")
    already = _open_already(view.brief) if marked else ""
    fields = _fields(view.schema or {})
    findings: dict[str, Json] = {}
    for failure in objects(seen):
        finding = _finding(failure)
        if finding and finding["dedupe"] not in already:
            findings.setdefault(
                str(finding["dedupe"]), {k: v for k, v in finding.items() if k in fields}
            )
    return Move(json.dumps({"findings": list(findings.values())}))


def _finding(failure: Json) -> Json | None:
    states = {str(failure.get(field, "")).lower() for field in ("status", "conclusion", "state")}
    name = next((str(failure[key]) for key in _NAMES if failure.get(key)), None)
    if name is None or states & _FINE:
        return None
    said = next((str(failure[key]) for key in _MESSAGES if failure.get(key)), "")
    first = said.strip().partition("\n")[0][:100]
    context = [
        f"{key}: {value}"
        for key, value in failure.items()
        if isinstance(value, str | int) and key not in _MESSAGES
    ]
    return {
        "dedupe": name,
        "title": f"{name} fails" + (f": {first}" if first else ""),
        "brief": "\n".join(
            [
                f"{name} fails on the main branch and must pass again, with the cause mended and not the test.",
                *context,
                *([f"It says:\n{said[:2000]}"] if said else []),
            ]
        ),
        "reproduce": name if re.search(r"\.py::", name) else None,
    }


def _fields(schema: Json) -> frozenset[str]:
    """What one finding may say by the schema."""
    items = schema.get("properties", {}).get("findings", {}).get("items", {})
    if "$ref" in items:
        items = schema.get("$defs", {}).get(str(items["$ref"]).rpartition("/")[2], {})
    return frozenset(cast(Json, items.get("properties") or {}))


def _open_already(brief: str) -> str:
    """The part of the state page that lists what is open."""
    sections = re.split(r"^#+ ", brief, flags=re.MULTILINE)
    return "\n".join(
        s for s in sections[1:] if s.partition("\n")[0].strip().lower().startswith("open")
    )
