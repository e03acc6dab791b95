"""A registry small enough to read in a test, and how to change one thing in it."""

from governance.examination import examine
from governance.registry import Examined, Texts

ORG = """\
name: Northwind
models:
  sonnet: {provider: anthropic, max_output_tokens: 16_000}
  opus: {provider: anthropic, model: claude-opus-4-8}
connectors:
  github:
    server: github
    tools:
      list_issues: {read_only: true}
      merge_pull_request: {destructive: true, external: false}
      add_comment: {destructive: false, external: false}
  ci: {server: ci, tools: {list_failures: {read_only: true}}}
aliases: {merge_pr: github.merge_pull_request}
repositories: {northwind/api: {repository: northwind-api}}
images: {python-3.11: {docker: "looprail/python:3.11"}}
rules:
  - {tool: "*.add_*", effect: ask, reason: people read it}
teams: [platform]
"""

LOOP = """\
name: fix
owner: noor@northwind.example
team: platform
model: sonnet
instructions: ./triage.md@v4
skills: [runbook@v2]
mcp_servers: [github, ci]
find: {tool: ci.list_failures, each: failure}
subagents:
  - {name: drafter, role: maker, instructions: draft.md@v1, mcp_servers: {github: [list_issues]}}
  - {name: reviewer, role: checker, instructions: review.md@v1, model: opus}
workspace: {repository: northwind/api, image: python-3.11}
goal: {verify: pytest -q, protect: ["tests/**"]}
deliver: [github.merge_pull_request]
harness:
  max_tokens_per_run: 1_500_000
  approvals: {merge_pr: pause_for_human}
trigger: {schedule: "0 6 * * 1-5", timezone: Europe/Berlin}
"""

SKILL = """\
---
name: runbook
description: How to read a failed build.
---
Read the first error.
"""

FILES = {
    "org.yaml": ORG,
    "loops/fix.yaml": LOOP,
    "instructions/triage/v4.md": "Look.\n",
    "instructions/draft/v1.md": "Draft.\n",
    "instructions/review/v1.md": "Review.\n",
    "skills/runbook/v2/SKILL.md": SKILL,
}


def examined(priced: bool = True, **changed: str) -> Examined:
    """The examination of these files, where `loop=`, `org=` or `skill=` may replace one, and `budgets=` and `prices=` add one."""
    names = {"org": "org.yaml", "loop": "loops/fix.yaml", "skill": "skills/runbook/v2/SKILL.md"}
    names |= {"budgets": "budgets.yaml", "prices": "prices.yaml"}
    files = FILES | {names[name]: text for name, text in changed.items()}
    return examine(Texts(files), priced=lambda _: priced)


def said(found: Examined) -> list[str]:
    """All problems, as a person reads them."""
    return [str(problem) for problem in found.problems]
