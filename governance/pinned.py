"""What does a work item keep of its loop, so that an edit of the registry never changes it under way?"""

from collections.abc import Mapping

from governance.definition import Loop
from governance.organisation import ModelEntry, Organisation
from governance.parts import Part
from governance.resolve import plain
from governance.skills import Skill


class PinnedSkill(Part):
    """A skill as an item keeps it."""

    description: str
    body: str
    files: dict[str, str]
    """The folder's other files, by path."""
    digest: str


class Pinned(Part):
    """All that an item keeps of its definition; grants, rules and credentials are always those in force."""

    loop: Loop
    instructions: dict[str, str]
    """Text by `name@vN`; look it up with `told`."""
    skills: dict[str, PinnedSkill]
    """By `name@vN`."""
    models: dict[str, ModelEntry]
    """By the name the loop uses."""
    image: str | None
    """What the workspace's image stands for."""

    def told(self, ref: str) -> str:
        """The text of an instructions field, however it is spelled."""
        return self.instructions[plain(ref)]


def pin(
    loop: Loop,
    organisation: Organisation,
    instructions: Mapping[str, str],
    skills: Mapping[str, Skill],
) -> Pinned:
    """Everything the loop names, by content. All names must be resolved already."""
    agents = (loop, *loop.subagents)
    told = sorted({plain(a.instructions) for a in agents if a.instructions})
    read = sorted({plain(s) for a in agents for s in a.skills})
    models = sorted({a.model for a in agents if a.model})
    return Pinned(
        loop=loop,
        instructions={ref: instructions[ref] for ref in told},
        skills={ref: _kept(skills[ref]) for ref in read},
        models={name: organisation.models[name] for name in models},
        image=organisation.images[loop.workspace.image].docker if loop.workspace else None,
    )


def _kept(skill: Skill) -> PinnedSkill:
    return PinnedSkill(
        description=skill.head.description,
        body=skill.body,
        files=dict(skill.files),
        digest=skill.digest,
    )
