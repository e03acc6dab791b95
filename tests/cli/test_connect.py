"""`loops connect` tries a credential first, keeps it in a block, and shows it nowhere."""

import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from cli.labels import labelled, snippet
from demo.model.process import running
from governance.conversation import ToolSpec
from governance.organisation import ConnectorEntry
from governance.parts import canonical
from governance.personal import gives_away, personal
from tests.cli.filled import ROOT, invoke
from tests.cli.prefect_server import Server, serving

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(180)]
CANARY = "sk-canary-7Qx2mVb9LrT4"
GIT_SERVER = str(Path(sys.executable).parent / "mcp-server-git")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("connect")) as started:
        yield started


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with running("--key", CANARY) as url:
        yield url


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    place = tmp_path / "upstream"
    place.mkdir()
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@northwind.example")
    for words in (
        ("init", "-q", "-b", "trunk"),
        ("commit", "-q", "--allow-empty", "-m", "first"),
        ("branch", "next"),
    ):
        subprocess.run(("git", *identity, *words), cwd=place, check=True, capture_output=True)
    return place


def test_a_key_that_works_is_kept_and_shown_nowhere(server: Server, provider: str, tmp_path: Path):
    """Typed into a real interactive shell, with its history, its processes and all logs watched."""
    history = tmp_path / "history"
    command = (
        f"{sys.executable} -m cli.main connect model canary --key-env KEY --base-url {provider}"
    )
    seen: set[str] = set()
    over = threading.Event()
    watcher = threading.Thread(target=_watch_command_lines, args=(seen, over))
    watcher.start()
    environment = {
        **server.whole_environment,
        "KEY": CANARY,
        "HISTFILE": str(history),
        "PS1": "",
        "TERM": "dumb",
    }
    shell = subprocess.run(
        ["bash", "--norc", "-i"], input=f"set -o history\n{command}\nhistory -w\nexit\n", cwd=ROOT,
        env=environment, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    over.set()
    watcher.join()
    output = shell.stdout + shell.stderr
    assert "The key is accepted: model 'claude-sonnet-4-6' counts" in output
    assert "Saved as block 'model-provider/canary'" in output
    assert "connect model canary" in history.read_text()
    assert any("connect\0model\0canary" in line for line in seen)
    assert CANARY not in output
    assert CANARY not in history.read_text()
    # The scripted provider is the far side; it is told on its own command line which key to let in.
    assert not any(CANARY in line for line in seen if "demo.model" not in line)
    held = [
        p
        for p in (*server.home.rglob("*"), *tmp_path.rglob("*"))
        if p.is_file() and CANARY.encode() in p.read_bytes()
    ]
    assert held == []
    block = server.block("model-provider/canary")
    assert block is not None
    assert (block["api_key"], block["base_url"], block["personal_of"]) == (CANARY, provider, None)


def _watch_command_lines(seen: set[str], over: threading.Event) -> None:
    while not over.wait(0.05):
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(process.read_text(errors="replace"))
            except OSError:
                continue


def test_a_key_that_is_refused_saves_nothing_and_is_not_shown(server: Server, provider: str):
    wrong = CANARY + "-wrong"
    done = server.process(
        "connect", "model", "refused", "--key-env", "KEY", "--base-url", provider, KEY=wrong
    )
    assert done.returncode == 1
    assert "tried, and it failed" in done.stderr
    assert "Nothing was saved" in done.stderr
    assert wrong not in done.stderr + done.stdout
    assert server.block("model-provider/refused") is None


def test_a_failed_try_is_saved_only_on_demand(server: Server):
    done = server.run(
        "connect",
        "model",
        "later",
        "--key-env",
        "KEY",
        "--base-url",
        "http://127.0.0.1:9",
        "--save-anyway",
        KEY=CANARY,
    )
    assert done.exit_code == 0, done.output
    assert "Tried, and it failed" in done.output
    assert "Saved as block 'model-provider/later'" in done.output
    block = server.block("model-provider/later")
    assert block is not None
    assert block["api_key"] == CANARY


@pytest.mark.parametrize(("typed", "code"), [(CANARY, 0), ("sk-other-key", 1)])
def test_a_hidden_prompt_asks_for_the_key(server: Server, provider: str, typed: str, code: int):
    name = f"prompted-{code}"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "connect", "model", name, "--base-url", provider], cwd=ROOT,
        stdin=theirs, stdout=theirs, stderr=theirs, env=server.whole_environment, start_new_session=True,
        preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(theirs)
    shown = _read_until(ours, b"Key: ")
    os.write(ours, typed.encode() + b"\n")
    shown += _read_until(ours, None)
    assert process.wait(60) == code, shown
    assert typed.encode() not in shown
    assert (server.block(f"model-provider/{name}") is not None) is (code == 0)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_until(terminal: int, words: bytes | None) -> bytes:
    shown, until = b"", time.monotonic() + 60
    while time.monotonic() < until and (words is None or words not in shown):
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    return shown


