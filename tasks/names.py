"""How does a flow run without a loop read in a list of hundreds?"""

from collections.abc import Callable

from governance.approvals import moment
from tasks.beat import this_flow_run
from tasks.world import now_ms


def due(what: str) -> Callable[[], str]:
    """A namer for Prefect: what the flow run does, and the moment it was due (`housekeeping, 2026-11-26 06:01 UTC`)."""

    def name() -> str:
        at = this_flow_run().expected_start_time
        return f"{what}, {moment(int(at.timestamp() * 1000) if at else now_ms())}"

    return name
