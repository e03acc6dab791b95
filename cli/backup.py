"""How is the store kept safe, and how is it brought back?"""

import asyncio
import json
from pathlib import Path

import click

from cli.names import claimed
from cli.source import json_option
from cli.store import named_store
from cli.words import moment_of, now_ms, stamp
from drivers.backup import checked, put_back, put_back_by_others, take
from drivers.store.restored import Marked
from governance.approvals import moment

_BACKUP = """\b
$ loops backup /backups/2026-06-02
Backed up to /backups/2026-06-02: store.db and 1,204 blobs, as of 2026-06-02 02:14 UTC.

$ loops backup /backups/2026-06-02 --prefect-db ~/.prefect/prefect.db --json
{"directory": "/backups/2026-06-02", "taken_at": "2026-06-02T02:14:09.120+00:00", ...}
"""
_RESTORE = """\b
$ loops restore /backups/2026-06-02 --check
$ loops restore /backups/2026-06-02 --as noor@northwind.example
Restored from /backups/2026-06-02, taken 2026-06-02 02:14 UTC.
3 items were open. Each is dispatched anew; a person says first what became of its effects that may
not be made twice.

$ loops restore --taken-at 2026-06-02T02:14:00Z    # a database on Postgres, after pg_restore
"""
_prefect_option = click.option(
    "--prefect-db", type=click.Path(dir_okay=False, path_type=Path),
    help="Prefect's SQLite database, too; on Postgres use its own tools.",
)  # fmt: skip


def _time(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """A time with its offset, in Unix milliseconds; not one to come."""
    if value is None:
        return None
    taken_at = moment_of(value)
    if taken_at is None:
        raise click.BadParameter(
            f"{value!r} is no time with its offset, such as 2026-06-02T02:14:00Z"
        )
    if taken_at > now_ms():
        raise click.BadParameter(f"{value!r} is still to come")
    return taken_at


@click.command(epilog=_BACKUP)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@_prefect_option
@json_option
def backup(directory: Path, prefect_db: Path | None, as_json: bool) -> None:
    """Copy the store, all its blobs and, on request, Prefect's database to a new DIRECTORY.

    Everything may go on meanwhile: the copy is of one moment, and nothing waits for it. The manifest
    with the digests of everything is written last; without it there is no backup.
    """
    url, blobs = named_store()
    made = asyncio.run(take(url, Path(blobs), directory, prefect=prefect_db, now=now_ms()))
    if as_json:
        told = {
            "directory": str(directory), "taken_at": stamp(made.taken_at), "files": made.files,
            "blobs": len(made.blobs),
        }  # fmt: skip
        click.echo(json.dumps(told, indent=2))
        return
    files = " and ".join((", ".join(made.files), f"{len(made.blobs):,} blobs"))
    click.echo(f"Backed up to {directory}: {files}, as of {moment(made.taken_at)}.")


@click.command(epilog=_RESTORE)
@click.argument(
    "directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@_prefect_option
@click.option(
    "--taken-at",
    metavar="TIME",
    callback=_time,
    help="In place of DIRECTORY: other tools have put the database back as it was at TIME.",
)
@click.option("--check", "only_check", is_flag=True, help="Only see whether the backup is whole.")
@click.option("--as", "name", help="Who says so; the user of this machine by default.")
@json_option
def restore(
    directory: Path | None, prefect_db: Path | None, taken_at: int | None, only_check: bool,
    name: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Bring a store back from a backup in DIRECTORY.

    Stop the workers first, and move what is left of the old store away: nothing is ever overwritten.
    Nobody knows what was done after the backup was taken, so the store is marked: what was open is
    dispatched anew, and before an effect of it that may not be made twice a person is asked first.
    """
    if (directory is None) == (taken_at is None):
        raise click.UsageError("name the DIRECTORY of a backup, or --taken-at and no directory")
    if taken_at is not None and (only_check or prefect_db):
        raise click.UsageError(
            "--taken-at only marks: it goes neither with --check nor --prefect-db"
        )
    if directory is None:
        assert taken_at is not None
        url, blobs = named_store()
        marked = asyncio.run(
            put_back_by_others(url, Path(blobs), taken_at=taken_at, by=claimed(name), now=now_ms())
        )
        _tell(marked, f"the copy of {moment(taken_at)}", taken_at, as_json)
        return
    made = asyncio.run(checked(directory))
    if only_check:
        told = {
            "directory": str(directory),
            "taken_at": stamp(made.taken_at),
            "blobs": len(made.blobs),
        }
        whole = f"{directory} is whole: {len(made.blobs):,} blobs, taken {moment(made.taken_at)}."
        click.echo(json.dumps(told, indent=2) if as_json else whole)
        return
    url, blobs = named_store()
    marked = asyncio.run(
        put_back(directory, url, Path(blobs), prefect=prefect_db, by=claimed(name), now=now_ms())
    )
    _tell(marked, f"{directory}, taken {moment(made.taken_at)}", made.taken_at, as_json, directory)


def _tell(
    marked: Marked, source: str, taken_at: int, as_json: bool, directory: Path | None = None
) -> None:
    if as_json:
        where = {"directory": str(directory)} if directory else {}
        click.echo(json.dumps({**where, "taken_at": stamp(taken_at), **vars(marked)}, indent=2))
        return
    click.echo(f"Restored from {source}.")
    items = len(marked.items)
    click.echo(
        f"{items:,} {'item was' if items == 1 else 'items were'} open. Each is dispatched anew; a person "
        "says first what became of its effects that may not be made twice."
    )
    if marked.runs:
        click.echo(
            f"{len(marked.runs):,} heartbeats were under way and are closed; the next slot looks anew."
        )
