"""How do the caps of a run or an item stand, and how does a person raise one?"""

import asyncio
import json
import sys
from dataclasses import replace
from typing import NamedTuple

import click

from cli.names import claimed
from cli.pick import pick_owner
from cli.raises import (
    HEAD,
    Shown,
    amount_of,
    budget_json,
    caps_of_item,
    caps_of_run,
    end_of,
    find_budget,
    line,
    look_at,
    raise_json,
)
from cli.source import json_option
from cli.store import open_cli_store
from cli.waits import wait_lines
from cli.waking import hand_out
from cli.words import columns, now_ms, one_line
from governance.approvals import moment
from governance.charges import unit_of
from governance.memory import Store
from governance.raises import NotRaised, Raised, RaiseRow, Raising, amount
from governance.records import Budget

RUNS = 20
"""Runs whose budgets are listed when none is named, the newest."""

_LIST_EXAMPLE = """\b
$ loops budget list i5f0c2
BUDGET                     WINDOW   CAP  SPENT  HELD  UNKNOWN  LEFT
item:i5f0c2ab91d3e:steps   r77ab01  60   60     0     0        0
run:r77ab01:usd            r77ab01  20   4.21   0     0        15.79

$ loops budget list --json
"""
_SHOW_EXAMPLE = """\b
$ loops budget show item:i5f0c2ab91d3e:steps
$ loops budget show rule:team-day/all:usd --window 2026-06-02 --json
"""
_RAISE_EXAMPLE = """\b
$ loops budget raise item:i5f0c2ab91d3e:steps --to 120 --why "it is nearly there"
$ loops budget raise run:r77ab01:usd --to 40 --why "release night" --until 12h --as noor@northwind.example
$ loops budget raise item:i5f0c2ab91d3e:minutes --to 180 --why "slow tests" --yes --json
"""


@click.group()
def budget() -> None:
    """Show the caps of a run or an item, or raise one.

    A budget is named `<whose>:<unit>`, as stops and lists name it: `item:i5f0c2ab91d3e:steps`,
    `run:r77ab01:usd`. Units are steps, tokens, usd and minutes.
    """


@budget.command("list", epilog=_LIST_EXAMPLE)
@click.argument("owner", metavar="[RUN|ITEM]", required=False)
@json_option
def list_budgets(owner: str | None, as_json: bool) -> None:
    """List budgets: of an item and its run, of a run with its items, or of the newest runs.

    LEFT is what can still be taken now: the cap without what is spent, held by calls under way, or
    unknown. RUN|ITEM may be the beginning of an id.
    """
    found = asyncio.run(_of(open_cli_store().store, owner))
    if as_json:
        click.echo(json.dumps([budget_json(b) for b in found], indent=2))
    elif found:
        click.echo(columns([HEAD, *(line(b) for b in found)]))
    else:
        click.echo("Nothing is capped.")


@budget.command(epilog=_SHOW_EXAMPLE)
@click.argument("name", metavar="BUDGET")
@click.option("--window", help="Which window; the newest by default.")
@json_option
def show(name: str, window: str | None, as_json: bool) -> None:
    """Show one budget: how it stands, who raised it and why, what it has stopped, and what waits for it."""
    shown = asyncio.run(_shown(open_cli_store().store, name, window))
    if as_json:
        click.echo(json.dumps(shown.as_json(), indent=2))
        return
    click.echo(columns([HEAD, line(shown.budget)]))
    for row in shown.raises:
        click.echo(_raise_line(row))
    for item in shown.stopped:
        click.echo(f"It has stopped item {item.item}: {one_line(item.finding.title, 80)}")
    for told in wait_lines(shown.waiting, now_ms()):
        click.echo(f"Item {told}")


