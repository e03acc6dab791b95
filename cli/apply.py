"""How does Prefect come to watch for what no process of ours can report?"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from cli.server import address, reaching_prefect
from cli.source import json_option
from cli.watches import OWNER, differences, watches
from governance.parts import Json

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_EXAMPLE = """\b
$ loops apply --dry-run
looprail: a process fell silent: would be installed
$ loops apply
looprail: a process fell silent: installed
$ loops apply
looprail: a process fell silent: in force
$ loops apply --json
[{"automation": "looprail: a process fell silent", "change": "none", "paused": false, "fields": []}]
"""
Change = Literal["install", "update", "remove", "none"]
_WORDS: dict[Change, tuple[str, str]] = {
    "install": ("would be installed", "installed"),
    "update": ("would be updated", "updated"),
    "remove": ("would be removed", "removed"),
    "none": ("in force", "in force"),
}


@dataclass(frozen=True)
class Planned:
    """What happens to one automation, and in which fields it differs."""

    automation: str
    change: Change
    paused: bool = False
    fields: tuple[str, ...] = ()
    id: str | None = None

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {k: v for k, v in vars(self).items() if k != "id"}

    def line(self, *, dry: bool) -> str:
        """For people."""
        paused = "; a person has paused it, and it stays paused" if self.paused else ""
        said = f"{self.automation}: {_WORDS[self.change][0 if dry else 1]}{paused}"
        return "\n".join((said, *(f"  {field}" for field in self.fields)))


@click.command(epilog=_EXAMPLE)
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; show what would change.")
@json_option
def apply(dry: bool, as_json: bool) -> None:
    """Install in Prefect what it must watch for, or bring it up to date.

    One automation: a run of housekeeping, of another service or of a heartbeat whose process fell
    silent together with its worker is called crashed, so that it does not keep the next from
    starting. Do this once for a server, and after an upgrade.

    Only what this command installed is updated or removed, and it may be repeated. An automation
    that a person paused stays paused.
    """
    with reaching_prefect():
        planned = asyncio.run(put_in_force(dry=dry))
    if as_json:
        click.echo(json.dumps([p.as_json() for p in planned], indent=2))
        return
    for one in planned:
        click.echo(one.line(dry=dry))
    if dry:
        click.echo(f"Nothing was changed at {address()}.")


async def put_in_force(*, dry: bool = False) -> tuple[Planned, ...]:
    """Bring Prefect's automations of ours up to date, or with `dry` only say what would change."""
    from prefect import get_client

    async with get_client() as client:
        planned = plan(watches(), await _installed(client))
        if not dry:
            for one in planned:
                await _do(client, one)
    return planned


def plan(wanted: Sequence[Json], installed: Sequence[Json]) -> tuple[Planned, ...]:
    """What is to be done, by name; of two installed under one name the second goes."""
    by_name: dict[str, Json] = {}
    planned: list[Planned] = []
    for found in sorted(installed, key=lambda a: str(a["created"])):
        if found["name"] in by_name or found["name"] not in {w["name"] for w in wanted}:
            planned.append(Planned(found["name"], "remove", id=found["id"]))
        else:
            by_name[found["name"]] = found
    for one in wanted:
        found = by_name.get(one["name"])
        if found is None:
            planned.append(Planned(one["name"], "install"))
            continue
        fields = tuple(differences(one, found))
        change: Change = "update" if fields else "none"
        planned.append(Planned(one["name"], change, not found["enabled"], fields, found["id"]))
    return tuple(planned)


async def _installed(client: "PrefectClient") -> list[Json]:
    answer = await client.request(
        "GET", "/automations/related-to/{resource_id}", path_params={"resource_id": OWNER}
    )
    answer.raise_for_status()
    found: list[Json] = answer.json()
    return found


async def _do(client: "PrefectClient", planned: Planned) -> None:
    body: dict[str, Any] = next((w for w in watches() if w["name"] == planned.automation), {})
    where: dict[str, Any] = {"path_params": {"id": planned.id}}
    match planned.change:
        case "install":
            owned = {**body, "owner_resource": OWNER}
            done = await client.request("POST", "/automations/", json=owned)
        case "update":
            kept = {**body, "enabled": not planned.paused}
            done = await client.request("PUT", "/automations/{id}", json=kept, **where)
        case "remove":
            done = await client.request("DELETE", "/automations/{id}", **where)
        case "none":
            return
    done.raise_for_status()
