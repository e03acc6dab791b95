import pytest

from northwind.money import format_cents, parse_cents


@pytest.mark.parametrize(
    ("text", "cents"), [("12.5", 1250), ("0.07", 7), ("3", 300), ("-1.20", -120), (" 9.99 ", 999)]
)
def test_amounts_are_read_as_cents(text, cents):
    assert parse_cents(text) == cents


@pytest.mark.parametrize("text", ["", "1,20", "1.234", "ten", "--1"])
def test_what_is_not_an_amount_is_refused(text):
    with pytest.raises(ValueError, match="not an amount"):
        parse_cents(text)


def test_printing_undoes_reading():
    for text in ("0.00", "0.07", "12.50", "-1.20"):
        assert format_cents(parse_cents(text)) == text
