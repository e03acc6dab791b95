"""What stands in the registry directory?

Plain text by path, or a problem for every file that cannot be taken: a link out of the directory, a pipe, a file
over its size, bytes that are not UTF-8. Nothing outside the root is ever opened.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from governance.errors import DefinitionError
from governance.problems import Problem, shown
from governance.registry import SCHEMA_FILE, Texts

MAX_FILE_BYTES = 64 * 1024
MAX_FILES = 10_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_FOLDERS_DEEP = 8


class _Refused(Exception):
    """This file cannot be taken; the text says why."""


def read_registry(root: Path) -> Texts:
    """Every text below `root`, hidden files left out. Raises `DefinitionError` when there is no such directory."""
    if not root.is_dir():
        raise DefinitionError(
            (
                f"registry {str(root)!r} is not a directory; name one with --registry or LOOPRAIL_REGISTRY",
            )
        )
    real, name = root.resolve(), root.name or "registry"
    files: dict[str, str] = {}
    problems: list[Problem] = []
    total = 0
    for path in _paths(real, "", problems, name):
        if len(files) + len(problems) >= MAX_FILES or total > MAX_TOTAL_BYTES:
            limits = f"{MAX_FILES:,} files or {MAX_TOTAL_BYTES:,} bytes"
            problems.append(Problem(name, None, "", f"holds more than {limits}; split it"))
            break
        try:
            text = _text(real, path)
        except _Refused as refused:
            problems.append(Problem(f"{name}/{_printable(path)}", None, "", str(refused)))
        else:
            files[path] = text
            total += len(text)
    return Texts(files, name, tuple(problems))


def read_text(path: Path) -> str:
    """One text under the same rules, wherever it stands. Raises `DefinitionError`."""
    try:
        return _text(path.resolve().parent, path.resolve().name)
    except _Refused as refused:
        raise DefinitionError((f"{_printable(str(path))}: {refused}",)) from None


def _paths(root: Path, below: str, problems: list[Problem], name: str) -> Iterator[str]:
    """Relative paths of all files, in order; a link to a directory is not followed."""
    if below.count("/") >= MAX_FOLDERS_DEEP:
        text = f"is nested deeper than {MAX_FOLDERS_DEEP} folders"
        problems.append(Problem(f"{name}/{_printable(below)}", None, "", text))
        return
    with os.scandir(root / below) as found:
        entries = sorted(found, key=lambda e: e.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(root, f"{path}/", problems, name)
        else:
            yield path


def _text(root: Path, path: str) -> str:
    if _printable(path) != path:
        raise _Refused("its name holds characters that are not letters, digits or '._-/ '")
    try:
        data = _bytes(_inside(root, path), 1024 * 1024 if path == SCHEMA_FILE else MAX_FILE_BYTES)
    except OSError as error:
        raise _Refused(f"cannot be read ({error.strerror or error})") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _Refused(f"is not UTF-8 text (byte {error.start:,})") from error


def _inside(root: Path, path: str) -> Path:
    try:
        real = (root / path).resolve(strict=True)
    except RuntimeError as error:
        # Python 3.11 raises this, not an OSError, for a link that leads to itself.
        raise _Refused("is a link that leads to itself") from error
    if not real.is_relative_to(root):
        raise _Refused("is a link that leads out of the registry")
    return real


def _bytes(path: Path, most: int) -> bytes:
    # O_NONBLOCK: opening a pipe would otherwise wait for a writer that never comes.
    with open(
        os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb"
    ) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _Refused("is not a regular file")
        data = b"" if status.st_size > most else file.read(most + 1)
    if status.st_size > most or len(data) > most:
        raise _Refused(f"is {max(status.st_size, len(data)):,} bytes; at most {most:,} are allowed")
    return data


def _printable(path: str) -> str:
    safe = all(c.isascii() and (c.isalnum() or c in "._-/ +@") for c in path)
    return path if safe else shown(path)
