"""Northwind's registry with what a story needs beside it."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from demo.world import ROOT

QUIET = ("night-fix", "ticket-triage")
"""Loops whose own schedules would fire into a test that counts."""

MERGER = """\
name: {name}
intent: What is ready is merged.
owner: noor@northwind.example
team: platform
model: claude-sonnet-4-6
instructions: triage.md@v4
mcp_servers: {{github: [list_pull_requests, merge_pull_request]}}
harness:
  max_steps: 10
  approvals: {{merge_pr: pause_for_human}}
  on_no_approver: {{after: {after}, then: reject}}
"""
"""A loop of one lead that wants to merge the open pull request: all of the gate, and no workspace."""


def registry_with(folder: Path, loops: Iterable[tuple[str, str]] = ()) -> Path:
    """A copy whose quiet loops only fire by hand, with these loops (name, text) added or replaced."""
    shutil.copytree(ROOT / "registry", folder)
    for name in QUIET:
        file = folder / "loops" / f"{name}.yaml"
        kept = [
            line for line in file.read_text().splitlines(True) if not line.startswith("trigger:")
        ]
        file.write_text("".join(kept))
    for name, text in loops:
        (folder / "loops" / f"{name}.yaml").write_text(text)
    return folder


def merger(name: str, after: str = "3d") -> tuple[str, str]:
    """A merging loop of that name whose card waits so long."""
    return name, MERGER.format(name=name, after=after)