@pytest.mark.parametrize(
    ("token", "owner"),
    [
        ("ghp_" + "a" * 36, "noor@northwind.example"),
        ("github_pat_" + "b" * 40, "noor"),
        ("sk-ant-oat01-" + "c" * 30, "noor"),
    ],
)
def test_a_persons_own_token_needs_its_owners_name(
    server: Server, provider: str, token: str, owner: str
):
    words = (
        "connect",
        "model",
        "personal",
        "--key-env",
        "KEY",
        "--base-url",
        "http://127.0.0.1:9",
        "--save-anyway",
        "--replace",
    )
    refused = server.run(*words, KEY=token)
    assert refused.exit_code == 1
    assert "this is a person's" in refused.output
    assert token not in refused.output
    accepted = server.run(*words, "--accept-personal-token", owner, KEY=token)
    assert accepted.exit_code == 0, accepted.output
    block = server.block("model-provider/personal")
    assert block is not None
    assert (block["api_key"], block["personal_of"]) == (token, owner)


def test_a_key_in_an_argument_is_refused_and_not_repeated(server: Server):
    key = "ghp_" + "z" * 36
    for words in (
        ("connect", "model", "x", "--key-env", key),
        ("connect", "model", "x", "--key-env", "sk-ant-api03-zzz"),
        ("connect", "mcp", "x", "--", "some-server", f"--token={key}"),
        ("connect", "mcp", "x", "--url", f"https://mcp.example/?key={key}"),
        ("connect", "repository", "x", "--url", f"https://{key}@forge.example/a.git"),
        ("connect", "store", "--url", "postgresql://us:secret@db/x", "--blobs", "/tmp/x"),
    ):
        done = server.run(*words)
        assert done.exit_code == 2, words
        assert "zzz" not in done.output
        assert "secret@" not in done.output


def test_a_variable_that_is_not_set_is_told(server: Server):
    done = server.run("connect", "model", "x", "--key-env", "NO_SUCH_KEY")
    assert done.exit_code == 2
    assert "the environment variable that --key-env names is not set or empty" in done.output
    unasked = server.process("connect", "model", "x")
    assert unasked.returncode == 2
    assert "there is no terminal to ask for the key on" in unasked.stderr


def test_an_existing_block_is_replaced_only_on_demand(server: Server, upstream: Path):
    words = ("connect", "repository", "twice", "--url", upstream.as_uri())
    assert server.run(*words).exit_code == 0
    again = server.run(*words, "--author", "Ada <ada@northwind.example>")
    assert again.exit_code == 1
    assert "block 'repository/twice' exists already. Replace it with --replace." in again.output
    replaced = server.run(*words, "--author", "Ada <ada@northwind.example>", "--replace")
    assert replaced.exit_code == 0, replaced.output
    block = server.block("repository/twice")
    assert block is not None
    assert block["author"] == "Ada <ada@northwind.example>"


def test_a_repository_is_asked_for_its_branches(server: Server, upstream: Path):
    done = server.run(
        "connect", "repository", "ours", "--url", upstream.as_uri(), "--token-env", "T", T=CANARY
    )
    assert done.exit_code == 0, done.output
    assert "The repository can be read: 2 branches, 'trunk' by default." in done.output
    assert CANARY not in done.output
    block = server.block("repository/ours")
    assert block is not None
    assert (block["url"], block["token"]) == (upstream.as_uri(), CANARY)


def test_a_repository_that_is_not_there_or_empty_saves_nothing(server: Server, tmp_path: Path):
    missing = server.run(
        "connect", "repository", "missing", "--url", (tmp_path / "nowhere").as_uri()
    )
    assert missing.exit_code == 1
    assert "Nothing was saved" in missing.output
    subprocess.run(("git", "init", "-q", "--bare", str(tmp_path / "empty")), check=True)
    empty = server.run("connect", "repository", "empty", "--url", (tmp_path / "empty").as_uri())
    assert empty.exit_code == 1
    assert "has no branches to work from" in empty.output
    assert server.block("repository/missing") is None
    assert (
        server.run(
            "connect", "repository", "x", "--url", "file:///x", "--author", "nobody"
        ).exit_code
        == 2
    )


