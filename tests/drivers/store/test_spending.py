"""Do the rules about spending hold for every call from the moment they are in force?"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from governance.budgets import BudgetRule
from governance.charges import Amounts
from governance.effects import Admitted, Intent, Refused
from governance.parts import PICO
from tests.drivers.store.story import LEAD, LOOP, Story, settled

DAY = 86_400_000
MOST = Amounts(usd=3 * PICO, tokens=10, steps=1, calls=1, concurrent=1)


async def in_force(story: Story, *told: dict[str, Any]) -> None:
    rules = tuple(BudgetRule.model_validate({"per": "day", **one}) for one in told)
    await story.store.put_rules(rules, (), by="claimed: noor", now=1)


def call(story: Story, step: int, *, now: int = 3000, most: Amounts = MOST, **more: Any) -> Intent:
    return replace(
        story.intent(step, now=now, kind="model", name="claude-opus-4-8"), most=most, **more
    )


async def admitted(story: Story, step: int, **more: Any) -> Admitted:
    got = await story.store.intend(call(story, step, **more))
    assert isinstance(got, Admitted), got
    return got


async def refused(story: Story, step: int, **more: Any) -> Refused:
    got = await story.store.intend(call(story, step, **more))
    assert isinstance(got, Refused), got
    return got


async def standing(story: Story, budget: str, window: str) -> tuple[int, int, int, int]:
    row = await story.store.budget(budget, window)
    assert row is not None
    return row.cap, row.held, row.spent, row.unknown


async def test_a_call_is_charged_in_every_rule_that_matches_and_refused_by_the_one_that_is_short(
    story: Story,
) -> None:
    await in_force(
        story, {"name": "all", "usd": 100}, {"name": "mine", "usd": 5, "each": ["loop"]},
        {"name": "other", "usd": 1, "model": "claude-sonnet-*"},
    )  # fmt: skip
    first = await admitted(story, 0)
    paid = replace(MOST, usd=3 * PICO, concurrent=0)
    await story.store.done(story.place(0), first.attempt, replace(settled(), paid=paid))
    for name, cap in (("all/all", 100), (f"mine/{LOOP}", 5)):
        assert await standing(story, f"rule:{name}:usd", "1970-01-01") == (
            cap * PICO,
            0,
            3 * PICO,
            0,
        )
    no = await refused(story, 1)
    assert (no.stop.reason, no.wait) == ("budget", None)
    assert f"budget 'rule:mine/{LOOP}:usd' would reach 6 of 5 usd (3 spent" in no.stop.detail
    assert "registry/budgets.yaml" in no.stop.detail
    assert await standing(story, "rule:all/all:usd", "1970-01-01") == (100 * PICO, 0, 3 * PICO, 0)


async def test_the_next_day_begins_with_the_whole_limit(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 3})
    await admitted(story, 0)
    assert (await refused(story, 1)).wait is not None, "what is only held is no refusal for good"
    await admitted(story, 2, now=3000 + DAY)


async def test_a_changed_limit_holds_for_a_window_that_has_begun_and_a_rule_that_is_gone_limits_nothing(
    story: Story,
) -> None:
    await in_force(story, {"name": "all", "usd": 3})
    await admitted(story, 0)
    assert isinstance(await story.store.intend(call(story, 1)), Refused)
    await in_force(story, {"name": "all", "usd": 6})
    await admitted(story, 1)
    await in_force(story)
    await admitted(story, 2)
    await in_force(story, {"name": "all", "usd": 6})
    assert isinstance(await story.store.intend(call(story, 3)), Refused)
    said = [
        (row["who"], row["what"], row["subject"]) for row in reversed(await story.store.audit())
    ]
    assert [s for s in said if s[2] == "all"] == [
        ("claimed: noor", "budget rule in force", "all"), ("claimed: noor", "budget rule in force", "all"),
        ("claimed: noor", "budget rule gone", "all"), ("claimed: noor", "budget rule in force", "all"),
    ]  # fmt: skip


async def test_applying_the_same_again_changes_nothing(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 3})
    before = await story.store.audit()
    await in_force(story, {"name": "all", "usd": 3})
    assert await story.store.audit() == before
    (rule,) = await story.store.rules()
    assert (rule.rule.name, rule.rule.limit, rule.by) == ("all", 3 * PICO, "claimed: noor")


async def test_a_rolling_window_lets_in_again_what_has_rolled_out_of_it(story: Story) -> None:
    await in_force(story, {"name": "rate", "calls": 2, "per": "60s"})
    await admitted(story, 0, now=100_000)
    await admitted(story, 1, now=130_000)
    no = await refused(story, 2, now=159_000)
    assert no.wait is not None, "its room comes back by itself"
    assert "It rolls on." in no.stop.detail
    await admitted(story, 2, now=164_000)
    assert isinstance(await story.store.intend(call(story, 3, now=164_001)), Refused)


async def test_a_rule_that_was_a_days_and_now_rolls_counts_what_rolls_alone(story: Story) -> None:
    now = 20_000 * DAY
    await in_force(story, {"name": "all", "usd": 4})
    await admitted(story, 0, now=now)
    await in_force(story, {"name": "all", "usd": 4, "per": "24h"})
    await admitted(story, 1, now=now)
    assert (await refused(story, 2, now=now)).wait is not None
    (told,) = [b for b in (await story.store.meter(now=now)).budgets if b.window == "last 24h"]
    assert told.held == 3 * PICO


async def test_calls_at_one_moment_are_those_under_way(story: Story) -> None:
    await in_force(story, {"name": "once", "concurrent": 2, "per": None})
    first = await admitted(story, 0)
    second = await admitted(story, 1)
    assert (await refused(story, 2)).wait is not None
    await story.store.done(
        story.place(0), first.attempt, replace(settled(), paid=replace(MOST, concurrent=0))
    )
    await admitted(story, 2)
    await story.store.fail(
        story.place(1), second.attempt, status="unknown", error="gone", attributes={}, now=9
    )
    await admitted(story, 3)
    assert await standing(story, "rule:once/all:concurrent", "now") == (2, 2, 0, 0)


async def test_a_run_that_a_rule_has_no_room_for_is_not_opened(story: Story) -> None:
    await in_force(story, {"name": "beats", "runs": 1, "each": ["loop"]})

    async def beat(run: str, slot: str) -> Any:
        return await story.store.open_run(
            run, loop=LOOP, slot=slot, flow_run=f"f-{run}", definition="d", budgets=(), now=5
        )

    assert (await beat("r7", "07:00")).run == "r7"
    assert (await beat("r7", "07:00")).run == "r7", "a replay is no second run"
    no = await beat("r8", "08:00")
    assert isinstance(no, Refused)
    assert no.stop.reason == "budget"
    assert await story.store.run("r8") is None


async def test_what_has_no_price_is_refused_where_usd_is_counted(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 3})
    no = await refused(story, 0, most=replace(MOST, usd=None))
    assert "'claude-opus-4-8' has no price" in no.stop.detail
    await in_force(story, {"name": "all", "tokens": 30})
    await story.claim(now=3001)
    await admitted(story, 0, most=replace(MOST, usd=None))


async def test_what_ended_without_a_price_stays_unknown(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 9})
    first = await admitted(story, 0)
    await story.store.done(
        story.place(0), first.attempt, replace(settled(cost=None), paid=replace(MOST, usd=None))
    )
    assert await standing(story, "rule:all/all:usd", "1970-01-01") == (9 * PICO, 0, 0, 3 * PICO)


async def test_a_call_that_took_more_than_it_could_stops_the_budget_and_tells_people_once(
    story: Story,
) -> None:
    await in_force(story, {"name": "all", "usd": 100}, {"name": "calls", "calls": 9})
    first = await admitted(story, 0)
    more = replace(settled(), paid=replace(MOST, usd=4 * PICO))
    await story.store.done(story.place(0), first.attempt, more)
    assert await standing(story, "rule:all/all:usd", "1970-01-01") == (100 * PICO, 0, 4 * PICO, 0)
    no = await refused(story, 1)
    assert "is stopped: try 1 of" in no.stop.detail
    assert no.wait is None
    notices = [o for o in await story.store.outbox() if o.payload.get("kind") == "overshoot"]
    (told,) = notices
    assert told.payload["held"] == 3 * PICO
    assert told.payload["paid"] == 4 * PICO
    await story.claim(now=3001)
    await admitted(story, 2, now=3000 + DAY)


async def test_no_more_than_the_limit_without_its_margin_is_ever_drawn(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 7, "margin": Decimal("0.2")})
    await admitted(story, 0)
    assert (await standing(story, "rule:all/all:usd", "1970-01-01"))[0] == int(
        7 * PICO / Decimal("1.2")
    )
    assert (await refused(story, 1)).wait is not None


async def test_rules_are_by_whom_a_loop_belongs_to(story: Story) -> None:
    await in_force(story, {"name": "user", "usd": 3, "each": ["user", "team"]})
    await admitted(story, 0)
    assert await standing(story, f"rule:user/{LEAD.team}+{LEAD.owner}:usd", "1970-01-01") == (
        3 * PICO,
        3 * PICO,
        0,
        0,
    )
