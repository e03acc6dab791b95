"""What does an organisation look like that keeps other people's packages green?

A copy of the registry: the same instructions, labels and rules, with a forge for each package and loops of our own.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.world import ROOT
from tests.real.releases import Package

REGISTRY = ROOT / "registry"
SANDBOX = os.environ.get("REAL_SANDBOX", "docker")
"""`docker` or `bubblewrap`: what isolates in these stories."""
ISOLATED = {"docker": pytest.mark.docker, "bubblewrap": pytest.mark.bwrap}[SANDBOX]
READS = {"ci": ["list_failures", "get_log"], "github": ["get_file_contents", "list_pull_requests"]}
WRITES = ["create_pull_request", "merge_pull_request"]

Document = dict[str, Any]


def loop(name: str, package: Package, forge: str, **changes: Document | str) -> Document:
    """A loop that mends what the forge's CI finds in one package; `changes` are merged in, section by section."""
    document: Document = {
        "name": name,
        "intent": f"{package.name} is green.",
        "owner": "noor@northwind.example",
        "team": "platform",
        "model": "claude-sonnet-4-6",
        "instructions": "triage.md@v4",
        "mcp_servers": {f"ci-{forge}": READS["ci"], f"github-{forge}": READS["github"] + WRITES},
        "find": {"tool": f"ci-{forge}.list_failures", "each": "failure", "max_items": 1},
        "subagents": [
            {"name": "fixer", "role": "maker", "instructions": "draft.md@v2", "mcp_servers": {}},
            {"name": "reviewer", "role": "checker", "instructions": "review.md@v1"},
        ],
        "workspace": {
            "repository": forge,
            "image": "python-3.11",
            "setup": package.setup,
            "max_mb": 300,
        },
        "goal": {"verify": package.verify, "protect": list(package.tests), "max_rounds": 3},
        "deliver": [f"github-{forge}.{tool}" for tool in WRITES],
        "harness": {"max_steps": 40, "max_tokens_per_run": 1_500_000, "max_minutes": 30},
    }
    for section, change in changes.items():
        if isinstance(change, dict):
            document[section] |= change
        else:
            document[section] = change
    return document


def played_by(actor: str) -> list[Document]:
    """Sub-agents whose maker and checker both come from another provider."""
    seats = (("fixer", "maker", "draft.md@v2"), ("reviewer", "checker", "review.md@v1"))
    return [
        {"name": n, "role": r, "instructions": i, "mcp_servers": {}, "model": actor}
        for n, r, i in seats
    ]


def _renamed(entry: Document, old: str, new: str) -> Document:
    """A connector under another name; the probes of its tools ask it, too."""
    text = json.dumps({**entry, "server": new})
    return json.loads(text.replace(f'"tool": "{old}.', f'"tool": "{new}.'))


def write_registry(
    place: Path, forges: list[str], actors: list[str], loops: list[Document]
) -> Path:
    """The registry with these forges, models and loops, at `place`."""
    for folder in ("instructions", "skills"):
        shutil.copytree(REGISTRY / folder, place / folder)
    told: Document = yaml.safe_load((REGISTRY / "org.yaml").read_text())
    of = told["connectors"]
    told["connectors"] = {
        f"{tool}-{forge}": _renamed(of[tool], tool, f"{tool}-{forge}")
        for forge in forges
        for tool in ("github", "ci")
    }
    sonnet = told["models"]["claude-sonnet-4-6"]
    for actor in actors:
        told["models"][actor] = {**sonnet, "provider": actor, "model": "claude-sonnet-4-6"}
    told |= {
        "repositories": {forge: {"repository": forge} for forge in forges},
        "sandbox": {**told["sandbox"], "kind": SANDBOX},
        "aliases": {},
    }
    (place / "org.yaml").write_text(json.dumps(told))
    (place / "loops").mkdir()
    for document in loops:
        (place / "loops" / f"{document['name']}.yaml").write_text(json.dumps(document))
    return place
