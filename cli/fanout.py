"""What will a fan-out cost, and may one go that is kept back?"""

import asyncio
import json
import sys

import click

from cli.fanouts import fan_out_json, table
from cli.names import claimed
from cli.pick import pick
from cli.source import json_option
from cli.store import open_cli_store
from cli.waking import hand_out
from cli.words import now_ms, one_line
from governance.fanout import Answer, Answering, FanOut, NotAnswered
from governance.memory import Store
from governance.records import ItemRow

MANY = 1_000
"""Fan-outs that are looked through for the beginning of an id, and items of one that are shown."""

_LIST_EXAMPLE = """\b
$ loops fanout list
RUN      LOOP       ITEMS  PRICE       STANDING   AGE  SAID
r77ab01  night-fix  12     30.2400 USD  kept back  3 h  12 items × 2.5200 USD expected ...

$ loops fanout list --all --json
[{"run": "r77ab01", "items": 12, "expected_usd": "30.24", "each_usd": "2.52", "past_items": 50, ...}]
"""
_ALLOW_EXAMPLE = """\b
$ loops fanout allow r77ab01 --why "release night" --as noor@northwind.example
$ loops fanout allow r77 --why "release night" --yes --json
"""
_DISCARD_EXAMPLE = """\b
$ loops fanout discard r77ab01 --why "one broken import, not twelve bugs" --yes
"""


@click.group()
def fanout() -> None:
    """List fan-outs with their price, and let one go that is kept back, or discard it.

    A fan-out is what one heartbeat found that is new. It is priced before anything of it is handed
    out; above a rule of registry/budgets.yaml (fan_outs) all of it is kept back, until a person says.
    """


_why = click.option("--why", required=True, help="Kept on record.")
_as = click.option("--as", "by", help="Who says so; the user of this machine by default.")
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


@fanout.command("list", epilog=_LIST_EXAMPLE)
@click.option("--all", "every", is_flag=True, help="Also those that went, the newest fifty.")
@json_option
def list_fan_outs(every: bool, as_json: bool) -> None:
    """List the fan-outs that are kept back, with their price and the rule they are above."""
    store = open_cli_store().store
    looked = store.fan_outs() if every else store.fan_outs(kept_back=True, limit=MANY)
    found = asyncio.run(looked)
    if as_json:
        click.echo(json.dumps([fan_out_json(one) for one in found], indent=2))
    elif found:
        click.echo(table(found, now_ms()))
    else:
        click.echo("Nothing was handed out yet." if every else "Nothing is kept back.")


@fanout.command(epilog=_ALLOW_EXAMPLE)
@click.argument("run")
@_why
@_as
@_yes
@json_option
def allow(run: str, why: str, by: str | None, yes: bool, as_json: bool) -> None:
    """Let a fan-out go that is kept back: all its items are handed out.

    It goes as it is, whatever its price; budgets and the limits of the loop hold as ever. RUN may be
    the beginning of an id. Exit code 0 when it goes, 1 when nothing was changed.
    """
    _answer(run, "allow", why, by, yes=yes, as_json=as_json)


@fanout.command(epilog=_DISCARD_EXAMPLE)
@click.argument("run")
@_why
@_as
@_yes
@json_option
def discard(run: str, why: str, by: str | None, yes: bool, as_json: bool) -> None:
    """End a fan-out that is kept back: its items are stopped (rejected), and nothing was asked for them.

    The next heartbeat may find the same again. RUN may be the beginning of an id. Exit code 0 when it
    is discarded, 1 when nothing was changed.
    """
    _answer(run, "discard", why, by, yes=yes, as_json=as_json)


def _answer(
    run: str, answer: Answer, why: str, by: str | None, *, yes: bool, as_json: bool
) -> None:
    said = " ".join(why.split())
    if not said or len(said) > 2_000 or one_line(said) != said:
        raise click.UsageError("--why takes 1 to 2,000 visible characters")
    store, who = open_cli_store().store, claimed(by)
    there, items = asyncio.run(_looked_up(store, run))
    # Standard output is for the JSON then; a person who is asked still sees what they decide about.
    click.echo(table((there,), now_ms()), err=as_json)
    for item in items:
        click.echo(f"  item {item.item}: {one_line(item.finding.title, 80)}", err=as_json)
    if not yes and sys.stdin.isatty():
        what = "Let it go" if answer == "allow" else "Discard it"
        click.confirm(f"{what} as {who!r}?", abort=True, err=as_json)
    after, dispatched, told = asyncio.run(_do(store, Answering(there.run, answer, who, said)))
    if as_json:
        done = {**fan_out_json(after), "item_ids": [i.item for i in items]}
        click.echo(json.dumps({**done, "dispatched": dispatched}, indent=2))
    else:
        click.echo(told)


async def _looked_up(store: Store, given: str) -> tuple[FanOut, tuple[ItemRow, ...]]:
    there = await store.fan_out(given)
    if there is None:
        kept = [f.run for f in await store.fan_outs(kept_back=True, limit=MANY)]
        way_out = "`loops fanout list` shows what is kept back."
        there = await store.fan_out(pick(given, kept, "run that is kept back", way_out))
        assert there is not None
    return there, await store.items(run=there.run, limit=MANY)


async def _do(store: Store, wanted: Answering) -> tuple[FanOut, bool, str]:
    done = await store.answer_fan_out(wanted, now=now_ms())
    if isinstance(done, NotAnswered):
        raise click.ClickException(f"nothing was changed: {done.why}")
    if wanted.answer == "discard":
        return done, False, "Its items are stopped; nothing was asked for them."
    items = [i.item for i in await store.items(run=wanted.run, limit=MANY)]
    return done, *await hand_out(store, items, "what was kept back", "begins as workers are free")
