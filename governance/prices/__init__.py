"""What does an effect cost, what can it cost at most, and by which prices?"""

from governance.prices.book import Book, Rated
from governance.prices.bounds import frame_bound, input_bound, message_bound
from governance.prices.catalogue import cost, price_of, undated, worst_case
from governance.prices.contract import Contract
from governance.prices.rates import BoxTime, box_cost, price_per_call
from governance.prices.unit import Price

__all__ = [
    "Book",
    "BoxTime",
    "Contract",
    "Price",
    "Rated",
    "box_cost",
    "cost",
    "frame_bound",
    "input_bound",
    "message_bound",
    "price_of",
    "price_per_call",
    "undated",
    "worst_case",
]  # fmt: skip
