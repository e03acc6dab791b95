"""What an order costs, in whole cents."""

from northwind.catalogue import Product

BULK_FROM = 10
BULK_PERCENT = 5
FREE_SHIPPING_CENTS = 5_000
SHIPPING_CENTS = 490


def line_total(product: Product, quantity: int) -> int:
    """Price of one order line, bulk discount included."""
    if quantity < 1:
        raise ValueError(f"quantity is {quantity}, at least 1 is needed")
    subtotal = product.unit_cents * quantity
    return discounted(subtotal, BULK_PERCENT) if quantity >= BULK_FROM else subtotal


def discounted(subtotal: int, percent: int) -> int:
    """The subtotal less `percent`; the discount is rounded half up, in the customer's favour."""
    if not 0 <= percent <= 100:
        raise ValueError(f"percent is {percent}, 0 to 100 is allowed")
    return subtotal - subtotal * percent // 100


def shipping(subtotal: int) -> int:
    """What shipping costs; nothing from 50.00 on."""
    return 0 if subtotal >= FREE_SHIPPING_CENTS else SHIPPING_CENTS
