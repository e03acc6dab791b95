"""Which files steer a verifier instead of being verified?

A verifier is a command in the workspace. Before it looks at any test it reads files that say what it runs, and
imports modules that stand before the installed ones. Whoever may write those decides what is green, so a maker
never does, whatever its loop says; a loop whose findings are about such a file frees it by name.
"""

import re
import sys
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from governance.problems import shown, suggest

STEERING = (
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "conftest.py",
    "sitecustomize*",
    "usercustomize*",
    "*.pth",
    "*.dist-info",
    "*.egg-info",
    "__pycache__",
    "*.py[cod]",
)
"""In every directory: configuration of test runners, what Python runs at its start, plugins that are found by
their metadata, and byte code that is taken for a source without a look at it. Each was tried (`tests/real`)."""

_RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"})
"""What `python -m pytest` imports beside the standard library."""
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.[\w-]+)*\.(?:py|so)|([A-Za-z_]\w*)/__init__\.[\w.-]+")
_STARTED = re.compile(r"\s-m\s+([A-Za-z_]\w*)")


def _protected(glob: str) -> str:
    if glob.startswith("!") and glob[1:] not in STEERING:
        hint = suggest(glob[1:], STEERING, "files that are protected without being named")
        raise ValueError(f"{shown(glob)} frees nothing{hint}")
    return glob


ProtectGlob = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_protected)]
"""A glob of protected files, or `!` with one of `STEERING` to let makers change it."""


def never_delivered(protect: Iterable[str]) -> tuple[str, ...]:
    """The globs whose change is never delivered: the loop's own, and those of `STEERING` it does not free."""
    told = tuple(protect)
    freed = {glob[1:] for glob in told if glob.startswith("!")}
    return (
        *(glob for glob in told if not glob.startswith("!")),
        *(glob for glob in STEERING if glob not in freed),
    )


def shadowing(files: Iterable[str], verify: str) -> tuple[str, ...]:
    """Globs for those of the files that Python would import instead of an installed module.

    `python -m` puts the workspace's root before everything else, so a module there that is named as one of the
    standard library, of the test runner or of what the verifier starts is run in its place.
    """
    names = {*sys.stdlib_module_names, *_RUNNERS, *_STARTED.findall(verify)}
    found = ((path, _MODULE.fullmatch(path)) for path in files)
    return tuple(f"/{path}" for path, match in found if match and (match[1] or match[2]) in names)
