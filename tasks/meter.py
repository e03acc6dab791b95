"""Where does the money of a loop and of its open runs stand, for whoever looks in Prefect?

One artifact for each loop (`meter-<loop>`) and one for each open run, on the page of its heartbeat (`meter-<run>`). They
are kept up to date, not added to: an artifact whose figures are as before is not touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import ArtifactCollection
from prefect.logging import get_logger

from governance.approvals import inline
from governance.meter import Figures, Reading, Whose, budget_cells
from governance.parts import usd
from tasks.outbox import UNSENT
from tasks.world import World, now_ms

logger = get_logger("looprail.meter")

RUNS = 50
"""Open runs that have an artifact of their own, the oldest first; all of them are counted in their loop's."""
ROWS = 10
"""Principals of one kind that an artifact names, the dearest first."""
ASKED = 100
"""Artifacts asked for in one request; Prefect gives 200 at most."""
_SHOWN: tuple[Whose, ...] = ("agent", "model", "run")
_AS_OF = "As of"
_SAID = "USD as computed. Held and under way: now."
_SINCE_MIDNIGHT = (
    "Settled and unknown: since midnight UTC. Budgets of its open runs: since they began."
)
_SINCE_IT_BEGAN = "Settled and unknown: since it began."
_HEAD = "| {} | held | settled | unknown | under way | USD per minute |\n|---|--:|--:|--:|--:|--:|"
_BUDGETS = (
    "| budget | window | held | settled | unknown | left | cap |\n|---|---|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class Page:
    """One artifact: its key, its figures, and the flow run on whose page it stands."""

    key: str
    body: str
    flow_run: str | None = None
    new: bool = True
    """Whether it is worth making when it is not there: once there, it says as well that nothing was spent."""


async def show_meter(world: World, *, loop: str | None = None, run: str | None = None) -> list[str]:
    """Bring the artifacts up to date, of all or of a loop and its run that ended; the keys of those that were."""
    reading = await world.store.meter(now=now_ms())
    named = set(world.registry.loops) | {leaf.loop for leaf in reading.leaves}
    pages = [
        _of_loop(name, reading.of(loop=name)) for name in sorted(named) if loop in (None, name)
    ]
    runs = (run,) if run else reading.open_runs[:RUNS]
    pages += [page for name in runs if (page := await _of_run(world, name))]
    try:
        async with get_client() as client:
            there = await _there(client, pages)
            return [page.key for page in pages if await _keep(client, page, there, reading.at)]
    except UNSENT as error:
        # Figures for people to look at: the next minute brings them up to date, and no run may fail for them.
        logger.warning("the meter is not shown: %s", error)
        return []


def _of_loop(loop: str, reading: Reading) -> Page:
    return Page(f"meter-{loop}", page_of(loop, _SINCE_MIDNIGHT, reading), new=bool(reading.leaves))


async def _of_run(world: World, run: str) -> Page | None:
    row = await world.store.run(run)
    reading = await world.store.run_meter(run, now=now_ms())
    if row is None or reading is None:
        return None
    body = page_of(f"run {run}", _SINCE_IT_BEGAN, reading)
    return Page(f"meter-{run}", body, row.flow_run, new=bool(reading.leaves))


async def _there(client: PrefectClient, pages: Sequence[Page]) -> dict[str, ArtifactCollection]:
    found: list[ArtifactCollection] = []
    for n in range(0, len(pages), ASKED):
        keys = ArtifactCollectionFilterKey(any_=[page.key for page in pages[n : n + ASKED]])
        asked = ArtifactCollectionFilter(key=keys)
        found += await client.read_latest_artifacts(artifact_filter=asked)
    return {artifact.key: artifact for artifact in found}


async def _keep(
    client: PrefectClient, page: Page, there: Mapping[str, ArtifactCollection], at: int
) -> bool:
    """Whether its figures were others than before."""
    data = f"{page.body}\n\n{_AS_OF} {datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    known = there.get(page.key)
    if known is None and not page.new:
        return False
    if known is None:
        flow_run = UUID(page.flow_run) if page.flow_run else None
        made = ArtifactCreate(key=page.key, type="markdown", data=data, flow_run_id=flow_run)
        await client.create_artifact(made)
    elif str(known.data).rpartition(f"\n\n{_AS_OF}")[0] == page.body:
        return False
    else:
        await client.update_artifact(known.latest_id, ArtifactUpdate(data=data))
    return True


def page_of(name: str, since: str, reading: Reading) -> str:
    """The figures of a loop or a run, as Markdown."""
    total = _cells("all", reading.total)
    tables = [
        "\n".join((_HEAD.format(whose), *(_cells(*line) for line in _named(reading, whose)), total))
        for whose in _SHOWN
    ]
    budgets = ["| " + " | ".join(map(inline, budget_cells(b))) + " |" for b in reading.budgets]
    if budgets:
        tables.append("\n".join((_BUDGETS, *budgets)))
    return "\n\n".join((f"## {inline(name)}", f"{_SAID} {since}", *tables))


def _named(reading: Reading, whose: Whose) -> Sequence[tuple[str, Figures]]:
    return [line for line in reading.by(whose) if line[0]][:ROWS]


def _cells(name: str, figures: Figures) -> str:
    money = (figures.held, figures.settled, figures.unknown)
    cells = (
        *(f"{usd(m):,.4f}" for m in money),
        f"{figures.under_way:,}",
        f"{usd(figures.per_minute):,.4f}",
    )
    return f"| {inline(name)} | {' | '.join(cells)} |"
