"""What did the repository look like before the story begins?"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo.forge.git import Bare

SOURCE = Path(__file__).parent.parent / "repository"
_BASE = ("README.md", ".gitignore", "pyproject.toml", "northwind/__init__.py")
_HISTORY = (
    (
        "Noor Haddad <noor@northwind.example>",
        "2026-02-02T09:12:00+01:00",
        "Price list and money in whole cents",
        (*_BASE, "northwind/money.py", "northwind/catalogue.py", "tests/test_money.py", "tests/test_catalogue.py"),
    ),
    (
        "Theo Lindqvist <theo@northwind.example>",
        "2026-02-10T15:40:00+01:00",
        "Bulk discount and shipping",
        ("northwind/pricing.py", "tests/test_pricing.py"),
    ),
    (
        "Noor Haddad <noor@northwind.example>",
        "2026-02-24T11:05:00+01:00",
        "Promise a delivery day",
        ("northwind/calendar.py", "tests/test_calendar.py"),
    ),
    (
        "Ines Moreau <ines@northwind.example>",
        "2026-03-03T17:58:00+01:00",
        "Quotes for whole orders",
        ("northwind/orders.py", "tests/test_orders.py"),
    ),
)  # fmt: skip


Bug = Literal["rounding", "weekend"]
BUGS: tuple[Bug, ...] = ("rounding", "weekend")
_MENDED: dict[Bug, tuple[str, bytes, bytes]] = {
    "rounding": (
        "northwind/pricing.py",
        b"return subtotal - subtotal * percent // 100",
        b"return subtotal - (subtotal * percent + 50) // 100",
    ),
    "weekend": (
        "northwind/calendar.py",
        b"return (day + timedelta(days=count)).isoformat()",
        b"return next_business_day(day, count).isoformat()",
    ),
}


@dataclass(frozen=True)
class Chapter:
    """One commit of a history: what it adds or replaces, by whom and when."""

    author: str
    """`Name <address>`."""
    date: str
    """ISO 8601, with its offset."""
    message: str
    files: Mapping[str, bytes]


def seed(path: Path, source: Path = SOURCE, bugs: tuple[Bug, ...] = BUGS) -> str:
    """Make a bare repository at `path` with the history above; the same bytes give the same commit id.

    `bugs` are those of the source that stay in; the others are mended from the first commit on.

    Raises:
        FileExistsError: There is something at `path` already.
    """
    chapters = [
        Chapter(author, date, message, {name: _file(source, name, bugs) for name in files})
        for author, date, message, files in _HISTORY
    ]
    return write_history(path, chapters)


def write_history(path: Path, chapters: Sequence[Chapter]) -> str:
    """Make a bare repository at `path` with this history on `main`; its last commit.

    Raises:
        FileExistsError: There is something at `path` already.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; nothing was seeded")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".seeding-") as place:
        bare = Bare(Path(place) / path.name)
        bare.create()
        tip = ""
        for chapter in chapters:
            tip = _commit(bare, tip, chapter)
        bare.run("update-ref", "refs/heads/main", tip)
        (bare.path / "index").unlink()
        bare.path.rename(path)
    return tip


def _commit(bare: Bare, parent: str, chapter: Chapter) -> str:
    for name, content in chapter.files.items():
        blob = bare.run("hash-object", "-w", "--stdin", stdin=content)
        bare.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    name, _, address = chapter.author.rstrip(">").partition(" <")
    who = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", address), ("DATE", chapter.date))
    }
    parents = ("-p", parent) if parent else ()
    return bare.run("commit-tree", bare.run("write-tree"), *parents, "-m", chapter.message, env=who)


def _file(source: Path, name: str, bugs: tuple[Bug, ...]) -> bytes:
    content = (source / name).read_bytes()
    for bug, (path, buggy, mended) in _MENDED.items():
        if path == name and bug not in bugs:
            content = content.replace(buggy, mended)
    return content
