"""What is asked of the far side about a call whose answer was lost, and which part of what it shows is the call's?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from governance.organisation import Organisation, Probe
from governance.parts import Json
from governance.problems import Path, suggest

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def asked(probe: Probe, call: Json) -> Json:
    """The probe's arguments for one call; those that name what the call did not say are left out."""
    filled = {name: _filled(value, call) for name, value in probe.arguments.items()}
    return {name: value for name, value in filled.items() if value is not _LEFT_OUT}


def found(probe: Probe, call: Json, answer: object) -> tuple[Json, ...]:
    """The elements of an answer that are this call's; none where the probe does not say how to tell."""
    wanted = {path: _filled(text, call) for path, text in probe.match.items()}
    wanted = {path: value for path, value in wanted.items() if value is not _LEFT_OUT}
    if not wanted:
        return ()
    return tuple(e for e in _elements(answer) if all(_at(e, p) == v for p, v in wanted.items()))


def unfit_probes(organisation: Organisation) -> Iterator[tuple[Path, str]]:
    """Every probe that names a tool which is not there, or which does more than read."""
    for connector, entry in organisation.connectors.items():
        for tool, labels in entry.tools.items():
            if labels.probe is None:
                continue
            path = ("connectors", connector, "tools", tool, "probe", "tool")
            name, known = labels.probe.tool, organisation.labels(labels.probe.tool)
            if known is None:
                yield (
                    path,
                    f"tool {name!r} is not labelled here" + suggest(name, _tools(organisation)),
                )
            elif not known.read_only:
                yield path, f"{name!r} is not labelled read_only; looking must change nothing"


_LEFT_OUT: Any = object()


def _filled(value: Any, call: Json) -> Any:
    if isinstance(value, Mapping):
        filled = {k: _filled(v, call) for k, v in value.items()}
        return {k: v for k, v in filled.items() if v is not _LEFT_OUT}
    if isinstance(value, list):
        return [v for v in (_filled(one, call) for one in value) if v is not _LEFT_OUT]
    if not isinstance(value, str):
        return value
    whole = _NAME.fullmatch(value)
    if whole:
        return call.get(whole[1], _LEFT_OUT)
    if any(name not in call for name in _NAME.findall(value)):
        return _LEFT_OUT
    return _NAME.sub(lambda match: str(call[match[1]]), value)


def _elements(answer: object) -> list[Json]:
    """A list of objects; one object is a list of one, and one that only wraps a list is that list."""
    if isinstance(answer, Mapping):
        lists = [v for v in answer.values() if isinstance(v, list)]
        answer = lists[0] if len(lists) == 1 and len(answer) == 1 else [answer]
    return [e for e in answer if isinstance(e, dict)] if isinstance(answer, list) else []


def _at(element: Json, path: str) -> object:
    value: object = element
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _tools(organisation: Organisation) -> list[str]:
    return [f"{c}.{t}" for c, entry in organisation.connectors.items() for t in entry.tools]
