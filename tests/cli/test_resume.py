"""`loops resume` ends a pause, in a person's name, and `loops serve` does not listen where anybody could overhear."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.cli.filled import Filled

WHY = "the same finding ended the same way in 2 runs in a row. They cost 0.0200 USD."


@pytest.fixture
def paused(morning: Filled) -> Filled:
    now = time.time_ns() // 1_000_000
    asyncio.run(morning.store.trip("triage", "r1", why=WHY, state="# Paused", seen=2, now=now))
    return morning


def test_a_paused_loop_goes_on_in_a_persons_name(paused: Filled):
    told = paused.json("resume", "triage", "--reason", "mended", "--as", "noor")
    assert (told["loop"], told["why"], told["resumed_by"]) == ("triage", WHY, "claimed: noor")
    # Nobody listens where Prefect should be: it is on record, and its schedules follow.
    assert told["schedules"] == "later"
    assert asyncio.run(paused.store.breaker("triage")) is None
    page = paused.json("state", "triage")
    assert (page["by"], "## Paused" in page["body"]) == ("claimed: noor", False)
    (last, *_) = asyncio.run(paused.store.audit())
    assert (last["who"], last["what"], last["detail"]) == (
        "claimed: noor",
        "loop resumed",
        "mended",
    )


def test_it_says_in_words_what_is_still_to_come(paused: Filled):
    output = paused.run("resume", "triage", "--reason", "mended").output
    assert f"triage: goes on. It was paused after run r1: {WHY}" in output
    assert "housekeeping will switch its schedules on" in output


def test_a_loop_that_is_not_paused_is_left_alone(morning: Filled):
    before = asyncio.run(morning.store.audit())
    done = morning.run("resume", "triage", "--reason", "why not")
    assert done.exit_code == 1
    assert "loop 'triage' is not paused by its breaker; nothing was changed" in done.output
    assert asyncio.run(morning.store.audit()) == before


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "hidden\u202etext"])
def test_a_reason_that_a_reader_could_not_see_is_refused(paused: Filled, reason: str):
    assert paused.run("resume", "triage", "--reason", reason).exit_code == 2
    assert asyncio.run(paused.store.breaker("triage")) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "gateway.example"])
def test_the_gateway_listens_elsewhere_only_with_tls_or_behind_a_proxy(morning: Filled, host: str):
    done = morning.run("serve", "--host", host)
    assert done.exit_code == 2
    assert "payloads would cross the network in clear" in done.output


def test_a_certificate_needs_its_key(morning: Filled, tmp_path: Path):
    cert = tmp_path / "cert.pem"
    cert.touch()
    done = morning.run("serve", "--tls-cert", cert)
    assert done.exit_code == 2
    assert "--tls-cert and --tls-key go together" in done.output
