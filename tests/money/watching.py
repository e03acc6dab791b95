"""`loops top` as a process of its own beside the callers: how far is what it shows behind the store?

What stands on the screen stays there until the next line. It is behind from the moment on at which the store knew more.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from threading import Thread
from typing import Any

from demo.world import ROOT
from governance.parts import pico

Passed = Sequence[tuple[float, int]]
"""By the monotonic clock: no earlier than when the store's settled pico-USD came to so much."""


@dataclass
class Watch:
    """The lines of one `loops top`, and when each was there to be read."""

    process: "subprocess.Popen[str]"
    lines: list[tuple[float, Any]] = field(default_factory=list[tuple[float, Any]])

    def read(self) -> None:
        """Take what it prints, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), json.loads(line)))

    def settled(self, budget: str) -> list[tuple[float, int]]:
        """What each line said of a budget; one that it did not name had nothing settled."""
        return [
            (at, pico(Decimal(_figures(told, budget).get("settled", "0"))))
            for at, told in self.lines
        ]

    def past(self) -> list[str]:
        """Budgets that a line showed beyond their cap."""
        return [
            f"{b['budget']} at {told['at']}"
            for _, told in self.lines
            for b in told["budgets"]
            if sum(Decimal(b[k]) for k in ("settled", "unknown", "held")) > Decimal(b["cap"])
        ]

    async def caught_up(self, budget: str, settled: int) -> None:
        """Wait until it shows all that was settled."""
        while not self.lines or self.settled(budget)[-1][1] != settled:
            assert self.process.poll() is None, "loops top has ended"
            await asyncio.sleep(0.05)

    def behind(self, budget: str, passed: Passed) -> float:
        """The most seconds that what was on the screen was behind; call it once it has caught up."""
        shown = self.settled(budget)
        worst = 0.0
        for (_, on_screen), (until, _) in pairwise(shown):
            more = next((at for at, amount in passed if amount > on_screen), until)
            worst = max(worst, until - more)
        return worst


def _figures(told: Any, budget: str) -> Mapping[str, str]:
    return next((b for b in told["budgets"] if b["budget"] == budget), {})


@contextmanager
def watching(url: str, blobs: str) -> Generator[Watch]:
    """`loops top --json` as a user has it, from its first line on."""
    place = {"LOOPRAIL_STORE_URL": url, "LOOPRAIL_BLOBS": blobs, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "top", "--json", "--by", "loop"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env={**os.environ, **place},
    )  # fmt: skip
    watch = Watch(process)
    reader = Thread(target=watch.read)
    reader.start()
    try:
        while not watch.lines:
            assert process.poll() is None, "loops top has ended"
            time.sleep(0.05)
        yield watch
    finally:
        process.kill()
        reader.join()
        process.communicate()
