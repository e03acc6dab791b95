"""How is the forge started as a process of its own?"""

import argparse
import os
import secrets
import shutil
import socket
from pathlib import Path

import uvicorn

from demo.forge.app import forge
from demo.forge.seed import BUGS, seed


def main() -> None:
    """Serve until it is told to stop; the first line it prints is where."""
    parser = argparse.ArgumentParser(prog="python -m demo.forge", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--repo", type=Path, required=True, help="bare repository; seeded if absent"
    )
    parser.add_argument("--state", type=Path, required=True, help="SQLite file; made if absent")
    parser.add_argument(
        "--token-file", type=Path, required=True, help="holds the bearer token; made if absent"
    )
    parser.add_argument(
        "--ci-isolation",
        choices=["bubblewrap", "none"],
        default="bubblewrap",
        help="how CI fences the tests, which agents may have written",
    )
    parser.add_argument(
        "--bug", action="append", choices=BUGS, help="a bug that is seeded; all of them by default"
    )
    parser.add_argument(
        "--tests", action="append", default=[], help="a path that CI runs; all that pytest finds"
    )
    told = parser.parse_args()
    if told.ci_isolation == "bubblewrap" and shutil.which("bwrap") is None:
        parser.error(
            "bubblewrap is not installed: apt-get install bubblewrap, or --ci-isolation none"
        )
    if not told.repo.exists():
        seed(told.repo, bugs=tuple(told.bug or BUGS))
    app = forge(
        told.repo.absolute(), told.state, _token(told.token_file), told.ci_isolation,
        tuple(told.tests),
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", told.port))
    # Without it every answer on a kept connection waits 40 ms for a delayed acknowledgement; asyncio sets it
    # only on sockets whose protocol is spelled out, and `create_server` leaves it 0.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])


def _token(file: Path) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(secrets.token_urlsafe(32))
    return file.read_text().strip()


if __name__ == "__main__":
    main()
