"""The forge as its users meet it: a process, three connectors, a repository."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.forge.seed import seed
from drivers.mcp import McpConnector
from governance.conversation import ToolResult, ToolSpec
from governance.errors import Rejected

pytestmark = pytest.mark.bwrap
TOKEN = "forge-token-for-tests"
PRICING = (
    "return subtotal - subtotal * percent // 100",
    "return subtotal - (subtotal * percent + 50) // 100",
)
CALENDAR = (
    "return (day + timedelta(days=count)).isoformat()",
    "return next_business_day(day, count).isoformat()",
)


@dataclass
class Running:
    """A forge process and where it keeps its things."""

    place: Path
    url: str = ""

    def start(self) -> None:
        (self.place / "token").write_text(TOKEN)
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "demo.forge", "--repo", str(self.place / "api.git"),
                "--state", str(self.place / "forge.db"), "--token-file", str(self.place / "token"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def connector(self, name: str, token: str = TOKEN) -> McpConnector:
        headers = {"Authorization": f"Bearer {token}"}
        return McpConnector.http(name, f"{self.url}/{name}/mcp", headers=headers)

    def calls(self, **wanted: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx2.get(f"{self.url}/_calls", params=wanted, headers=headers).json()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    forge = Running(tmp_path)
    forge.start()
    yield forge
    forge.kill()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One forge for all tests that leave it as it was."""
    forge = Running(tmp_path_factory.mktemp("forge"))
    forge.start()
    yield forge
    forge.kill()


@pytest.fixture
async def github(running: Running) -> AsyncIterator[McpConnector]:
    async with running.connector("github") as connector:
        yield connector


@pytest.fixture
async def ci(running: Running) -> AsyncIterator[McpConnector]:
    async with running.connector("ci") as connector:
        yield connector


@pytest.fixture
async def linear(running: Running) -> AsyncIterator[McpConnector]:
    async with running.connector("linear") as connector:
        yield connector


async def ask(
    connector: McpConnector, tool: str, key: str | None = None, **given: object
) -> ToolResult:
    fresh = key or f"key-{os.urandom(4).hex()}"
    return await connector.call(tool, given, key=fresh, timeout_s=40, max_bytes=500_000)


def push(repository: Path, branch: str, *changes: tuple[str, str, str], base: str = "main") -> None:
    """Commit the replacements (file, found, put) on a new branch, as a clone would."""
    clone = repository.parent / f"clone-{branch}"
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@northwind.example"]

    def git(*words: str, cwd: Path = clone) -> None:
        subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True)

    git("clone", "-q", "-b", base, str(repository), str(clone), cwd=repository.parent)
    git("checkout", "-q", "-b", branch)
    for name, found, put in changes:
        text = (clone / name).read_text()
        assert found in text
        (clone / name).write_text(text.replace(found, put))
    git("commit", "-q", "-a", "-m", f"Work on {branch}")
    git("push", "-q", "origin", branch)


async def propose(github: McpConnector, head: str) -> int:
    made = await ask(
        github, "create_pull_request", title=f"From {head}", body="why", head=head, base="main"
    )
    assert not made.is_error, made.text
    return made.data["number"]  # type: ignore[index]


def test_the_same_files_give_the_same_history(tmp_path: Path) -> None:
    assert seed(tmp_path / "a.git") == seed(tmp_path / "b.git")
    with pytest.raises(FileExistsError, match="nothing was seeded"):
        seed(tmp_path / "a.git")


async def test_nobody_is_let_in_without_the_token(shared: Running) -> None:
    for path in ("/github/mcp", "/ci/mcp", "/linear/mcp", "/_calls"):
        assert httpx2.post(shared.url + path).status_code == 401
        wrong = {"Authorization": "Bearer wrong"}
        assert httpx2.get(shared.url + path, headers=wrong).status_code == 401
    async with shared.connector("github", "wrong") as connector:
        with pytest.raises(Rejected, match="refused our credential"):
            await connector.tools()


async def test_tools_are_honest_about_what_they_do(shared: Running) -> None:
    tools: dict[str, ToolSpec] = {}
    for name in ("github", "ci", "linear"):
        async with shared.connector(name) as connector:
            tools |= {tool.name: tool for tool in await connector.tools()}
    writing = {name for name, tool in tools.items() if not tool.read_only}
    assert writing == {
        "create_pull_request",
        "merge_pull_request",
        "add_comment",
        "label_ticket",
        "comment_ticket",
    }
    assert {name for name, tool in tools.items() if tool.destructive} == {"merge_pull_request"}
    assert {name for name in writing if tools[name].idempotent} == {"label_ticket"}


