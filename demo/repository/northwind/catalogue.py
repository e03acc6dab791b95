"""What Northwind sells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """One thing on the price list."""

    sku: str
    name: str
    unit_cents: int
    handling_days: int = 1


class Catalogue:
    """The price list, by stock-keeping unit."""

    def __init__(self, products: tuple[Product, ...]) -> None:
        self._products = {product.sku: product for product in products}

    def find(self, sku: str) -> Product:
        """The product, or `LookupError` with the nearest thing that exists."""
        if sku not in self._products:
            known = ", ".join(sorted(self._products)) or "nothing"
            raise LookupError(f"no product {sku!r}; there is {known}")
        return self._products[sku]

    def __len__(self) -> int:
        return len(self._products)
