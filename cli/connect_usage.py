"""How does the key of the provider's usage report get to where the reconciliation finds it?"""

import click

from cli.connect_options import anyway_option, replace_option, secret, tell
from cli.keys import read_key, screen_of, visible
from cli.saving import Document, keep, make_ready
from cli.words import now_ms
from governance.bill import last_final
from tasks.bills import FINAL_AFTER_H, HOUR_MS

_EXAMPLE = """\b
$ loops connect usage-report --key-env ADMIN_KEY --api-key apikey_01Rj2N8SVvo6BePZj99NhmiT
$ loops connect usage-report --key-env ADMIN_KEY --workspace wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ
"""


@click.command("usage-report", epilog=_EXAMPLE)
@click.option(
    "--key-env",
    "variable",
    metavar="VAR",
    help="The environment variable that holds the Admin key.",
)
@click.option(
    "--base-url", default="https://api.anthropic.com", show_default=True, help="Without /v1."
)
@click.option(
    "--workspace",
    "workspaces",
    multiple=True,
    metavar="ID",
    help="Only its use is ours; may be repeated.",
)
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    metavar="ID",
    help="Only its use is ours; may be repeated.",
)
@click.option(
    "--final-after", "hours", type=click.IntRange(1, 24 * 31), default=FINAL_AFTER_H, show_default=True,
    metavar="HOURS", help="Hours after the end of a UTC day until its report is taken for final.",
)  # fmt: skip
@replace_option
@anyway_option
def usage_report(
    variable: str | None, base_url: str, workspaces: tuple[str, ...], api_keys: tuple[str, ...], hours: int,
    replace: bool, save_anyway: bool,
) -> None:  # fmt: skip
    """Connect the provider's usage report, as block usage-report/looprail; there is one.

    It takes an Admin key, not the key that models are called with. Tried by asking for one day's report. Where others
    use the organisation too, say which workspaces or API keys are ours, or their use stands there as unexplained.
    """
    from blocks.usage_report import USAGE_REPORT, UsageReport

    visible((base_url, *workspaces, *api_keys))
    taken = make_ready(USAGE_REPORT, replace=replace, secret=True)
    key = read_key(variable, "--key-env", "Admin key", None)
    block = UsageReport(
        base_url=base_url, admin_key=secret(key), workspaces=workspaces, api_keys=api_keys,
        final_after_hours=hours,
    )  # fmt: skip

    async def attempt() -> str:
        from drivers.usage_report import AdminApi

        day = last_final(now_ms(), hours * HOUR_MS)
        api = AdminApi(base_url, key.value, workspaces=workspaces, api_keys=api_keys)
        report = await api.report((day, day), now=now_ms())
        told = ", ".join(sorted({model for model, _ in report.billed})) or "no model"
        return f"The key is accepted: on {day} it tells of {told}."

    said = keep(
        (Document(USAGE_REPORT, block, taken),), attempt, screen_of(key), save_anyway=save_anyway
    )
    tell(
        said,
        USAGE_REPORT,
        "`loops reconcile --dry-run` compares; the deployment reconcile/reconcile does it by itself.",
    )
