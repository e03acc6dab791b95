"""How does a sender's secret get to where the gateway finds it?"""

import click

from cli.connect_options import ask_option, replace_option, secret, tell
from cli.keys import Key, read_key, screen_of
from cli.saving import Document, keep, make_ready
from governance.signatures import Scheme

_EXAMPLE = """\b
$ loops connect webhook ci --secret-env CI_WEBHOOK_SECRET
$ loops connect webhook github --scheme github --ask-token      # asks, without showing it
"""
SHORTEST = 16
"""Characters of a secret at least: a shorter one can be guessed from one signed request."""


@click.command(epilog=_EXAMPLE)
@click.argument("name")
@click.option(
    "--scheme", type=click.Choice(["standard", "github"]), default="standard", show_default=True,
    help="How the sender signs: Standard Webhooks, or X-Hub-Signature-256.",
)  # fmt: skip
@click.option(
    "--secret-env", "variable", metavar="VAR", help="The environment variable that holds the secret."
)  # fmt: skip
@click.option(
    "--previous-env", "previous", metavar="VAR",
    help="The secret before, accepted as well until you connect without it.",
)  # fmt: skip
@ask_option
@replace_option
def webhook(
    name: str, scheme: Scheme, variable: str | None, previous: str | None, asks: bool, replace: bool
) -> None:
    """Connect a sender of webhooks, as block webhook-sender/NAME.

    The secret is the one the sender signs with. A loop lets it in by `trigger: {webhook: NAME}`, and
    `loops serve` takes its requests.
    """
    if bool(variable) == asks:
        raise click.UsageError("name the secret's variable with --secret-env, or say --ask-token")
    document = f"webhook-sender/{name}"
    taken = make_ready(document, replace=replace, secret=True)
    key = read_key(variable, "--secret-env", "secret", None)
    old = read_key(previous, "--previous-env", "secret before", None) if previous else None
    from blocks import WebhookSender

    block = WebhookSender(secret=secret(key), scheme=scheme, previous=secret(old) if old else None)
    said = keep(
        (Document(document, block, taken),), lambda: _try(scheme, key, old), screen_of(key),
        save_anyway=False,
    )  # fmt: skip
    tell(said, document, f"For the loop's file.\n\ntrigger: {{webhook: {name}}}")


async def _try(scheme: Scheme, key: Key, old: Key | None) -> str:
    """Raises `Rejected` for a secret that protects nothing."""
    from governance.errors import Rejected

    for one in (key, old):
        if one is not None and len(one.value.removeprefix("whsec_")) < SHORTEST:
            raise Rejected(
                "the secret", f"is shorter than {SHORTEST} characters; make a longer one"
            )
    how = "webhook-signature" if scheme == "standard" else "X-Hub-Signature-256"
    return f"The secret can sign: requests to /hooks/LOOP carry {how}."
