"""What may a loop file say, in a form that editors understand?"""

import json
from pathlib import Path

import click

from cli.source import registry_option, write_text
from governance.definition import Loop
from governance.parts import Json
from governance.registry import SCHEMA_FILE


@click.command()
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@registry_option
def schema(path: Path | None, root: Path) -> None:
    """Write the JSON Schema of a loop file, for editors.

    Goes to loop.schema.json in the registry, or to PATH. An editor finds it by the first line
    `# yaml-language-server: $schema=../loop.schema.json` of a loop file.
    """
    target = path or root / SCHEMA_FILE
    write_text(target, schema_text())
    click.echo(f"{target}: written")


def schema_text() -> str:
    """The schema, for both spellings: flat, and everything below `agent`."""
    flat: Json = Loop.model_json_schema()
    parts: Json = flat.pop("$defs")
    whole: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A loop file of Looprail",
        "if": {"required": ["agent"]},
        "then": {
            "type": "object",
            "properties": {"agent": {"$ref": "#/$defs/Loop"}},
            "additionalProperties": False,
        },
        "else": {"$ref": "#/$defs/Loop"},
        "$defs": {**parts, "Loop": flat},
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
