"""What is asked for in a round, and what will become of it? All of it drawn from one seed."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from random import Random
from typing import Any

from governance.conversation import ModelRequest, user
from governance.prices import input_bound, worst_case

MODEL = "claude-sonnet-4-6"
PRICES = {"plain": 3_000_000, "written": 3_750_000, "hour": 6_000_000, "cached": 300_000}
"""pico-USD for a token of input, as the provider publishes them: the far side never asks our price book."""
OUTPUT = 15_000_000
TIMEOUT_S = 0.8
SLOW_S = 1.2
"""How long the far side thinks about what comes too late."""
PAID_FOR_NOTHING = ("cut", "garbled", "slow", "gateway")
"""Fates of a call that is billed and never answered well."""


@dataclass(frozen=True)
class Call:
    """One call of a model. What is billed is known to the far side alone; we state `ratio` times as much."""

    name: str
    read: int
    """Tokens of input that are billed, at the price of `kind`."""
    kind: str
    wrote: int
    """Tokens of output that are billed; all that may be asked for when its fate is `dear`."""
    ms: int
    fates: tuple[str, ...]
    """Of its first try, its second, …; the last one goes on."""
    ratio: float
    """The worst case that is stated, as a multiple of the bill."""

    @property
    def paid(self) -> int:
        """pico-USD that one answer is billed at."""
        return self.read * PRICES[self.kind] + self.wrote * OUTPUT

    @cached_property
    def request(self) -> ModelRequest:
        """What goes out: the message tells the far side what to do."""
        said = {k: v for k, v in asdict(self).items() if k != "ratio"}
        asked = ModelRequest(MODEL, "", (user(json.dumps(said)),), max_tokens=1)
        input_alone = self._worst(asked) - OUTPUT
        most = (int(self.ratio * self.paid) - input_alone) // OUTPUT
        return ModelRequest(MODEL, "", asked.messages, max_tokens=most)

    @property
    def worst(self) -> int:
        """pico-USD that the edge will hold for it."""
        return self._worst(self.request)

    @staticmethod
    def _worst(request: ModelRequest) -> int:
        worst = worst_case(input_bound(request), request.max_tokens, MODEL, 0)
        assert worst is not None
        return worst

    @classmethod
    def told(cls, values: dict[str, Any]) -> "Call":
        """The call that an order names."""
        return cls(**{**values, "fates": tuple(values["fates"])})


def draw(seed: int, count: int) -> tuple[Call, ...]:
    """The calls of a round."""
    random = Random(seed)
    return tuple(_call(random, f"s{seed}n{n}") for n in range(count))


def _call(random: Random, name: str) -> Call:
    return Call(
        name=name,
        read=random.randint(20, 120),
        kind=random.choice(("plain", "written", "cached")),
        wrote=random.randint(30, 80),
        ms=random.randint(1, 40),
        fates=tuple(_fates(random)),
        ratio=random.uniform(5, 20),
    )


def _fates(random: Random) -> list[str]:
    chance = random.random()
    if chance < 0.06:
        return ["overloaded", "answered"]
    if chance < 0.08:
        return ["dear"]
    if chance < 0.11:
        return [random.choice(PAID_FOR_NOTHING), "answered"]
    return ["answered"]
