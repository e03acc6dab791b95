"""What does Anthropic's Usage and Cost Admin API say?

Wire shapes of `GET /v1/organizations/usage_report/messages` and `/v1/organizations/cost_report`, as documented on
platform.claude.com (api/admin-api/usage-cost) in November 2026. Fields that we do not need may come and go; those
that are here must be there, or nothing of the report is taken.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from governance.bill import Billed, Meters, model_named
from governance.parts import PICO

Count = Annotated[int, Field(strict=True, ge=0)]
NO_MODEL = "(no model)"
At = tuple[str, date]
"""A model and a UTC day."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CacheCreation(_Wire):
    """Tokens written to a cache, by how long they live there."""

    ephemeral_5m_input_tokens: Count
    ephemeral_1h_input_tokens: Count


class Usage(_Wire):
    """One line of a day's usage, grouped by model."""

    model: str | None
    uncached_input_tokens: Count
    cache_read_input_tokens: Count
    cache_creation: CacheCreation
    output_tokens: Count

    @property
    def line(self) -> tuple[str, Billed]:
        """The model, and what was billed."""
        made = self.cache_creation
        tokens = Meters(
            self.uncached_input_tokens, self.cache_read_input_tokens,
            made.ephemeral_5m_input_tokens, made.ephemeral_1h_input_tokens, self.output_tokens,
        )  # fmt: skip
        return named(self.model), Billed(tokens=tokens)


class Cost(_Wire):
    """One line of a day's cost, grouped by description: the amount is a decimal text in cents."""

    model: str | None
    workspace_id: str | None = None
    currency: Literal["USD"]
    amount: Annotated[str, Field(pattern=r"^-?\d{1,15}(\.\d{1,15})?$")]

    @property
    def line(self) -> tuple[str, Billed]:
        """The model, and what was billed."""
        return named(self.model), Billed(usd=int(Decimal(self.amount) * PICO / 100), slack=1)


class UsageBucket(_Wire):
    """One day."""

    starting_at: datetime
    ending_at: datetime
    results: tuple[Usage, ...]

    @property
    def day(self) -> date:
        """The UTC day it is about."""
        return self.starting_at.date()


class CostBucket(_Wire):
    """One day."""

    starting_at: datetime
    ending_at: datetime
    results: tuple[Cost, ...]

    @property
    def day(self) -> date:
        """The UTC day it is about."""
        return self.starting_at.date()


class UsagePage(_Wire):
    """Some days, and where the next ones are."""

    data: tuple[UsageBucket, ...]
    has_more: bool
    next_page: str | None


class CostPage(_Wire):
    """Some days, and where the next ones are."""

    data: tuple[CostBucket, ...]
    has_more: bool
    next_page: str | None


def named(model: str | None) -> str:
    """The model's one spelling; what belongs to none is named as such."""
    return model_named(model) if model else NO_MODEL


def places_of(amount: str) -> int:
    """Digits after the point."""
    return len(amount.partition(".")[2])


def rounded(found: Mapping[At, Billed], places: int) -> dict[At, Billed]:
    """What was read with one amount per line: each may be off by half of the last digit that the report writes."""
    half = PICO // 10**places // 2
    return {at: replace(line, slack=line.slack * half) for at, line in found.items()}


def add(found: dict[At, Billed], day: date, line: tuple[str, Billed]) -> None:
    """One more line of a model's day."""
    at = (line[0], day)
    found[at] = found.get(at, Billed()) + line[1]
