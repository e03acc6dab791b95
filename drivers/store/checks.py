"""What stands against an effect that is new?

Judged in the transaction that admits it, never while replaying.
"""

from drivers.store.bodies import Body
from drivers.store.items import FINAL, capped, put_stop
from drivers.store.raises import in_force
from drivers.store.rows import stop_of
from drivers.store.seals import CARDS
from drivers.store.sql import Row, Sql
from governance.effects import Intent, Place, Refused, Stop, StopReason
from governance.errors import StoreError
from governance.raises import minutes_of

_GOOD: dict[str, tuple[str, StopReason]] = {
    "verified": ("passed", "verifier"),
    "checked": ("accept", "checker"),
}


def standing(sql: Sql, intent: Intent) -> Refused | None:
    """Is the asker still the one to act, and has nothing stopped it? Raises `StoreError` for an unknown owner."""
    place = intent.place
    if place.owner == place.run:
        return _run_standing(sql, place)
    item = sql.one(
        "SELECT fence, status, stop_reason, stop_detail, life_at, awake_ms FROM items WHERE item = :item",
        item=place.owner,
    )
    if item is None:
        raise StoreError(
            f"item {place.owner!r} is not in the store. Look it up with `loops inbox`."
        )
    if item["fence"] != intent.fence:
        return _refused(
            f"another process took over item {place.owner!r}: fence {intent.fence:,} was followed by "
            f"{item['fence']:,}; this one must end"
        )
    stop = stop_of(item)
    if stop is not None:
        return Refused(stop)
    if item["status"] in FINAL:
        return _refused(f"item {place.owner!r} is already {item['status']}")
    return _awake(sql, intent, item)


def _run_standing(sql: Sql, place: Place) -> Refused | None:
    run = sql.one("SELECT * FROM runs WHERE run = :run", run=place.run)
    if run is None:
        raise StoreError(f"run {place.run!r} is not in the store. Look it up with `loops inbox`.")
    stop = stop_of(run)
    if stop is not None:
        return Refused(stop)
    if run["status"] != "open":
        return _refused(f"run {place.run!r} is already closed")
    return None


def _awake(sql: Sql, intent: Intent, item: Row) -> Refused | None:
    limit = intent.awake_limit_ms
    since = item["life_at"]
    awake = item["awake_ms"] + (max(0, intent.now - since) if since is not None else 0)
    if limit is None or awake <= limit:
        return None
    place, budget = intent.place, minutes_of(intent.place.owner)
    raised = in_force(sql, budget, place.run, intent.now)
    if raised is not None:
        limit = max(limit, raised["cap"])
    if awake <= limit:
        return None
    detail = (
        f"item {place.owner!r} was awake for {awake / 60_000:,.1f} of {limit / 60_000:,.1f} minutes. "
        f"Raise it with `loops budget raise {budget}`; for later items raise harness.max_minutes."
    )
    return refuse(sql, place, Stop("minutes", detail), cap=(budget, place.run))


def proven(sql: Sql, intent: Intent) -> Refused | None:
    """Does every kind of evidence that is needed speak for exactly these bytes, with its latest verdict?"""
    for kind in intent.needs:
        if kind not in _GOOD:
            raise StoreError(
                f"effect {intent.place.key!r} needs evidence {kind!r}; there is {', '.join(_GOOD)}."
            )
        good, reason = _GOOD[kind]
        row = sql.one(
            "SELECT verdict FROM evidence WHERE item = :item AND tree = :tree AND kind = :kind"
            " ORDER BY seq DESC LIMIT 1",
            item=intent.place.owner, tree=intent.tree, kind=kind,
        )  # fmt: skip
        if row is None or row["verdict"] != good:
            found = (
                f"the latest verdict is {row['verdict']!r}" if row is not None else "there is none"
            )
            return Refused(
                Stop(
                    reason,
                    f"no evidence about exactly these bytes: {intent.name!r} needs {kind} = {good!r} "
                    f"for tree {intent.tree!r}, and {found}",
                )
            )
    return None


def permitted(sql: Sql, intent: Intent, args: Body) -> Refused | None:
    """Did a person approve exactly this, and was it not used for anything else?"""
    if intent.card is None:
        return None
    card = sql.one("SELECT * FROM cards WHERE card = :card", card=intent.card)
    if card is not None:
        CARDS.check(card)
    key = intent.place.key
    asked = sql.one(
        "SELECT key FROM askers WHERE card = :card AND key = :key", card=intent.card, key=key
    )
    wrong = _mismatch(card, intent, args, asked is not None)
    if wrong is None:
        return None
    return Refused(Stop("denied", f"card {intent.card!r} does not permit {intent.name!r}: {wrong}"))


def _mismatch(card: Row | None, intent: Intent, args: Body, asked: bool) -> str | None:
    if card is None:
        return "there is no such card"
    bound = (
        ("kind", card["kind"], "approval"),
        ("answer", card["answer"], "approve"),
        ("item", card["item"], intent.place.owner),
        ("tool", card["tool"], intent.name),
        ("arguments", card["args_digest"], args.digest),
        ("tool digest", card["tool_digest"], intent.tool_digest or card["tool_digest"]),
        ("tree", card["tree"], intent.tree),
    )
    for what, approved, now in bound:
        if approved != now:
            return f"its {what} is {approved!r}, not {now!r}"
    if not asked:
        return f"it is about effect {card['key']!r}, not {intent.place.key!r}"
    if card["used_by"] not in (None, intent.place.key):
        return f"it was used by effect {card['used_by']!r}"
    return None


def use_card(sql: Sql, intent: Intent) -> None:
    """The card is spent on this effect, whatever becomes of its tries."""
    if intent.card is None:
        return
    card = sql.one("SELECT * FROM cards WHERE card = :card", card=intent.card)
    if card is not None:
        CARDS.change(sql, card, used_by=intent.place.key)


def refuse(sql: Sql, place: Place, stop: Stop, *, cap: tuple[str, str] | None = None) -> Refused:
    """A refusal that also stops its item or run. `cap` is the budget, in its window, that had no room."""
    whole_run = place.owner == place.run
    if put_stop(sql, place.owner, stop, run=whole_run) and cap is not None and not whole_run:
        capped(sql, place.owner, *cap)
    return Refused(stop)


def _refused(detail: str) -> Refused:
    return Refused(Stop("cancelled", detail))
