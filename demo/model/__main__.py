"""How is the scripted model started as a process of its own?"""

import argparse
import socket
from pathlib import Path
from time import monotonic

import uvicorn

from demo.model.app import Provider
from demo.model.bill import Bill
from demo.model.brain import Options, brain_named, casting
from demo.model.faults import faults_from
from demo.model.knowledge import learned
from demo.model.prefix_cache import PrefixCache


def main() -> None:
    """Serve until it is told to stop; the first line it prints is where."""
    parser = argparse.ArgumentParser(prog="python -m demo.model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", help="the only API key that is let in; any by default")
    parser.add_argument(
        "--key-file", type=Path, help="a file with that key, which `ps` does not show"
    )
    parser.add_argument(
        "--admin-key", help="the only key that reads the usage report; nobody by default"
    )
    parser.add_argument("--brain", default="demo.model.brain:scripted", metavar="MODULE:FACTORY")
    parser.add_argument(
        "--persona",
        type=casting,
        default="engineer",
        help="engineer, wrong-fix, poisoner, accept-all-checker, adversary, or by role: "
        "maker=wrong-fix,checker=accept-all",
    )
    parser.add_argument("--knowledge", type=Path, help='JSON: [{"find": "…", "replace": "…"}]')
    parser.add_argument("--faults", help="JSON, or a file with it: what is to go wrong")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument(
        "--cache-minimum", type=int, default=1024, help="shortest prefix cached, in tokens"
    )
    parser.add_argument("--bill", type=Path, help="a file that keeps the bill over a restart")
    told = parser.parse_args()
    options = Options(knowledge=learned(told.knowledge), cast=told.persona)
    provider = Provider(
        brain=brain_named(told.brain, options),
        key=told.key_file.read_text().strip() if told.key_file else told.key,
        admin_key=told.admin_key,
        latency_s=told.latency_ms / 1000,
        faults=faults_from(told.faults),
        cache=PrefixCache(monotonic, told.cache_minimum),
        bill=Bill(told.bill),
    )
    listening = socket.create_server((told.host, told.port))
    # asyncio sets this only on sockets whose protocol is spelled out, and `create_server` leaves it 0: without it
    # every answer on a kept connection waits 40 ms for the other side's delayed acknowledgement (44 ms to 1 ms).
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    host, port = listening.getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    config = uvicorn.Config(provider.app(), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
