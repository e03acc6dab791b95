"""What may a loop file say of when it fires, and of when it must not go on?"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from governance.fields import Cron, EventName, Name, Timezone
from governance.parts import Part


class Trigger(Part):
    """When a heartbeat fires."""

    schedule: Cron | None = None
    """A cron line of five fields; without one only people, events and webhooks start it."""
    timezone: Timezone = "UTC"
    """The IANA time zone the schedule is read in."""
    missed: Literal["skip", "once", "all"] = "skip"
    """Slots that passed while nothing ran: none is made up for, only the newest, or each in order."""
    overlap: Literal["skip", "enqueue"] = "skip"
    """What happens to a slot that comes while a heartbeat is under way; a delivery always waits for its turn."""
    event: EventName | None = None
    """A Prefect event that fires it too; the event's id names the delivery."""
    webhook: Name | None = None
    """The WebhookSender block of who may fire it through `loops serve`."""

    @model_validator(mode="after")
    def _of_a_schedule(self) -> "Trigger":
        if self.missed != "skip" and self.schedule is None:
            raise ValueError(
                f"missed: {self.missed!r} is about slots of a schedule, and there is none"
            )
        return self


class Breaker(Part):
    """When a loop that spends for nothing is paused, until a person lets it go on."""

    after: Annotated[int, Field(ge=2, le=100)] = 2
    """Runs in a row that end without an accepted outcome and in the same way."""
