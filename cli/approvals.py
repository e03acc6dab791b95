"""What waits for a person, and what do they say to it?"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import click

from cli.cards import CARD_HEAD, answer_of, card_json, card_line, whole_card
from cli.names import claimed
from cli.pick import pick_card
from cli.source import json_option
from cli.store import open_cli_store
from cli.waking import wake
from cli.words import columns, now_ms
from governance.answers import Answer, meanings, takes, way_to_answer
from governance.approvals import moment
from governance.memory import Store
from governance.records import Card

F = TypeVar("F", bound=Callable[..., object])

_LIST_EXAMPLE = """\b
$ loops approvals
CARD           LOOP       TOOL                       ITEM      AGE  DEADLINE  COST        EVIDENCE
c8635f9d2a41b  night-fix  github.merge_pull_request  fix test  3 h  in 2 d    0.4120 USD  verified: passed

$ loops approvals c8635
"""
_ANSWER_EXAMPLE = """\b
$ loops {word} c8635 --as noor@northwind.example --reason "seen with Theo"
$ loops {word} c8635f9d2a41b --yes --json
"""


def _answer_options(word: str) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in (
            json_option,
            click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
            click.option("--reason", default="", help="Why; the agent reads it, and it is kept."),
            click.option("--as", "name", help="Who answers; the user of this machine by default."),
            click.argument("card"),
        ):
            command = option(command)
        return click.command(word, epilog=_ANSWER_EXAMPLE.format(word=word))(command)  # pyright: ignore[reportReturnType]

    return decorate


@click.command(epilog=_LIST_EXAMPLE)
@click.argument("card", required=False)
@json_option
def approvals(card: str | None, as_json: bool) -> None:
    """List the cards that wait for a person, or show one CARD whole.

    The whole card holds exactly what will run: every argument, the full diff, the evidence. It is
    paged on a terminal. CARD may be the beginning of a card's id.
    """
    store = open_cli_store().store
    if card is None:
        _show_all(asyncio.run(_waiting(store)), as_json)
        return
    found, title = asyncio.run(_titled(store, card))
    if as_json:
        click.echo(json.dumps(card_json(found, title), indent=2))
    else:
        click.echo_via_pager(whole_card(found, title, now_ms()) + "\n")


@_answer_options("approve")
def approve(card: str, name: str | None, reason: str, yes: bool, as_json: bool) -> None:
    """Say yes to a card: exactly what it shows may run, once.

    The answer is written to the store first and then the waiting run is woken. Where Prefect cannot
    be reached the answer stands all the same, and housekeeping wakes the run.

    Exit code 0 when your answer counts, 1 when it does not (answered, expired, unknown).
    """
    give(Given("approve", card, name, reason, yes, as_json))


@_answer_options("reject")
def reject(card: str, name: str | None, reason: str, yes: bool, as_json: bool) -> None:
    """Say no to a card: what it shows will not run.

    The answer is written to the store first and then the waiting run is woken. Where Prefect cannot
    be reached the answer stands all the same, and housekeeping wakes the run.

    Exit code 0 when your answer counts, 1 when it does not (answered, expired, unknown).
    """
    give(Given("reject", card, name, reason, yes, as_json))


def _show_all(cards: list[tuple[Card, str]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([card_json(c, title) for c, title in cards], indent=2))
    elif cards:
        now = now_ms()
        click.echo(columns([CARD_HEAD, *(card_line(c, title, now) for c, title in cards)]))
    else:
        click.echo("Nothing waits for a person.")


class Given(NamedTuple):
    """An answer as it was typed."""

    answer: Answer
    card: str
    name: str | None
    reason: str
    yes: bool
    as_json: bool
    result: str = ""


def give(given: Given) -> None:
    """Answer a card and wake its run. Raises `click.ClickException` where the answer does not count."""
    answer, by = given.answer, claimed(given.name)
    store = open_cli_store().store
    card, title = asyncio.run(_titled(store, given.card))
    _fits(card, answer)
    _still_open(card)
    # Standard output is for the JSON then; a person who is asked still sees what they answer.
    click.echo(whole_card(card, title, now_ms()) + "\n", err=given.as_json)
    if not given.yes and sys.stdin.isatty():
        click.confirm(f"{answer.capitalize()} this as {by!r}?", abort=True, err=given.as_json)
    answered = asyncio.run(
        store.answer(
            card.card, answer=answer, by=by, reason=given.reason, result=given.result, now=now_ms()
        )
    )
    if answered.answer is None or (answered.answer, answered.answered_by) != (answer, by):
        _still_open(answered)
    woken, said = asyncio.run(wake(store, answered.card))
    if given.as_json:
        click.echo(json.dumps({**card_json(answered, title), "woken": woken}, indent=2))
    else:
        click.echo(f"Card {answered.card}: {answer_of(answered)}.\n{said}")


def _fits(card: Card, answer: Answer) -> None:
    """Raises `click.ClickException` for an answer to another question than the card's."""
    if not takes(card.kind, answer):
        raise click.ClickException(
            f"card {card.card!r} is {card.kind.replace('_', ' ')}: {answer!r} answers another question. "
            f"Nothing was changed; answer it with `{way_to_answer(card.kind, card.card)}` "
            f"({meanings(card.kind)})"
        )


def _still_open(card: Card) -> None:
    """Raises `click.ClickException` where no answer is taken any more, or not yet."""
    now = now_ms()
    if card.answer is not None and card.answered_by == "deadline":
        raise click.ClickException(
            f"card {card.card!r} expired: {answer_of(card)}. Nothing was changed; the same action "
            "proposed again asks with a fresh card."
        )
    if card.answer is not None:
        raise click.ClickException(
            f"card {card.card!r} is answered already: {answer_of(card)}. The first answer counts."
        )
    if card.not_before is not None and now <= card.not_before:
        raise click.ClickException(
            f"card {card.card!r} takes no answer before {moment(card.not_before)}: what it asks about "
            "may still be on its way. Nothing was changed; answer then."
        )


async def _waiting(store: Store) -> list[tuple[Card, str]]:
    return [(card, await _title(store, card)) for card in await store.cards()]


async def _titled(store: Store, given: str) -> tuple[Card, str]:
    card = await pick_card(store, given)
    return card, await _title(store, card)


async def _title(store: Store, card: Card) -> str:
    item = await store.item(card.item)
    return item.finding.title if item else "(no item)"
