from datetime import date

import pytest

from northwind.calendar import is_business_day, next_business_day, promised_delivery

THURSDAY, FRIDAY, SATURDAY = date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 7)
MONDAY = date(2026, 3, 9)


def test_nobody_works_at_the_weekend():
    assert is_business_day(FRIDAY)
    assert not is_business_day(SATURDAY)


def test_the_next_business_day_skips_the_weekend():
    assert next_business_day(THURSDAY) == FRIDAY
    assert next_business_day(FRIDAY) == MONDAY
    assert next_business_day(SATURDAY, 0) == MONDAY
    assert next_business_day(FRIDAY, 6) == date(2026, 3, 16)


def test_days_do_not_run_backwards():
    with pytest.raises(ValueError, match="at least 0 is needed"):
        next_business_day(FRIDAY, -1)


def test_a_promise_within_the_week_is_plain():
    assert promised_delivery(MONDAY, 3) == "2026-03-12"


def test_a_promise_over_the_weekend_counts_business_days():
    assert promised_delivery(FRIDAY, 1) == "2026-03-09"
    assert promised_delivery(THURSDAY, 3) == "2026-03-10"
