"""Every name in the registry stands for something, and every problem is told at once."""

import json
import time
from decimal import Decimal

import pytest

from governance.errors import DefinitionError
from governance.examination import examine, load
from governance.pinned import Pinned
from governance.registry import Registry, Texts
from tests.governance.registry_texts import FILES, LOOP, ORG, examined, said

PUBLISHED = """\
agent:
  name: morning-triage-loop
  model: claude-sonnet-4-6
  instructions: ./triage.md@v4
  skills: [runbook@v2]
  mcp_servers: [github, ci]
  subagents:
    - { name: fix-drafter, mcp_servers: [github] }
    - { name: fix-reviewer, mcp_servers: [] }
  harness:
    max_steps: 60
    max_tokens_per_run: 1_500_000
    approvals: { merge_pr: pause_for_human }
  trigger: { schedule: "0 6 * * 1-5" }
"""


def registry(**changed: str) -> Registry:
    found = examined(**changed)
    assert said(found) == []
    assert found.registry is not None
    return found.registry


def test_a_loop_with_all_its_names_loads():
    loop = registry().loop("fix")
    assert loop.harness.max_tokens_per_run == 1_500_000
    assert [a.name for a in loop.subagents] == ["drafter", "reviewer"]


def test_the_published_spelling_is_the_flat_one_a_level_down():
    files = FILES | {
        "loops/morning-triage-loop.yaml": PUBLISHED.replace("claude-sonnet-4-6", "sonnet")
    }
    loop = load(Texts(files), priced=bool).loop("morning-triage-loop")
    assert [a.name for a in loop.delegates] == ["fix-drafter", "fix-reviewer"]
    assert loop.harness.approvals == {"merge_pr": "pause_for_human"}


def test_fields_beside_agent_are_refused():
    assert said(examined(loop=PUBLISHED + "team: platform\n"))[-1] == (
        "registry/loops/fix.yaml:15: team: stands beside 'agent'; move it below, or leave 'agent' out"
    )


def test_a_problem_below_agent_is_told_where_it_stands():
    text = PUBLISHED.replace("claude-sonnet-4-6", "sonnet").replace("max_steps", "max_step")
    assert said(examined(loop=text)) == [
        "registry/loops/fix.yaml:11: agent.harness.max_step: is not a field of Harness; did you mean 'max_steps'?"
    ]


