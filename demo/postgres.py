"""A Postgres server of a world's own, for Prefect to keep its database in."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.processes import free_port

DEBIAN = "/usr/lib/postgresql/*/bin"
"""Where Debian puts what an administrator does not type."""
UNPRIVILEGED = "nobody"
"""Who runs it where the tests are root's: Postgres refuses root."""


@contextmanager
def postgres(*, durable: bool = False) -> Generator[str]:
    """The URL of an empty database, as Prefect's server is told of it; its server ends with the block.

    What is committed in it is on disk only when it is `durable`.
    """
    with tempfile.TemporaryDirectory(prefix="looprail-postgres-") as place:
        home, port, password = Path(place), free_port(), secrets.token_urlsafe(12)
        data, log = home / "data", home / "log"
        (home / "password").write_text(password)
        log.touch()
        as_whom = _whom(home)
        _run(
            as_whom, log, "initdb", "-D", data, "-U", "prefect", "-E", "UTF8", "--locale=C", "--no-sync",
            "--auth=scram-sha-256", f"--pwfile={home / 'password'}",
        )  # fmt: skip
        told = f"-h 127.0.0.1 -p {port} -k ''{'' if durable else ' -F'}"
        _run(as_whom, log, "pg_ctl", "start", "-w", "-D", data, "-o", told, "-l", log)
        try:
            yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
        finally:
            _run(as_whom, log, "pg_ctl", "stop", "-w", "-D", data, "-m", "fast")


def _whom(home: Path) -> dict[str, Any]:
    """How its programs are started; what lies in `home` becomes theirs."""
    if os.geteuid() != 0:
        return {"cwd": home}
    who = pwd.getpwnam(UNPRIVILEGED)
    for path in (home, *home.iterdir()):
        os.chown(path, who.pw_uid, who.pw_gid)
    return {"cwd": home, "user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def _run(as_whom: dict[str, Any], log: Path, name: str, *words: object) -> None:
    command = (_program(name), *map(str, words))
    # Its output goes to a file: the server inherits it, and would keep a pipe open.
    with log.open("ab") as out:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=60,
            **as_whom,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}\n{log.read_text()[-2000:]}")


def _program(name: str) -> str:
    places = [os.environ["PATH"], *map(str, sorted(Path("/").glob(DEBIAN[1:]), reverse=True))]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(
            f"there is no {name} on PATH nor in {DEBIAN}. Run 'apt-get install postgresql'."
        )
    return found
