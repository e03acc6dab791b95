"""What did a run or an item do, step by step, and what came of each try?"""

import asyncio
import json

import click

from cli.fanouts import fan_out_json
from cli.pick import pick_owner
from cli.source import json_option
from cli.spent import Spent
from cli.store import open_cli_store
from cli.tree import ItemTrace, Lane, changes_in, lanes_of, spent_in
from cli.treelines import item_lines, run_lines
from cli.words import columns, now_ms, stamp
from governance.fanout import FanOut
from governance.memory import Store
from governance.parts import Json
from governance.records import ItemRow, RunRow

_MANY = 100_000

_EXAMPLE = """\b
$ loops trace i5f0c2
WHAT                                STATUS  SECONDS  TOKENS     COST        NOTE
item i5f0c2ab91d3e fix test_total   done    61.0     9,120      0.4120 USD
  maker, round 1
    model claude-sonnet-4-6         failed  0.4      -          0.0000 USD  unavailable: overloaded
    model claude-sonnet-4-6, try 2  done    2.1      1204+311   0.0083 USD

$ loops trace r77ab01 --json
"""


@click.command(epilog=_EXAMPLE)
@click.argument("owner", metavar="RUN|ITEM")
@json_option
def trace(owner: str, as_json: bool) -> None:
    """Show what a run or an item did: every lane, every effect, every try of it.

    Effects stand in the order in which each lane made them; a failed or unknown try is shown like
    any other. TOKENS are input+output. RUN|ITEM may be the beginning of an id.
    """
    store = open_cli_store().store
    run, lanes, items = asyncio.run(_traced(store, owner))
    fan_out = asyncio.run(store.fan_out(run.run)) if run else None
    if as_json:
        told = [item.as_json() for item in items]
        every = spent_in(lanes, items)
        shown = _run_json(run, lanes, every, told, fan_out) if run else told[0]
        click.echo(json.dumps(shown, indent=2))
        return
    head = ("WHAT", "STATUS", "SECONDS", "TOKENS", "COST", "NOTE")
    now = now_ms()
    rows = run_lines(run, lanes, items, now, fan_out) if run else item_lines(items[0], 0, now)
    click.echo(columns([head, *rows]))


async def _traced(
    store: Store, given: str
) -> tuple[RunRow | None, tuple[Lane, ...], list[ItemTrace]]:
    """The run (None when an item is meant) with its own lanes, and the items."""
    owner = await pick_owner(store, given)
    run = await store.run(owner)
    if run is None:
        item = await store.item(owner)
        assert item is not None
        return None, (), [await _item(store, item)]
    rows = [r for r in await store.ledger(run=owner) if r.place.owner == owner]
    items = await store.items(run=owner, limit=_MANY)
    lanes = lanes_of(await store.entries(owner), rows)
    return run, lanes, [await _item(store, item) for item in items]


async def _item(store: Store, item: ItemRow) -> ItemTrace:
    entries = await store.entries(item.item)
    return ItemTrace(
        item,
        lanes_of(entries, await store.ledger(item=item.item)),
        await store.cards(item=item.item, open_only=False),
        await store.evidence(item.item),
        changes_in(entries),
    )


def _run_json(
    run: RunRow, lanes: tuple[Lane, ...], every: Spent, items: list[Json], fan_out: FanOut | None
) -> Json:
    return {
        "run": run.run,
        "loop": run.loop,
        "slot": run.slot,
        "flow_run": run.flow_run,
        "status": run.status,
        "opened_at": stamp(run.opened_at),
        "closed_at": stamp(run.closed_at),
        "stop": vars(run.stop) if run.stop else None,
        "summary": run.summary,
        "fan_out": fan_out_json(fan_out) if fan_out else None,
        **every.as_json(),
        "lanes": [lane.as_json() for lane in lanes],
        "items": items,
    }
