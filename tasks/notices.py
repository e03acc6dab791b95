"""Tell people, once: a card waits, a heartbeat is over, an item was given up."""

import json

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.settings import PREFECT_UI_URL

from governance.alerts import said
from governance.answers import CardKind, way_to_answer
from governance.approvals import moment, plain
from governance.parts import Json, usd
from governance.records import Card, ItemRow, Outgoing, RunRow
from tasks.events import emit
from tasks.world import World


async def notify(world: World, due: Outgoing) -> None:
    """Send one notice: as an event of Prefect's, and through every notification block the organisation names."""
    told = await _words(world, due)
    if told is None:
        return
    subject, body = told
    await emit(world, due, subject)
    for name in world.registry.organisation.alerts:
        block = await Block.aload(name)
        if not isinstance(block, NotificationBlock):
            raise TypeError(f"alerts in org.yaml: {name!r} is no notification block")
        await block.notify(world.screen.text(body), world.screen.text(subject))


async def _words(world: World, due: Outgoing) -> tuple[str, str] | None:
    if about_money := said(due.payload):
        return about_money
    if "card" in due.payload:
        card = await world.store.card(str(due.payload["card"]))
        return await _card(world, card) if card else None
    if due.payload.get("kind") == "lost":
        return _lost(str(due.payload["told"]))
    if due.payload.get("kind") == "bill":
        return _bill(str(due.payload["subject"]), json.loads(str(due.payload["told"])))
    if due.payload.get("kind") == "breaker":
        return await _pause(world, str(due.payload["loop"]))
    if due.payload.get("kind") == "lives":
        item = await world.store.item(str(due.payload["item"]))
        return _given_up(item) if item else None
    run = await world.store.run(str(due.payload["run"]))
    return await _run(world, run) if run else None


_WHAT: dict[CardKind, str] = {
    "approval": "waits for you",
    "in_doubt": "may have happened; say whether it did",
    "diverged": "cannot go on by itself",
}


async def _card(world: World, card: Card) -> tuple[str, str]:
    item = await world.store.item(card.item)
    until = moment(card.deadline) if card.deadline else "none, it waits"
    return (
        f"{card.loop}: {plain(card.tool)} {_WHAT[card.kind]}",
        f"{plain(card.why)}\n"
        f"Cost so far: {usd(card.cost):.4f} USD (computed)\n"
        f"Deadline: {until}\n"
        f"Answer: {link(item.flow_run if item else None)} or `{way_to_answer(card.kind, card.card)}`",
    )


async def _pause(world: World, loop: str) -> tuple[str, str] | None:
    pause = await world.store.breaker(loop)
    if pause is None:
        return None
    return (
        f"{loop} is paused: it spends and nothing is accepted",
        f"{plain(pause.why)}\n"
        f"Since {moment(pause.at)}, after run {pause.run}. Nothing of it runs until somebody lets it go on.\n"
        f"Look: `loops state {loop}`. Go on: `loops resume {loop} --reason TEXT`",
    )


def _lost(told: str) -> tuple[str, str]:
    return (
        "Prefect's database was lost",
        f"It knows none of the last housekeepings on record: {told}.\n"
        "What waited for people is asked once more; answers that were only in Prefect's forms are gone.\n"
        "Whoever paused schedules in Prefect has to do so again.",
    )


def _bill(subject: str, told: Json) -> tuple[str, str]:
    off, tokens = told["off_usd"], told["off"]
    amount = "" if off is None else f"Billed beyond our calls: {usd(off):+f} USD\n"
    counts = "" if not tokens or not any(tokens.values()) else (
        "Tokens billed beyond our calls: "
        + ", ".join(f"{n:+,} {name}" for name, n in tokens.items() if n) + "\n"
    )  # fmt: skip
    return (
        f"The bill for {plain(subject)} is not what the ledger holds",
        f"{plain(told['why'])}\n{amount}{counts}From {plain(told['source'])}. Nothing of it is booked.\n"
        "Look: `loops reconcile --dry-run`",
    )


def _given_up(item: ItemRow) -> tuple[str, str]:
    return (
        f"{item.loop}: given up: {plain(item.finding.title)}",
        f"{plain(item.stop.detail) if item.stop else ''}\n"
        f"What it did: `loops trace {item.item}`\n{link(item.flow_run)}",
    )


async def _run(world: World, run: RunRow) -> tuple[str, str]:
    items = await world.store.items(run=run.run)
    spent = sum(r.cost or 0 for r in await world.store.ledger(run=run.run))
    ended = "\n".join(
        f"- {plain(i.finding.title)}: {i.status}" + (f" ({i.stop.reason})" if i.stop else "")
        for i in items
    )
    stopped = f"stopped ({run.stop.reason}): {plain(run.stop.detail)}" if run.stop else ""
    fan_out = await world.store.fan_out(run.run)
    before = f"\nPriced before: {plain(fan_out.told)}" if fan_out else ""
    return (
        f"{run.loop}: run {run.run} is over",
        f"{stopped or run.summary or 'nothing found'}{before}\n{ended}\n"
        f"Cost: {usd(spent):.4f} USD (computed)\n{link(run.flow_run)}",
    )


def link(flow_run: str | None) -> str:
    """Where a flow run is in the Prefect UI."""
    return f"{PREFECT_UI_URL.value()}/runs/flow-run/{flow_run}"
