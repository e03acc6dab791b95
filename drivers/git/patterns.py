"""Which paths may a candidate touch?"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

IGNORED_BY_DEFAULT = (
    "__pycache__/",
    "*.py[cod]",
    ".pytest_cache/",
    ".hypothesis/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".coverage",
    ".coverage.*",
    ".tox/",
    ".nox/",
    ".venv/",
    "*.egg-info/",
    "*.egg-link",
    "node_modules/",
)
"""What tools leave behind; the base's own .gitignore files decide first."""


def protected(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a glob names the path or a directory above it.

    `*` and `?` stay within one name, `**` crosses directories; as in .gitignore, a glob without a slash
    matches in every directory: `conftest.py` protects against a new one anywhere.
    """
    above = [path, *parents(path)]
    return any(_regex(glob).fullmatch(name) for glob in globs for name in above)


def parents(path: str) -> tuple[str, ...]:
    """Every directory above a path, nearest first, without the root."""
    found: list[str] = []
    while path := posixpath.dirname(path):
        found.append(path)
    return tuple(found)


def git_own(path: str) -> bool:
    """Whether some file system would take the path for a repository's own `.git` (CVE-2014-9390)."""
    return any(_GIT_NAME.fullmatch(part) for part in path.split("/"))


def unsafe_link(path: str, target: str) -> bool:
    """Whether a link leads out of the tree or into `.git`, or stands where git reads its own rules."""
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    outside = target.startswith("/") or reached.split("/")[0] == ".."
    return outside or git_own(reached) or posixpath.basename(path).lower().startswith(".git")


def clashing(paths: Iterable[str], kept: Mapping[str, object]) -> set[str]:
    """Paths that cannot stand beside the kept ones: a file where a directory must be, or below a file."""
    directories = {parent for path in kept for parent in parents(path)}
    return {
        path
        for path in paths
        if path in directories or any(parent in kept for parent in parents(path))
    }


# Trailing dots, spaces and streams are dropped by NTFS, zero-width characters by HFS+.
_INVISIBLE = "[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]*"
_GIT_NAME = re.compile(
    _INVISIBLE
    + _INVISIBLE.join((r"\.", "g", "i", "t"))
    + _INVISIBLE
    + r"[ .]*(:.*)?|git~[0-9]+[ .]*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"/\*\*/|\*\*/|/\*\*|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
_MEANING = {
    "**/": "(?:.*/)?",
    "/**/": "/(?:.*/)?",
    "/**": "/.*",
    "**": ".*",
    "*": "[^/]*",
    "?": "[^/]",
}


@lru_cache(maxsize=256)
def _regex(glob: str) -> re.Pattern[str]:
    plain = glob.strip("/")
    tokens = (match.group() for match in _TOKEN.finditer(plain))
    body = "".join(_MEANING.get(token) or _one(token) for token in tokens)
    anywhere = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    return re.compile(anywhere + body, re.DOTALL)


def _one(token: str) -> str:
    if token.startswith("[") and len(token) > 2:
        return "[^" + token[2:] if token.startswith("[!") else token
    return re.escape(token)
