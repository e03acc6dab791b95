"""Does a command run, end, and leave nothing, whatever it tries?"""

import asyncio
import os
import time

import pytest

from governance.errors import Unavailable
from governance.ports import Box
from tests.drivers.sandbox.conftest import OpenBox

ALIVE = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"


async def test_a_command_runs_in_the_workspace_as_nobody_special(box: Box) -> None:
    result = await box.run(
        "pwd; id -u; grep -E 'CapEff|CapBnd|NoNew' /proc/self/status", timeout_s=9
    )
    none = "0" * 16
    assert result.exit_code == 0
    assert result.output.split() == [
        "/workspace", "1000", "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1",
    ]  # fmt: skip


async def test_exit_code_and_both_streams_come_back_in_order(box: Box) -> None:
    result = await box.run("echo one; echo two >&2; echo three; exit 7", timeout_s=10)
    assert (result.exit_code, result.output, result.stopped) == (7, "one\ntwo\nthree\n", None)


async def test_stdin_reaches_the_command_and_ends(box: Box) -> None:
    content = b"0123456789" * 100_000
    result = await box.run("wc -c", timeout_s=20, stdin=content)
    assert result.output.split() == ["1000000"]


async def test_stdin_that_nobody_reads_does_no_harm(box: Box) -> None:
    result = await box.run("exit 3", timeout_s=20, stdin=b"x" * 5_000_000)
    assert result.exit_code == 3


async def test_output_that_is_not_utf8_is_replaced(box: Box) -> None:
    result = await box.run(r"printf 'a\377b'", timeout_s=10)
    assert result.output == "a\ufffdb"


async def test_the_environment_holds_ours_and_nothing_of_the_host(
    box: Box, host_secret: str
) -> None:
    result = await box.run("env; cat /proc/*/environ", timeout_s=10, env={"ASKED": "yes"})
    names = {line.split("=")[0] for line in result.output.replace("\0", "\n").splitlines()}
    assert "ASKED" in names
    assert host_secret not in result.output
    assert names - {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "HOSTNAME", "ASKED", ""} == {
        name for name in names if name.startswith("cat: ")
    }


@pytest.mark.slow
async def test_a_command_that_ignores_term_ends_at_its_timeout(box: Box) -> None:
    result = await box.run("trap '' TERM; echo began; while :; do sleep 1; done", timeout_s=1)
    assert result.stopped == "timeout"
    assert result.output == "began\n"
    assert 1 <= result.seconds < 6


async def test_exit_code_124_alone_is_no_timeout(box: Box) -> None:
    assert (await box.run("exit 124", timeout_s=10)).stopped is None


async def test_a_flood_of_output_ends_the_command(box: Box) -> None:
    began = time.monotonic()
    result = await box.run("yes looprail", timeout_s=30, max_bytes=10_000)
    assert (len(result.output), result.truncated, result.stopped) == (10_000, True, "output")
    assert time.monotonic() - began < 10
    assert "yes" not in (await box.run(ALIVE, timeout_s=10)).output


async def test_a_daemon_is_gone_when_its_command_returns(box: Box) -> None:
    daemon = "setsid sh -c 'trap \"\" HUP TERM; exec sleep 12345' >/dev/null 2>&1 </dev/null &"
    result = await box.run(f"{daemon} sleep 0.2; {ALIVE}", timeout_s=10)
    assert "sleep 12345" in result.output
    assert "sleep 12345" not in (await box.run(ALIVE, timeout_s=10)).output


async def test_a_daemon_is_gone_even_when_the_maker_kills_what_would_end_it(box: Box) -> None:
    daemon = "setsid sleep 12346 >/dev/null 2>&1 </dev/null & sleep 0.2; "
    await box.run(
        daemon + "kill -9 $PPID $(cat /proc/$PPID/stat | cut -d' ' -f4); sleep 5", timeout_s=9
    )
    assert "sleep 12346" not in (await box.run(ALIVE, timeout_s=10)).output


async def test_killing_everything_does_not_end_the_box(box: Box) -> None:
    await box.write("kept.txt", b"kept")
    await box.run("kill -9 -1; kill -9 1", timeout_s=10)
    assert await box.read("kept.txt", max_bytes=100) == b"kept"


