"""What has this cost so far, and how much of it does nobody know?"""

from collections.abc import Iterable
from dataclasses import dataclass

from cli.words import exact, money
from governance.parts import Json
from governance.records import LedgerRow


@dataclass(frozen=True)
class Spent:
    """Ledger rows added up. `unknown` tries have no cost on record; they may have cost something."""

    pico: int = 0
    unknown: int = 0
    tokens: int = 0

    def __str__(self) -> str:
        more = f" + {self.unknown:,} unknown" if self.unknown else ""
        return money(self.pico) + more

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {
            "cost_usd": exact(self.pico),
            "tries_of_unknown_cost": self.unknown,
            "tokens": self.tokens,
        }


def spent(rows: Iterable[LedgerRow]) -> Spent:
    """What these tries cost; one under way counts for nothing yet."""
    ended = [r for r in rows if r.status != "open"]
    return Spent(
        pico=sum(r.cost or 0 for r in ended),
        unknown=sum(r.cost is None for r in ended),
        tokens=sum(r.usage.total for r in ended),
    )
