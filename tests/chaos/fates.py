"""Who is killed, where, and when."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.chaos.lives import Life


def passed(told: Iterable[Life]) -> tuple[str, ...]:
    """Every point that these lives passed, each once.

    Opening the store comes first in all of them and is the same in each: test_transactions.py is about it.
    """
    points = (p for life in told for p in life.points if not p.endswith("-prepare"))
    return tuple(dict.fromkeys(points))


@dataclass
class EveryPoint:
    """Kills one life after the other, each at a point where none of its flow was killed before.

    A life that does not get to its point ends as it will, and the point waits for a later one.
    """

    left: dict[str, deque[str]] = field(default_factory=dict[str, deque[str]])
    told: list[Life] = field(default_factory=list[Life])
    """The lives of the story under way."""

    @classmethod
    def of(cls, told: Iterable[Life]) -> "EveryPoint":
        """Every point that these lives passed, in the order each flow first passed it."""
        fate = cls()
        for life in told:
            queue = fate.left.setdefault(life.flow, deque())
            queue.extend(p for p in passed((life,)) if p not in queue)
        return fate

    def __call__(self, number: int, flow: str) -> str | None:
        """The next point of that flow."""
        self.learn()
        queue = self.left.get(flow)
        if not queue:
            return None
        queue.rotate(-1)
        return f"{queue[-1]}:1"

    def learn(self) -> None:
        """Points where a life was killed are done with."""
        for life in self.told:
            point = (life.doom or "").partition(":")[0]
            if life.killed and point in self.left.get(life.flow, ()):
                self.left[life.flow].remove(point)

    @property
    def done(self) -> bool:
        """Nothing is left."""
        return not any(self.left.values())


@dataclass
class ByChance:
    """Most lives are doomed: at a random passage of one of these points, or at any moment."""

    seed: int
    points: tuple[str, ...]
    most: int = 12
    """So many dooms at most in one story; then everybody lives."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __call__(self, number: int, flow: str) -> str | None:
        """A doom, or none."""
        if number >= self.most or self._random.random() < 0.1:
            return None
        if self._random.random() < 0.4:
            return f"@{self._random.uniform(0.02, 1.2):.3f}"
        return f"{self._random.choice(self.points)}:{self._random.randint(1, 3)}"


def once(doom: str | None) -> Callable[[int, str], str | None]:
    """The first life of a story has this doom, all others none."""
    return lambda number, flow: doom if number == 0 else None