async def test_ci_finds_the_two_bugs_of_main(shared: Running) -> None:
    async with shared.connector("ci") as ci:
        failures: Any = (await ask(ci, "list_failures")).data
        log: Any = (await ask(ci, "get_log", run_id=1)).data
    assert [one["test"] for one in failures] == [
        "tests/test_calendar.py::test_a_promise_over_the_weekend_counts_business_days",
        "tests/test_pricing.py::test_a_discount_is_rounded_half_up_in_the_customers_favour",
    ]
    pricing = failures[1]
    assert pricing["file"] == "tests/test_pricing.py"
    assert "assert 143 == 142" in pricing["message"]
    assert "discounted(150, 5)" in pricing["log_excerpt"]
    assert (log["run_id"], log["commit"]) == (pricing["run_id"], pricing["commit"])
    assert log["status"] == "red"
    assert "2 failed, 29 passed" in log["log"]


@pytest.mark.slow
async def test_merging_the_fixes_turns_ci_green(
    running: Running, github: McpConnector, ci: McpConnector
) -> None:
    repository = running.place / "api.git"
    push(repository, "rounding", ("northwind/pricing.py", *PRICING))
    push(repository, "weekend", ("northwind/calendar.py", *CALENDAR))
    for branch, left in (("rounding", 1), ("weekend", 0)):
        number = await propose(github, branch)
        before: Any = (await ask(github, "get_pull_request", pull_number=number)).data
        assert before["mergeable"] is True
        assert "+    return" in before["diff"]
        merged: Any = (await ask(github, "merge_pull_request", pull_number=number)).data
        assert merged["state"] == "merged"
        failures: Any = (await ask(ci, "list_failures")).data
        assert len(failures) == left
    content: Any = (await ask(github, "get_file_contents", path="northwind/pricing.py")).data
    assert PRICING[1] in content["content"]
    assert content["content"].endswith("\n")


async def test_merging_twice_is_refused_and_merges_once(
    running: Running, github: McpConnector
) -> None:
    push(running.place / "api.git", "rounding", ("northwind/pricing.py", *PRICING))
    number = await propose(github, "rounding")
    assert not (await ask(github, "merge_pull_request", pull_number=number)).is_error
    again = await ask(github, "merge_pull_request", pull_number=number)
    assert again == ToolResult(f"Pull request {number} is merged, not open.", is_error=True)
    assert _merges(running) == 1


def _merges(running: Running) -> int:
    command = ["git", "--git-dir", str(running.place / "api.git"), "rev-list", "--merges", "main"]
    return len(subprocess.run(command, capture_output=True, check=True).stdout.split())


async def test_one_key_merges_once_and_answers_the_same_again(
    running: Running, github: McpConnector
) -> None:
    push(running.place / "api.git", "rounding", ("northwind/pricing.py", *PRICING))
    number = await propose(github, "rounding")
    results = await asyncio.gather(
        *(ask(github, "merge_pull_request", "k-merge", pull_number=number) for _ in range(3))
    )
    assert len(set(result.text for result in results)) == 1
    assert not results[0].is_error
    assert _merges(running) == 1
    assert [call["replayed"] for call in running.calls(key="k-merge")] == [False, True, True]
    other = await ask(github, "add_comment", "k-merge", number=number, body="hello")
    assert (
        other.text
        == "The idempotency key 'k-merge' was used for another call of 'merge_pull_request'."
    )


async def test_a_conflict_is_refused_and_changes_nothing(
    running: Running, github: McpConnector
) -> None:
    repository = running.place / "api.git"
    push(repository, "one", ("northwind/pricing.py", *PRICING))
    push(repository, "two", ("northwind/pricing.py", PRICING[0], "return subtotal"))
    first, second = await propose(github, "one"), await propose(github, "two")
    await ask(github, "merge_pull_request", pull_number=first)
    refused = await ask(github, "merge_pull_request", pull_number=second)
    assert refused == ToolResult(f"Pull request {second} conflicts with 'main'.", is_error=True)
    shown: Any = (await ask(github, "get_pull_request", pull_number=second)).data
    assert (shown["state"], shown["mergeable"]) == ("open", False)
    assert _merges(running) == 1


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        (
            "create_pull_request",
            {"title": "t", "body": "", "head": "nowhere", "base": "main"},
            "There is no branch 'nowhere'. Push it first.",
        ),
        (
            "create_pull_request",
            {"title": "t", "body": "", "head": "main", "base": "main"},
            "'main' has no commit that 'main' has not.",
        ),
        ("create_pull_request", {"title": "t"}, "'body' is a required property; 'head' is a "
         "required property; 'base' is a required property"),
        ("merge_pull_request", {"pull_number": 99}, "There is no pull request 99."),
        ("merge_pull_request", {"pull_number": "1"}, "'1' is not of type 'integer'"),
        ("get_file_contents", {"path": "no.py"}, "There is no 'no.py' at 'main'."),
        (
            "get_file_contents",
            {"path": "x", "ref": "--all"},
            "There is no branch, tag or commit '--all'.",
        ),
        ("add_comment", {"number": 99, "body": "x"}, "There is no issue or pull request 99."),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_said(
    shared: Running, tool: str, given: dict[str, object], said: str
) -> None:
    async with shared.connector("github") as github:
        assert await ask(github, tool, **given) == ToolResult(said, is_error=True)


