"""Is the ledger what the provider billed, and what does the bill resolve?"""

import asyncio
import json
from datetime import date, datetime
from pathlib import Path

import click

from cli.names import claimed
from cli.source import json_option, load_registry, registry_option
from cli.store import CliStore, open_cli_store
from cli.words import columns, exact, now_ms, one_line
from governance.bill import Meters, Report, Stretch, last_final
from governance.parts import Json, usd
from governance.prices import Book
from governance.reconcile import Compared
from tasks.bills import FINAL_AFTER_H, HOUR_MS, due_days, reconcile_days

_EXAMPLE = """\b
$ loops reconcile --dry-run                      # asks the report that is connected; changes nothing
$ loops reconcile --csv usage.csv --csv cost.csv --as noor@northwind.example
$ loops reconcile --day 2026-11-24 --json
{"source": "Admin API at https://api.anthropic.com", "dry_run": false, "days": ["2026-11-24", "2026-11-24"],
 "compared": [{"model": "claude-sonnet-4-6", "days": ["2026-11-24", "2026-11-24"], "state": "resolved", ...}]}
"""


@click.command(epilog=_EXAMPLE)
@click.option(
    "--csv", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An export of the Console's Usage page (tokens) or Cost page (amounts); both may be given.",
)  # fmt: skip
@click.option(
    "--workspace", "workspaces", multiple=True, help="Of the files, only this workspace, by name."
)
@click.option(
    "--api-key", "api_keys", multiple=True, help="Of the files, only this API key, by name."
)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Only this UTC day.")
@click.option(
    "--final-after", "hours", type=click.IntRange(1, 24 * 31), metavar="HOURS",
    help="Hours after the end of a day until its report is taken for final. "
    f"[default: what the block says; {FINAL_AFTER_H} for files]",
)  # fmt: skip
@click.option("--dry-run", "dry", is_flag=True, help="Compare and show; change nothing.")
@click.option("--as", "name", metavar="NAME", help="Who says so, for the record.")
@registry_option
@json_option
def reconcile(
    root: Path, files: tuple[Path, ...], workspaces: tuple[str, ...], api_keys: tuple[str, ...], day: datetime | None,
    hours: int | None, dry: bool, name: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare the ledger with what the provider billed, by model and UTC day.

    What was billed beyond the calls we settled is booked on the unknown calls of that model and day, if they can
    explain it; what the report shows as not billed is free again. What nothing explains is shown and never booked.
    Without --csv the report of block usage-report/looprail is asked. Exit code 1 when something is unexplained.
    """
    if (workspaces or api_keys) and not files:
        raise click.UsageError(
            "--workspace and --api-key go with --csv; the block says it for the report"
        )
    by = claimed(name)
    wanted = (day.date(), day.date()) if day else None
    book, opened = Book(load_registry(root).prices), open_cli_store()
    if files:
        from drivers.usage_report import read_exports

        report = read_exports(files, workspaces=workspaces, api_keys=api_keys)
        delay_ms = (hours or FINAL_AFTER_H) * HOUR_MS
        days = wanted or _covered(report)
    else:
        report, days, delay_ms = _asked(opened, wanted, hours)
    found = asyncio.run(
        reconcile_days(
            opened.store, report, days, book=book, delay_ms=delay_ms, by=by, now=now_ms(), dry=dry
        )
    )
    last = last_final(report.taken_at, delay_ms)
    click.echo(_json(report, days, found, dry) if as_json else _text(report, last, found, dry))
    if any(one.state == "unexplained" for one in found):
        raise SystemExit(1)


def _asked(
    opened: CliStore, wanted: Stretch | None, hours: int | None
) -> tuple[Report, Stretch, int]:
    """The report of the block, the days it is about, and its delay."""
    from cli.server import reaching_prefect
    from drivers.usage_report import AdminApi

    with reaching_prefect():
        from blocks.usage_report import USAGE_REPORT, UsageReport

        try:
            block = UsageReport.load(USAGE_REPORT.partition("/")[2])
        except ValueError:
            raise click.ClickException(
                f"no report is connected as block {USAGE_REPORT!r}. Connect it with `loops connect "
                "usage-report`, or give an export with --csv."
            ) from None
    assert isinstance(block, UsageReport)
    delay_ms = (hours or block.final_after_hours) * HOUR_MS
    api = AdminApi(
        block.base_url, block.admin_key.get_secret_value(), workspaces=block.workspaces,
        api_keys=block.api_keys,
    )  # fmt: skip

    async def ask() -> tuple[Report, Stretch]:
        days = wanted or await due_days(opened.store, now=now_ms(), delay_ms=delay_ms)
        return await api.report(days, now=now_ms()), days

    report, days = asyncio.run(ask())
    return report, days, delay_ms


def _covered(report: Report) -> Stretch:
    ends = [days for days in (report.tokens, report.usd) if days is not None]
    return min(days[0] for days in ends), max(days[1] for days in ends)


def _text(report: Report, last: date, found: tuple[Compared, ...], dry: bool) -> str:
    title = (
        f"Ledger and bill by model and UTC day, from {one_line(report.source)}; final until {last}"
    )
    if not found:
        return f"{title}\nNothing was called or billed on these days, or none of them is final."
    head = (
        "MODEL",
        "UTC DAY",
        "STATE",
        "SETTLED USD",
        "BILLED USD",
        "UNEXPLAINED USD",
        "TOKENS",
        "RESOLVED",
    )
    table = columns((head, *(_cells(one) for one in found)))
    remarks = [
        f"{one_line(one.model)} {_days(one)}: {one.why}" for one in found if one.state != "equal"
    ]
    end = ["Nothing was changed."] if dry else []
    return "\n".join((title, "", table, *(["", *remarks] if remarks else []), *end))


def _cells(one: Compared) -> tuple[str, ...]:
    resolved = f"{len(one.shares):,} of {one.unknown:,}" if one.unknown else "-"
    return (
        one_line(one.model), _days(one), one.state, f"{usd(one.settled_usd + one.resolved_usd):f}",
        "-" if one.billed.usd is None else f"{usd(one.billed.usd):f}",
        "-" if one.off_usd is None else f"{usd(one.off_usd):+f}",
        "-" if one.off is None else f"{one.off.total:+,}", resolved,
    )  # fmt: skip


def _days(one: Compared) -> str:
    first, last = one.days
    return f"{first}" if first == last else f"{first} to {last}"


def _json(report: Report, days: Stretch, found: tuple[Compared, ...], dry: bool) -> str:
    told = {
        "source": report.source,
        "dry_run": dry,
        "days": [day.isoformat() for day in days],
        "compared": [_told(one) for one in found],
    }
    return json.dumps(told, indent=2)


def _told(one: Compared) -> Json:
    return {
        "model": one.model,
        "days": [day.isoformat() for day in one.days],
        "state": one.state,
        "why": one.why,
        "billed_usd": _usd(one.billed.usd),
        "settled_usd": exact(one.settled_usd + one.resolved_usd),
        "unexplained_usd": _usd(one.off_usd),
        "billed_tokens": _meters(one.billed.tokens),
        "unexplained_tokens": _meters(one.off),
        "unknown_calls": one.unknown,
        "unknown_usd_at_most": exact(one.unknown_usd),
        "resolved": [
            {"call": s.key, "try": s.attempt, "billed": s.billed, "usd": exact(s.cost), "together": s.together}
            for s in one.shares
        ],
    }  # fmt: skip


def _usd(amount: int | None) -> str | None:
    return None if amount is None else exact(amount)


def _meters(meters: Meters | None) -> Json | None:
    return None if meters is None else meters.as_json
