"""What must Prefect watch for by itself, because whoever could report it is gone?

One automation. A process that dies together with its worker reports nothing, and its flow run would be Running for
ever. For items housekeeping notices; a silent run of housekeeping itself, or of a heartbeat, would keep its place and
nothing of its kind could start: Prefect hears that it fell silent, and calls it crashed.
"""

from typing import Any

from cli.render import HEARTBEAT_S, TAG
from governance.parts import Json

OWNER = "looprail.apply"
"""The owner that Prefect has on record for what `loops apply` installed; nothing else of it is touched."""
SILENCE_S = 3 * HEARTBEAT_S
"""So long a flow run may be silent. A busy server delivers events late, and a false alarm costs a restart."""


def watches() -> tuple[Json, ...]:
    """The automations that must be in force, as Prefect's API spells them."""
    return (
        {
            "name": "looprail: a process fell silent",
            "description": (
                f"Installed by `loops apply`. A service or heartbeat that says nothing for {SILENCE_S} s "
                "has lost its process and its worker, and must not keep the next from starting."
            ),
            "enabled": True,
            "trigger": {
                "type": "event",
                "posture": "Proactive",
                "match": {"prefect.resource.id": "prefect.flow-run.*"},
                "match_related": {
                    "prefect.resource.id": f"prefect.tag.{TAG}",
                    "prefect.resource.role": "tag",
                },
                "after": ["prefect.flow-run.Running", "prefect.flow-run.heartbeat"],
                # A state's event has the state's name, and ours have names of their own (Done, Rejected):
                # whatever it is, a run that says something has not fallen silent.
                "expect": ["prefect.flow-run.*"],
                "for_each": ["prefect.resource.id"],
                "threshold": 1,
                "within": SILENCE_S,
            },
            "actions": [
                {
                    "type": "change-flow-run-state",
                    "state": "CRASHED",
                    "name": "Crashed",
                    "message": f"No heartbeat for {SILENCE_S} s: the process and its worker are gone.",
                    "force": False,
                }
            ],
        },
    )


def differences(wanted: Json, found: Json) -> list[str]:
    """Where what Prefect has is not what it must be, as dotted fields; a person's pause is not one."""
    return [
        f"{field}: {_at(found, field)!r} becomes {_at(wanted, field)!r}"
        for field in _fields(wanted)
        if field != "enabled" and _spelled(_at(found, field)) != _spelled(_at(wanted, field))
    ]


def _fields(value: Json, under: str = "") -> list[str]:
    names: list[str] = []
    for name, inner in value.items():
        names += (
            _fields(inner, f"{under}{name}.") if isinstance(inner, dict) else [f"{under}{name}"]
        )
    return sorted(names)


def _at(value: Any, field: str) -> Any:
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _spelled(value: Any) -> Any:
    """Prefect gives back sets in any order, numbers as floats, and actions with every default."""
    if isinstance(value, list):
        return sorted((repr(_spelled(one)) for one in value), key=str)
    if isinstance(value, dict):
        return {k: _spelled(v) for k, v in sorted(value.items()) if v is not None}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
