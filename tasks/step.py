"""What is one step of a loop, how do people see it in Prefect, and what can come of it?"""

from dataclasses import dataclass

from prefect.client.schemas.objects import State
from prefect.states import Completed

from governance.effects import Place, Stop


@dataclass(frozen=True)
class Step:
    """One task run's place, and how people read it."""

    place: Place
    label: str

    @property
    def key(self) -> str:
        """The key of its effect in the journal."""
        return self.place.key


@dataclass(frozen=True)
class Waiting:
    """It cannot go on until a person has answered, or what comes by itself has come."""

    what: str = ""


Came = Stop | Waiting | None
"""What came of a step: None when it is on record, done."""


def shown(came: Came) -> State[None] | None:
    """The state that people should see by name; what was not made is no failure."""
    match came:
        case Stop(_, detail):
            return Completed(name="Stopped", message=detail)
        case Waiting(what):
            return Completed(name="Waiting", message=what)
        case None:
            return None
