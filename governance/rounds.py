"""Which number does a round go by, once rounds were begun anew?

A round that is begun anew takes the next number that was never used, and so do those after it: its effects have
keys of their own, and those of the round that was given up stay on record beside them.
"""

Restarts = tuple[tuple[int, int], ...]
"""In the order they were made: from this round on, so much is added. Later ones go before earlier ones."""


def number_of(round: int, restarts: Restarts) -> int:
    """The number a round goes by now."""
    return round + _added(round, restarts)


def round_of(number: int, restarts: Restarts) -> int | None:
    """The round that goes by this number now; None when it was given up."""
    for added in {0, *(by for _, by in restarts)}:
        round = number - added
        if round >= 0 and number_of(round, restarts) == number:
            return round
    return None


def begun_anew(round: int, restarts: Restarts, highest: int) -> Restarts:
    """The restarts with one more, from `round` on; `highest` is the highest number used so far."""
    return (*restarts, (round, highest + 1 - round))


def _added(round: int, restarts: Restarts) -> int:
    return next((by for start, by in reversed(restarts) if round >= start), 0)
