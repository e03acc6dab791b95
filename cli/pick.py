"""Which card, item or run does a person mean?"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import click

from cli.words import one_line
from governance.memory import Store
from governance.records import Card

_MANY = 100_000


def pick(given: str, ids: Iterable[str], kind: str, way_out: str) -> str:
    """The id that is `given` or the only one that begins with it. Raises `click.ClickException`."""
    known = sorted(set(ids))
    if given in known:
        return given
    matching = [i for i in known if given and i.startswith(given)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise click.ClickException(
            f"{kind} {one_line(given)!r} could be {len(matching):,}: {_listed(matching)}. Give one more character."
        )
    near = get_close_matches(given, known, n=3, cutoff=0.5)
    hint = f" Did you mean {_listed(near)}?" if near else ""
    raise click.ClickException(f"there is no {kind} {one_line(given)!r}.{hint} {way_out}")


async def pick_card(store: Store, given: str) -> Card:
    """The card a person means: among those that wait, else among all."""
    card = await store.card(given)
    if card is not None:
        return card
    waiting = [c.card for c in await store.cards()]
    narrowed = [c for c in waiting if given and c.startswith(given)]
    every = narrowed or [c.card for c in await store.cards(open_only=False)]
    found = await store.card(pick(given, every, "card", "`loops approvals` lists what waits."))
    assert found is not None
    return found


async def pick_owner(store: Store, given: str) -> str:
    """The run or item a person means."""
    if await store.run(given) or await store.item(given):
        return given
    runs = [r.run for r in await store.runs(limit=_MANY)]
    items = [i.item for i in await store.items(limit=_MANY)]
    return pick(given, [*runs, *items], "run or item", "`loops inbox --all` lists the items.")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:5])
    return shown + (", …" if len(names) > 5 else "")
