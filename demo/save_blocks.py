"""Save blocks in Prefect from a JSON document on standard input: {"slug/name": {field: value}}."""

import json
import sys

from prefect.blocks.core import Block
from prefect.utilities.dispatch import lookup_type

import blocks  # noqa: F401 - registers our block types


def main() -> None:
    """Save each; an existing one of that name is replaced."""
    for document, fields in json.load(sys.stdin).items():
        slug, _, name = document.partition("/")
        lookup_type(Block, slug)(**fields).save(name, overwrite=True)


if __name__ == "__main__":
    main()
