"""An order: its lines, its total and the day it is promised for."""

from dataclasses import dataclass
from datetime import date

from northwind.calendar import promised_delivery
from northwind.catalogue import Catalogue
from northwind.money import format_cents
from northwind.pricing import discounted, line_total, shipping


@dataclass(frozen=True)
class Line:
    """So many of one product."""

    sku: str
    quantity: int


@dataclass(frozen=True)
class Quote:
    """What a customer is told before ordering."""

    goods_cents: int
    shipping_cents: int
    delivery: str

    @property
    def total_cents(self) -> int:
        """Goods and shipping."""
        return self.goods_cents + self.shipping_cents

    def __str__(self) -> str:
        return f"{format_cents(self.total_cents)}, promised for {self.delivery}"


def quote(catalogue: Catalogue, lines: tuple[Line, ...], day: date, percent: int = 0) -> Quote:
    """The quote for these lines, ordered on `day`, with a customer discount of `percent`."""
    if not lines:
        raise ValueError("an order needs at least one line")
    products = [catalogue.find(line.sku) for line in lines]
    totals = [line_total(p, line.quantity) for p, line in zip(products, lines, strict=True)]
    goods = discounted(sum(totals), percent)
    handling = max(product.handling_days for product in products)
    return Quote(goods, shipping(goods), promised_delivery(day, handling))
