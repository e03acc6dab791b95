"""A process of its own that takes 60 % of a rule's budget for good, in its sixth commit: `passing <directory>`."""

import asyncio
import sys
from pathlib import Path

from governance.charges import Charge
from tests.drivers.store.story import Story, settled, store_in

DAY = "2026-11-28"
RULE = "rule:team-day/platform:usd"


async def capped(told: Story, cap: int = 100) -> None:
    """A budget of a rule, for one day."""
    await told.store.put_cap(RULE, DAY, cap, by="noor", now=1)


def of_rule(amount: int) -> Charge:
    return Charge(RULE, DAY, amount)


async def _main(directory: Path) -> None:
    told = Story(store_in(directory))
    await told.open_run()
    (item,) = await told.find("a")
    await told.claim(item.item)
    await capped(told)
    first = await told.admit(0, of_rule(60))
    await told.store.done(told.place(), first.attempt, settled(of_rule(60)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