def test_all_problems_of_all_files_are_told_at_once_with_file_line_field_and_way_out():
    found = examined(
        org=ORG.replace("teams: [platform]", "team: [platform]"),
        loop=LOOP.replace(
            "max_tokens_per_run: 1_500_000", "max_tokns: 0\n  max_steps: 0\n  max_minutes: no"
        ),
        skill="---\nname: other\n---\n",
    )
    assert said(found) == [
        "registry/loops/fix.yaml:16: harness.max_tokns: is not a field of Harness; did you mean 'max_output_tokens'?",
        "registry/loops/fix.yaml:17: harness.max_steps: 0 is too small: it must be more than 0",
        "registry/loops/fix.yaml:18: harness.max_minutes: 'no' is a truth value to some and a word "
        "to others; put it in quotes if you mean the word, or write true or false",
        "registry/org.yaml:18: team: is not a field of Organisation; did you mean 'teams'?",
        "registry/skills/runbook/v2/SKILL.md: says nothing below its front matter",
        "registry/skills/runbook/v2/SKILL.md:2: description: is missing",
    ]
    with pytest.raises(DefinitionError) as caught:
        load(Texts(FILES | {"org.yaml": "name: 1"}), priced=bool)
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("model: sonnet", "model: sonet", "4: model: model 'sonet' is not in org.yaml; did you mean 'sonnet'?"),
        ("model: opus", "model: gpt", "11: subagents[1].model: model 'gpt' is not in org.yaml (known: opus, sonnet)"),
        ("triage.md@v4", "triage.md@v5", "5: instructions: './triage.md@v5' is not under instructions/; did you mean 'triage@v4'?"),
        ("triage.md@v4", "triage.md", "5: instructions: './triage.md' is not spelled as it must be (^(\\./)?[a-z0-9][a-z0-9._-]*@v[1-9][0-9]{0,3}$)"),
        ("runbook@v2", "runbok@v2", "6: skills[0]: 'runbok@v2' is not under skills/; did you mean 'runbook@v2'?"),
        ("[github, ci]", "[github, ci, linaer]", "7: mcp_servers[2]: connector 'linaer' is not in org.yaml (known: ci, github)"),
        ("[list_issues]", "[list_isues]", "10: subagents[0].mcp_servers.github[0]: tool 'github.list_isues' is not labelled in org.yaml; did you mean 'github.list_issues'?"),
        ("ci.list_failures", "ci.list_failure", "8: find.tool: tool 'ci.list_failure' is not labelled in org.yaml; did you mean 'ci.list_failures'?"),
        ("ci.list_failures", "github.add_comment", "8: find.tool: the cheap look must be a tool labelled read_only in org.yaml"),
        ("[github, ci]", "[ci]", "14: deliver[0].tool: tool 'github.merge_pull_request' is not among the loop's own grants (mcp_servers)"),
        ("merge_pr:", "merge:", "17: harness.approvals.merge: 'merge' is neither a tool nor an alias of org.yaml; did you mean 'merge_pr'?"),
        ("merge_pr: pause_for_human", "merge_pr: allow", "17: harness.approvals.merge_pr: a loop cannot loosen what the organisation says: 'github.merge_pull_request' is labelled destructive"),
        ("merge_pr: pause_for_human", "github.add_comment: allow", "17: harness.approvals.github.add_comment: a loop cannot loosen what the organisation says: rule 1 of org.yaml says ask for '*.add_*'"),
        ("merge_pr: pause_for_human", "merge_pr: pause", "17: harness.approvals.merge_pr: 'pause' is not one of 'pause_for_human', 'allow' or 'deny'"),
        ("northwind/api", "northwind/apy", "12: workspace.repository: repository 'northwind/apy' is not in org.yaml; did you mean 'northwind/api'?"),
        ("python-3.11", "python-3.12", "12: workspace.image: image 'python-3.12' is not in org.yaml; did you mean 'python-3.11'?"),
        ("team: platform", "team: plattform", "3: team: team 'plattform' is not in org.yaml; did you mean 'platform'?"),
        ("name: fix", "name: fixes", "1: name: 'fixes' is not the file's name, 'fix'"),
        ("max_tokens_per_run:", "max_output_tokens: 20_000 #", "16: harness.max_output_tokens: 20,000 is more than model 'sonnet' can answer (16,000 tokens)"),
        ("role: maker", "role: makr", "10: subagents[0].role: 'makr' is not one of 'maker', 'checker' or 'explorer'; did you mean 'maker'?"),
        ("[github, ci]", "7", "7: mcp_servers: 7 is not a list"),
        ("trigger:", "trigger: 6 #", "18: trigger: 6 is not a mapping of fields"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_with_the_right_one(old: str, new: str, problem: str):
    assert old in LOOP
    assert f"registry/loops/fix.yaml:{problem}" in said(examined(loop=LOOP.replace(old, new, 1)))


def test_a_tool_granted_to_nobody_cannot_be_approved():
    text = LOOP.replace("[github, ci]", "{ci: [list_failures], github: [list_issues]}").replace(
        "deliver: [github.merge_pull_request]\n", ""
    )
    assert said(examined(loop=text)) == [
        "registry/loops/fix.yaml:16: harness.approvals.merge_pr: tool 'github.merge_pull_request' "
        "is granted to no agent of this loop"
    ]


def test_a_cost_cap_with_an_unpriced_model_is_refused():
    capped = LOOP.replace("max_tokens_per_run: 1_500_000", "max_cost_usd_per_run: 5")
    assert said(examined(priced=False, loop=capped)) == [
        f"registry/loops/fix.yaml:{line}: {field}: model {name!r} has no price, and this loop has a "
        "cost cap; name a priced model or remove harness.max_cost_usd_per_run"
        for line, field, name in ((4, "model", "sonnet"), (11, "subagents[1].model", "opus"))
    ]
    assert said(examined(priced=False)) == []


def test_maker_and_checker_that_err_alike_are_a_warning():
    text = LOOP.replace("review.md@v1, model: opus", "./draft.md@v1")
    found = examined(loop=text)
    assert said(found) == []
    assert [str(w) for w in found.warnings] == [
        "registry/loops/fix.yaml:9: subagents: maker and checker share model and instructions: they err alike"
    ]
    assert examined().warnings == []


def test_what_nobody_answers_for_pays_for_or_bounds_is_a_warning():
    text = LOOP.replace("owner: noor@northwind.example\nteam: platform\n", "")
    text = text.replace("max_tokens_per_run: 1_500_000", "max_steps: 5")
    assert [w.field for w in examined(loop=text).warnings] == ["owner", "team", "harness"]


def test_a_checker_granted_a_writing_tool_is_a_warning():
    text = LOOP.replace("model: opus", "mcp_servers: {github: [add_comment]}")
    assert [str(w) for w in examined(loop=text).warnings] == [
        "registry/loops/fix.yaml:11: subagents[1].mcp_servers.github[0]: a checker cannot write, "
        "so 'github.add_comment' is never allowed to it"
    ]


def test_the_organisations_limits_hold_where_the_loop_sets_none():
    org = ORG + "limits: {max_steps: 7, max_tokens_per_run: 10, max_cost_usd_per_run: 2.5}\n"
    harness = registry(org=org).loop("fix").harness
    assert (harness.max_steps, harness.max_tokens_per_run) == (7, 1_500_000)
    assert harness.max_cost_usd_per_run == Decimal("2.5")


def test_a_tool_that_writes_is_destructive_until_a_label_says_it_is_not():
    org = ORG.replace("add_comment: {destructive: false, external: false}", "add_comment: {}")
    labels = registry(org=org).organisation.labels("github.add_comment")
    assert labels is not None
    assert (labels.destructive, labels.external, labels.untrusted) == (True, True, True)
    reading = registry().organisation.labels("github.list_issues")
    assert reading is not None
    assert (reading.destructive, reading.external) == (False, False)
    assert registry().organisation.labels("github.nope") is None


def test_a_models_id_is_its_name_unless_said_otherwise():
    models = registry().organisation.models
    assert (models["sonnet"].model, models["opus"].model) == ("sonnet", "claude-opus-4-8")


def test_a_file_that_nothing_reads_is_told():
    found = examine(Texts(FILES | {"loops/fix.yml": LOOP, "README.md": "hi"}), priced=bool)
    assert [(p.file, p.text[:18]) for p in found.problems] == [
        ("registry/loops/fix.yml", "is read by nothing")
    ]


def test_instructions_that_hide_something_are_refused():
    found = examine(Texts(FILES | {"instructions/triage/v4.md": "Look.\u202e"}), priced=bool)
    assert said(found) == [
        "registry/instructions/triage/v4.md: holds the invisible character U+202E; remove it"
    ]


def test_what_an_item_pins_is_the_content_and_nothing_else():
    one = registry()
    pinned = Pinned.model_validate_json(one.pinned("fix"))
    assert pinned.loop == one.loop("fix")
    assert pinned.told("./triage.md@v4") == "Look.\n"
    assert sorted(pinned.models) == ["opus", "sonnet"]
    assert pinned.image == "looprail/python:3.11"
    assert pinned.skills["runbook@v2"].body == "Read the first error.\n"
    shuffled = (
        "\n".join(sorted(LOOP.splitlines()[:7]))
        + "\n# a comment\n"
        + "\n".join(LOOP.splitlines()[7:])
    )
    assert registry(loop=shuffled).pinned("fix") == one.pinned("fix")
    ruled = ORG.replace("effect: ask", "effect: deny")
    assert registry(org=ruled).pinned("fix") == one.pinned("fix")
    assert registry(skill=FILES["skills/runbook/v2/SKILL.md"] + "More.\n").pinned(
        "fix"
    ) != one.pinned("fix")


def test_a_loop_answers_what_each_of_its_agents_can_touch():
    reach = registry().touches("fix")
    effects = {(a.agent, t.tool): t.effect for a in reach.agents for t in a.tools}
    assert effects == {
        ("lead", "github.list_issues"): "allow",
        ("lead", "github.merge_pull_request"): "ask",
        ("lead", "github.add_comment"): "ask",
        ("lead", "github.*"): "ask",
        ("lead", "ci.list_failures"): "allow",
        ("lead", "ci.*"): "ask",
        ("drafter", "github.list_issues"): "allow",
        ("loop", "ci.list_failures"): "allow",
        ("loop", "github.merge_pull_request"): "ask",
    }
    assert reach.models == ("opus", "sonnet")
    assert reach.repository == "northwind/api"
    assert reach.writes == ("ci.*", "github.*", "github.add_comment", "github.merge_pull_request")
    assert json.loads(json.dumps(reach.as_json()))["connectors"] == ["ci", "github"]


def test_a_loop_that_is_not_there_is_told_with_the_one_that_is():
    with pytest.raises(
        DefinitionError, match=r"^loop 'fx' is not in the registry; did you mean 'fix'\?$"
    ):
        registry().loop("fx")


def test_without_an_organisation_the_loops_are_still_checked():
    files = {k: v for k, v in FILES.items() if k != "org.yaml"}
    found = examine(Texts(files | {"loops/fix.yaml": LOOP + "shedule: 1\n"}), priced=bool)
    assert [p.file for p in found.problems] == ["registry/loops/fix.yaml", "registry/org.yaml"]


@pytest.mark.slow
def test_a_thousand_loops_are_checked_in_seconds():
    loops = {
        f"loops/fix-{n}.yaml": LOOP.replace("name: fix", f"name: fix-{n}", 1) for n in range(1000)
    }
    files = {k: v for k, v in FILES.items() if k != "loops/fix.yaml"} | loops
    started = time.process_time()
    assert len(load(Texts(files), priced=bool).loops) == 1000
    assert time.process_time() - started < 10


@pytest.mark.parametrize("missed", ["once", "all"])
def test_slots_of_no_schedule_cannot_be_missed(missed: str):
    text = LOOP.replace('schedule: "0 6 * * 1-5"', f"missed: {missed}")
    (problem,) = said(examined(loop=text))
    assert f"missed: '{missed}' is about slots of a schedule, and there is none" in problem


@pytest.mark.parametrize("event", ["", "*", "a b", "{{ x }}", "a.*.b", "a." * 120])
def test_an_event_is_named_as_prefect_names_it(event: str):
    text = LOOP.replace("trigger: {", f"trigger: {{event: {json.dumps(event)}, ")
    assert "trigger.event" in said(examined(loop=text))[0]
