"""prefect.yaml says what the registry says, and Prefect reads it the way we mean it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from cli.main import cli
from cli.render import rendered
from cli.source import load_registry

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "registry"
SHA = "0123456789abcdef0123456789abcdef01234567"


def render(*args: object) -> Result:
    return CliRunner().invoke(cli, ["render", "--registry", str(REGISTRY), *map(str, args)])


def deployments() -> dict[tuple[str, str], dict[str, Any]]:
    content = yaml.safe_load(rendered(load_registry(REGISTRY)))
    return {(d["entrypoint"].rpartition(".")[2], d["name"]): d for d in content["deployments"]}


def test_the_committed_file_is_fresh():
    assert (ROOT / "prefect.yaml").read_text() == rendered(load_registry(REGISTRY)), (
        "run `loops render`"
    )


def test_every_loop_has_a_heartbeat_and_a_work_deployment():
    assert sorted(deployments()) == [
        ("analytics", "analytics"),
        ("heartbeat", "morning-triage-loop"),
        ("heartbeat", "night-fix"),
        ("heartbeat", "ticket-triage"),
        ("housekeeping", "housekeeping"),
        ("reconcile", "reconcile"),
        ("retention", "retention"),
        ("work", "morning-triage-loop"),
        ("work", "night-fix"),
        ("work", "ticket-triage"),
    ]


def test_a_heartbeat_fires_on_the_loops_own_schedule_one_at_a_time():
    assert deployments()["heartbeat", "night-fix"] == {
        "name": "night-fix",
        "entrypoint": "flows.heartbeat.heartbeat",
        "parameters": {"loop": "night-fix"},
        "paused": False,
        "schedules": [{"cron": "0 2 * * *", "timezone": "Europe/Berlin", "slug": "slot"}],
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "tags": ["looprail"],
        "work_pool": {
            "name": "loops",
            "job_variables": {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}},
        },
    }


def test_items_queue_behind_heartbeats_and_housekeeping():
    pools = {key: d["work_pool"] for key, d in deployments().items()}
    behind = {key for key, pool in pools.items() if pool.get("work_queue_name") == "work"}
    assert behind == {key for key in pools if key[0] == "work"}


def test_prefect_watches_what_never_waits_and_housekeeping_what_may():
    tagged = {key for key, d in deployments().items() if d["tags"] == ["looprail"]}
    assert tagged == {key for key in deployments() if key[0] != "work"}


def test_work_has_no_schedule_and_housekeeping_runs_every_minute():
    assert deployments()["work", "night-fix"]["schedules"] == []
    assert deployments()["housekeeping", "housekeeping"]["schedules"] == [
        {"interval": 60, "slug": "slot"}
    ]


def test_analytics_runs_every_hour_one_at_a_time():
    assert deployments()["analytics", "analytics"] == {
        "name": "analytics",
        "entrypoint": "flows.analytics.analytics",
        "schedules": [{"interval": 3600, "slug": "slot"}],
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "tags": ["looprail"],
        "work_pool": {
            "name": "loops",
            "job_variables": {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}},
        },
    }


def test_a_loop_without_a_schedule_never_fires_by_itself(tmp_path: Path):
    root = shutil.copytree(REGISTRY, tmp_path / "registry")
    loop = root / "loops" / "ticket-triage.yaml"
    text = loop.read_text().replace('schedule: "15 * * * 1-5", timezone: Europe/Berlin', "")
    loop.write_text(text)
    content = yaml.safe_load(rendered(load_registry(root)))
    found = next(
        d
        for d in content["deployments"]
        if d["name"] == "ticket-triage" and "concurrency_limit" in d
    )
    assert (found["schedules"], found["paused"]) == ([], True)
    assert found["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_check_tells_a_stale_file_with_a_diff(tmp_path: Path):
    target = tmp_path / "prefect.yaml"
    assert render("--output", target).exit_code == 0
    assert render("--output", target, "--check").exit_code == 0
    target.write_text(target.read_text().replace("0 2 * * *", "0 3 * * *"))
    done = render("--output", target, "--check")
    assert done.exit_code == 1
    assert "-  - cron: 0 3 * * *\n+  - cron: 0 2 * * *\n" in done.output
    assert "0 3 * * *" in target.read_text()
    target.unlink()
    assert render("--output", target, "--check").exit_code == 1
    assert not target.exists()


def test_code_is_cloned_at_exactly_one_commit(tmp_path: Path):
    target = tmp_path / "prefect.yaml"
    done = render(
        "--output", target, "--git", "https://git.northwind.example/loops.git", "--commit", SHA
    )
    assert done.exit_code == 0, done.output
    step = {"repository": "https://git.northwind.example/loops.git", "commit_sha": SHA}
    assert yaml.safe_load(target.read_text())["pull"] == [
        {"prefect.deployments.steps.git_clone": step}
    ]
    assert render("--output", target, "--check").exit_code == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--git", "https://x.example/a.git"],
        ["--commit", SHA],
        ["--git", "https://x.example/a.git", "--commit", "main"],
        ["--git", "https://x.example/a.git", "--commit", SHA[:12]],
        ["--git", "https://user:hunter2@x.example/a.git", "--commit", SHA],
        ["--git", "https://x.example/{{ prefect.blocks.secret.x }}", "--commit", SHA],
        ["--git", "ext::sh -c id", "--commit", SHA],
    ],
)
def test_a_moving_commit_or_a_password_is_refused(tmp_path: Path, args: list[str]):
    done = render("--output", tmp_path / "prefect.yaml", *args)
    assert done.exit_code == 2
    assert not (tmp_path / "prefect.yaml").exists()
    assert "hunter2" not in done.output


@pytest.mark.slow
def test_prefect_knows_every_key_we_write():
    # Prefect drops keys it does not know without a word, so a typing error would go unseen (3.8.8).
    from prefect.cli.deploy._models import (
        ConcurrencyLimitSpec,
        DeploymentConfig,
        PrefectYamlModel,
        RawScheduleConfig,
        WorkPoolConfig,
    )

    content = yaml.safe_load(rendered(load_registry(REGISTRY), ("https://x.example/a.git", SHA)))
    assert set(content) <= set(PrefectYamlModel.model_fields)
    for deployment in content["deployments"]:
        assert set(deployment) <= set(DeploymentConfig.model_fields)
        assert set(deployment["work_pool"]) <= set(WorkPoolConfig.model_fields)
        assert set(deployment.get("concurrency_limit", {})) <= set(
            ConcurrencyLimitSpec.model_fields
        )
        for schedule in deployment["schedules"]:
            RawScheduleConfig.model_validate(schedule)
    assert len(PrefectYamlModel.model_validate(content).deployments) == 10


def changed(tmp_path: Path, trigger: str) -> dict[str, Any]:
    """The heartbeat of a loop whose trigger is this one."""
    root = shutil.copytree(REGISTRY, tmp_path / "changed")
    loop = root / "loops" / "night-fix.yaml"
    lines = [
        f"trigger: {trigger}" if line.startswith("trigger:") else line
        for line in loop.read_text().splitlines()
    ]
    loop.write_text("\n".join(lines))
    content = yaml.safe_load(rendered(load_registry(root)))
    return next(
        d
        for d in content["deployments"]
        if d["entrypoint"].endswith("heartbeat") and d["name"] == "night-fix"
    )


def test_an_event_fires_with_its_id_as_the_delivery_and_its_payload_as_text(tmp_path: Path):
    heartbeat = changed(tmp_path, "{event: northwind.build.failed}")
    assert heartbeat["paused"] is True
    (trigger,) = heartbeat["triggers"]
    told = DeploymentEventTrigger.model_validate(trigger)
    assert (set(told.expect), told.posture, told.enabled) == (
        {"northwind.build.failed"},
        "Reactive",
        True,
    )
    assert told.parameters == {
        "loop": "night-fix", "delivery": "{{ event.id | string }}", "payload": "{{ event.payload | tojson }}",
    }  # fmt: skip


def test_slots_that_are_made_up_for_in_order_wait_for_their_turn(tmp_path: Path):
    heartbeat = changed(tmp_path, '{schedule: "0 2 * * *", missed: all}')
    assert heartbeat["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert "triggers" not in heartbeat
