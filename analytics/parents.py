"""Which spans do the tries of a run hang from?

One tree for each run that has ended: the run, in it its items, in both their conversations and fixed steps, delegates
below those who called them; the leaves at its ends lie in `spans/`. A run under way has no parents yet, as a call
under way has no span. A try that is settled after its run has ended still stretches them, so all are made anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from analytics.lake import Lake
from analytics.schema import SPANS, spans_table
from drivers.store.spans import owner_span, trace_id
from governance.parents import Node, Stretch, agent_span, workflow_span
from governance.parts import Json
from governance.trace import Span

_NS_PER_MS = 1_000_000
_NAMED_BY = ["parent_span_id", "loop_run_id", "loop_item_id", "loop_lane", "loop_round"]
_SAID = ["gen_ai_agent_name", "loop_role"]
_SUMMED = [
    ("start_time_unix_nano", "min"),
    ("end_time_unix_nano", "max"),
    ("seq", "max"),
    *((name, "min") for name in _SAID),
]


@dataclass(frozen=True)
class Lane:
    """One conversation or fixed step, as its leaves tell of it."""

    span: str
    name: str
    round: int
    agent: str
    role: str
    stretch: Stretch

    def called(self, other: "Lane") -> bool:
        """Whether the other one is a delegate's, below this one."""
        return self.round == other.round and other.name.startswith(f"{self.name}-")


Lanes = Mapping[str, list[Lane]]
"""By owner: an item, or a run for what its heartbeat did."""


def parents_table(lake: Lake, facts: Mapping[str, pa.Table]) -> pa.Table:
    """The parents of every run that has ended, as rows of `SPANS`; `facts` are those of `read_facts`."""
    lanes = _lanes(lake)
    items: dict[str, list[Json]] = {}
    for item in facts["items"].to_pylist():
        items.setdefault(item["run"], []).append(item)
    found: list[Span] = []
    for run in facts["runs"].to_pylist():
        if run["closed_at_ms"] is not None:
            found += _tree(run, items.get(run["run"], []), lanes)
    return spans_table(sorted(found, key=lambda s: (s.start_time_unix_nano, s.span_id)))


def _lanes(lake: Lake) -> Lanes:
    # Each day is added up by itself, so that not all leaves are in memory at once.
    needed = [*_NAMED_BY, *dict.fromkeys(name for name, _ in _SUMMED)]
    days = [_added_up(lake.columns(lake.day(day), SPANS, needed)) for day in lake.days()]
    found: dict[str, list[Lane]] = {}
    for row in _added_up(pa.concat_tables(days)).to_pylist() if days else ():
        stretch = Stretch(row["start_time_unix_nano"], row["end_time_unix_nano"], row["seq"])
        lane = Lane(
            row["parent_span_id"], row["loop_lane"], row["loop_round"], row["gen_ai_agent_name"],
            row["loop_role"], stretch,
        )  # fmt: skip
        found.setdefault(row["loop_item_id"] or row["loop_run_id"], []).append(lane)
    return found


def _added_up(leaves: pa.Table) -> pa.Table:
    table = leaves.group_by(_NAMED_BY, use_threads=False).aggregate(_SUMMED)
    plain = {f"{name}_{how}": name for name, how in _SUMMED}
    return table.rename_columns([plain.get(name, name) for name in table.column_names])


def _tree(run: Json, items: list[Json], lanes: Lanes) -> list[Span]:
    """The run and everything below it but the leaves."""
    below = _of_lanes(run, None, lanes)
    for item in items:
        inner = _of_lanes(run, item["item"], lanes)
        node = _node(run, item["item"], _between(item["found_at_ms"], item["closed_at_ms"]), inner)
        below += [workflow_span(node, status=item["status"], stop=item["stop_reason"]), *inner]
    node = _node(run, None, _between(run["opened_at_ms"], run["closed_at_ms"]), below)
    return [workflow_span(node, status=run["status"], stop=run["stop_reason"]), *below]


def _of_lanes(run: Json, item: str | None, lanes: Lanes) -> list[Span]:
    owner = item or run["run"]
    own = lanes.get(owner, [])
    found: list[Span] = []
    for lane in own:
        callers = [other for other in own if other.called(lane)]
        caller = max(callers, key=lambda other: len(other.name), default=None)
        node = Node(
            trace=trace_id(run["run"]),
            span=lane.span,
            above=caller.span if caller else owner_span(owner),
            loop=run["loop"],
            run=run["run"],
            item=item,
            stretch=lane.stretch.over(other.stretch for other in own if lane.called(other)),
        )
        found.append(
            agent_span(node, agent=lane.agent, role=lane.role, lane=lane.name, round=lane.round)
        )
    return found


def _node(run: Json, item: str | None, own: Stretch, below: list[Span]) -> Node:
    inner = (Stretch(s.start_time_unix_nano, s.end_time_unix_nano, s.seq) for s in below)
    return Node(
        trace=trace_id(run["run"]),
        span=owner_span(item or run["run"]),
        above=owner_span(run["run"]) if item else None,
        loop=run["loop"],
        run=run["run"],
        item=item,
        stretch=own.over(inner),
    )


def _between(began_ms: int, ended_ms: int) -> Stretch:
    return Stretch(began_ms * _NS_PER_MS, ended_ms * _NS_PER_MS)
