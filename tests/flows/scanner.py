"""Where in a world, and in which spelling, does a secret stand?

The spellings are made here anew and not by the product, whose own screen is under test.
"""

import base64
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from demo.world import DemoWorld
from drivers.sandbox.cell import UID

BASE = "looprail/python:3.11"
KEPT_ON_PURPOSE = ("model-key", "forge-token", "token")
"""Files of the demo itself, owner-only, from which the far side learns its own keys."""


def spellings(secret: str) -> dict[str, bytes]:
    """Every form looked for, by name. Of base64 only what does not depend on its neighbours."""
    raw = secret.encode()
    found = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(secret, safe="").encode(),
        "url-all": "".join(f"%{b:02X}" for b in raw).encode(),
        "reversed": raw[::-1],
    }
    for offset in range(3):
        # Whole groups of three bytes, so that no character depends on what stands before or after.
        start = (3 - offset) % 3
        whole = raw[start : start + (len(raw) - start) // 3 * 3]
        found[f"base64+{offset}"] = base64.b64encode(whole)
        found[f"base64url+{offset}"] = base64.urlsafe_b64encode(whole)
    return found


def planted(secret: str) -> str:
    """A text that holds every form, base64 as it comes out at each offset."""
    raw = secret.encode()
    parts = [secret, raw.hex(), raw.hex().upper(), quote(secret, safe=""), secret[::-1]]
    parts.append("".join(f"%{b:02X}" for b in raw))
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            parts.append(encode(b"x" * offset + raw + b"yz").decode())
    return "\n".join(parts)


def hits(
    secrets: Mapping[str, str], places: Iterable[tuple[str, bytes]]
) -> set[tuple[str, str, str]]:
    """(secret's name, spelling, kind of place) for every find."""
    forms = [(name, how, form) for name, s in secrets.items() for how, form in spellings(s).items()]
    return {
        (name, how, where)
        for where, content in places
        for name, how, form in forms
        if form in content
    }


def places(world: DemoWorld) -> Iterator[tuple[str, bytes]]:
    """Everything a world left behind, as (kind of place and name, content).

    Other processes read the files: reading a database in a process that has it open would drop its locks (POSIX).
    """
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "home"
        _out("cp", "-a", str(world.home), str(copy))
        yield from _files(copy)
        for file in sorted(world.home.rglob("*.db")):
            yield from _rows(file, Path(place) / "snapshot")
        for file in sorted(copy.rglob("*.parquet")):
            yield f"parquet {file.name}", str(pq.read_table(file).to_pylist()).encode()
    for bare in sorted(
        p.parent for p in world.home.rglob("HEAD") if (p.parent / "objects").is_dir()
    ):
        yield (
            f"git {bare.name}",
            _out("git", "-C", str(bare), "cat-file", "--batch-all-objects", "--batch"),
        )
    yield "notices", json.dumps(world.receiver.notices).encode()
    yield from _docker(str(world.home))
    for process in world.processes.values():
        yield f"argv {process.name}", Path(f"/proc/{process.pid}/cmdline").read_bytes()


def _files(home: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(home.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.name not in KEPT_ON_PURPOSE:
            where = f"file {file.relative_to(home).parts[0]}"
            yield where, file.read_bytes() + b"\n" + file.name.encode()


_SNAPSHOT = (
    "import sqlite3, sys\n"
    "sqlite3.connect(sys.argv[1], timeout=30).backup(sqlite3.connect(sys.argv[2]))\n"
)


def _rows(file: Path, snapshot: Path) -> Iterator[tuple[str, bytes]]:
    """Every row: a value longer than a page does not stand in the file in one piece."""
    snapshot.unlink(missing_ok=True)
    _out(sys.executable, "-c", _SNAPSHOT, str(file), str(snapshot))
    with closing(sqlite3.connect(snapshot)) as connection:
        listed = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        ).fetchall()
        for (table,) in listed:
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
            values = (v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row)
            yield f"rows {file.name} {table}", b"\n".join(values)


def _docker(home: str) -> Iterator[tuple[str, bytes]]:
    """Containers of this world with their files and what lies in memory; volumes and what is in them; our images."""
    mine = ("--filter", f"label=looprail.home={home}")
    for box in _words("docker", "ps", "-aq", *mine):
        yield "container", _inspected("inspect", box)
        yield "container files", _out("docker", "export", box)
    for box in _words("docker", "ps", "-q", *mine):
        yield "container memory", memory_of(box)
    for volume in _words("docker", "volume", "ls", "-q", *mine):
        yield "volume", _inspected("volume", "inspect", volume)
        yield (
            "volume content",
            _out("docker", "run", "--rm", "--network", "none", "--volume", f"{volume}:/volume:ro", BASE,
                 "tar", "-cf", "-", "/volume"),
        )  # fmt: skip
    for image in _words("docker", "images", "-q", "--filter", "reference=looprail/*"):
        yield (
            "image",
            _out("docker", "inspect", image) + _out("docker", "history", "--no-trunc", image),
        )


def memory_of(box: str) -> bytes:
    """What a running box keeps where an export does not look: workspace and temporary files, as their owner reads them.

    Empty when the box is gone by then; root of a box without capabilities could not read them.
    """
    done = subprocess.run(
        ("docker", "exec", "--user", str(UID), box, "tar", "-cf", "-", "/workspace", "/tmp", "/dev/shm"),
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout


def _inspected(*words: str) -> bytes:
    """What the engine says, without the escapes of its JSON (it spells `&` as six characters)."""
    return json.dumps(json.loads(_out("docker", *words)), ensure_ascii=False).encode()


def boxes(world: DemoWorld) -> list[str]:
    """Containers and volumes of this world."""
    mine = ("--filter", f"label=looprail.home={world.home}")
    return _words("docker", "ps", "-aq", *mine) + _words("docker", "volume", "ls", "-q", *mine)


def _words(*command: str) -> list[str]:
    return sorted(set(_out(*command).decode().split()))


def _out(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
