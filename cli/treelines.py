"""How does a trace read, line by line?"""

from collections.abc import Sequence

from cli.cards import answer_of
from cli.fanouts import said_of
from cli.spent import Spent
from cli.tree import Effect, ItemTrace, Lane, seconds, spent_in
from cli.words import money, one_line
from governance.effects import NO_PRICE, Stop
from governance.fanout import FanOut
from governance.records import Card, LedgerRow, RunRow

Line = tuple[str, str, str, str, str, str]
"""What, status, seconds, tokens, cost, note."""

TITLE = 60
NOTE = 120


def run_lines(
    run: RunRow, lanes: Sequence[Lane], items: Sequence[ItemTrace], now: int,
    fan_out: FanOut | None,
) -> list[Line]:  # fmt: skip
    """A run with all its items."""
    what = f"run {run.run} {run.loop}, slot {one_line(run.slot)}"
    took = (run.closed_at or now) - run.opened_at
    note = _stop(run.stop) or one_line(run.summary or "", NOTE)
    lines = [_total(what, run.status, took, spent_in(lanes, items), note)]
    for lane in lanes:
        lines += _lane(lane, 1)
    if fan_out is not None:
        what = f"{_indent(1)}fan-out of {fan_out.price.items:,}"
        lines.append((what, fan_out.standing, "-", "-", "-", one_line(said_of(fan_out))))
    for item in items:
        lines += item_lines(item, 1, now)
    return lines


def item_lines(trace: ItemTrace, depth: int, now: int) -> list[Line]:
    """An item with its lanes, its evidence and its cards. Its seconds are those it was awake."""
    item = trace.item
    what = f"{_indent(depth)}item {item.item} {one_line(item.finding.title, TITLE)}"
    lines = [_total(what, item.status, item.awake_ms, trace.spent, _stop(item.stop))]
    for lane in trace.lanes:
        lines += _lane(lane, depth + 1)
    for proof in trace.evidence:
        what = f"{_indent(depth + 1)}evidence {proof.kind} about {proof.tree[:12]}"
        note = f"by {one_line(proof.by)}: {one_line(proof.detail, NOTE)}"
        lines.append((what, one_line(proof.verdict), "-", "-", "-", note))
    lines += [_card(card, depth + 1, now) for card in trace.cards]
    what = f"{_indent(depth + 1)}changed while it waited"
    lines += [(what, "-", "-", "-", "-", one_line(told, NOTE)) for told in trace.changes]
    return lines


def _total(what: str, status: str, took: int, cost: Spent, note: str) -> Line:
    tokens = f"{cost.tokens:,}" if cost.tokens else "-"
    return (what, status, f"{took / 1000:,.1f}", tokens, str(cost), note)


def _lane(lane: Lane, depth: int) -> list[Line]:
    name = one_line(lane.name) + (f", round {lane.round}" if lane.round else "")
    lines: list[Line] = [(f"{_indent(depth)}{name}", "", "", "", "", "")]
    for effect in lane.effects:
        lines += _effect(effect, depth + 1)
    for below in lane.lanes:
        lines += _lane(below, depth + 1)
    return lines


def _effect(effect: Effect, depth: int) -> list[Line]:
    entry = effect.entry
    what = f"{_indent(depth)}{entry.kind} {one_line(entry.name)}"
    lines = [_try(what, row) for row in effect.tries]
    if not effect.tries:
        status = "refused" if effect.refusal else entry.status
        lines.append((what, status, "-", "-", "-", one_line(effect.refusal or "", NOTE)))
    elif entry.status == "doubt":
        lines.append((what, "in doubt", "-", "-", "-", "a person must say whether it happened"))
    return lines


def _try(what: str, row: LedgerRow) -> Line:
    took = seconds(row)
    used = row.usage
    message = one_line(str(row.attributes.get("error.message", "")), NOTE)
    error = one_line(row.error) if row.error else ""
    return (
        what if row.attempt == 1 else f"{what}, try {row.attempt}",
        row.status,
        "-" if took is None else f"{took:,.1f}",
        f"{used.input_tokens}+{used.output_tokens}" if used.total else "-",
        _cost(row),
        f"{error}: {message}" if error and message else error or message,
    )


def _cost(row: LedgerRow) -> str:
    if row.cost is not None:
        return money(row.cost)
    if row.cost_status in NO_PRICE:
        return row.cost_status
    return "-" if row.status == "open" else "unknown"


def _card(card: Card, depth: int, now: int) -> Line:
    what = f"{_indent(depth)}card {card.card} {one_line(card.tool)}"
    if card.answer is None:
        status = "waiting" if card.deadline is None or now <= card.deadline else "expired"
        return (what, status, "-", "-", "-", one_line(card.why, NOTE))
    return (what, card.answer, "-", "-", "-", answer_of(card))


def _stop(stop: Stop | None) -> str:
    return f"{stop.reason}: {one_line(stop.detail)}" if stop else ""


def _indent(depth: int) -> str:
    return "  " * depth
