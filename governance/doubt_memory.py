"""What must the one memory be able to say about what nobody can vouch for?"""

from typing import Protocol

from governance.effects import InDoubt, Refused
from governance.parts import Json
from governance.records import Card, Claimed


class Doubts(Protocol):
    """The part of `governance.memory.Store` about effects in doubt and rounds that diverged."""

    async def learned(self, card: str, facts: Json, *, fence: int) -> Card:
        """What else is known about what a card asks; the first word stays."""
        ...

    async def process_of(self, key: str) -> Json | None:
        """The process that opened the newest try of an effect, as it was noted when its life began."""
        ...

    async def begin_anew(
        self, item: str, round: int, *, card: str, fence: int, now: int
    ) -> Claimed | InDoubt | Refused:
        """The round and those after it begin anew under numbers never used, as `card` was answered.

        What is on record for them counts no more, and its open cards are closed. Not before a person has said
        of each of their writes that is in doubt whether it happened.
        """
        ...
