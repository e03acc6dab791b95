"""What did an effect come to, as it is settled?"""

from dataclasses import replace

from governance.charges import Amounts
from governance.conversation import Reply, assistant, chain
from governance.effects import Intent, Settlement
from governance.limits import own_charges
from governance.parts import Json
from governance.prices import Rated


def reserving(intent: Intent, rated: Rated, most: Amounts) -> Intent:
    """The intent of an effect that is no model call, and costs no more than this.

    What nobody has declared a price of is counted by no cap on money.
    """
    most = replace(most, usd=rated.cost or 0)
    charges = tuple(c for c in own_charges(intent.place, most) if c.amount)
    return replace(intent, charges=charges, most=most, price=rated.price)


def of_model(intent: Intent, reply: Reply, rated: Rated, now: int) -> Settlement:
    """A model's answer."""
    return Settlement(
        now=now,
        result=reply.as_json(),
        cost=rated.cost,
        list_cost=rated.list_cost,
        cost_status=rated.status,
        price=rated.price,
        usage=reply.usage,
        paid=Amounts(rated.cost, reply.usage.total, steps=1, calls=1),
        head=chain(intent.head, (assistant(reply),)),
        response_model=reply.model,
        attributes={
            "gen_ai.response.id": reply.response_id,
            "gen_ai.response.finish_reasons": [reply.stop],
            "anthropic.request.id": reply.request_id,
        },
    )


def of_tool(
    intent: Intent, result: Json, labels: tuple[str, ...], rated: Rated, now: int
) -> Settlement:
    """A tool's answer; one that says it failed was a call all the same."""
    plain = Settlement(
        now=now,
        result=result,
        cost=None,
        cost_status="undeclared",
        price={},
        head=intent.head,
        labels=labels,
        paid=Amounts(calls=1),
        error="tool_error" if result["is_error"] else None,
    )
    return at(plain, rated)


def at(settlement: Settlement, rated: Rated) -> Settlement:
    """The settlement of an effect that is no model call, with what it costs."""
    return replace(
        settlement,
        cost=rated.cost,
        list_cost=rated.list_cost,
        cost_status=rated.status,
        price=rated.price,
        paid=replace(settlement.paid, usd=rated.cost or 0),
    )
