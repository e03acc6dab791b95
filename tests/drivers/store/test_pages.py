"""Which definitions are in force, what does a loop know, and who changed what?"""

import asyncio

import pytest

from drivers.store.store import SqlStore
from governance.errors import StoreError
from governance.parts import digest
from governance.records import Budget, PageMoved, StatePage
from tests.drivers.store.homes import Home


async def test_a_pinned_definition_comes_back_by_its_digest(store: SqlStore) -> None:
    pinned = await store.pin("loop", "triage", "name: triage", by="noor", now=5)
    assert pinned == digest("name: triage")
    assert await store.definition(pinned) == "name: triage"


async def test_putting_a_definition_in_force_is_audited_when_it_changes(store: SqlStore) -> None:
    for now, body in enumerate(("a", "a", "b", "a")):
        await store.pin("loop", "triage", body, by="noor", now=now)
    lines = await store.audit()
    assert [(line["at"], line["what"], line["subject"], line["detail"]) for line in lines] == [
        (3, "loop in force", "triage", digest("a")),
        (2, "loop in force", "triage", digest("b")),
        (0, "loop in force", "triage", digest("a")),
    ]
    assert len(await store.audit(limit=2)) == 2


async def test_a_definition_nobody_pinned_is_an_error(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="definition 'sha256:0' is not in the store"):
        await store.definition("sha256:0")


async def test_a_definition_changed_behind_our_back_is_not_used(
    store: SqlStore, home: Home
) -> None:
    pinned = await store.pin("loop", "triage", "honest", by="noor", now=5)
    home.tamper("UPDATE definitions SET body = 'tampered'")
    with pytest.raises(StoreError, match="it was changed in the store"):
        await store.definition(pinned)


async def test_a_correction_of_the_state_is_on_record_as_a_persons(store: SqlStore) -> None:
    assert await store.state("triage") is None
    for n in range(3):
        page = await store.correct("triage", f"# {n}", seen=n, by="noor", now=n)
        assert page == StatePage("triage", n + 1, f"# {n}", n, "noor")
        assert await store.state("triage") == page
    lines = await store.audit()
    assert [line["subject"] for line in lines] == [f"triage version {n}" for n in (3, 2, 1)]


async def test_of_corrections_made_of_one_page_one_is_taken_and_the_others_see_it(
    store: SqlStore,
) -> None:
    told = await asyncio.gather(
        *(store.correct("triage", f"# {n}", seen=0, by="noor", now=n) for n in range(5))
    )
    (taken,) = [page for page in told if isinstance(page, StatePage)]
    assert [page for page in told if page is not taken] == [PageMoved(1)] * 4
    assert await store.state("triage") == taken
    assert await store.state("triage", version=2) is None
    assert len(await store.audit()) == 1


async def test_a_cap_is_put_in_force_changed_and_audited(store: SqlStore) -> None:
    made = await store.put_cap("team:platform:usd", "2026-11", 100, by="noor", now=1)
    assert made == Budget("team:platform:usd", "2026-11", 100)
    await store.put_cap("team:platform:usd", "2026-11", 100, by="noor", now=2)
    raised = await store.put_cap("team:platform:usd", "2026-11", 250, by="kim", now=3)
    assert raised.cap == 250
    assert await store.budget("team:platform:usd", "2026-11") == raised
    lines = await store.audit()
    assert [(line["who"], line["detail"]) for line in lines] == [
        ("kim", "100 to 250"),
        ("noor", "none to 100"),
    ]
