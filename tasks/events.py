"""What can an automation of Prefect's hang on?

Each notice is an event as well, under the same name for ever: one that is sent again after a crash is the same event,
which Prefect keeps once.
"""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from prefect import get_client
from prefect.events import Event

from governance.parts import Json
from governance.records import Outgoing
from tasks.world import World, now_ms

PREFIX = "looprail.notice."
"""How the names of our events begin; what follows is the kind of notice, as `looprail.notice.share`."""
SUBJECTS = ("budget", "card", "item", "run", "loop")
"""What a notice may be about, the narrowest first."""


async def emit(world: World, due: Outgoing, subject: str) -> None:
    """Tell Prefect of a notice. Raises what Prefect's client raises; it is then told with the notice's next try."""
    screened = replace(due, payload=world.screen.json(due.payload))
    event = event_of(screened, world.screen.text(subject), now_ms())
    async with get_client() as client:
        body = [event.model_dump(mode="json")]
        answer = await client.request("POST", "/events", json=body)
        answer.raise_for_status()


def event_of(due: Outgoing, subject: str, now: int) -> Event:
    """The event of a notice: its resource is what the notice is about, its payload the notice's own."""
    about = next((name for name in SUBJECTS if name in due.payload), "store")
    named = str(due.payload.get(about, "store"))
    return Event.model_validate(
        {
            # Prefect sees an event once by its id, and an id made of the notice's key is the same after any crash.
            "id": uuid5(NAMESPACE_URL, f"looprail:notice:{due.key}"),
            "occurred": datetime.fromtimestamp(int(due.payload.get("at", now)) / 1000, UTC),
            "event": PREFIX + _kind(due.payload),
            "resource": {
                "prefect.resource.id": f"looprail.{about}.{named}",
                "prefect.resource.name": subject,
            },
            "related": _related(due.payload, about),
            "payload": dict(due.payload),
        }
    )


def _related(payload: Json, about: str) -> list[Json]:
    return [
        {"prefect.resource.id": f"looprail.{name}.{payload[name]}", "prefect.resource.role": name}
        for name in SUBJECTS
        if name in payload and name != about
    ]


def _kind(payload: Json) -> str:
    return str(payload.get("kind", "notice")).replace("_", "-")
