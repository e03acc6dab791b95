"""How do a run, an item and a conversation read as the spans that tries hang from?

A parent has no cost: only leaves carry one (`trace`), so whoever adds up a tree counts nothing twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from governance.effects import BY_PEOPLE
from governance.parts import Json
from governance.trace import Span, present


@dataclass(frozen=True)
class Stretch:
    """From when to when (Unix nanoseconds), and the highest settling number in between."""

    start: int
    end: int
    seq: int = 0

    def over(self, others: Iterable["Stretch"]) -> "Stretch":
        """This one, stretched until it covers these."""
        every = (self, *others)
        return Stretch(
            min(o.start for o in every), max(o.end for o in every), max(o.seq for o in every)
        )


@dataclass(frozen=True)
class Node:
    """A place in the tree of a run, and when it was."""

    trace: str
    span: str
    above: str | None
    """The span it hangs from; None for the run itself."""
    loop: str
    run: str
    item: str | None
    stretch: Stretch


def workflow_span(node: Node, *, status: str, stop: str | None) -> Span:
    """A run, or an item of it. What people decided is no error, and no success either: its status is UNSET."""
    failed = stop is not None and stop not in BY_PEOPLE
    code = "OK" if stop is None else "ERROR" if failed else "UNSET"
    own: Json = {
        "gen_ai.operation.name": "invoke_workflow",
        "loop.kind": "run" if node.item is None else "item",
        "loop.status": status,
        "loop.stop.reason": stop,
        "error.type": stop if failed else None,
    }
    return _span(node, f"invoke_workflow {node.loop}", code, own)


def agent_span(node: Node, *, agent: str, role: str, lane: str, round: int) -> Span:
    """One conversation, or one fixed step of the loop. Nobody judges it as a whole: its status is UNSET."""
    own: Json = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": agent,
        "loop.kind": "lane",
        "loop.role": role,
        "loop.lane": lane,
        "loop.round": round,
    }
    return _span(node, f"invoke_agent {agent}", "UNSET", own)


def _span(node: Node, name: str, code: Literal["OK", "ERROR", "UNSET"], own: Json) -> Span:
    where: Json = {
        "gen_ai.workflow.name": node.loop,
        "loop.run.id": node.run,
        "loop.item.id": node.item,
    }
    return Span(
        seq=node.stretch.seq,
        trace_id=node.trace,
        span_id=node.span,
        parent_span_id=node.above,
        name=name,
        kind="INTERNAL",
        start_time_unix_nano=node.stretch.start,
        end_time_unix_nano=node.stretch.end,
        status_code=code,
        attributes=present({**own, **where}),
    )
