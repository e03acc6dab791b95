"""Put open cards before a person, and read what they answered; suspend for that, and for what comes by itself.

The form a person fills in is Prefect's suspended run; the answer that counts is the store's. Every form is posted
under a fresh key, since a key that was used once makes the run impossible to resume (Prefect 3.8.8: 409 on save).
"""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.input.actions import aread_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from pydantic import Field, create_model

from drivers.crash import point
from governance.answers import CHOICES, LATER, answer_in_form, meanings, said_in_form
from governance.approvals import CLAIMED, form_markdown, moment
from governance.parts import Json
from governance.records import Card, ItemRow
from tasks.job import Job
from tasks.waking import changes_of, in_force
from tasks.world import World, now_ms

_GAVE = (
    'JSON such as {"number": 7}, or text. Later steps may need it; without it what the far side showed counts, '
    "where it showed exactly one thing that is this call's."
)


def field_of(card: str) -> str:
    """The form's field for a card."""
    return f"card_{card}"


def result_field_of(card: str) -> str:
    """The form's field for what an effect in doubt gave."""
    return f"result_{card}"


def answers_form(cards: Sequence[Card]) -> type[RunInput]:
    """One form for all open cards: an answer for each that must be chosen, a reason, and who answers."""
    fields: dict[str, Any] = {}
    for c in cards:
        told = f"Card {c.card}. {meanings(c.kind)}"
        choice = Literal[*(o.said for o in CHOICES[c.kind]), LATER]  # pyright: ignore[reportInvalidTypeForm]
        fields[field_of(c.card)] = (choice, Field(title=c.tool, description=told))
        if c.kind == "in_doubt":
            fields[result_field_of(c.card)] = (
                str,
                Field(default="", title=f"What {c.tool} gave, if it happened", description=_GAVE),
            )
    fields["approver"] = (
        str,
        Field(min_length=1, title="Your name", description="Recorded as claimed, not proven."),
    )
    fields["reason"] = (
        str,
        Field(default="", title="Reason", description="Kept on record; the agent reads it."),
    )
    return create_model("Approval", __base__=RunInput, **fields)


async def collect_answers(world: World, item: ItemRow) -> None:
    """Take over what was answered in Prefect under the last form's key; the store's first answer wins."""
    if not item.posted_key or not item.flow_run:
        return
    keys = keyset_from_base_key(f"suspended-{item.posted_key}")
    told = await aread_flow_run_input(keys["response"], flow_run_id=UUID(item.flow_run))
    if not isinstance(told, dict):
        return
    for card in await world.store.cards(item=item.item):
        answer = answer_in_form(card.kind, told.get(field_of(card.card)))
        if answer is not None:
            await world.store.answer(
                card.card,
                answer=answer,
                by=f"{CLAIMED}: {told.get('approver', 'nobody')}",
                reason=str(told.get("reason", "")),
                result=world.screen.text(str(told.get(result_field_of(card.card), ""))),
                now=now_ms(),
            )


async def wait(job: Job) -> None:
    """Suspend this flow run until a person has answered, a budget has room, or a far side wants to be asked again.

    Under one form for all open cards, or none: housekeeping wakes what waits for anything else. Comes back when there
    is nothing to wait for.
    """
    cards = await job.world.store.cards(item=job.owner)
    waits = job.patience.taken()
    if not cards and not waits:
        return
    if job.desk:
        await job.desk.close()
    key = await job.world.store.posted(
        job.owner, fence=job.fence, now=now_ms(), noted=await in_force(job), waits=waits,
        wait_limit_ms=job.wait_limit_ms,
    )  # fmt: skip
    form = _form(job, cards) if cards else None
    point("before-suspend")
    await asuspend_flow_run(wait_for_input=form, key=key)


def _form(job: Job, cards: Sequence[Card]) -> type[RunInput]:
    shown = [(c, moment(c.asked_at), moment(c.deadline) if c.deadline else None) for c in cards]
    told = form_markdown(shown, changes_of(job))
    return answers_form(cards).with_initial_data(description=told)


def form_answer(cards: Sequence[Card]) -> Json:
    """The run input that resumes a flow whose cards were answered in the store.

    It carries literals and card ids only: Prefect renders a run input as a template, so no word of a person or an
    agent may stand in it. Who answered, and why, is in the store.
    """
    answers = {field_of(c.card): said_in_form(c.kind, c.answer) for c in cards}
    return {**answers, "approver": "answered in the store", "reason": ""}
