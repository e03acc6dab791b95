"""Does prices.yaml say one thing about each day, and about something there is?"""

from collections.abc import Callable, Iterable, Sequence

from governance.prices.contract import Contract, Dated
from governance.problems import Path, suggest

Finding = tuple[Path, str]
"""Where it stands, and what is wrong with it."""


def unfit_prices(contract: Contract, listed: Callable[[str], bool]) -> Iterable[Finding]:
    """What cannot be: two entries on one day, and a discount off no price. `listed`: the price list knows a model."""
    for name in ("models", "sandbox", "people"):
        entries: Sequence[Dated] = getattr(contract, name)
        for n, entry in enumerate(entries):
            for m, earlier in enumerate(entries[:n]):
                if earlier.subject == entry.subject and _both(earlier, entry):
                    about = f" for {entry.subject!r}" if entry.subject else ""
                    yield (
                        (name, n),
                        (
                            f"holds{about} on days that {name}[{m}] holds too ({_days(earlier)}); end one before "
                            "the other starts"
                        ),
                    )
    for n, terms in enumerate(contract.models):
        if terms.discount is not None and not listed(terms.model):
            yield (
                ("models", n, "discount"),
                (
                    f"the price list has no price of {terms.model!r} to take it off; give prices instead"
                ),
            )


def unused_prices(contract: Contract, ids: Iterable[str]) -> Iterable[Finding]:
    """Prices of models that no loop can name; `ids` are the providers' own."""
    known = set(ids)
    for n, terms in enumerate(contract.models):
        if known and terms.model not in known:
            hint = suggest(terms.model, known, "its models")
            yield (
                ("models", n, "model"),
                (f"no model of org.yaml is called {terms.model!r} by its provider{hint}"),
            )


def _both(one: Dated, other: Dated) -> bool:
    return (one.ends is None or other.starts < one.ends) and (
        other.ends is None or one.starts < other.ends
    )


def _days(entry: Dated) -> str:
    return f"from {entry.starts} on" if entry.ends is None else f"{entry.starts} to {entry.ends}"
