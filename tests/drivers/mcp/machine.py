"""What does a local server with a network reach of a machine, and what does that machine reach itself?

A program, run as root in a mount and a network namespace of its own (`unshare --mount --net`), which become that
machine. Next door, in one more namespace, stands the outside: a public address, a private one, the clouds'
metadata. This machine's resolver listens on loopback, as systemd's does, and a service on every address there is.
"""

import asyncio
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from ipaddress import IPv4Network
from pathlib import Path

from drivers.mcp import McpConnector
from governance.errors import DriverError

HERE = Path(__file__).parent
PORT = 8080
RESOLVER = "127.0.0.53"
OUTSIDE = {
    "public": "198.51.100.7",
    "private": "10.77.0.7",
    "metadata": "169.254.169.254",
    "neighbour": "203.0.113.2",
}
OURS = {
    "loopback": "127.0.0.1",
    "bridge": "172.17.0.1",
    "own": "203.0.113.1",
    "own public": "198.51.100.1",
    "resolver": RESOLVER,
}
WAY_OUT = {"its gateway": "198.19.255.2", "its resolver": "198.19.255.3"}
KNOWN = "known.example"

_LISTEN = (
    "import socket\n"
    f"s = socket.create_server(('0.0.0.0', {PORT}), backlog=64)\n"
    "print('up', flush=True)\n"
    "while True: s.accept()[0].close()\n"
)


def main() -> None:
    user, *private = sys.argv[1:]
    _lay_out()
    threading.Thread(target=_answer_names, args=(_resolver(),), daemon=True).start()
    by_machine = [name for name, host in {**OUTSIDE, **OURS}.items() if _connects(host)]
    if socket.gethostbyname(KNOWN) == OUTSIDE["public"]:
        by_machine.append("names")
    read, write = os.pipe()
    if not os.fork():
        _become(user)
        told = asyncio.run(_let_loose(tuple(map(IPv4Network, private))))
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        print(json.dumps({"machine": by_machine, **json.loads(answer.read())}))


def _lay_out() -> None:
    outside = _listener("unshare", "--net")
    there = ("nsenter", f"--net=/proc/{outside}/ns/net", "ip")
    for words in (
        ("ip", "link", "set", "lo", "up"),
        (*there, "link", "set", "lo", "up"),
        ("ip", "link", "add", "here", "type", "veth", "peer", "name", "there"),
        ("ip", "link", "set", "there", "netns", str(outside)),
        ("ip", "address", "add", f"{OURS['own']}/30", "dev", "here"),
        (*there, "address", "add", f"{OUTSIDE['neighbour']}/30", "dev", "there"),
        ("ip", "link", "set", "here", "up"),
        (*there, "link", "set", "there", "up"),
        ("ip", "route", "add", "default", "via", OUTSIDE["neighbour"]),
        *(("ip", "address", "add", f"{OURS[n]}/32", "dev", "lo") for n in ("bridge", "own public")),
        *((*there, "address", "add", f"{OUTSIDE[n]}/32", "dev", "lo")
          for n in ("public", "private", "metadata")),
    ):  # fmt: skip
        subprocess.run(words, check=True)
    _listener()
    # A busy machine may be slow to answer: ask ten times, a second apart.
    _stand_in("/etc/resolv.conf", f"nameserver {RESOLVER}\noptions timeout:1 attempts:10\n")
    # As udev has it where it runs: a way out of a namespace of one's own is anybody's.
    with tempfile.TemporaryDirectory() as place:
        tun = Path(place, "tun")
        os.mknod(tun, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        tun.chmod(0o666)
        subprocess.run(("mount", "--bind", tun, "/dev/net/tun"), check=True)
    for above in {*HERE.parents, *Path(sys.executable).resolve().parents}:
        if not above.stat().st_mode & stat.S_IXOTH:
            _open_up(above)


def _stand_in(path: str, content: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix="-stand-in") as file:
        file.write(content)
        file.flush()
        os.chmod(file.name, 0o644)
        subprocess.run(("mount", "--bind", file.name, os.path.realpath(path)), check=True)


def _open_up(directory: Path) -> None:
    """Let everybody pass through, in this namespace: a checkout may lie in root's home."""
    empty = tempfile.mkdtemp()
    os.chmod(empty, 0o755)
    options = f"lowerdir={empty}:{directory}"
    subprocess.run(("mount", "-t", "overlay", "overlay", "-o", options, str(directory)), check=True)
    os.rmdir(empty)


def _listener(*prefix: str) -> int:
    process = subprocess.Popen(
        (*prefix, sys.executable, "-c", _LISTEN), stdout=subprocess.PIPE, stderr=sys.stderr
    )
    assert process.stdout
    assert process.stdout.readline()
    return process.pid


def _resolver() -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((RESOLVER, 53))
    return server


def _answer_names(server: socket.socket) -> None:
    """Every question has one answer: the public address."""
    while True:
        asked, whom = server.recvfrom(512)
        end = asked.index(b"\0", 12) + 5
        ipv4 = asked[end - 4 : end - 2] == b"\0\1"
        head = asked[:2] + b"\x81\x80\0\1" + (b"\0\1" if ipv4 else b"\0\0") + bytes(4)
        address = socket.inet_aton(OUTSIDE["public"])
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + address if ipv4 else b""
        server.sendto(head + asked[12:end] + record, whom)


def _connects(host: str) -> bool:
    try:
        socket.create_connection((host, PORT), 3).close()
    except OSError:
        return False
    return True


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


async def _let_loose(private: tuple[IPv4Network, ...]) -> dict[str, object]:
    """What the server reached, plainly and by naming the device, which goes around routes."""
    began = time.monotonic()
    command = (sys.executable, str(HERE / "hostile_server.py"))
    try:
        async with McpConnector.stdio(
            "loose", command, binds=((str(HERE), "ro"),), private=private
        ) as server:
            await server.tools()
            seconds = time.monotonic() - began
            reached: dict[str, list[str]] = {"": [], "tap0": []}
            for device, found in reached.items():
                for name, host in {**OUTSIDE, **OURS, **WAY_OUT}.items():
                    given = {"host": host, "port": PORT, "device": device}
                    result = await server.call(
                        "connect", given, key="k", timeout_s=30, max_bytes=1000
                    )
                    if result.text == "connected":
                        found.append(name)
            known = await server.call(
                "resolve", {"name": KNOWN}, key="k", timeout_s=30, max_bytes=1000
            )
    except DriverError as error:
        return {"error": str(error)}
    if known.text == OUTSIDE["public"]:
        reached[""].append("names")
    return {"server": reached[""], "by device": reached["tap0"], "seconds": seconds}


if __name__ == "__main__":
    main()
