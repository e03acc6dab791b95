"""How is it shown what an item waits for that comes by itself?"""

from collections.abc import Iterable

from cli.words import exact, one_line, span, stamp
from governance.charges import unit_of
from governance.parts import Json
from governance.records import ItemRow
from governance.waits import Awaited, Later


def waits_json(item: ItemRow) -> Json | None:
    """For `--json` outputs; None for an item that waits for nothing of the kind."""
    if item.waits is None:
        return None
    return {
        "since": stamp(item.waits.since),
        "at_most_until": stamp(item.waits.give_up_at),
        "of": [_json(wait) for wait in item.waits.of],
    }


def wait_lines(items: Iterable[ItemRow], now: int) -> list[str]:
    """A line for each item that waits for a budget or a far side."""
    return [
        f"{item.item} {one_line(item.waits.said)} (for {span(now - item.waits.since)})"
        for item in items
        if item.waits is not None
    ]


def _json(wait: Awaited) -> Json:
    if isinstance(wait, Later):
        return {"subject": wait.subject, "opens": stamp(wait.opens), "until": wait.until}
    unit = unit_of(wait.budget)
    return {
        "budget": wait.budget, "window": wait.window, "unit": unit,
        "asked": exact(wait.asked) if unit == "usd" else wait.asked,
        "opens": stamp(wait.opens), "held": wait.held, "until": wait.until,
    }  # fmt: skip
