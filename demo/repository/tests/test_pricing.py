import pytest

from northwind.catalogue import Product
from northwind.pricing import discounted, line_total, shipping

TEA = Product("TEA-1", "Assam, 500 g", 1_200)


def test_a_whole_discount_is_taken_off():
    assert discounted(1_000, 10) == 900
    assert discounted(2_500, 0) == 2_500
    assert discounted(999, 100) == 0


def test_a_discount_is_rounded_half_up_in_the_customers_favour():
    assert discounted(150, 5) == 142  # 7.5 cents become 8
    assert discounted(199, 15) == 169  # 29.85 cents become 30
    assert discounted(201, 7) == 187  # 14.07 cents become 14


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_discount_below_nothing_or_above_all_is_refused(percent):
    with pytest.raises(ValueError, match="0 to 100 is allowed"):
        discounted(1_000, percent)


def test_ten_and_more_are_cheaper():
    assert line_total(TEA, 9) == 10_800
    assert line_total(TEA, 10) == 11_400


def test_no_quantity_is_no_line():
    with pytest.raises(ValueError, match="at least 1 is needed"):
        line_total(TEA, 0)


def test_shipping_is_free_from_fifty_on():
    assert (shipping(4_999), shipping(5_000)) == (490, 0)
