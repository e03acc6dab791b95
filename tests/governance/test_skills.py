"""A skill is what the Agent Skills format says, and nothing in it grants anything."""

import pytest

from governance.skills import read_skill
from tests.governance.registry_texts import SKILL


def read(text: str, **more: str):
    return read_skill("runbook", "v2", {"SKILL.md": text, **more}, "registry/skills/runbook/v2")


def problems(text: str, **more: str) -> list[str]:
    skill, found = read(text, **more)
    assert skill is None
    return [str(p).removeprefix("registry/skills/runbook/v2/") for p in found]


def test_a_skill_is_its_description_its_body_and_its_files():
    skill, found = read(SKILL, **{"references/codes.md": "137: killed\n"})
    assert found == ()
    assert skill is not None
    assert (skill.ref, skill.body) == ("runbook@v2", "Read the first error.\n")
    assert skill.head.description == "How to read a failed build."
    assert skill.files == {"references/codes.md": "137: killed\n"}


def test_the_digest_changes_with_any_byte_of_any_file():
    digests = {
        skill.digest
        for skill, _ in (
            read(SKILL),
            read(SKILL + " "),
            read(SKILL, a="1"),
            read(SKILL, a="2"),
            read(SKILL, b="1"),
        )
        if skill
    }
    assert len(digests) == 5


def test_allowed_tools_are_kept_as_words_and_grant_nothing():
    skill, _ = read(SKILL.replace("---\nRead", "allowed-tools: Bash(git:*) Read\n---\nRead"))
    assert skill is not None
    assert skill.head.allowed_tools == "Bash(git:*) Read"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Read it.\n", "SKILL.md:1: does not start with front matter between two lines of ---"),
        ("---\nname: x", "SKILL.md:1: does not start with front matter between two lines of ---"),
        (SKILL.replace("runbook", "other"), "SKILL.md:2: name: 'other' is not the name of its folder, 'runbook'"),
        (SKILL.replace("runbook", "Runbook"), "SKILL.md:2: name: 'Runbook' is not spelled as it must be (^[a-z0-9]+(-[a-z0-9]+)*$)"),
        (SKILL.replace("description: How to read a failed build.\n", ""), "SKILL.md:2: description: is missing"),
        (SKILL.replace("How to", "x" * 1025), "SKILL.md:3: description: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is too long: at most 1,024 characters are allowed"),
        (SKILL.replace("---\nRead", "version: 2\n---\nRead"), "SKILL.md:4: version: is not a field of SkillHead (its fields: allowed-tools, compatibility, description, license, metadata, name)"),
        (SKILL.replace("---\nRead", "metadata: {version: 1.0}\n---\nRead"), "SKILL.md:4: metadata.version: 1.0 is not text; put it in quotes"),
        (SKILL.replace("Read the first error.\n", " \n"), "SKILL.md: says nothing below its front matter"),
        (SKILL.replace("---\nRead", "name: runbook\n---\nRead"), "SKILL.md:4: name: stands twice, first on line 2"),
    ],
)  # fmt: skip
def test_a_skill_that_breaks_the_format_is_refused_with_the_reason(text: str, told: str):
    assert problems(text) == [told]


def test_a_skill_that_hides_something_is_refused():
    assert problems(SKILL, x="a\u200bb") == ["x: holds the invisible character U+200B; remove it"]


def test_a_folder_without_its_file_is_refused():
    skill, found = read_skill("runbook", "v2", {"notes.md": ""}, "folder")
    assert skill is None
    assert [str(p) for p in found] == ["folder: holds no SKILL.md"]