@pytest.mark.bwrap
def test_a_local_mcp_server_shows_its_tools_with_labels_to_fill_in(server: Server, upstream: Path):
    done = server.run(
        "connect", "mcp", "git", "--bind", upstream, "--token-env", "T", "--token-variable", "GIT_TOKEN", "--",
        GIT_SERVER, "--repository", upstream, T=CANARY,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Connector 'git' answers: 12 tools." in done.output
    assert CANARY not in done.output
    said = yaml.safe_load(
        "connectors:\n" + done.output.partition("judge it.\n\n")[2].partition("\n\n")[0]
    )
    entry = ConnectorEntry.model_validate_json(canonical(said["connectors"]["git"]), strict=True)
    assert entry.server == "git"
    assert entry.tools["git_log"].read_only
    assert entry.tools["git_reset"].destructive
    assert entry.tools["git_reset"].external is not None
    block = server.block("mcp-server/git")
    assert block is not None
    assert block["command"] == [GIT_SERVER, "--repository", str(upstream)]
    assert block["binds"] == [[str(upstream), "ro"]]
    assert (block["token"], block["token_variable"], block["network"]) == (
        CANARY,
        "GIT_TOKEN",
        False,
    )


@pytest.mark.bwrap
def test_a_local_server_is_tried_and_kept_with_the_network_it_was_given(
    server: Server, upstream: Path
):
    done = server.run(
        "connect", "mcp", "out", "--bind", upstream, "--network", "--private", "10.20.0.0/16", "--",
        GIT_SERVER,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    block = server.block("mcp-server/out")
    assert block is not None
    assert (block["network"], block["private"]) == (True, ["10.20.0.0/16"])


@pytest.mark.bwrap
def test_replacing_a_command_by_an_address_leaves_nothing_of_it(server: Server, upstream: Path):
    assert (
        server.run(
            "connect", "mcp", "moved", "--bind", f"{upstream}:rw", "--", GIT_SERVER
        ).exit_code
        == 0
    )
    before = server.block("mcp-server/moved")
    assert before is not None
    assert before["binds"] == [[str(upstream), "rw"]]
    away = server.run(
        "connect", "mcp", "moved", "--url", "http://127.0.0.1:9/mcp", "--replace", "--save-anyway"
    )
    assert away.exit_code == 0, away.output
    after = server.block("mcp-server/moved")
    assert after is not None
    assert (after["url"], after["command"], after["binds"]) == ("http://127.0.0.1:9/mcp", [], [])


@pytest.mark.bwrap
def test_an_mcp_server_that_does_not_start_saves_nothing(server: Server):
    done = server.run("connect", "mcp", "broken", "--", "no-such-program-here")
    assert done.exit_code == 1
    assert "there is no program 'no-such-program-here'" in done.output
    assert server.block("mcp-server/broken") is None


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--url", "http://127.0.0.1:9", "--", "both"),
        ("--url", "http://127.0.0.1:9", "--network"),
        ("--private", "10.20.0.0/16", "--", "command"),
        ("--network", "--private", "10.20.0.1/16", "--", "command"),
        ("--network", "--private", "fd00::/8", "--", "command"),
        ("--token-env", "T", "--", "command"),
        ("--token-variable", "T", "--", "command"),
        ("--bind", "/no/such/place", "--", "command"),
    ],
)
def test_options_that_make_no_server_are_refused(server: Server, words: tuple[str, ...]):
    assert server.run("connect", "mcp", "x", *words, T="token").exit_code == 2


def test_the_store_is_made_and_every_command_finds_it(server: Server, tmp_path: Path):
    url, blobs = f"sqlite:///{tmp_path}/store.db", tmp_path / "blobs"
    done = server.run("connect", "store", "--url", url, "--blobs", blobs)
    assert done.exit_code == 0, done.output
    assert "The store is open and up to date." in done.output
    assert (tmp_path / "store.db").exists()
    assert server.block("store-database/looprail") == {"url": url, "blobs": str(blobs)}
    assert server.block("journal/looprail") == {}
    found = server.process("inbox")
    assert (found.returncode, found.stdout) == (0, "Nothing is open.\n")


