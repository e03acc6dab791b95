"""How does a loop's page come to say what has just changed in this very transaction?"""

from drivers.store import reading
from drivers.store.breakers import open_breaker
from drivers.store.pages import write_page
from drivers.store.sql import Sql
from governance.statepage import people_of, state_page


def recompose(sql: Sql, loop: str, *, by: str, now: int) -> None:
    """The page once more, with every item as it stands; what people said on it stays."""
    page = reading.state(sql, loop)
    said = people_of(page.body if page is not None else None)
    body = state_page(loop, reading.items(sql, loop=loop), said, open_breaker(sql, loop))
    write_page(sql, loop, body, by=by, now=now)
