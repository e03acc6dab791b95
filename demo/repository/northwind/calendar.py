"""On which day something leaves or arrives."""

from datetime import date, timedelta

SATURDAY = 5


def is_business_day(day: date) -> bool:
    """Whether anybody is in the warehouse."""
    return day.weekday() < SATURDAY


def next_business_day(day: date, count: int = 1) -> date:
    """The day `count` business days after `day`."""
    if count < 0:
        raise ValueError(f"count is {count}, at least 0 is needed")
    while count > 0 or not is_business_day(day):
        day += timedelta(days=1)
        if is_business_day(day):
            count -= 1
    return day


def promised_delivery(day: date, count: int) -> str:
    """The day we promise: `count` business days after `day`, as an ISO date."""
    return (day + timedelta(days=count)).isoformat()
