"""How many loops are there, who owns them, and what can each touch?"""

import json
from pathlib import Path

import click

from cli.render import deployments
from cli.source import json_option, load_registry, registry_option
from cli.words import columns
from governance.budgets import FanOutRule
from governance.caps import fans_out
from governance.definition import Loop
from governance.fanout import limit
from governance.parts import Json, digest
from governance.reach import AgentReach, Reach
from governance.registry import Registry

_LIST_EXAMPLE = """\b
$ loops list --json
[{"name": "ticket-triage", "owner": "ines@northwind.example", "team": "support",
  "schedule": "15 * * * 1-5", "timezone": "Europe/Berlin", "models": ["claude-sonnet-4-6"],
  "connectors": ["linear"], "writes": ["linear.comment_ticket", "linear.label_ticket"],
  "repository": null}]
"""
_SHOW_EXAMPLE = """\b
$ loops show ticket-triage --json
{"definition": {"name": "ticket-triage", ...}, "digest": "sha256:...",
 "reach": {"agents": [{"agent": "lead", "role": "lead", "model": "claude-sonnet-4-6",
           "tools": [{"tool": "linear.label_ticket", "effect": "allow", "rule": "granted",
                      "reason": "...", "labels": {"read_only": false, ...}}]}],
           "connectors": ["linear"], "models": [...], "repository": null, "writes": [...]},
 "rules": [{"tool": "*.delete_*", "agent": "*", "effect": "deny", "reason": "..."}],
 "fan_outs": [{"name": "at-once", "usd": "25"}],
 "deployments": ["heartbeat/ticket-triage", "work/ticket-triage"]}
"""


@click.command("list", epilog=_LIST_EXAMPLE)
@registry_option
@json_option
def list_loops(root: Path, as_json: bool) -> None:
    """List the loops: who owns them, when they fire, what they reach.

    `writes` are the tools that change something and are not denied to every agent; `x.*` stands
    for the tools of connector x that nobody has labelled.
    """
    registry = load_registry(root)
    rows = [_row(registry, name) for name in sorted(registry.loops)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [("LOOP", "OWNER", "TEAM", "SCHEDULE", "REPOSITORY", "WRITES")]
    table += [
        (r["name"], r["owner"], r["team"], _slot(r), r["repository"] or "-", _listed(r["writes"]))
        for r in rows
    ]
    click.echo(columns(table))


@click.command(epilog=_SHOW_EXAMPLE)
@click.argument("name")
@registry_option
@json_option
def show(name: str, root: Path, as_json: bool) -> None:
    """Show one loop: its limits, its rules, what each agent can touch.

    The digest is that of all content a work item keeps (definition, instructions, skills, models).
    """
    registry = load_registry(root)
    loop, touched = registry.loop(name), registry.touches(name)
    if as_json:
        found: Json = {
            "definition": loop.model_dump(mode="json"),
            "digest": digest(registry.pinned(name)),
            "reach": touched.as_json(),
            "rules": [r.model_dump(mode="json") for r in registry.organisation.rules],
            "fan_outs": [
                r.model_dump(mode="json", exclude_defaults=True) for r in _fan_outs(registry, loop)
            ],
            "deployments": _deployed(loop),
        }
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(
        "\n\n".join(
            (
                _who(registry, loop),
                _limits(registry, loop),
                _rules(registry, loop),
                _touches(touched),
            )
        )
    )


def _row(registry: Registry, name: str) -> Json:
    loop, touched = registry.loop(name), registry.touches(name)
    return {
        "name": name,
        "owner": loop.owner,
        "team": loop.team,
        "schedule": loop.trigger.schedule,
        "timezone": loop.trigger.timezone,
        "models": list(touched.models),
        "connectors": list(touched.connectors),
        "writes": list(touched.writes),
        "repository": touched.repository,
    }


def _slot(row: Json) -> str:
    return f"{row['schedule']} {row['timezone']}" if row["schedule"] else "by hand"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"


def _deployed(loop: Loop) -> list[str]:
    names = [(str(d["entrypoint"]).rpartition(".")[2], d["name"]) for d in deployments(loop)]
    return [f"{flow}/{name}" for flow, name in names]


def _who(registry: Registry, loop: Loop) -> str:
    rows = [
        ("loop", loop.name),
        ("intent", loop.intent or "not said"),
        ("owner", loop.owner),
        ("team", loop.team),
        ("schedule", _slot({**loop.trigger.model_dump()})),
        *([("fired by event", loop.trigger.event)] if loop.trigger.event else []),
        *([("fired by webhook", loop.trigger.webhook)] if loop.trigger.webhook else []),
        ("digest", digest(registry.pinned(loop.name))),
        ("deployments", ", ".join(_deployed(loop))),
    ]
    if loop.workspace:
        rows.append(("works on", f"{loop.workspace.repository} at {loop.workspace.ref}"))
    if loop.goal:
        rows.append(("done when", f"{loop.goal.verify!r} exits with 0 and the checker accepts"))
    rows += [("delivers", step.tool) for step in loop.deliver]
    return columns(rows)


def _fan_outs(registry: Registry, loop: Loop) -> list[FanOutRule]:
    return [rule for rule in registry.fan_outs if fans_out(rule, loop)]


def _limits(registry: Registry, loop: Loop) -> str:
    limits = loop.harness.model_dump(mode="json", exclude={"approvals"})
    silence, breaker = limits.pop("on_no_approver"), limits.pop("breaker")
    rows = [("LIMIT", "")]
    rows += [(k, f"{v:,}" if isinstance(v, int) else str(v or "none")) for k, v in limits.items()]
    waits = f"{silence['then']} after {silence['after']}" if silence else "waits for a person"
    paused = f"paused after {breaker['after']} runs in vain" if breaker else "never"
    rows += [("breaker", paused), ("on_no_approver", waits)]
    told = [(f"fan-out ({r.name})", limit(r.unit, r.limit)) for r in _fan_outs(registry, loop)]
    return columns(rows + told)


def _rules(registry: Registry, loop: Loop) -> str:
    rows = [("RULE", "TOOL", "AGENT", "EFFECT", "REASON")]
    rows += [
        (f"org.yaml {n}", r.tool, r.agent, r.effect, r.reason)
        for n, r in enumerate(registry.organisation.rules, 1)
    ]
    rows += [
        (f"approvals.{name}", registry.organisation.aliases.get(name, name), "*", effect, "")
        for name, effect in loop.harness.approvals.items()
    ]
    return columns(rows)


def _touches(touched: Reach) -> str:
    return "\n\n".join(_agent(agent) for agent in touched.agents)


def _agent(agent: AgentReach) -> str:
    head = f"{agent.agent} ({agent.role}{', ' + agent.model if agent.model else ''}) can touch:"
    rows = [(f"  {t.tool}", t.effect, t.rule, t.reason) for t in agent.tools]
    return head + "\n" + (columns(rows) if rows else "  nothing")
