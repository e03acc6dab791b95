"""What became of an effect that may have happened, or of a round that cannot go on?"""

import click

from cli.approvals import Given, give
from cli.source import json_option
from governance.answers import CHOICES, Answer

_WORDS = tuple(dict.fromkeys(c.answer for kind in ("in_doubt", "diverged") for c in CHOICES[kind]))

_EXAMPLE = """\b
$ loops approvals c41d0                       # what is known: its process, what the far side shows
$ loops resolve c41d0 happened --result '{"number": 7}' --as noor --reason "it is on the forge"
$ loops resolve c41d0 not-happened --yes --json
$ loops resolve c77e1 restart --reason "paid again: 0.02 USD"
"""


@click.command(epilog=_EXAMPLE)
@click.argument("card")
@click.argument("answer", type=click.Choice(_WORDS))
@click.option("--as", "name", help="Who answers; the user of this machine by default.")
@click.option("--reason", default="", help="Why; the agent reads it, and it is kept.")
@click.option("--result", default="", help="What it gave, as JSON or text; with `happened` alone.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def resolve(
    card: str, answer: Answer, name: str | None, reason: str, result: str, yes: bool, as_json: bool
) -> None:
    """Say what became of what nobody can tell but you.

    A card in doubt asks whether something happened whose answer was lost. `happened`: it counts as
    done and is not made again; whoever asked for it is told so, with --result or, without it, with
    what the far side showed. `not-happened`: it is started once more. `abandon`: its item ends.

    A card that diverged asks about a round whose record does not fit the code any more. `restart`:
    the round begins anew from the last kept files; the card says what is paid again. `abandon`: its
    item ends.

    Exit code 0 when your answer counts, 1 when it does not (answered, too early, unknown).
    """
    if result and answer != "happened":
        raise click.UsageError(f"--result says what a call gave that happened, not {answer!r}.")
    give(Given(answer, card, name, reason, yes, as_json, result))
