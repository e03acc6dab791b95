"""What does a loop know between its heartbeats, and what does a person say to that?"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.names import claimed
from cli.source import json_option, load_registry, registry_option
from cli.store import open_cli_store
from cli.words import now_ms, one_line, stamp
from governance.approvals import moment, plain
from governance.memory import Store
from governance.records import StatePage
from governance.statepage import corrected, state_page

COMPOSED_AT_MOST = 100
"""How often a correction is put on a newer page before it is given up."""

_EXAMPLE = """\b
$ loops state night-fix
$ loops state night-fix --correct "test_total is quarantined until Friday" --as noor@northwind.example
$ loops state night-fix --json
{"loop": "night-fix", "version": 7, "at": "2026-06-02T02:14:09.120+00:00", "by": "item i5f0...", ...}
"""


@click.command(epilog=_EXAMPLE)
@click.argument("loop")
@click.option("--correct", "text", help="Add one line of yours; the loop reads it next time.")
@click.option("--as", "name", help="Who says so; the user of this machine by default.")
@click.option(
    "--version", type=click.IntRange(min=1), help="An older version; the newest by default."
)
@registry_option
@json_option
def state(
    loop: str, text: str | None, name: str | None, version: int | None, root: Path, as_json: bool
) -> None:
    """Show what a loop knows between its heartbeats, or correct it.

    The page is made from the store: what is done and by which evidence, what is open, what ended
    otherwise and why. A correction is one more line below, in your name, and a new version.
    """
    if text is not None and version is not None:
        raise click.UsageError("--correct always adds to the newest version; leave --version out")
    if name is not None and text is None:
        raise click.UsageError("--as says who corrects; it goes with --correct")
    store = open_cli_store().store
    if text is not None:
        page = asyncio.run(_correct(store, loop, _said(text), claimed(name), root))
    else:
        page = asyncio.run(_page(store, loop, version))
    if as_json:
        click.echo(json.dumps({**vars(page), "at": stamp(page.at)}, indent=2))
    else:
        click.echo(
            f"{page.loop}, version {page.version:,}, {moment(page.at)}, by {one_line(page.by)}\n\n"
            f"{plain(page.body)}"
        )


async def _page(store: Store, loop: str, version: int | None) -> StatePage:
    page = await store.state(loop, version=version)
    if page is not None:
        return page
    newest = await store.state(loop)
    if newest is not None:
        raise click.ClickException(
            f"loop {loop!r} has no version {version:,} of its state; the newest is {newest.version:,}."
        )
    raise click.ClickException(
        f"loop {one_line(loop)!r} has no state yet: no item of it has ended. "
        "`loops list` names the loops, `loops inbox` what they found."
    )


async def _correct(store: Store, loop: str, text: str, by: str, root: Path) -> StatePage:
    page = await store.state(loop)
    if page is None and not await store.runs(loop=loop, limit=1):
        # A name nobody has heard of would be a page that no loop ever reads.
        load_registry(root).loop(loop)
    now = now_ms()
    day = datetime.fromtimestamp(now / 1000, UTC).date().isoformat()
    for _ in range(COMPOSED_AT_MOST):
        body = page.body if page else state_page(loop, await store.items(loop=loop), "")
        told = corrected(body, text, by, day)
        seen = page.version if page else 0
        written = await store.correct(loop, told, seen=seen, by=by, now=now)
        if isinstance(written, StatePage):
            return written
        page = await store.state(loop)
    raise click.ClickException(
        f"the state of loop {loop!r} was written by others {COMPOSED_AT_MOST} times meanwhile; "
        "nothing of yours was. Say it again."
    )


def _said(text: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > 2_000 or one_line(said) != said:
        raise click.UsageError("--correct takes 1 to 2,000 visible characters")
    return said
