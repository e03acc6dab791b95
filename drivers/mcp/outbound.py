"""How does a local server reach the internet, and nothing that is private or of this machine?

A network namespace of its own, filtered from within before there is a way out, and slirp4netns as that way out.
The server holds no capability over it. bubblewrap waits until all this stands.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from drivers.mcp.reachable import RESOLVER, WAY_OUT, rules
from governance.errors import Rejected

_OWNER = 0xB701  # NS_GET_USERNS: the user namespace that rules over another namespace
_PACKAGES = {"slirp4netns": "slirp4netns", "nft": "nftables", "nsenter": "util-linux"}
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_MTU = "65520"


class Outbound:
    """The way out of one server's namespace, from before its process starts until it has ended."""

    def __init__(self, subject: str, private: tuple[IPv4Network, ...]) -> None:
        """Raises `Rejected` with the install line when a program is missing."""
        self._subject, self._private = subject, private
        self._programs = _programs(subject)
        self._way: asyncio.subprocess.Process | None = None
        self._names = os.memfd_create("resolv.conf", os.MFD_CLOEXEC)
        os.write(self._names, f"nameserver {RESOLVER}\n".encode())
        os.lseek(self._names, 0, os.SEEK_SET)
        self._told, self._tell = os.pipe()
        self._gate, self._release = os.pipe()
        self._end, self._alive = os.pipe()
        self._open = {
            self._names, self._told, self._tell, self._gate, self._release, self._end, self._alive,
        }  # fmt: skip

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What bubblewrap inherits."""
        return (self._names, self._tell, self._gate)

    @property
    def options(self) -> tuple[str, ...]:
        """What bubblewrap is told: to say who its child is, to wait for us, and who knows names."""
        names, told, gate = map(str, self.descriptors)
        return (
            "--info-fd", told, "--block-fd", gate, "--ro-bind-data", names, "/etc/resolv.conf",
        )  # fmt: skip

    async def connect(self) -> None:
        """Let the waiting process go on, with a network. Raises `Rejected` when it cannot be given one."""
        self._drop(*self.descriptors)
        with os.fdopen(self._told, "rb") as told:
            self._open.discard(self._told)
            said = await asyncio.to_thread(told.read)
        network = await _namespace(int(json.loads(said)["child-pid"])) if said else None
        if network is None:
            return  # bubblewrap refused, and says why itself
        await self._fill(network)
        with suppress(BrokenPipeError):
            os.write(self._release, b"\n")

    async def close(self) -> None:
        """Close the way out. Safe to repeat; it also closes when our process dies."""
        self._drop(*self._open)
        if self._way:
            await self._way.wait()

    async def _fill(self, network: int) -> None:
        owner = fcntl.ioctl(network, _OWNER)
        self._open |= {network, owner}
        # Without user namespaces bubblewrap, as root, makes none; one cannot enter one's own.
        ours = os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
        user = f"/proc/self/fd/{owner}"
        await self._filter(network, owner, [] if ours else [f"--user={user}"])
        await self._lead_out(network, owner, [] if ours else [f"--userns-path={user}"])
        self._drop(network, owner)

    async def _filter(self, network: int, owner: int, user: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            self._programs["nsenter"], *user, f"--net=/proc/self/fd/{network}", "--preserve-credentials",
            "--", self._programs["nft"], "-f", "-",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, pass_fds=(network, owner),
        )  # fmt: skip
        _, said = await process.communicate(rules(self._private).encode())
        if process.returncode:
            raise self._refused("nftables", said)

    async def _lead_out(self, network: int, owner: int, user: list[str]) -> None:
        ready, tell = os.pipe()
        heard, said = os.pipe()
        self._open |= {ready, tell, heard, said}
        os.set_blocking(said, False)  # a full pipe must not stop the network
        # Its sandbox wants to be root of the namespace, which only root's own maps (slirp4netns 1.2).
        sandbox = [] if os.geteuid() else ["--enable-sandbox"]
        self._way = await asyncio.create_subprocess_exec(
            self._programs["slirp4netns"], "--configure", f"--mtu={_MTU}", f"--cidr={WAY_OUT}",
            "--disable-host-loopback", *sandbox, "--enable-seccomp", *user,
            f"--ready-fd={tell}", f"--exit-fd={self._end}", "--netns-type=path",
            f"/proc/self/fd/{network}", "tap0",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=said, pass_fds=(network, owner, tell, self._end), start_new_session=True,
        )  # fmt: skip
        self._drop(tell, said, self._end)
        if await asyncio.to_thread(os.read, ready, 1) != b"1":
            raise self._refused("slirp4netns", os.read(heard, 2000))
        self._drop(ready)

    def _refused(self, program: str, said: bytes) -> Rejected:
        last = " / ".join(said.decode(errors="replace").split("\n")).strip(" /") or "nothing"
        return Rejected(
            self._subject,
            f"cannot be given a network of its own; {program} said: {last[:500]}. "
            "See docs/security.md for what it needs, or connect the server without --network",
        )

    def _drop(self, *descriptors: int) -> None:
        for descriptor in self._open.intersection(descriptors):
            os.close(descriptor)
            self._open.discard(descriptor)


async def _namespace(pid: int) -> int | None:
    """Its network namespace once users are mapped, before which nobody is root of it; None if it ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while not Path(f"/proc/{pid}/uid_map").read_text():
            await asyncio.sleep(0.001)
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _programs(subject: str) -> dict[str, str]:
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    found = {name: shutil.which(name, path=path) for name in _PACKAGES}
    missing = [_PACKAGES[name] for name, where in found.items() if where is None]
    if missing:
        raise Rejected(
            subject,
            f"cannot be given a network of its own: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Install it "
            f"(apt-get install {' '.join(missing)}), or connect the server without --network",
        )
    return {name: where for name, where in found.items() if where}
