from datetime import date

import pytest

from northwind.catalogue import Catalogue, Product
from northwind.orders import Line, quote

MONDAY = date(2026, 3, 9)
CATALOGUE = Catalogue(
    (
        Product("TEA-1", "Assam, 500 g", 1_200),
        Product("POT-1", "Teapot, cast iron", 4_500, handling_days=3),
    )
)


def test_a_quote_adds_lines_and_shipping():
    told = quote(CATALOGUE, (Line("TEA-1", 2),), MONDAY)
    assert (told.goods_cents, told.shipping_cents, told.total_cents) == (2_400, 490, 2_890)


def test_the_slowest_line_sets_the_day():
    told = quote(CATALOGUE, (Line("TEA-1", 1), Line("POT-1", 1)), MONDAY)
    assert told.delivery == "2026-03-12"


def test_a_customer_discount_comes_after_the_bulk_discount():
    told = quote(CATALOGUE, (Line("TEA-1", 10),), MONDAY, percent=10)
    assert told.goods_cents == 10_260


def test_a_quote_reads_like_a_sentence():
    assert str(quote(CATALOGUE, (Line("TEA-1", 1),), MONDAY)) == "16.90, promised for 2026-03-10"


def test_an_order_without_lines_is_refused():
    with pytest.raises(ValueError, match="at least one line"):
        quote(CATALOGUE, (), MONDAY)
