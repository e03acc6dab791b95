"""Which budget has no room, and what is the way out?"""

from dataclasses import dataclass

from drivers.store.sql import Row
from governance.charges import Charge, unit_of
from governance.draws import RULE
from governance.effects import Stop, StopReason
from governance.errors import StoreError
from governance.raises import amount

_REASONS: dict[str, StopReason] = {"steps": "steps", "tokens": "tokens", "usd": "cost"}
"""Why a run or an item ends at its own cap, by unit; a rule's budget is one reason, `budget`."""


@dataclass(frozen=True)
class Short:
    """A budget that has no room for a charge.

    `held`: it has, once calls under way have come to less than they hold. `row` is the budget as it stands.
    """

    stop: Stop
    held: bool
    row: Row
    charge: Charge

    @property
    def cap(self) -> tuple[str, str]:
        """The budget and its window."""
        return self.row["budget"], self.row["period"]


def reason_of(budget: str) -> StopReason:
    """Why whoever meets the end of it stops. Raises `StoreError` for a unit there is not."""
    if budget.startswith(RULE):
        return "budget"
    unit = unit_of(budget)
    if unit not in _REASONS:
        raise StoreError(
            f"budget {budget!r} counts in {unit!r}. A budget's name ends in one of "
            f"{', '.join(':' + known for known in _REASONS)}."
        )
    return _REASONS[unit]


def short_of(row: Row, charge: Charge, name: str) -> Short:
    """What stands against this charge by the effect `name`."""
    reason = reason_of(charge.budget)
    if row["stopped"] is not None:
        detail = (
            f"budget {charge.budget!r} ({row['period']}) is stopped: {row['stopped']}. Find out why, then "
            f"let it go on with `loops budget raise {charge.budget}`."
        )
        return Short(Stop(reason, detail), False, row, charge)
    if charge.amount is None:
        return Short(Stop(reason, _unpriced(charge, name)), False, row, charge)
    held = row["spent"] + row["unknown"] + charge.amount <= row["cap"]
    return Short(Stop(reason, _full(row, charge, charge.amount, held)), held, row, charge)


def _unpriced(charge: Charge, name: str) -> str:
    return (
        f"{name!r} has no price, and budget {charge.budget!r} counts USD. Name a priced model, or take the cap "
        "away."
    )


def _full(row: Row, charge: Charge, asked: int, held: bool) -> str:
    unit = charge.unit

    def say(value: int) -> str:
        return amount(value, unit)

    taken = row["spent"] + row["unknown"] + row["held"]
    if charge.since is not None and asked <= row["cap"]:
        way_out = "It rolls on."
    elif held:
        way_out = "Calls under way hold the rest."
    elif charge.since is not None:
        way_out = (
            "It never has so much: change the rule in registry/budgets.yaml and `loops apply`."
        )
    elif charge.budget.startswith(RULE):
        way_out = (
            f"Raise it for {row['period']} with `loops budget raise {charge.budget}`, or change the rule "
            "in registry/budgets.yaml and `loops apply`."
        )
    else:
        way_out = f"Raise it with `loops budget raise {charge.budget}`."
    return (
        f"budget {charge.budget!r} would reach {say(taken + asked)} of {say(row['cap'])} {unit} "
        f"({say(row['spent'])} spent, {say(row['held'])} held, {say(row['unknown'])} unknown, "
        f"{say(asked)} asked for). {way_out}"
    )
