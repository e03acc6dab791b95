"""Four hundred calls asked against money for a hundred: does the limit hold, and is nobody turned away early?"""

import os

import pytest

from tests.money.rounds import CALLS, Seen, Stage, wrong

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("ROUNDS", "4"))


@pytest.mark.timeout(30 + 10 * ROUNDS)
async def test_neither_ours_nor_the_far_sides_account_passes_the_limit_and_few_are_refused_early(
    on: Stage,
) -> None:
    told: list[Seen] = []
    # The last one kills nobody: where a killed process alone held all the money a round may serve nobody.
    for seed in range(ROUNDS + 1):
        kill = seed < ROUNDS
        seen = await on.tell(seed, kill=kill)
        assert wrong(seen) == [], f"round {seed}"
        assert seen.looks > 10, "the limit was watched all the while"
        assert seen.killed == kill
        told.append(seen)
    served = sum(seen.counted["served"] for seen in told)
    assert CALLS * len(told) / 40 < served < CALLS * len(told) / 2
    errors = {row.error for seen in told for row in seen.rows}
    assert errors >= {None, "abandoned", "unavailable"}


async def test_every_call_states_five_to_twenty_times_what_it_is_billed(on: Stage) -> None:
    seen = await on.tell(10_000, kill=False)
    plain = {call.name: call for call in seen.calls if "dear" not in call.fates}
    for row in seen.rows:
        name = str(row.attributes.get("gen_ai.response.id", "")).split("_")
        if row.status == "done" and name[1] in plain:
            assert row.cost is not None
            assert row.cost == plain[name[1]].paid
            assert 4.9 * row.cost < row.reserved == plain[name[1]].worst < 20.1 * row.cost
