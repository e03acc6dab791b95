"""What is a contender told, and what does it report? One JSON object in, one JSON line out.

Standard library only, as `benchmarks.meter`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.meter import Cost, Meter

MODEL = "claude-sonnet-4-6"
MAX_TOKENS = 4096
SYSTEM = "Use the tool you have as often as you are asked to. Then say that you are done."
WARM_STEPS = 3
"""Steps of the run that is not measured: imports, connections and caches are paid there."""


@dataclass(frozen=True)
class Assignment:
    """Where the world is, and how much is to be done in it."""

    server: int
    """Process id of the Prefect server whose processor time counts."""
    steps: int
    """Looks in one conversation; each is one model call and one tool call."""
    conversations: int
    """Conversations in the one measured run, one after the other."""
    model_url: str
    model_key: str
    tools_url: str
    tools_token: str
    home: str
    """A directory of this contender's own."""

    @property
    def brief(self) -> str:
        """What the scripted model is asked."""
        return brief(self.steps)

    @property
    def all_steps(self) -> int:
        """Steps in the measured run."""
        return self.steps * self.conversations


@dataclass(frozen=True)
class Report:
    """What the steps cost when they were made, and when they were only looked up again."""

    fresh: Cost
    replay: Cost | None = None
    fixed_ms: float = 0.0
    """Client time of a run before its first step."""
    fixed_replay_ms: float = 0.0
    """The same when the run is taken up again, with everything it did to be read."""


def brief(steps: int) -> str:
    """What the scripted model is asked for that many steps."""
    return f"Make {steps} looks at tickets."


def serve(contend: Callable[[Assignment, Meter], Awaitable[Report]]) -> None:
    """Read the assignment, do it, print the report."""
    told = Assignment(**json.load(sys.stdin))
    report = asyncio.run(_run(contend, told))
    print(json.dumps(asdict(report)), flush=True)


async def _run(contend: Callable[[Assignment, Meter], Any], told: Assignment) -> Report:
    return await contend(told, Meter(told.server))
