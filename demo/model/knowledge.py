"""What did this engineer learn before the first request?

Like training data: it is given when the process starts, and never read from the world of a request.
"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fix:
    """A mistake it recognises in a file, and what stands there when it is right."""

    find: str
    replace: str


BUILT_IN = (
    Fix(
        "return subtotal - subtotal * percent // 100",
        "return subtotal - (subtotal * percent + 50) // 100",
    ),
    Fix(
        "return (day + timedelta(days=count)).isoformat()",
        "return next_business_day(day, count).isoformat()",
    ),
)


def learned(path: Path | None) -> tuple[Fix, ...]:
    """What the file teaches (`[{"find": …, "replace": …}]`), before what is built in."""
    if path is None:
        return BUILT_IN
    lessons = json.loads(path.read_text())
    return (*(Fix(str(one["find"]), str(one["replace"])) for one in lessons), *BUILT_IN)
