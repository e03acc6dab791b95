"""What was in force when an item began to wait, and what of it is different now?

A definition is pinned; rules, grants, labels and credentials are those in force. So that nobody is surprised, what
is different is said before the item goes on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from governance.definition import Loop
from governance.fields import Grants
from governance.parts import Json, canonical, digest
from governance.policy import grants_of
from governance.registry import Registry


def standing(registry: Registry, loop: str, credentials: Mapping[str, str]) -> Json:
    """What is in force for a loop. `credentials` says which document each name stands for, and since when."""
    now = registry.loops.get(loop)
    organisation = registry.organisation
    reached = (
        {c for agent in (now, *now.subagents) for c in agent.mcp_servers} if now else set[str]()
    )
    return {
        "definition": digest(registry.pinned(loop)) if now else None,
        "approvals": dict(now.harness.approvals) if now else {},
        "grants": _grants(now) if now else {},
        "rules": [canonical(r.model_dump(mode="json")) for r in organisation.rules],
        "labels": {
            f"{c}.{t}": labels.model_dump(mode="json")
            for c, entry in organisation.connectors.items()
            if c in reached
            for t, labels in entry.tools.items()
        },
        "credentials": dict(credentials),
    }


def differences(before: Json, now: Json, pinned: str) -> tuple[str, ...]:
    """A sentence for each thing that is different; `pinned` is the definition the item goes on with."""
    return (
        *_definition(before["definition"], now["definition"], pinned),
        *_rules(before["rules"], now["rules"]),
        *_each("approvals", before["approvals"], now["approvals"]),
        *_granted(before["grants"], now["grants"]),
        *_each("label of", before["labels"], now["labels"]),
        *_held(before["credentials"], now["credentials"]),
    )


def _definition(before: str | None, now: str | None, pinned: str) -> Iterator[str]:
    if now is None and before is not None:
        yield "the loop is in the registry no more"
    elif before != now:
        yield (
            f"the definition in the registry is {str(now)[7:19]} now, it was {str(before)[7:19]}; "
            f"this item goes on with {pinned[7:19]}"
        )


def _rules(before: list[str], now: list[str]) -> Iterator[str]:
    yield from (f"rule added: {rule}" for rule in now if rule not in before)
    yield from (f"rule removed: {rule}" for rule in before if rule not in now)


def _each(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            yield f"{what} {name}: {_shown(is_now)}, it was {_shown(was)}"


def _granted(before: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> Iterator[str]:
    for agent in sorted({*before, *now}):
        was, is_now = set(before.get(agent, ())), set(now.get(agent, ()))
        yield from (f"{agent} is granted {tool}" for tool in sorted(is_now - was))
        yield from (f"{agent} is granted {tool} no more" for tool in sorted(was - is_now))


def _held(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was == is_now:
            continue
        if is_now is None:
            yield f"credential {name} is gone"
        elif was is None:
            yield f"credential {name} is new"
        elif was.split(" ")[0] != is_now.split(" ")[0]:
            yield f"credential {name} is another one"
        else:
            yield f"credential {name} was changed at {is_now.partition(' ')[2]}"


def _shown(value: object) -> str:
    return "none" if value is None else canonical(value)


def _grants(loop: Loop) -> dict[str, list[str]]:
    agents = ("lead", *(a.name for a in loop.subagents))
    return {agent: _listed(grants_of(loop, agent)) for agent in agents}


def _listed(grants: Grants) -> list[str]:
    if isinstance(grants, dict):
        return sorted(f"{c}.{t}" for c, tools in grants.items() for t in tools)
    return sorted(f"{c}.*" for c in grants)
