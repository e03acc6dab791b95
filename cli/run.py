"""How is a loop fired now, without waiting for its schedule?"""

import asyncio
import json
import time
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from cli.follow import follow
from cli.server import address, link, reaching_prefect
from cli.source import json_option
from cli.store import open_cli_store
from cli.words import one_line
from governance.parts import Json

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

COMES_UP_S = 20.0
"""So long a worker that was started in another shell may take to be known."""

_EXAMPLE = """\b
$ loops run night-fix
night-fix: fired as flow run warm-lynx
http://127.0.0.1:4200/runs/flow-run/0f8d...

$ loops run night-fix --follow
$ loops run night-fix --follow --json
"""


@dataclass(frozen=True)
class Fired:
    """The flow run of one heartbeat."""

    loop: str
    flow_run: str
    name: str
    url: str

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {**vars(self)}


@click.command(epilog=_EXAMPLE)
@click.argument("loop")
@click.option(
    "--follow",
    "follows",
    is_flag=True,
    help="Watch until every item is done or waits for a person.",
)
@json_option
def run(loop: str, follows: bool, as_json: bool) -> None:
    """Fire a loop now: one heartbeat, with the items it finds.

    It asks Prefect for a run of `heartbeat/LOOP`, which a worker takes up. With --follow the view
    stays until all items are done or waiting; leaving it with Ctrl-C ends the view, never the run.

    Exit code 0 when it was fired, and with --follow when everything ended done or waits; else 1.
    """
    store = open_cli_store().store if follows else None
    with reaching_prefect():
        fired = asyncio.run(_fire(loop))
    if not as_json:
        click.echo(f"{fired.loop}: fired as flow run {fired.name}\n{fired.url}")
    if store is None:
        if as_json:
            click.echo(json.dumps(fired.as_json(), indent=2))
        return
    try:
        with reaching_prefect():
            seen = asyncio.run(follow(store, fired.loop, fired.flow_run, shows=not as_json))
    except KeyboardInterrupt:
        click.echo(f"\nNo longer watching; the run goes on: {fired.url}", err=True)
        return
    if as_json:
        click.echo(json.dumps({**fired.as_json(), **seen.as_json()}, indent=2))
    if not seen.well:
        raise SystemExit(1)


async def _fire(loop: str) -> Fired:
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(f"heartbeat/{loop}")
        except ObjectNotFound:
            raise click.ClickException(await _not_deployed(client, loop)) from None
        if deployment.work_pool_name:
            await _someone_polls(client, deployment.work_pool_name)
        made = await client.create_flow_run_from_deployment(deployment.id)
    return Fired(loop, str(made.id), made.name, link(str(made.id)))


async def _not_deployed(client: "PrefectClient", loop: str) -> str:
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    heartbeats = FlowFilter(name=FlowFilterName(any_=["heartbeat"]))
    known = [d.name for d in await client.read_deployments(flow_filter=heartbeats)]
    near = get_close_matches(loop, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"loop {one_line(loop)!r} is not deployed to Prefect at {address()}.{hint} "
        "Deploy the registry with `loops render` and `prefect deploy --all`."
    )


async def _someone_polls(client: "PrefectClient", pool: str) -> None:
    """Wait for a worker that has only just been started.

    Raises `click.ClickException`: nobody would take the run up.
    """
    start = f"Start one: `prefect worker start --pool {pool}`."
    if (await client.read_work_pool(pool)).is_paused:
        raise click.ClickException(
            f"work pool {pool!r} is paused; nothing was fired. "
            f"Resume it: `prefect work-pool resume {pool}`."
        )
    online, known = await _workers(client, pool)
    if not online:
        click.echo(f"waiting for a worker of work pool {pool!r} …", err=True)
    until = time.monotonic() + COMES_UP_S
    while not online and time.monotonic() < until:
        await asyncio.sleep(0.5)
        online, known = await _workers(client, pool)
    if not online:
        gone = f" ({known:,} known, none online)" if known else ""
        raise click.ClickException(
            f"no worker polls work pool {pool!r}{gone}; nothing was fired. {start}"
        )


async def _workers(client: "PrefectClient", pool: str) -> tuple[int, int]:
    """How many workers of the pool are online, of how many known."""
    from prefect.client.schemas.objects import WorkerStatus

    workers = await client.read_workers_for_work_pool(pool)
    return sum(w.status == WorkerStatus.ONLINE for w in workers), len(workers)
