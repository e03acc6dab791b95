"""What does Prefect have to deploy, so that every loop runs on its schedule?"""

import difflib
import re
from pathlib import Path

import click
import yaml

from cli.source import load_registry, registry_option, write_text
from governance.definition import Loop
from governance.parts import Json
from governance.registry import Registry

WORK_POOL = "loops"
WORK_QUEUE = "work"
"""Items queue behind all else of the pool: a queue that Prefect makes by itself comes after `default`, and fifty items
that wait for a place must not keep housekeeping from starting again what died."""
TAG = "looprail"
"""What `loops apply` has Prefect watch has this tag: flows that never wait. An item's heartbeat that arrives after its
run was suspended would have it called crashed while it waits (18 of 50 on a busy server, 3.8.8)."""
HEARTBEAT_S = 30
"""How often a flow run's process says that it lives; Prefect 3.8.8 takes nothing shorter."""
HOUSEKEEPING_S = 60
ANALYTICS_S = 3600
RETENTION_S = 86_400
RECONCILE_S = 21_600
SLUG = "slot"
"""Without a slug every deploy wakes a schedule that a person has paused (3.8.8); with one it stays paused."""
HEADER = """\
# Rendered by `loops render`; edit registry/loops/*.yaml instead. Deploy with `prefect deploy --all`.
"""
_SHA = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"(https|ssh|file)://[^\s{}@]*|ssh://git@[^\s{}@]+|git@[^\s{}@]+:[^\s{}@]+")


@click.command()
@registry_option
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("prefect.yaml"),
    show_default=True, help="The file to write.",
)  # fmt: skip
@click.option(
    "--check", is_flag=True, help="Write nothing; exit 1 with a diff when the file is stale."
)
@click.option("--git", "url", help="Let workers clone the code from here (no password in it).")
@click.option("--commit", help="The commit they clone, as 40 hex digits.")
def render(root: Path, output: Path, check: bool, url: str | None, commit: str | None) -> None:
    """Write prefect.yaml, the deployments of all loops.

    Schedules stand once, in the loop file. Without --git the code is expected to be installed
    where the workers run; with it, every run works from exactly that commit, also after a wait.
    """
    text = rendered(load_registry(root), _pinned(url, commit))
    found = output.read_text(errors="replace") if output.exists() else ""
    if not check:
        write_text(output, text)
        click.echo(f"{output}: {text.count('entrypoint:'):,} deployments")
    elif found != text:
        diff = difflib.unified_diff(
            found.splitlines(True), text.splitlines(True), str(output), "as the registry says"
        )
        click.echo("".join(diff), nl=False)
        raise SystemExit(1)


def rendered(registry: Registry, git: tuple[str, str] | None = None) -> str:
    """The text of prefect.yaml. `git` is the URL and commit the code is cloned from, if it is."""
    pull: list[Json] = []
    if git:
        step = {"repository": git[0], "commit_sha": git[1]}
        pull = [{"prefect.deployments.steps.git_clone": step}]
    loops = [registry.loops[name] for name in sorted(registry.loops)]
    content = {
        "name": "looprail",
        "pull": pull,
        "deployments": [
            *(d for loop in loops for d in deployments(loop)),
            _service("housekeeping", every_s=HOUSEKEEPING_S),
            _service("analytics", every_s=ANALYTICS_S),
            _service("retention", every_s=RETENTION_S),
            _service("reconcile", every_s=RECONCILE_S),
        ],
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False, width=100)


def deployments(loop: Loop) -> tuple[Json, Json]:
    """The loop's two deployments: the heartbeat that fires, and the work it dispatches."""
    trigger = loop.trigger
    schedule = {"cron": trigger.schedule, "timezone": trigger.timezone, "slug": SLUG}
    heartbeat: Json = {
        "name": loop.name,
        "entrypoint": "flows.heartbeat.heartbeat",
        "parameters": {"loop": loop.name},
        # A schedule that is taken out of the file stays on the server (`schedules: []` changes nothing,
        # 3.8.8), so a loop without one is paused as a whole; people and events can still start it.
        "paused": trigger.schedule is None,
        "schedules": [schedule] if trigger.schedule else [],
        # Prefect cannot tell a slot from a delivery: both wait, and T1 leaves out the slots that are to be skipped.
        "concurrency_limit": _one_at_a_time(enqueue=True),
        **_placed(),
        **({"triggers": [_on_event(loop.name, trigger.event)]} if trigger.event else {}),
    }
    work: Json = {
        "name": loop.name,
        "entrypoint": "flows.work.work",
        "schedules": [],
        **_placed(WORK_QUEUE),
    }
    return heartbeat, work


def _on_event(loop: str, event: str) -> Json:
    """Fires for each event of that name; an event is one delivery, however often it is reported."""
    return {
        "type": "event",
        "name": f"{loop}: {event}",
        "enabled": True,
        "expect": [event],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
        "parameters": {
            "loop": loop,
            "delivery": "{{ event.id | string }}",
            # As text: Prefect renders neither an id nor an object as one (3.8.8: UUID is not JSON serializable), and
            # looks into objects for templates and variables of its own.
            "payload": "{{ event.payload | tojson }}",
        },
    }


def _service(name: str, *, every_s: int) -> Json:
    """A flow of ours that belongs to no loop."""
    return {
        "name": name,
        "entrypoint": f"flows.{name}.{name}",
        "schedules": [{"interval": every_s, "slug": SLUG}],
        "concurrency_limit": _one_at_a_time(enqueue=False),
        **_placed(),
    }


def _placed(queue: str | None = None) -> Json:
    """Where it runs, and what lets Prefect see that it does."""
    named = {"work_queue_name": queue} if queue else {}
    tags = [] if queue == WORK_QUEUE else [TAG]
    env = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}
    pool: Json = {"name": WORK_POOL, **named, "job_variables": {"env": env}}
    return {"tags": tags, "work_pool": pool}


def _one_at_a_time(*, enqueue: bool) -> Json:
    return {"limit": 1, "collision_strategy": "ENQUEUE" if enqueue else "CANCEL_NEW"}


def _pinned(url: str | None, commit: str | None) -> tuple[str, str] | None:
    if url is None and commit is None:
        return None
    if url is None or commit is None:
        raise click.UsageError(
            "--git and --commit go together: a branch would move under a waiting run"
        )
    if not _SHA.fullmatch(commit):
        raise click.UsageError(f"--commit {commit!r} is not a full commit id of 40 hex digits")
    if not _URL.fullmatch(url):
        raise click.UsageError("--git takes a URL without a password or a template in it")
    return url, commit
