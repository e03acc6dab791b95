"""What does a call really cost us, and what would it at list price?

List prices come from the price list (`catalogue`), what we pay from the contract over it. An unknown price is None on
either side, never 0.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property

from governance.conversation import Usage
from governance.effects import CostStatus
from governance.parts import Json, digest
from governance.prices import catalogue
from governance.prices.contract import Contract, ModelTerms
from governance.prices.unit import Price, due, most, off


@dataclass(frozen=True)
class Rated:
    """What one call came to, in pico-USD, and by which prices."""

    cost: int | None
    """What we pay; None when nobody can say."""
    list_cost: int | None
    """What it costs at list price; None where no list has a price."""
    status: CostStatus
    price: Json
    """As it is pinned on the ledger row: what we pay per unit, the price book, and list prices where they differ."""


@dataclass(frozen=True)
class Book:
    """The price list with one contract over it."""

    contract: Contract = field(default_factory=Contract)

    def price_of(self, model_id: str, at_ms: int, input_tokens: int = 0) -> Price | None:
        """What we pay per unit at that moment for a call with that many input tokens; None when nobody can say."""
        listed = catalogue.price_of(model_id, at_ms, input_tokens)
        return self._ours(self.contract.terms(model_id, at_ms), listed)

    def rate(self, usage: Usage, model_id: str, at_ms: int) -> Rated:
        """What a call that began at that moment came to. Raises `ValueError` when its counts contradict each other."""
        listed = catalogue.price_of(model_id, at_ms, usage.input_tokens)
        terms = self.contract.terms(model_id, at_ms)
        ours = self._ours(terms, listed)
        list_cost = None if listed is None else due(listed, usage)
        if ours is None:
            return Rated(None, list_cost, "unpriced", {})
        pinned = ours.as_json()
        if terms is not None and listed is not None:
            pinned["list"] = listed.as_json()
        free = terms is not None and terms.free
        return Rated(due(ours, usage), list_cost, "free" if free else "priced", pinned)

    def worst_case(
        self, input_tokens_bound: int, max_output_tokens: int, model_id: str, at_ms: int
    ) -> int | None:
        """No call within these counts costs us more pico-USD; None when nobody can say.

        Everything is taken at its dearest use and at the dearest tier that the bound reaches.
        """
        terms = self.contract.terms(model_id, at_ms)
        listed = catalogue.prices_within(input_tokens_bound, model_id, at_ms)
        reached = [ours for p in (listed or (None,)) if (ours := self._ours(terms, p))]
        return most(reached, input_tokens_bound, max_output_tokens) if reached else None

    def _ours(self, terms: ModelTerms | None, listed: Price | None) -> Price | None:
        if terms is None:
            return listed
        book = f"{listed.price_book}+{self._name}" if listed else self._name
        if terms.units is not None:
            plain, output, read, write_5m, write_1h = terms.units
            return Price(terms.model, plain, output, read, write_5m, write_1h, book)
        if listed is None:
            return None
        less = off(listed, terms.discount or Decimal(0))
        return replace(less, price_book=book)

    @cached_property
    def _name(self) -> str:
        return f"contract@{digest(self.contract.spelled())[:19]}"
