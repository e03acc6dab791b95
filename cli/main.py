"""What can a person ask of Looprail from a terminal?

Every command lives in its own module, which is imported only when it is called: `loops check` never pays for Prefect.
"""

import sys
from importlib import import_module

import click

from governance.errors import LoopError

COMMANDS = {
    "check": ("cli.check:check", "Find every problem of every file of the registry."),
    "list": (
        "cli.show:list_loops",
        "List the loops: who owns them, when they fire, what they reach.",
    ),
    "show": ("cli.show:show", "Show one loop: its limits, its rules, what each agent can touch."),
    "render": ("cli.render:render", "Write prefect.yaml, the deployments of all loops."),
    "plan": ("cli.apply:plan", "Show what apply would change, and what limits each loop."),
    "apply": (
        "cli.apply:apply",
        "Put rules about spending in force, and what Prefect watches for.",
    ),
    "inbox": ("cli.inbox:inbox", "List the items found, and where each stands."),
    "approvals": (
        "cli.approvals:approvals",
        "List what waits for a person, or show one card whole.",
    ),
    "approve": ("cli.approvals:approve", "Say yes to a card."),
    "reject": ("cli.approvals:reject", "Say no to a card."),
    "resolve": (
        "cli.resolve:resolve",
        "Say what became of what may have happened, or of a round that diverged.",
    ),
    "state": ("cli.state:state", "Show what a loop knows, or correct it."),
    "trace": ("cli.trace:trace", "Show what a run or an item did, step by step."),
    "run": ("cli.run:run", "Fire a loop now."),
    "resume": ("cli.resume:resume", "Let a loop go on that the breaker paused."),
    "budget": ("cli.budget:budget", "Show the caps of a run or an item, or raise one."),
    "fanout": (
        "cli.fanout:fanout",
        "List fan-outs with their price, and let one go that is kept back.",
    ),
    "serve": ("cli.serve:serve", "Take signed webhooks that fire loops."),
    "connect": ("cli.connect:connect", "Try a credential, and keep it in a Prefect block."),
    "new": ("cli.new:new", "Write a new loop to start from."),
    "cost": ("cli.cost:cost", "Show what the loops cost, and what an accepted delivery costs."),
    "top": (
        "cli.top:top",
        "Show what is held, settled, unknown and left, live.",
    ),
    "reconcile": (
        "cli.reconcile:reconcile",
        "Compare the ledger with what the provider billed, and resolve what is unknown.",
    ),
    "rerate": ("cli.rerate:rerate", "Show what past calls cost by the prices of now."),
    "backup": ("cli.backup:backup", "Copy the store while it is in use."),
    "restore": ("cli.backup:restore", "Bring the store back from a backup."),
    "schema": ("cli.schema:schema", "Write the JSON Schema of a loop file, for editors."),
}
"""By name: where the command is, and its line in `loops --help`."""


class LazyGroup(click.Group):
    """Commands by name from `COMMANDS`, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, as they are ordered in `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, from the table, so that nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="looprail")
def cli() -> None:
    """Run AI-agent loops unattended and governed."""


def main() -> None:
    """The `loops` script: our own errors end with their message and their exit code, never with a traceback."""
    try:
        cli()
    except LoopError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
