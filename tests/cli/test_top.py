"""What does `loops top` show, and how old is it?"""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from decimal import Decimal

from tests.cli.filled import ROOT, Filled


def hears_ctrl_c() -> None:
    """As a shell starts it in front; what runs in the background is deaf to it, and so are its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_json_says_who_spent_what_with_every_digit_and_adds_up(morning: Filled) -> None:
    told = morning.json("top", "--once", "--days", 2)
    total = Decimal(told["total"]["settled_usd"])
    assert total > 0
    for whose in ("organisation", "team", "user", "loop", "agent", "model", "run"):
        rows = told["by"][whose]
        assert sum(Decimal(row["settled_usd"]) for row in rows) == total
    assert [row["name"] for row in told["by"]["loop"]] == ["triage"]
    (budget,) = told["budgets"]
    spent = sum(Decimal(budget[k]) for k in ("settled", "unknown", "held", "left"))
    assert (budget["budget"], spent) == ("run:r1:usd", Decimal(budget["cap"]))
    assert 0 <= told["age_s"] < 5


def test_the_table_names_principals_budgets_and_its_own_age(morning: Filled) -> None:
    done = morning.run("top", "--days", 2, "--by", "loop", "--by", "agent")
    assert done.exit_code == 0, done.output
    assert " s old. Settled and unknown since " in done.stdout
    lines = [" ".join(line.split()[:2]) for line in done.stdout.splitlines()]
    assert "LOOP HELD" in lines
    assert "AGENT HELD" in lines
    assert "RUN HELD" not in lines
    assert [line for line in done.stdout.splitlines() if line.startswith("run r1 ")]


def test_another_loop_has_spent_nothing(morning: Filled) -> None:
    told = morning.json("top", "--once", "--loop", "nobody", "--days", 2)
    assert (told["total"]["tries"], told["budgets"], told["open_runs"]) == (0, [], [])


def test_an_interval_that_would_be_too_old_is_refused(morning: Filled) -> None:
    done = morning.run("top", "--interval", "6")
    assert done.exit_code == 2
    assert "6.0 is not in the range 0.2<=x<=5" in done.output


def test_it_sees_within_its_interval_what_another_process_has_settled(
    morning: Filled,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "top", "--json", "--interval", "0.3", "--days", "2"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **morning.environment},
        preexec_fn=hears_ctrl_c,
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        morning.store.disconnect()
        spent = subprocess.run(
            [sys.executable, "-c", _SPEND, str(morning.home)], cwd=ROOT, check=True, timeout=50,
            capture_output=True, text=True,
        )  # fmt: skip
        at = float(spent.stdout)
        while True:
            seen = json.loads(watching.stdout.readline())
            if seen["total"]["tries"] > first["total"]["tries"]:
                break
        assert time.time() - at < 5
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0


def test_in_a_terminal_it_stays_says_its_age_and_ends_with_ctrl_c(morning: Filled) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "top", "--days", "2", "--by", "loop"], cwd=ROOT, stdout=theirs,
        stdin=theirs, env={**os.environ, **morning.environment, "TERM": "xterm", "COLUMNS": "200"},
        preexec_fn=hears_ctrl_c,
    ) as watching:  # fmt: skip
        os.close(theirs)
        shown = ""
        while shown.count(" s old") < 2:
            shown += os.read(ours, 4096).decode()
        assert "triage" in shown
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    os.close(ours)


_SPEND = """
import asyncio, sys, time
from pathlib import Path
from tests.drivers.store.story import Story, settled, store_in

async def main():
    told = Story(store_in(Path(sys.argv[1])))
    await told.open_run("r2", "07:00")
    told.item = "r2"
    place = type(told.place())("r2", "r2", 0, "lead", 0, 0)
    now = time.time_ns() // 1_000_000
    first = await told.admit(0, place=place, fence=0, now=now)
    await told.store.done(place, first.attempt, settled(cost=5, now=now))
    print(time.time())

asyncio.run(main())
"""
