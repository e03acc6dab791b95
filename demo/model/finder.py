"""Which of the things seen is worth an agent's time?"""

import json
import re
from typing import cast

from demo.model.view import Json, Move, View, objects

_NAMES = ("test", "nodeid", "test_id", "key", "identifier", "id", "name", "title")
_MESSAGES = ("message", "error", "log_excerpt", "log", "output", "description", "body")
_FINE = frozenset({"passed", "success", "succeeded", "skipped", "closed", "done", "cancelled"})


def find(view: View) -> Move:
    """Findings by the schema of the request, one for each failure or ticket in what was seen."""
    _, marked, seen = view.brief.rpartition("Seen:")
    already = _open_already(view.brief) if marked else ""
    fields = _fields(view.schema or {})
    findings: dict[str, Json] = {}
    for one in objects(seen):
        finding = _finding(one)
        if finding and finding["dedupe"] not in already:
            findings.setdefault(
                str(finding["dedupe"]), {k: v for k, v in finding.items() if k in fields}
            )
    return Move(json.dumps({"findings": list(findings.values())}))


def _finding(seen: Json) -> Json | None:
    states = {str(seen.get(field, "")).lower() for field in ("status", "conclusion", "state")}
    name = next((str(seen[key]) for key in _NAMES if seen.get(key)), None)
    if name is None or states & _FINE:
        return None
    said = [str(seen[key]) for key in _MESSAGES if seen.get(key)]
    first = said[0].strip().partition("\n")[0][:100] if said else ""
    test = ".py::" in name
    duty = "must pass again, with the cause mended and not the test" if test else "wants attention"
    told = [
        f"{key}: {v}"
        for key, v in seen.items()
        if isinstance(v, str | int) and key not in _MESSAGES
    ]
    return {
        "dedupe": name,
        "title": f"{name} fails: {first}" if test else f"{name}: {seen.get('title') or first}",
        "brief": "\n".join(
            [f"{name} {duty}.", *told, *(f"It says:\n{text[:2000]}" for text in said)]
        ),
        "reproduce": name if test else None,
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
