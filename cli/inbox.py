"""What has been found, and where does it stand?"""

import asyncio
import json
from dataclasses import asdict, dataclass

import click

from cli.source import json_option
from cli.spent import Spent, spent
from cli.store import open_cli_store
from cli.waits import wait_lines, waits_json
from cli.words import columns, now_ms, one_line, span, stamp
from governance.effects import Evidence
from governance.memory import Store
from governance.parts import Json
from governance.records import ItemRow

TITLE = 60
LIMIT = 1_000
"""Items one look shows, newest first."""

_EXAMPLE = """\b
$ loops inbox --loop night-fix
ITEM           LOOP       TITLE           STATUS   ROUND  AGE  COST        EVIDENCE          STOP
i5f0c2ab91d3e  night-fix  fix test_total  waiting  1      3 h  0.4120 USD  verified: passed  -

$ loops inbox --all --json
[{"item": "i5f0c2ab91d3e", "loop": "night-fix", "status": "waiting", "cost_usd": "0.412", ...}]
"""


@dataclass(frozen=True)
class Standing:
    """One item with what it cost and what is established about it."""

    item: ItemRow
    spent: Spent
    evidence: tuple[Evidence, ...]

    def as_json(self, now: int) -> Json:
        """For `--json` outputs."""
        item = self.item
        return {
            "item": item.item,
            "loop": item.loop,
            "run": item.run,
            "title": item.finding.title,
            "dedupe": item.finding.dedupe,
            "status": item.status,
            "round": item.round,
            "stop": asdict(item.stop) if item.stop else None,
            "waits": waits_json(item),
            "found_at": stamp(item.found_at),
            "closed_at": stamp(item.closed_at),
            "age_s": ((item.closed_at or now) - item.found_at) // 1000,
            "awake_s": item.awake_ms // 1000,
            "flow_run": item.flow_run,
            "evidence": [asdict(e) for e in self.evidence],
            "outcome": item.outcome,
            **self.spent.as_json(),
        }


@click.command(epilog=_EXAMPLE)
@click.option("--loop", help="Only this loop's items.")
@click.option("--all", "ended", is_flag=True, help="Also those that have ended.")
@json_option
def inbox(loop: str | None, ended: bool, as_json: bool) -> None:
    """List the items found: where each stands, what it cost so far, what is established.

    Newest first. AGE counts from when it was found, until it ended. COST is as computed; tries
    whose cost nobody knows are counted beside it. An item that is kept_back waits for a person to let
    its fan-out go (`loops fanout`). One that waits for room in a budget has a line below: for which, and
    until when.
    """
    store = open_cli_store().store
    rows = asyncio.run(_standing(store, loop, open_only=not ended))
    now = now_ms()
    kept = {
        r.item.run: r.item.stop.detail for r in rows if r.item.status == "kept_back" and r.item.stop
    }
    if as_json:
        click.echo(json.dumps([row.as_json(now) for row in rows], indent=2))
    elif rows:
        head = ("ITEM", "LOOP", "TITLE", "STATUS", "ROUND", "AGE", "COST", "EVIDENCE", "STOP")
        click.echo(columns([head, *(_line(row, now) for row in rows)]))
        for why in kept.values():
            click.echo(one_line(why))
        for line in wait_lines((row.item for row in rows), now):
            click.echo(line)
        if len(rows) == LIMIT:
            click.echo(f"The newest {LIMIT:,} only; narrow it with --loop.", err=True)
    else:
        click.echo("Nothing is open." if not ended else "Nothing was found yet.")


async def _standing(store: Store, loop: str | None, *, open_only: bool) -> list[Standing]:
    items = await store.items(loop=loop, open_only=open_only, limit=LIMIT)
    return [
        Standing(item, spent(await store.ledger(item=item.item)), await store.evidence(item.item))
        for item in items
    ]


def _line(row: Standing, now: int) -> tuple[str, ...]:
    item = row.item
    return (
        item.item,
        item.loop,
        one_line(item.finding.title, TITLE),
        item.status,
        str(item.round) if item.round else "-",
        span((item.closed_at or now) - item.found_at),
        str(row.spent),
        _newest(row.evidence),
        item.stop.reason if item.stop else "-",
    )


def _newest(evidence: tuple[Evidence, ...]) -> str:
    """The newest word of each kind."""
    last = {e.kind: one_line(e.verdict) for e in evidence}
    return ", ".join(f"{kind}: {verdict}" for kind, verdict in last.items()) or "-"
