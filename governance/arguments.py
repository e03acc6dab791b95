"""Are a call's arguments what its tool takes?"""

from governance.parts import Json

SHOWN = 5
"""Problems that are told at once; an agent mends these first."""


def arguments_problem(arguments: Json, schema: Json) -> str | None:
    """What is wrong with a call's arguments by the tool's own schema, or None."""
    # On first use: it is not cheap to import, and most commands weigh no call.
    from jsonschema import Draft202012Validator

    problems = sorted(Draft202012Validator(schema).iter_errors(arguments), key=str)
    if not problems:
        return None
    return "; ".join(f"{e.json_path}: {e.message}" for e in problems[:SHOWN])
