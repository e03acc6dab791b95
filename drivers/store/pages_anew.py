"""How is a loop's state page brought up to date in the transaction that changes what it says?"""

from drivers.store import reading
from drivers.store.breakers import open_breaker
from drivers.store.pages import write_page
from drivers.store.sql import Sql
from governance.statepage import people_of, state_page


def write_anew(sql: Sql, loop: str, *, by: str, now: int) -> None:
    """A version of the page made of what is in the store now; what people said stays."""
    page = reading.state(sql, loop)
    said = people_of(page.body if page is not None else None)
    body = state_page(loop, reading.items(sql, loop=loop), said, open_breaker(sql, loop))
    write_page(sql, loop, body, by=by, now=now)
