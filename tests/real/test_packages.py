"""Real packages with real bugs are mended end to end, and what is merged is exactly what their authors released."""

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from demo.forge.git import Bare
from demo.world import DemoWorld
from tests.flows.telling import told
from tests.real.releases import Package, packages
from tests.real.town import ISOLATED

pytestmark = [pytest.mark.prefect, ISOLATED, pytest.mark.timeout(400)]
CI_S = 60.0


def runs(world: DemoWorld, name: str) -> list[dict[str, Any]]:
    """What the forge's own CI said so far, oldest first."""
    with sqlite3.connect(f"file:{world.upstreams[name].state}?mode=ro", uri=True) as forge:
        rows = forge.execute("SELECT commit_id, status, failures FROM runs ORDER BY id").fetchall()
    return [{"commit": c, "status": s, "failures": json.loads(f)} for c, s, f in rows]


async def ci_of(world: DemoWorld, name: str, commit: str | None) -> dict[str, Any]:
    """The CI run of one commit, as soon as there is one."""
    until = time.monotonic() + CI_S
    while time.monotonic() < until:
        for run in runs(world, name):
            if run["commit"] == commit:
                return run
        await asyncio.sleep(0.5)
    raise TimeoutError(f"no CI run of {commit} within {CI_S:g} s")


@pytest.mark.parametrize("package", packages(), ids=lambda p: p.name)
async def test_a_real_bug_is_mended_exactly_as_its_authors_did(
    world: DemoWorld, package: Package, tmp_path: Path
) -> None:
    upstream = Bare(world.upstreams[package.name].repository)
    base = upstream.branch("main")
    with told(world, f"mend-{package.name}") as story:
        items = await story.follow(await story.fire(120), 200)
        assert [i.status for i in items] == ["waiting"], [i.stop for i in items]
        red = await ci_of(world, package.name, base)
        assert red["status"] == "red"
        assert items[0].finding.reproduce in [f["test"] for f in red["failures"]]
        assert upstream.branch("main") == base, "nothing is merged while a person is asked"
        (card,) = await story.cards(items)
        assert card.tool == f"github-{package.name}.merge_pull_request"
        story.approve(items[0], (card,))
        (item,) = await story.follow(items, 200)
        assert (item.status, item.stop) == ("done", None)
        proofs = await story.store.evidence(item.item)
    assert [(e.kind, e.verdict, e.tree) for e in proofs] == [
        ("base", "failing", base),
        ("verified", "passed", item.tree),
        ("checked", "accept", item.tree),
    ]
    merged = upstream.branch("main")
    assert upstream.run("rev-parse", "main^{tree}") == item.tree
    assert upstream.run("diff", str(base), "main") == package.diff(tmp_path)
    assert (await ci_of(world, package.name, merged))["status"] == "green"
