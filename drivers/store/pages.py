"""Which definitions are in force, what does a loop know between heartbeats, and who changed what?"""

from drivers.store import rows
from drivers.store.money import add_budgets
from drivers.store.sql import Sql
from governance.errors import Damaged, StoreError
from governance.parts import digest as content_digest
from governance.records import Budget, PageMoved, StatePage


def pin(sql: Sql, kind: str, name: str, body: str, *, by: str, now: int) -> str:
    """Keep a definition by its digest and put it in force; audited when that changes something."""
    content = content_digest(body)
    sql.run(
        "INSERT INTO definitions (digest, kind, name, body, pinned_by, pinned_at)"
        " VALUES (:digest, :kind, :name, :body, :by, :now) ON CONFLICT (digest) DO NOTHING",
        digest=content, kind=kind, name=name, body=body, by=by, now=now,
    )  # fmt: skip
    changed = sql.run(
        "INSERT INTO in_force (kind, name, digest, since) VALUES (:kind, :name, :digest, :now)"
        " ON CONFLICT (kind, name) DO UPDATE SET digest = :digest, since = :now"
        " WHERE in_force.digest <> :digest",
        kind=kind, name=name, digest=content, now=now,
    )  # fmt: skip
    if changed:
        note(sql, who=by, what=f"{kind} in force", subject=name, detail=content, now=now)
    return content


def definition(sql: Sql, digest: str) -> str:
    """A pinned body. Raises `Damaged` when it is not there or not what its digest says."""
    row = sql.one("SELECT body FROM definitions WHERE digest = :digest", digest=digest)
    if row is None:
        raise Damaged(f"definition {digest!r} is not in the store. Restore it from a backup.")
    body: str = row["body"]
    held = content_digest(body)
    if held != digest:
        raise Damaged(
            f"definition {digest!r} holds text of digest {held!r}: it was changed in the "
            "store. Restore it from a backup."
        )
    return body


def write_page(sql: Sql, loop: str, body: str, *, by: str, now: int) -> StatePage:
    """A new version of a loop's state."""
    row = sql.one(
        "INSERT INTO states (loop, version, body, at, said_by)"
        " SELECT :loop, coalesce(max(version), 0) + 1, :body, :now, :by FROM states WHERE loop = :loop"
        " RETURNING version",
        loop=loop, body=body, now=now, by=by,
    )  # fmt: skip
    if row is None:
        raise StoreError(f"the state of loop {loop!r} could not be written.")
    return StatePage(loop, row["version"], body, now, by)


def moved(sql: Sql, loop: str, seen: int) -> PageMoved | None:
    """The newest version of a loop's state, when it is another than `seen` (0: there was none)."""
    row = sql.one(
        "SELECT coalesce(max(version), 0) AS version FROM states WHERE loop = :loop", loop=loop
    )
    newest = row["version"] if row is not None else 0
    return PageMoved(newest) if newest != seen else None


def correct(
    sql: Sql, loop: str, body: str, *, seen: int, by: str, now: int
) -> StatePage | PageMoved:
    """A person's version of the state, on record as theirs."""
    if newer := moved(sql, loop, seen):
        return newer
    page = write_page(sql, loop, body, by=by, now=now)
    subject = f"{loop} version {page.version}"
    note(sql, who=by, what="state corrected", subject=subject, detail=content_digest(body), now=now)
    return page


def put_cap(sql: Sql, budget: str, window: str, cap: int, *, by: str, now: int) -> Budget:
    """A cap in force from now on; what is held and spent stays."""
    before = sql.one(
        "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
        budget=budget,
        period=window,
    )
    if before is None:
        add_budgets(sql, (Budget(budget, window, cap),))
    else:
        sql.run(
            "UPDATE budgets SET cap = :cap WHERE budget = :budget AND period = :period",
            cap=cap, budget=budget, period=window,
        )  # fmt: skip
    if before is None or before["cap"] != cap:
        was = "none" if before is None else str(before["cap"])
        subject = f"{budget} ({window})"
        note(sql, who=by, what="cap in force", subject=subject, detail=f"{was} to {cap}", now=now)
    after = sql.one(
        "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
        budget=budget,
        period=window,
    )
    if after is None:
        raise StoreError(f"budget {budget!r} ({window}) could not be written.")
    return rows.budget(after)


def note(sql: Sql, *, who: str, what: str, subject: str, detail: str, now: int) -> None:
    """One line of the audit."""
    sql.run(
        "INSERT INTO audit (at, who, what, subject, detail) VALUES (:at, :who, :what, :subject, :detail)",
        at=now, who=who, what=what, subject=subject, detail=detail,
    )  # fmt: skip
