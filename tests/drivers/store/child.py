"""A process of its own that asks for money: `child.py <url> <directory> <item> <lane> <pairs> <mode>`.

`settle` pays 3 of every 5 held; `hold` never settles; `forever` goes on until it is killed. The last line printed is
JSON: how many were admitted, how many refused, and how long each answer took.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from drivers.store import open_store
from governance.charges import Amounts, Charge
from governance.effects import Admitted, Intent, Place, Principal, Settlement
from tests.drivers.store.homes import blobs_in
from tests.drivers.store.story import HEAD, RUN

BY = Principal("triage", "noor", "platform", "lead", "lead")


async def _one(store, place: Place, mode: str, waits: list[float]) -> bool:
    intent = Intent(
        place=place,
        kind="model",
        name="m",
        principal=BY,
        rule="r",
        head=HEAD,
        args={},
        fence=1,
        now=3000,
        send_by=4000,
        lease=5000,
        repeatable=True,
        charges=(Charge("run:r1:usd", RUN, 5),),
    )
    began = time.perf_counter()
    got = await store.intend(intent)
    waits.append(time.perf_counter() - began)
    if isinstance(got, Admitted) and mode != "hold":
        paid = Settlement(3500, {}, 3, "priced", {}, paid=Amounts(usd=3))
        await store.done(place, got.attempt, paid)
    return isinstance(got, Admitted)


async def _main(url: str, directory: str, item: str, lane: str, pairs: int, mode: str) -> None:
    store = open_store(url, blobs_in(Path(directory)))
    print("ready", flush=True)
    sys.stdin.readline()
    waits: list[float] = []
    admitted = 0

    async def worker(n: int) -> None:
        nonlocal admitted
        step = 0
        while step < pairs or mode == "forever":
            if await _one(store, Place(RUN, item, 1, f"{lane}-{n}", step, 0), mode, waits):
                admitted += 1
            step += 1
            if mode == "forever" and step == 20 and n == 0:
                print("going", flush=True)

    await asyncio.gather(*(worker(n) for n in range(4)))
    store.disconnect()
    print(json.dumps({"admitted": admitted, "asked": len(waits), "waits": waits}))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:5], int(sys.argv[5]), sys.argv[6]))
