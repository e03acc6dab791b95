"""What does `loops apply` put in force, and what would change if it ran now?

Two things: the rules about spending, which every process reads from the store with each call and each fan-out, and
what Prefect watches for because no process of ours can report it.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cli.names import claimed
from cli.rules import Effective, PlannedRule, effective, plan_rules, table
from cli.server import address, reaching_prefect
from cli.source import json_option, load_registry, registry_option
from cli.store import open_cli_store
from cli.watches import OWNER, differences, watches
from cli.words import now_ms
from governance.memory import Store
from governance.parts import Json
from governance.registry import Registry

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_PLAN = """\b
$ loops plan
budget rule platform-day: would be updated
  usd: 40 becomes 50
looprail: a process fell silent: in force
...
$ loops plan --json | jq '.rules[] | select(.change != "none")'
"""
_APPLY = """\b
$ loops apply --as noor@northwind.example
budget rule platform-day: updated
  usd: 40 becomes 50
looprail: a process fell silent: installed
$ loops apply --json
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


@click.command(epilog=_PLAN)
@registry_option
@json_option
def plan(root: Path, as_json: bool) -> None:
    """Show what `loops apply` would change, and what then limits each loop. Changes nothing.

    Every rule of registry/budgets.yaml against what is in force, field by field; then every limit
    that each loop meets, and who set it. Exit code 2 when the registry is wrong.
    """
    registry, store = load_registry(root), open_cli_store().store
    with reaching_prefect():
        told = asyncio.run(_look(registry, store))
    _show(told, as_json=as_json, dry=True)


@click.command(epilog=_APPLY)
@registry_option
@click.option("--as", "name", help="Who says so; the user of this machine by default.")
@json_option
def apply(root: Path, name: str | None, as_json: bool) -> None:
    """Put the registry's rules about spending in force, and what Prefect watches for.

    Rules hold from the next call on, for every process and for windows that have begun; all of them
    change in one transaction, or none where one is wrong. Each change is on record with who made it.
    `loops plan` shows it before.

    Prefect gets one automation: a run of housekeeping, of another service or of a heartbeat whose
    process fell silent together with its worker is called crashed, so that it does not keep the next
    from starting. Only what this command installed is updated or removed, and an automation that a
    person paused stays paused. It may be repeated: do so once for a server, and after an upgrade.
    """
    by = claimed(name)
    registry, store = load_registry(root), open_cli_store().store
    with reaching_prefect():
        told = asyncio.run(apply_registry(registry, store, by))
    _show(told, as_json=as_json, dry=False)


@dataclass(frozen=True)
class Told:
    """What changes, and every limit that then holds."""

    rules: tuple[PlannedRule, ...]
    fan_outs: tuple[PlannedRule, ...]
    automations: "tuple[Planned, ...]"
    effective: tuple[Effective, ...]


async def _look(registry: Registry, store: Store) -> Told:
    in_force, fan_outs = await store.rules(), await store.fan_out_rules()
    return Told(
        plan_rules(registry.budgets, in_force),
        plan_rules(registry.fan_outs, fan_outs),
        await put_in_force(dry=True),
        effective(registry, in_force, fan_outs),
    )


async def apply_registry(registry: Registry, store: Store, by: str) -> Told:
    """Put it all in force, rules in one transaction, and say what that changed."""
    planned = plan_rules(registry.budgets, await store.rules())
    fan_outs = plan_rules(registry.fan_outs, await store.fan_out_rules())
    await store.put_rules(registry.budgets, registry.fan_outs, by=by, now=now_ms())
    automations = await put_in_force()
    limits = effective(registry, await store.rules(), await store.fan_out_rules())
    return Told(planned, fan_outs, automations, limits)


def _show(told: Told, *, as_json: bool, dry: bool) -> None:
    if as_json:
        found = {name: [one.as_json() for one in rows] for name, rows in vars(told).items()}
        click.echo(json.dumps(found, indent=2))
        return
    kinds = (("budget rule", told.rules), ("fan-out rule", told.fan_outs))
    for kind, rule in ((kind, rule) for kind, rules in kinds for rule in rules):
        click.echo(f"{kind} {rule.rule}: {_WORDS[rule.change][0 if dry else 1]}")
        for field in rule.fields:
            click.echo(f"  {field}")
    for one in told.automations:
        click.echo(one.line(dry=dry))
    if dry:
        click.echo(f"Nothing was changed, neither in the store nor at {address()}.")
    if told.effective:
        click.echo(f"\n{table(told.effective)}")


async def put_in_force(*, dry: bool = False) -> tuple[Planned, ...]:
    """Bring Prefect's automations of ours up to date, or with `dry` only say what would change."""
    from prefect import get_client

    async with get_client() as client:
        planned = differing(watches(), await _installed(client))
        if not dry:
            for one in planned:
                await _do(client, one)
    return planned


def differing(wanted: Sequence[Json], installed: Sequence[Json]) -> tuple[Planned, ...]:
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