@budget.command("raise", epilog=_RAISE_EXAMPLE)
@click.argument("name", metavar="BUDGET")
@click.option("--to", "to", required=True, help="The new cap, in the unit of the budget.")
@click.option("--why", required=True, help="Kept on record.")
@click.option(
    "--until", help="How long (90m, 12h, 3d), or a moment; as long as the window is by default."
)
@click.option("--window", help="Which window; the newest by default.")
@click.option("--as", "by", help="Who raises it; the user of this machine by default.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def raise_(
    name: str, to: str, why: str, until: str | None, window: str | None, by: str | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Raise one cap, and let go on what had stopped for it.

    Items that this cap has stopped go on at their next step: what was made is kept, and no step that
    was paid for is made again. What waits for room in it is woken if it has some now. With --until
    the cap is afterwards what it was before.

    Exit code 0 when it is raised, 1 when nothing was changed, 2 for what makes no sense.
    """
    store = open_cli_store().store
    shown = asyncio.run(_shown(store, name, window))
    wanted = _wanted(shown.budget, to, why, until, claimed(by))
    # Standard output is for the JSON then; a person who is asked still sees what they raise.
    click.echo(_preview(shown, wanted), err=as_json)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Raise it as {wanted.by!r}?", abort=True, err=as_json)
    done = asyncio.run(_raise(store, wanted))
    if as_json:
        click.echo(json.dumps(_as_json(shown.budget, done), indent=2))
    else:
        click.echo("\n".join(_told(done)))


class _Done(NamedTuple):
    raised: Raised
    after: Budget
    dispatched: bool
    said: str


def _wanted(found: Budget, to: str, why: str, until: str | None, by: str) -> Raising:
    said = " ".join(why.split())
    if not said or len(said) > 2_000 or one_line(said) != said:
        raise click.UsageError("--why takes 1 to 2,000 visible characters")
    ends = end_of(until, now_ms()) if until is not None else None
    cap = amount_of(to, unit_of(found.budget))
    return Raising(found.budget, found.window, found.cap, cap, said, by, ends)


def _preview(shown: Shown, wanted: Raising) -> str:
    after = replace(shown.budget, cap=wanted.to)
    lines = [columns([("", *HEAD), ("before", *line(shown.budget)), ("after", *line(after))])]
    lines += [f"Goes on: item {i.item}, {one_line(i.finding.title, 80)}" for i in shown.stopped]
    lines += [
        f"Waits for it: item {i.item}, {one_line(i.finding.title, 80)}" for i in shown.waiting
    ]
    return "\n".join(lines)


async def _raise(store: Store, wanted: Raising) -> _Done:
    done = await store.raise_cap(wanted, now=now_ms())
    if isinstance(done, NotRaised):
        raise click.ClickException(f"nothing was changed: {done.why}")
    after = await find_budget(store, wanted.budget, wanted.window)
    if not done.resumed and not done.woken:
        return _Done(
            done,
            after,
            True,
            "Nothing had stopped or waits for it, or it has no room for that yet.",
        )
    return _Done(done, after, *await hand_out(store, (*done.resumed, *done.woken)))


def _told(done: _Done) -> list[str]:
    left = [f"Not resumed: {why}" for _, why in done.raised.left]
    return [_raise_line(done.raised.row), *left, done.said]


def _as_json(before: Budget, done: _Done) -> dict[str, object]:
    return {
        "before": budget_json(before), "after": budget_json(done.after),
        "raise": raise_json(done.raised.row), "resumed": list(done.raised.resumed),
        "left": [{"item": item, "why": why} for item, why in done.raised.left],
        "woken": list(done.raised.woken), "dispatched": done.dispatched,
    }  # fmt: skip


def _raise_line(row: RaiseRow) -> str:
    unit = unit_of(row.budget)
    until = f" until {moment(row.until)}" if row.until is not None else ""
    over = f", over since {moment(row.ended_at)}" if row.ended_at is not None else ""
    return (
        f"Raised to {amount(row.cap, unit)} {unit}{until} (without it {amount(row.base, unit)}) by "
        f"{one_line(row.by)} at {moment(row.at)}{over}: {one_line(row.why)}"
    )


async def _of(store: Store, owner: str | None) -> tuple[Budget, ...]:
    if owner is None:
        runs = await store.runs(limit=RUNS)
        return tuple([b for run in runs for b in await caps_of_run(store, run.run)])
    named = await pick_owner(store, owner)
    item = await store.item(named)
    return await caps_of_item(store, item) if item else await caps_of_run(store, named)


async def _shown(store: Store, name: str, window: str | None) -> Shown:
    return await look_at(store, await find_budget(store, name, window))
