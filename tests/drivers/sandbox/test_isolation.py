"""Is a box alone: no network, no neighbour, nobody left when its driver dies?"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from governance.errors import DriverError
from governance.ports import Box, BoxSpec, Sandbox
from tests.drivers.sandbox.conftest import OpenBox

REPOSITORY = Path(__file__).parents[3]


async def test_no_network_no_names_no_host(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        probe = f"""
import socket
for family, address in ((2, ("127.0.0.1", {port})), (2, ("169.254.169.254", 80)), (2, ("1.1.1.1", 53))):
    try:
        socket.create_connection(address, timeout=2); print("CONNECTED", address)
    except OSError as error:
        print("no", address)
try:
    print("RESOLVED", socket.getaddrinfo("example.org", 443))
except OSError:
    print("no names")
print(open("/proc/net/dev").read().count(":"), "interface")
"""
        result = await box.run("python3 -", timeout_s=30, stdin=probe.encode())
    assert "CONNECTED" not in result.output
    assert "RESOLVED" not in result.output
    assert result.output.endswith("no names\n1 interface\n")


async def test_no_socket_of_an_engine_is_inside(box: Box) -> None:
    result = await box.run("find / -type s 2>/dev/null; ls /var/run/docker.sock", timeout_s=30)
    assert "No such file" in result.output
    assert len(result.output.splitlines()) == 1


async def test_root_cannot_be_regained(box: Box) -> None:
    result = await box.run(
        "su -c id root </dev/null; unshare -Ur id; unshare -m true && echo MOUNTED; mount -t tmpfs x /mnt;"
        " chroot / id; python3 -c 'import os; os.setuid(0)'; id -u; echo done",
        timeout_s=20,
    )
    assert "uid=0" not in result.output
    assert "MOUNTED" not in result.output
    assert result.output.endswith("1000\ndone\n")


async def test_one_box_sees_nothing_of_another(open_box: OpenBox) -> None:
    one, other = await open_box(), await open_box()
    await one.write("secret.txt", b"of one")
    running = asyncio.create_task(one.run("echo x > /tmp/of-one; sleep 4321", timeout_s=3))
    await asyncio.sleep(0.7)
    seen = await other.run(
        "ls -A . /tmp /dev/shm; cat /proc/[0-9]*/cmdline; find / -name 'sec[r]et.txt' 2>/dev/null",
        timeout_s=20,
    )
    assert "4321" not in seen.output
    assert "of-one" not in seen.output
    assert "secret" not in seen.output
    await running


async def test_the_work_area_of_git_means_nothing_to_the_host(
    open_box: OpenBox, tmp_path: Path
) -> None:
    box = await open_box()
    planted = tmp_path / "ran"
    hook = f"#!/bin/sh\ntouch {planted}\n"
    await box.write(".git/hooks/pre-commit", hook.encode())
    await box.write(".git/config", f"[core]\nfsmonitor = touch {planted}\n".encode())
    await box.write(".gitattributes", b"* filter=evil\n")
    saved = await box.save()
    await box.load(saved)
    assert ".git/hooks/pre-commit" in saved
    assert not planted.exists()


async def test_closing_twice_is_closing_once(open_box: OpenBox) -> None:
    box = await open_box()
    await box.close()
    await box.close()
    with pytest.raises(DriverError):
        await box.run("true", timeout_s=5)


async def test_only_boxes_whose_lease_ended_are_swept(sandbox: Sandbox, image: str) -> None:
    now = int(time.time())
    labels = {"test": uuid.uuid4().hex}
    old = await sandbox.open(BoxSpec(image, labels, lease_until=now - 10, max_mb=10))
    new = await sandbox.open(BoxSpec(image, labels, lease_until=now + 300, max_mb=10))
    assert len(await sandbox.sweep(now)) >= 1
    with pytest.raises(DriverError):
        await old.run("true", timeout_s=5)
    assert (await new.run("true", timeout_s=5)).exit_code == 0
    assert len(await sandbox.end(labels)) == 1
    with pytest.raises(DriverError):
        await new.run("true", timeout_s=5)


async def test_ending_by_labels_takes_only_boxes_with_all_of_them(
    sandbox: Sandbox, image: str
) -> None:
    item = uuid.uuid4().hex
    lease = int(time.time()) + 300
    first = await sandbox.open(BoxSpec(image, {"item": item, "life": "1"}, lease, max_mb=10))
    second = await sandbox.open(BoxSpec(image, {"item": item, "life": "2"}, lease, max_mb=10))
    assert len(await sandbox.end({"item": item, "life": "1"})) == 1
    with pytest.raises(DriverError):
        await first.run("true", timeout_s=5)
    assert (await second.run("true", timeout_s=5)).exit_code == 0
    assert len(await sandbox.end({"item": item})) == 1
    with pytest.raises(ValueError, match="every box"):
        await sandbox.end({})


DRIVE = """
import asyncio, sys, time
from pathlib import Path
from tests.drivers.sandbox.conftest import IMAGE, sandbox_of
from governance.ports import BoxSpec

async def main(kind, state, mark):
    sandbox = sandbox_of(kind, Path(state))
    image = await sandbox.prepare(IMAGE, "", {}, timeout_s=10)
    box = await sandbox.open(BoxSpec(image, {"mark": mark}, int(time.time()) + 2, max_mb=10))
    print("open", flush=True)
    await box.run("sleep 7654", timeout_s=100)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_what_a_killed_driver_left_is_swept(
    sandbox: Sandbox, kind: str, state_dir: Path
) -> None:
    mark = uuid.uuid4().hex
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVE, kind, str(state_dir), mark],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "open\n"
        await asyncio.sleep(1)
        driver.send_signal(signal.SIGKILL)
    assert await sandbox.sweep(int(time.time()) - 60) == ()
    swept = await sandbox.sweep(int(time.time()) + 60)
    assert len(swept) == 1
    assert await sandbox.end({"mark": mark}) == ()
    alive = subprocess.run(["/usr/bin/pgrep", "-f", "sleep 7654"], capture_output=True, check=False)
    assert alive.stdout == b""
