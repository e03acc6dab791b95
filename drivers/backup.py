"""How is the one memory copied while it is in use, and put back whole?

A backup is a directory: the store's database (a snapshot of one moment), every blob, on request Prefect's SQLite
database, and a manifest with the digest of each, written last. Without a manifest there is no backup. A restore
checks all of it before anything is put anywhere, and the store's file appears last, whole, and marked as restored.
A database on Postgres is copied and put back by its own tools; here it is only marked.
"""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from drivers.blobs import DirectoryBlobs, synced
from drivers.store.opening import on_postgres, open_store, path_of
from drivers.store.restored import Marked, mark
from governance.errors import StoreError
from governance.parts import Part

STORE: Literal["store.db"] = "store.db"
PREFECT: Literal["prefect.db"] = "prefect.db"
BLOBS, MANIFEST = "blobs", "manifest.json"
_SIDES = ("", "-wal", "-shm")
"""A database's files; a log that another file left behind would be played into ours."""


class Manifest(Part):
    """What a backup holds. Digests as everywhere, `sha256:<hex>`."""

    format: Literal[1] = 1
    taken_at: int
    """Unix milliseconds, UTC."""
    files: dict[Literal["store.db", "prefect.db"], str]
    blobs: tuple[str, ...]


async def take(url: str, blobs: Path, into: Path, *, prefect: Path | None, now: int) -> Manifest:
    """Copy everything into a directory that is new or empty. Raises `StoreError`; then there is no backup."""
    source = _file_of(
        url,
        "nothing was backed up. Use `pg_dump` or your service's snapshots, and then copy the blobs' directory.",
    )
    for path in (source, *([prefect] if prefect else [])):
        if not path.is_file():
            raise StoreError(f"database '{path}' is not there; nothing was backed up.")
    if into.exists() and any(into.iterdir()):
        raise StoreError(
            f"'{into}' is not empty. A backup has a directory of its own: name a new one."
        )
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The store first: its blobs are put before the rows that name them, and Prefect may only know more.
    files: dict[Literal["store.db", "prefect.db"], str] = {STORE: _copied(source, into / STORE)}
    kept, copy = DirectoryBlobs(blobs), DirectoryBlobs(into / BLOBS)
    found = [await copy.put(await kept.get(blob)) for blob in kept.every()]
    if prefect:
        files[PREFECT] = _copied(prefect, into / PREFECT)
    manifest = Manifest(taken_at=now, files=files, blobs=tuple(found))
    _write(into / MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest


async def checked(backup: Path) -> Manifest:
    """The manifest of a backup that is whole. Raises `StoreError` that says what is missing or changed."""
    try:
        manifest = Manifest.model_validate_json((backup / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"'{backup}' is no whole backup: its {MANIFEST} cannot be read ({error})."
        ) from error
    if STORE not in manifest.files:
        raise StoreError(f"'{backup}' is no whole backup: its {MANIFEST} names no {STORE}.")
    for name, expected in manifest.files.items():
        found = _digest(backup / name) if (backup / name).is_file() else "nothing"
        if found != expected:
            raise StoreError(
                f"'{backup / name}' holds {found}, not {expected} as its manifest says. Take an older backup."
            )
    kept = DirectoryBlobs(backup / BLOBS)
    for blob in manifest.blobs:
        await kept.get(blob)
    return manifest


async def put_back(
    backup: Path, url: str, blobs: Path, *, prefect: Path | None, by: str, now: int
) -> Marked:
    """Put a whole backup where nothing stands yet, and mark the store as restored.

    Raises `StoreError`: the backup is not whole, or a database is already there. Then no database was written.
    """
    manifest = await checked(backup)
    target = _file_of(
        url,
        "nothing was restored. Use `pg_restore`, put the blobs back, and then say `loops restore --taken-at`.",
    )
    if prefect and PREFECT not in manifest.files:
        raise StoreError(f"'{backup}' holds no database of Prefect's; leave it out.")
    for path in (target, *([prefect] if prefect else [])):
        _nothing_there(path)
    kept, place = DirectoryBlobs(backup / BLOBS), DirectoryBlobs(blobs)
    for blob in manifest.blobs:
        await place.put(await kept.get(blob))
    if prefect:
        _copied(backup / PREFECT, prefect)
    new = target.with_name(f"{target.name}.restoring")
    new.unlink(missing_ok=True)
    _copied(backup / STORE, new)
    try:
        marked = await put_back_by_others(
            f"sqlite:///{quote(str(new))}", blobs, taken_at=manifest.taken_at, by=by, now=now
        )
    finally:
        new.with_name(f"{new.name}.lock").unlink(missing_ok=True)
    os.replace(new, target)
    synced(target.parent)
    return marked


async def put_back_by_others(url: str, blobs: Path, *, taken_at: int, by: str, now: int) -> Marked:
    """Mark a store whose database was put back as it was at `taken_at`. Raises `StoreError`."""
    store = open_store(url, DirectoryBlobs(blobs))
    try:
        return await store.write(
            lambda sql: mark(sql, taken_at=taken_at, by=by, now=now), "restored"
        )
    finally:
        store.disconnect()


def _file_of(url: str, otherwise: str) -> Path:
    if on_postgres(url):
        raise StoreError(f"the store is on Postgres, whose own tools copy it; {otherwise}")
    return path_of(url)


def _nothing_there(path: Path) -> None:
    for side in _SIDES:
        there = path.with_name(path.name + side)
        if there.exists():
            raise StoreError(
                f"'{there}' is there already; nothing was restored. Stop whatever uses it, move it and "
                "its -wal and -shm files away, and restore again."
            )


def _copied(source: Path, target: Path) -> str:
    """A snapshot of one moment, by SQLite's own online backup; its digest."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            closing(
                sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=60)
            ) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
            (said,) = new.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"database '{source}' cannot be copied: {error}.") from error
    if said != "ok":
        raise StoreError(f"database '{source}' is damaged: {said}. Take an older backup.")
    with target.open("rb") as file:
        os.fsync(file.fileno())
    synced(target.parent)
    return _digest(target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    synced(path.parent)