@pytest.mark.slow
async def test_a_fork_bomb_ends_with_its_command_and_the_workspace_survives(
    open_box: OpenBox,
) -> None:
    box = await open_box()
    await box.write("kept.txt", b"kept")
    bomb = "import os,signal\nsignal.signal(15, signal.SIG_IGN)\nwhile 1:\n try:\n  os.setsid() if os.fork()==0 else 0\n except OSError: pass\n"
    await box.write("bomb.py", bomb.encode())
    result = await box.run("python3 bomb.py", timeout_s=2)
    assert result.stopped == "timeout"
    assert "bomb" not in (await box.run(ALIVE, timeout_s=10)).output
    assert await box.read("kept.txt", max_bytes=100) == b"kept"


@pytest.mark.slow
async def test_a_fork_bomb_whose_wrapper_was_killed_ends_all_the_same(open_box: OpenBox) -> None:
    box = await open_box()
    await box.write("kept.txt", b"kept")
    bomb = (
        "import os,signal\nsignal.signal(15, signal.SIG_IGN)\nimport time\n"
        "if os.fork()==0:\n while 1:\n  try:\n   os.setsid() if os.fork()==0 else 0\n  except OSError: pass\n"
        "time.sleep(1)\nfor p in range(2, 40):\n  try: os.kill(p, 9) if b'timeout' in open(f'/proc/{p}/cmdline','rb').read() else 0\n  except OSError: pass\n"
    )
    await box.write("bomb.py", bomb.encode())
    await box.run("python3 bomb.py", timeout_s=5)
    assert "bomb" not in (await box.run(ALIVE, timeout_s=10)).output
    assert await box.read("kept.txt", max_bytes=100) == b"kept"


@pytest.mark.slow
async def test_a_memory_hog_is_ended_and_called_so(open_box: OpenBox, kind: str) -> None:
    box = await open_box(memory_mb=64)
    await box.write("kept.txt", b"kept")
    result = await box.run("python3 -c 'bytearray(3_000_000_000)'", timeout_s=30)
    if kind == "bubblewrap" and os.geteuid() != 0:
        assert result.exit_code == 1
        assert "MemoryError" in result.output
    else:
        assert (result.exit_code, result.stopped) == (137, "memory")
    again = await box.run("sh -c 'kill -9 $$'", timeout_s=10)
    assert (again.exit_code, again.stopped) == (137, None)
    assert await box.read("kept.txt", max_bytes=100) == b"kept"


async def test_a_cancelled_command_is_over_when_the_cancellation_arrives(box: Box) -> None:
    task = asyncio.create_task(box.run("sleep 54321", timeout_s=60))
    await asyncio.sleep(0.7)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "54321" not in (await box.run(ALIVE, timeout_s=10)).output


@pytest.mark.parametrize(
    ("command", "timeout_s", "env"),
    [
        (": " + "x" * 130_000, 5, {}),
        ("echo a\0b", 5, {}),
        ("echo \udcff", 5, {}),
        ("true", 0, {}),
        ("true", 5, {"A=B": "c"}),
        ("true", 5, {"A": "b\0c"}),
    ],
)
async def test_what_no_process_can_be_given_is_refused(
    box: Box, command: str, timeout_s: float, env: dict[str, str]
) -> None:
    with pytest.raises(ValueError):
        await box.run(command, timeout_s=timeout_s, env=env)


async def test_a_long_command_runs(box: Box) -> None:
    result = await box.run("echo " + "x" * 110_000, timeout_s=10)
    assert len(result.output) == 110_001


async def test_commands_of_one_box_take_turns(box: Box) -> None:
    results = await asyncio.gather(
        *(box.run(f"echo {n}; sleep 0.1", timeout_s=10) for n in range(4))
    )
    assert [r.output for r in results] == [f"{n}\n" for n in range(4)]


async def test_a_box_that_is_gone_is_unavailable_since_another_can_be_opened(
    open_box: OpenBox,
) -> None:
    box = await open_box()
    await box.close()
    with pytest.raises(Unavailable):
        await box.run("true", timeout_s=5)