def test_a_store_that_cannot_be_kept_there_is_told(server: Server, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    done = server.run(
        "connect",
        "store",
        "--url",
        f"sqlite:///{tmp_path}/s.db",
        "--blobs",
        tmp_path / "file",
        "--replace",
    )
    assert done.exit_code == 1
    assert "Nothing was saved" in done.output
    unknown = server.run(
        "connect", "store", "--url", "mongodb:///x", "--blobs", tmp_path, "--replace"
    )
    assert unknown.exit_code == 1
    assert "cannot be opened by this version" in unknown.output


def test_without_prefect_nothing_is_asked_and_the_way_out_is_told(server: Server):
    away = {**server.environment, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = invoke(away, "connect", "model", "x", "--key-env", "NO_SUCH_KEY")
    assert done.exit_code == 1
    assert "Prefect at http://127.0.0.1:9/api" in str(done.exception)
    assert "prefect server start" in str(done.exception)


def test_a_server_that_is_open_to_its_network_gets_no_key():
    address = _address_of_this_machine()
    with ThreadingHTTPServer((address, 0), _Open) as strangers:
        threading.Thread(target=strangers.serve_forever, daemon=True).start()
        url = f"http://{address}:{strangers.server_port}/api"
        done = invoke(
            {"PREFECT_API_URL": url, "KEY": CANARY}, "connect", "model", "x", "--key-env", "KEY"
        )
        strangers.shutdown()
    assert done.exit_code == 1
    assert "answers anyone without a password" in str(done.exception)
    assert CANARY not in str(done.exception)


class _Open(BaseHTTPRequestHandler):
    """A Prefect server without a password, as far as the question goes."""

    def do_GET(self) -> None:
        known = self.path.endswith("/admin/version")
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'"3.8.8"' if known else b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


def _address_of_this_machine() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-x", "x" * 101, "../up"])
def test_a_block_name_that_cannot_be_one_is_refused(server: Server, name: str):
    assert server.run("connect", "repository", "--url", "file:///x", "--", name).exit_code == 2


def test_a_snippet_takes_every_tool_for_the_worst_unless_it_says_otherwise():
    tools = (
        ToolSpec("on", "turns it on\n# and: more", {}),
        ToolSpec("list_all", "", {}, read_only=True),
        ToolSpec("add_note", "x" * 200, {}, destructive=False, open_world=False),
        ToolSpec("-odd", "\u202egnihton", {}),
    )
    said = yaml.safe_load(snippet("home", tools))
    assert said == {
        "home": {
            "server": "home",
            "tools": {
                "on": {"destructive": True, "external": True},
                "list_all": {"read_only": True},
                "add_note": {"destructive": False, "external": False},
            },
        }
    }
    assert "\u202e" not in labelled("home", tools, {"a\x1bb": "odd"})
    assert "\x1b" not in labelled("home", tools, {"a\x1bb": "odd"})
    assert yaml.safe_load(snippet("none", ())) == {"none": {"server": "none"}}


def test_personal_tokens_are_told_from_an_organisations():
    assert personal("ghp_x") == "a person's GitHub token (classic)"
    assert personal("sk-ant-oat01-x") == "a person's Claude subscription token"
    for theirs in ("ghs_app", "sk-ant-api03-x", "xoxb-bot", "glpat-x", "anything"):
        assert personal(theirs) is None
    assert gives_away("--token=sk-ant-api03-x")
    assert not gives_away("mcp-server-git")


def test_the_usage_report_is_read_with_a_key_of_its_own_and_reconciled_from_its_block(
    server: Server, tmp_path: Path
):
    store = {
        "LOOPRAIL_STORE_URL": f"sqlite://{tmp_path}/store.db",
        "LOOPRAIL_BLOBS": f"{tmp_path}/blobs",
        "LOOPRAIL_REGISTRY": str(ROOT / "registry"),
    }
    missing = server.process("reconcile", **store)
    assert missing.returncode == 1
    assert "Connect it with `loops connect usage-report`" in missing.stderr
    admin = "sk-ant-admin01-canary-51b8"
    with running("--key", CANARY, "--admin-key", admin) as url:
        words = ("connect", "usage-report", "--key-env", "KEY", "--base-url", url)
        refused = server.process(*words, KEY=CANARY)
        assert refused.returncode == 1
        assert "It takes an Admin key" in refused.stderr
        assert CANARY not in refused.stderr + refused.stdout
        assert server.block("usage-report/looprail") is None
        only = ("--workspace", "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ", "--final-after", "48")
        done = server.process(*words, *only, KEY=admin)
        assert done.returncode == 0, done.stderr
        assert "The key is accepted: on " in done.stdout
        assert admin not in done.stdout + done.stderr
        block = server.block("usage-report/looprail")
        assert block is not None
        assert (block["admin_key"], block["final_after_hours"]) == (admin, 48)
        said = server.process("reconcile", "--dry-run", **store)
    assert said.returncode == 0, said.stderr
    assert f"from Admin API at {url}; final until " in said.stdout
    assert admin not in said.stdout + said.stderr
