"""The floor: the same two SDK calls a step, with nothing around them and nothing kept."""

from contextlib import AsyncExitStack

from benchmarks.contenders import bare
from benchmarks.contenders.assignment import WARM_STEPS, Assignment, Report, serve
from benchmarks.meter import Meter


async def contend(told: Assignment, meter: Meter) -> Report:
    """The baseline's own functions, called without Prefect."""
    bare.think, bare.use = bare.think.fn, bare.use.fn
    async with AsyncExitStack() as stack:
        bare.HAND.append(await bare.open_hand(told, stack))
        await bare.converse("warm", WARM_STEPS)
        await meter.settle()
        meter.begin()
        for n in range(told.conversations):
            await bare.converse(f"run-{n}", told.steps)
        return Report(await meter.end(told.all_steps))


if __name__ == "__main__":
    serve(contend)