async def test_a_restart_keeps_what_was_done(running: Running) -> None:
    push(running.place / "api.git", "rounding", ("northwind/pricing.py", *PRICING))
    async with running.connector("github") as github:
        number = await propose(github, "rounding")
        first = await ask(github, "add_comment", "k-comment", number=number, body="look")
    running.kill()
    running.start()
    async with running.connector("github") as github:
        listed: Any = (await ask(github, "list_pull_requests")).data
        assert [pull["number"] for pull in listed] == [number]
        again = await ask(github, "add_comment", "k-comment", number=number, body="look")
        assert again == first
        shown: Any = (await ask(github, "get_pull_request", pull_number=number)).data
        assert shown["comments"] == [{"author": "agent", "body": "look"}]


async def test_tickets_are_labelled_commented_and_leave_the_new_ones(
    linear: McpConnector,
) -> None:
    new: Any = (await ask(linear, "list_tickets", state="new")).data
    assert [ticket["id"] for ticket in new] == ["NW-101", "NW-102", "NW-103", "NW-104"]
    for _ in range(2):
        labelled: Any = (await ask(linear, "label_ticket", id="NW-101", label="bug")).data
        assert (labelled["labels"], labelled["state"]) == (["bug"], "triaged")
    await ask(linear, "comment_ticket", id="NW-101", body="We look at it.")
    shown: Any = (await ask(linear, "get_ticket", id="NW-101")).data
    assert shown["comments"] == [{"author": "agent", "body": "We look at it."}]
    left: Any = (await ask(linear, "list_tickets", state="new")).data
    assert len(left) == 3
    missing = await ask(linear, "get_ticket", id="NW-9")
    assert missing == ToolResult("There is no ticket 'NW-9'.", is_error=True)


async def test_the_page_shows_everything_and_runs_nothing(
    running: Running, github: McpConnector, linear: McpConnector
) -> None:
    push(running.place / "api.git", "rounding", ("northwind/pricing.py", *PRICING))
    title = "<script>alert('x')</script>"
    await ask(github, "create_pull_request", title=title, body="", head="rounding", base="main")
    await ask(linear, "label_ticket", id="NW-102", label="<b>question</b>")
    page = httpx2.get(running.url + "/").text
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "NW-104" in page
    assert TOKEN not in page


@pytest.mark.slow
async def test_tests_an_agent_wrote_see_nothing_of_this_machine(
    running: Running, github: McpConnector, ci: McpConnector
) -> None:
    spy = (
        "import os, pathlib, socket\n\n"
        f"def test_spy():\n    seen = [p for p in ({str(running.place / 'token')!r}, "
        "os.path.expanduser('~/.bashrc')) if pathlib.Path(p).exists()]\n"
        f"    port = {running.url.rpartition(':')[2]}\n"
        "    assert (seen, socket.socket().connect_ex(('127.0.0.1', port)) != 0) == ([], True)\n"
    )
    put = "import pytest\n" + spy
    push(running.place / "api.git", "spy", ("tests/test_money.py", "import pytest\n", put))
    number = await propose(github, "spy")
    await ask(github, "merge_pull_request", pull_number=number)
    failures: Any = (await ask(ci, "list_failures")).data
    assert len(failures) == 2
    log: Any = (await ask(ci, "get_log", run_id=failures[0]["run_id"])).data
    assert "2 failed, 30 passed" in log["log"]


async def test_every_call_is_counted_with_its_key(running: Running, linear: McpConnector) -> None:
    await ask(linear, "list_tickets", "k-1")
    await ask(linear, "get_ticket", "k-2", id="NW-9")
    counted = [
        (call["connector"], call["tool"], call["key"], call["arguments"], call["is_error"])
        for call in running.calls()
    ]
    assert counted == [
        ("linear", "list_tickets", "k-1", {}, False),
        ("linear", "get_ticket", "k-2", {"id": "NW-9"}, True),
    ]
