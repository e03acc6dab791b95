"""How does a loop that the breaker paused go on?"""

import asyncio
import json

import click

from cli.names import claimed
from cli.server import reaching_prefect
from cli.source import json_option
from cli.store import open_cli_store
from cli.words import now_ms, one_line, stamp
from governance.breaker import BreakerRow
from governance.errors import LoopError
from governance.memory import Store
from governance.records import PageMoved

_EXAMPLE = """\b
$ loops state night-fix                          # what happened
$ loops resume night-fix --reason "the image has pytest again" --as noor@northwind.example
$ loops resume night-fix --reason "mended" --json
"""


@click.command(epilog=_EXAMPLE)
@click.argument("loop")
@click.option("--reason", required=True, help="Why it may go on; kept on record.")
@click.option("--as", "name", help="Who says so; the user of this machine by default.")
@json_option
def resume(loop: str, reason: str, name: str | None, as_json: bool) -> None:
    """Let a loop go on that the breaker paused.

    Its schedules fire again, but for those that a person had paused before the breaker did. The breaker
    counts anew from here, and slots that passed meanwhile are not made up for. Exit code 0 when it was
    paused and is not any more; else 1.
    """
    said = " ".join(reason.split())
    if not said or len(said) > 2_000 or one_line(said) != said:
        raise click.UsageError("--reason takes 1 to 2,000 visible characters")
    store = open_cli_store().store
    row = asyncio.run(_resume(store, loop, claimed(name), said))
    late, paused = _switched(store, row)
    if as_json:
        told = {**vars(row), "at": stamp(row.at), "resumed_at": stamp(row.resumed_at)}
        stay = {"schedules": "later" if late else "active", "paused_schedules": paused}
        click.echo(json.dumps({**told, **stay}, indent=2))
    else:
        click.echo(f"{loop}: goes on. It was paused after run {row.run}: {one_line(row.why)}")
        click.echo(late or "What the breaker switched off fires again.")
        for schedule in paused:
            click.echo(
                f"Schedule {schedule} stays paused, as a person had left it: "
                f"`prefect deployment schedule resume heartbeat/{loop} {schedule}`"
            )


async def _resume(store: Store, loop: str, by: str, reason: str) -> BreakerRow:
    from tasks.page import on_the_page

    async def write(state: str, seen: int) -> BreakerRow | PageMoved | None:
        return await store.resume(loop, by=by, reason=reason, state=state, seen=seen, now=now_ms())

    row = await on_the_page(store, loop, write)
    if row is None:
        raise click.ClickException(
            f"loop {one_line(loop)!r} is not paused by its breaker; nothing was changed. A schedule that a person "
            "paused goes on in Prefect: `prefect deployment schedule resume`."
        )
    return row


def _switched(store: Store, row: BreakerRow) -> tuple[str, tuple[str, ...]]:
    """When Prefect's schedules will be switched on, empty when they are; and those that stay paused."""
    why, paused = "", ()
    try:
        with reaching_prefect():
            paused = asyncio.run(_drain(row.loop))
    except LoopError as error:
        why = f" ({error})"
    waiting = asyncio.run(store.outbox(100_000))
    if all((w.kind, w.key) != ("unpause", f"{row.loop}-{row.nth}") for w in waiting):
        return "", paused
    return f"It is on record; housekeeping will switch its schedules on{why}.", ()


async def _drain(loop: str) -> tuple[str, ...]:
    from tasks.outbox import drain
    from tasks.switches import paused_schedules
    from tasks.world import open_world

    async with open_world() as world:
        await drain(world)
    return await paused_schedules(loop)
