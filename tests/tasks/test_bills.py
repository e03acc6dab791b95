"""Killed in mid call, cut off, answered with nonsense: after the bill is in, settled is the bill and nothing is unknown.

The far side is a process of its own, with its own counter and its own price list.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from demo.model.process import running
from drivers.store.store import SqlStore
from drivers.usage_report import AdminApi
from governance.bill import Billed, Meters, Report, day_of
from governance.charges import Amounts
from governance.conversation import Usage
from governance.effects import NOT_BEFORE, Recorded
from governance.prices import Book, Contract, cost
from governance.prices.contract import ModelTerms
from governance.records import Budget
from tasks.bills import due_days, reconcile_days
from tasks.world import now_ms
from tests.drivers.provider import KEY, talk
from tests.drivers.store.story import RUN, Story, settled, store_in, usd
from tests.tasks.caller import MODEL

ROOT = Path(__file__).parents[2]
ADMIN = "sk-ant-admin-canary-91f2"
HOUR = 3_600_000
LATER = 3 * 24 * HOUR
POINTS = (
    "after-intend", "before-model-send", "after-model-reply", "before-done", "after-done", "after-fail", "", "", "",
)  # fmt: skip
"""Where a caller is killed: at a point between T4 and T5, or (empty) whenever it happens to be."""
USD, TOKENS = ("run:r1:usd", RUN), ("run:r1:tokens", RUN)


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    store = store_in(tmp_path)
    told = Story(store)
    await told.open_run(RUN, "06:00", Budget(*USD, 10**13), Budget(*TOKENS, 10**13))
    (item,) = await told.find("a", budgets=(Budget("item:{item}:steps", RUN, 10**6),))
    await told.claim(item.item, now=now_ms(), lease=600_000)
    yield told
    store.disconnect()


@pytest.fixture(scope="module")
def far_side() -> Iterator[str]:
    with running("--key", KEY, "--admin-key", ADMIN, "--latency-ms", "15") as url:
        yield url


async def money(store: SqlStore, budget: tuple[str, str] = USD) -> Budget:
    found = await store.budget(*budget)
    assert found is not None
    return found


async def look(
    store: SqlStore, report: Report, *, dry: bool = False, book: Book | None = None
) -> Any:
    days = (day_of(now_ms()) - timedelta(1), day_of(now_ms()) + timedelta(1))
    report = replace(report, taken_at=now_ms() + LATER)
    return await reconcile_days(
        store,
        report,
        days,
        book=book or Book(),
        delay_ms=24 * HOUR,
        by="noor",
        now=now_ms() + LATER,
        dry=dry,
    )


def told(*lines: tuple[str, date, Billed], tokens: bool = True) -> Report:
    covered = (day_of(now_ms()) - timedelta(9), day_of(now_ms()) + timedelta(9))
    return Report(
        "a report", now_ms(), {(model, day): line for model, day, line in lines},
        tokens=covered if tokens else None, usd=None if tokens else covered,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_between_t4_and_t5_again_and_again_then_reconciled_with_the_far_sides_bill(
    story: Story, tmp_path: Path, far_side: str
) -> None:
    before = talk(far_side, "/_bill")
    for n, point in enumerate(POINTS):
        fates = [{"path": "/v1/messages", "kind": kind} for kind in ("malformed", "truncated")]
        talk(far_side, "/_faults", fates, "POST")
        child = await _caller(tmp_path, story.item, f"p{n}", far_side, point)
        assert child.stdout is not None
        for _ in range(random.randint(3, 12)):
            await asyncio.wait_for(child.stdout.readline(), 60)
        if not point:
            await asyncio.sleep(random.uniform(0, 0.03))
            os.killpg(child.pid, signal.SIGKILL)
        assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
    await asyncio.sleep(0.1)
    await story.store.sweep(now_ms() + 60_000)
    bill = talk(far_side, "/_bill")["cost_pico_usd"] - before.get("cost_pico_usd", 0)
    held = await money(story.store)
    assert held.held == 0
    assert held.unknown > 0
    assert held.spent < bill <= held.spent + held.unknown

    api = AdminApi(far_side, ADMIN)
    today = day_of(now_ms())
    report = await api.report((today - timedelta(40), today + timedelta(1)), now=now_ms())
    for dry in (True, False, False):
        found = await look(story.store, replace(report, usd=None), dry=dry)
        assert [one.model for one in found] == [MODEL]
        if dry:
            assert await money(story.store) == held
    assert await money(story.store) == replace(held, held=0, spent=bill, unknown=0)
    tokens = await money(story.store, TOKENS)
    assert (tokens.unknown, tokens.spent) == (0, sum(r.usage.total for r in await _rows(story)))
    assert sum(r.cost or 0 for r in await _rows(story)) == bill
    assert {r.status for r in await _rows(story)} <= {"done", "late", "failed"}
    whats = [line["what"] for line in await story.store.audit()]
    assert whats.count("bill resolved") == 1
    exact = await look(story.store, report)
    assert [(one.state, one.off_usd, one.billed.usd) for one in exact] == [("equal", 0, bill)]


async def _rows(story: Story) -> Any:
    return await story.store.ledger(run=RUN)


async def _caller(directory: Path, item: str, lane: str, url: str, point: str) -> Process:
    # Two calls of each caller fail, at once.
    nth = random.randint(1, 2) if point == "after-fail" else random.randint(3, 12)
    doom = {"LOOPRAIL_CRASH": f"{point}:{nth}"} if point else {}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tasks.caller", str(directory), item, lane, url, KEY,
        stdout=PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **doom}, start_new_session=True,
    )  # fmt: skip


async def call(story: Story, step: int, worst: int, *, cost: int | None, began: int = 0) -> None:
    """One model call; without a cost nobody knows what became of it."""
    now = began or now_ms()
    charges = (usd(worst), usd(worst, "run:r1:tokens"))
    intent = story.intent(
        step, *charges, now=now, kind="model", name="sonnet", most=Amounts(usd=worst), lease=now + 10,
        attributes={"gen_ai.request.model": MODEL},
    )  # fmt: skip
    got = await story.store.intend(intent)
    attempt = got.attempt  # type: ignore[union-attr]
    if cost is None:
        await story.store.fail(
            intent.place, attempt, status="unknown", error="unknown", attributes={NOT_BEFORE: 0}, now=now + 1
        )  # fmt: skip
        return
    paid = settled(
        usd(cost), usd(15, "run:r1:tokens"), cost=cost, now=now + 1, response_model=MODEL
    )
    await story.store.done(intent.place, attempt, paid)


async def test_what_was_not_billed_is_free_again_and_the_audit_says_so(story: Story) -> None:
    await call(story, 0, 10**9, cost=10**8)
    await call(story, 1, 10**9, cost=None)
    report = told((MODEL, day_of(now_ms()), Billed(Meters(input=10, output=5))))
    (found,) = await look(story.store, report)
    assert (found.state, [s.billed for s in found.shares]) == ("resolved", [False])
    assert await money(story.store) == Budget(*USD, 10**13, spent=10**8)
    assert [r.status for r in await _rows(story)] == ["done", "failed"]
    (line,) = [a for a in await story.store.audit() if a["what"].startswith("bill")]
    assert (line["who"], line["what"]) == ("noor", "bill resolved")


async def test_a_seeded_difference_is_found_by_model_and_day_told_once_and_never_booked(
    story: Story,
) -> None:
    await call(story, 0, 10**9, cost=10**8)
    await call(story, 1, 10, cost=None)
    day, other = day_of(now_ms()), day_of(now_ms()) - timedelta(1)
    report = told(
        (MODEL, day, Billed(Meters(input=10_000, output=5))),
        ("claude-opus-4-8", other, Billed(Meters(output=7))),
    )
    before = await money(story.store)
    for _ in range(3):
        found = await look(story.store, report)
        assert [(one.model, one.days[0], one.state, one.off) for one in found] == [
            ("claude-opus-4-8", other, "unexplained", Meters(output=7)),
            (MODEL, day, "unexplained", Meters(input=9_990)),
        ]
    assert await money(story.store) == before
    notices = [due for due in await story.store.outbox() if due.kind == "notice"]
    assert [n.payload["subject"] for n in notices] == [f"claude-opus-4-8 {other}", f"{MODEL} {day}"]
    assert len([a for a in await story.store.audit() if a["what"] == "bill unexplained"]) == 2


async def test_what_a_bill_resolves_costs_what_the_contract_says(story: Story) -> None:
    """The tokens are the bill's, the price is ours: half of the list's here."""
    day = day_of(now_ms())
    await call(story, 0, 10**12, cost=None)
    book = Book(
        Contract(
            models=(ModelTerms(model=MODEL, starts=date(2020, 1, 1), discount=Decimal("0.5")),)
        )
    )
    report = told((MODEL, day, Billed(Meters(output=1_000))))
    (one,) = await look(story.store, report, book=book)
    assert one.state == "resolved"
    listed = cost(Usage(output_tokens=1_000), MODEL, now_ms())
    assert listed is not None
    assert (await money(story.store)).spent == listed // 2 > 0


async def test_a_day_is_not_resolved_before_its_report_is_final(story: Story) -> None:
    await call(story, 0, 10**9, cost=None)
    today = day_of(now_ms())
    report = told((MODEL, today, Billed(Meters())))
    for when in (now_ms(), now_ms() + 24 * HOUR):
        found = await reconcile_days(
            story.store, replace(report, taken_at=when), (today, today), book=Book(),
            delay_ms=24 * HOUR, by="noor", now=now_ms() + LATER, dry=False,
        )  # fmt: skip
        assert found == ()
    assert (await money(story.store)).unknown == 10**9


async def test_calls_over_midnight_wait_for_both_days_and_are_resolved_together(
    story: Story,
) -> None:
    today = day_of(now_ms())
    midnight = now_ms() - now_ms() % (24 * HOUR)
    await call(story, 0, 10**9, cost=None, began=midnight - 5)
    report = told()
    args: Any = {
        "book": Book(),
        "delay_ms": 24 * HOUR,
        "by": "noor",
        "now": now_ms() + LATER,
        "dry": False,
    }
    yesterday = today - timedelta(1)
    (one,) = await reconcile_days(
        story.store, replace(report, taken_at=now_ms() + LATER), (yesterday, yesterday), **args
    )
    assert (one.state, one.days) == ("waits", (yesterday, today))
    assert (await money(story.store)).unknown == 10**9
    (both,) = await look(story.store, report)
    assert (both.state, both.days) == ("resolved", (yesterday, today))
    assert (await money(story.store)).unknown == 0


async def test_a_call_settled_meanwhile_is_looked_at_again_before_anything_is_resolved(
    story: Story,
) -> None:
    await call(story, 0, 10**9, cost=None)
    seen = await story.store.observed(now_ms() - HOUR, now_ms() + HOUR)
    report = told((MODEL, day_of(now_ms()), Billed(Meters(input=10, output=5))))
    (found,) = await look(story.store, report, dry=True)
    late = settled(usd(10**8), usd(15, "run:r1:tokens"), cost=10**8, response_model=MODEL)
    await story.store.done(story.place(0), 1, late)
    args: Any = {"source": "s", "by": "noor", "now": now_ms()}
    assert not await story.store.reconcile(found, seen.seen, **args)
    assert await money(story.store) == Budget(*USD, 10**13, spent=10**8)
    (found,) = await look(story.store, report)
    assert found.state == "equal"


async def test_an_answer_that_comes_after_its_bill_is_kept_and_costs_nothing_more(
    story: Story,
) -> None:
    await call(story, 0, 10**9, cost=None)
    report = told((MODEL, day_of(now_ms()), Billed(Meters(input=10, output=5))))
    (found,) = await look(story.store, report)
    assert found.resolved_usd == 10 * 3 * 10**6 + 5 * 15 * 10**6
    after, rows = await money(story.store), await _rows(story)
    for text in ("fine", "said twice"):
        late = settled(usd(7), cost=7, result={"text": text})
        assert (await story.store.done(story.place(0), 1, late)).result == {"text": "fine"}
    assert await money(story.store) == after
    assert await _rows(story) == rows
    assert [row.status for row in rows] == ["late"]
    asked = story.intent(0, usd(5), kind="model", name="sonnet")
    assert isinstance(await story.store.intend(asked), Recorded), (
        "it is answered and not asked again"
    )


async def test_an_answer_that_comes_after_its_bill_and_its_repetition_moves_nothing(
    story: Story,
) -> None:
    await call(story, 0, 10**9, cost=None)
    await call(story, 0, 10**9, cost=10**8)
    report = told((MODEL, day_of(now_ms()), Billed(Meters(input=20, output=10))))
    (found,) = await look(story.store, report)
    assert found.state == "resolved"
    after, rows = await money(story.store), await _rows(story)
    late = settled(usd(7), cost=7, result={"text": "another"})
    assert (await story.store.done(story.place(0), 1, late)).result == {"text": "fine"}
    assert (await money(story.store), await _rows(story)) == (after, rows)


async def test_the_days_due_reach_back_to_the_oldest_unknown_call(story: Story) -> None:
    today, now = day_of(now_ms()), now_ms()
    assert await due_days(story.store, now=now + LATER, delay_ms=24 * HOUR) == (
        today - timedelta(5),
        today + timedelta(1),
    )
    await call(story, 0, 10, cost=None, began=now - 20 * 24 * HOUR)
    days = await due_days(story.store, now=now, delay_ms=24 * HOUR)
    assert days == (today - timedelta(20), today - timedelta(2))
