"""What goes out to a model, and how much can that be, without going over all that was said before once more?

A conversation only grows, so a step screens and counts what is new in it. Going over the whole of it at every step
made the cost of a step grow with their number (docs/benchmarks.md).
"""

from dataclasses import dataclass, field
from operator import is_

from governance.guardrails import Screen
from governance.parts import Json
from governance.prices import message_bound

LANES = 64
"""Conversations whose last state is kept; one that was dropped is gone over from its beginning."""


@dataclass(frozen=True)
class Outgoing:
    """A conversation as it goes out: screened, and with the input tokens it cannot exceed."""

    screen: Screen = field(default_factory=Screen)
    given: tuple[Json, ...] = ()
    """What was handed in; recognised by identity, so what is sent is always what was screened."""
    messages: tuple[Json, ...] = ()
    bound: int = 0

    def then(self, screen: Screen, messages: tuple[Json, ...]) -> "Outgoing":
        """`messages` as they go out under `screen`; afresh when either is not a continuation of this.

        Raises:
            ValueError: A message carries what no number of tokens bounds.
        """
        if screen != self.screen or not self._begins(messages):
            return Outgoing(screen).then(screen, messages)
        new = tuple(screen.json(m) for m in messages[len(self.given) :])
        bound = self.bound + sum(map(message_bound, new))
        return Outgoing(screen, messages, (*self.messages, *new), bound)

    def _begins(self, messages: tuple[Json, ...]) -> bool:
        return len(self.given) <= len(messages) and all(map(is_, self.given, messages))


@dataclass(frozen=True)
class Spoken:
    """The last state of each conversation that went out through one edge."""

    _lanes: dict[str, Outgoing] = field(default_factory=dict[str, Outgoing])

    def then(self, lane: str, screen: Screen, messages: tuple[Json, ...]) -> Outgoing:
        """The conversation of `lane` as it goes out now. Raises as `Outgoing.then`."""
        going = self._lanes.pop(lane, Outgoing()).then(screen, messages)
        self._lanes[lane] = going
        if len(self._lanes) > LANES:
            del self._lanes[next(iter(self._lanes))]
        return going
