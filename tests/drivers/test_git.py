"""Does git do what we say, and nothing that the files of an agent say?"""

import asyncio
import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from drivers.git.patterns import git_own, protected
from drivers.git.repository import GitRepository
from governance.errors import LoopError, Rejected, Unavailable
from governance.parts import digest
from governance.ports import FileEntry

AUTHOR = "Looprail <loops@example.com>"
PROTECT = ("tests/**", "conftest.py", "pyproject.toml")


def git(*arguments: str, cwd: Path, stdin: bytes = b"") -> str:
    env = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=env, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A bare repository with one commit on main, tagged v1."""
    work, bare = tmp_path / "work", tmp_path / "upstream.git"
    work.mkdir()
    files = {
        "src/app.py": "def add(a, b):\n    return a - b\n",
        "tests/test_app.py": "def test_add():\n    assert add(1, 2) == 3\n",
        "conftest.py": "",
        "run.sh": "#!/bin/sh\n",
        ".gitignore": "*.log\nbuild/\n!keep.log\n",
        "src/.gitignore": "generated.py\n",
        "tracked.log": "tracked although ignored\n",
    }
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(content)
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("src/app.py")
    git("init", "-q", "-b", "main", cwd=work)
    git("add", "-A", "-f", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("tag", "-a", "v1", "-m", "v1", cwd=work)
    git("clone", "-q", "--bare", str(work), str(bare), cwd=tmp_path)
    return bare


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture
def repository(upstream: Path, tmp_path: Path, blobs: DirectoryBlobs) -> GitRepository:
    return GitRepository(f"file://{upstream}", tmp_path / "cache", blobs)


async def entry(blobs: DirectoryBlobs, content: str, mode: str = "100644") -> FileEntry:
    return FileEntry(mode, await blobs.put(content.encode()))


async def test_a_branch_a_tag_and_an_id_stand_for_the_same_commit(
    repository: GitRepository, upstream: Path
) -> None:
    head = git("rev-parse", "main", cwd=upstream)
    for ref in ("main", "v1", "refs/heads/main", "refs/tags/v1", head, head[:10]):
        assert await repository.fetch(ref) == head


async def test_another_machine_has_the_commit_that_work_started_from(
    repository: GitRepository, upstream: Path, tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    elsewhere = GitRepository(upstream.as_uri(), tmp_path / "elsewhere", blobs)
    await elsewhere.hold(base, "main")
    assert await elsewhere.files(base) == await repository.files(base)
    upstream.rename(upstream.with_name("away"))
    await elsewhere.hold(base, "main")


async def test_a_commit_that_upstream_has_no_more_is_refused(
    repository: GitRepository, upstream: Path
) -> None:
    with pytest.raises(Rejected, match=r"is not in the mirror"):
        await repository.hold("0" * 40, "main")


async def test_a_fetch_sees_what_is_upstream_now(repository: GitRepository, upstream: Path) -> None:
    first = await repository.fetch("main")
    tree = git("rev-parse", "main^{tree}", cwd=upstream)
    second = git("commit-tree", tree, "-p", first, "-m", "second", cwd=upstream)
    git("update-ref", "refs/heads/main", second, cwd=upstream)
    assert await repository.fetch("main") == second
    git("update-ref", "refs/heads/main", first, cwd=upstream)
    assert await repository.fetch("main") == first


@pytest.mark.parametrize("ref", ["never", "main~1", "main@{1}", "--all", "HEAD:src", "", "a b"])
async def test_a_ref_that_is_not_upstream_is_rejected(repository: GitRepository, ref: str) -> None:
    with pytest.raises(Rejected):
        await repository.fetch(ref)


async def test_the_files_of_a_commit_are_in_the_blob_store(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    files = await repository.files(await repository.fetch("main"))
    assert files["run.sh"].mode == "100755"
    assert files["link"] == FileEntry("120000", "src/app.py")
    assert files["conftest.py"] == FileEntry("100644", digest(b""))
    assert (await blobs.get(files["src/app.py"].blob)).startswith(b"def add")
    assert "src" not in files
    with pytest.raises(Rejected, match="not in the mirror"):
        await repository.files("0" * 40)


async def test_untouched_files_are_the_base_itself(repository: GitRepository) -> None:
    base = await repository.fetch("main")
    same = await repository.candidate(base, await repository.files(base), PROTECT)
    assert await repository.files(same.tree) == await repository.files(base)
    assert (same.diff, same.dropped, same.lines) == ("", "", 0)


async def test_a_candidate_holds_the_changes_and_their_diff(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    files = dict(await repository.files(base))
    files["src/app.py"] = await entry(blobs, "def add(a, b):\n    return a + b\n")
    files["src/new dir/ü.py"] = await entry(blobs, "x = 1\n", "100755")
    files["src/bin"] = FileEntry("100644", await blobs.put(bytes(range(256))))
    files["src"] = FileEntry("040000", "")
    del files["run.sh"]
    made = await repository.candidate(base, files, PROTECT)
    assert "-    return a - b\n+    return a + b\n" in made.diff
    assert "GIT binary patch" in made.diff
    assert made.lines == 1 + 1 + 1 + 1
    after = await repository.files(made.tree)
    assert after == {p: e for p, e in files.items() if e.mode != "040000"}
    assert made.dropped == ""
    again = await repository.candidate(base, files, PROTECT)
    assert again == made


async def test_ignored_files_are_left_out_by_the_rules_of_the_base(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    files = dict(await repository.files(base))
    content = await entry(blobs, "changed\n")
    left_out = (
        "x.log", "build/out.o", "src/generated.py", "src/__pycache__/a.pyc", ".pytest_cache/v",
        "app.egg-info/PKG-INFO", "node_modules/a/b.js", ".venv/bin/python", ".hypothesis/x",
        ".coverage", "tests/__pycache__/t.pyc",
    )  # fmt: skip
    kept = ("keep.log", "tracked.log", "generated.py", "buildx", "src/real.py", ":(glob)x", "-n")
    files.update(dict.fromkeys((*left_out, *kept), content))
    # The maker's own rules decide nothing.
    files[".gitignore"] = await entry(blobs, "real.py\n!x.log\n")
    made = await repository.candidate(base, files, PROTECT)
    after = await repository.files(made.tree)
    assert {path for path in after if after[path] == content} == set(kept)
    assert made.dropped == ""


async def test_protected_paths_come_from_the_base_and_the_change_is_shown(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    before = await repository.files(base)
    files = dict(before)
    files["src/app.py"] = await entry(blobs, "fixed\n")
    files["tests/deep/test_more.py"] = await entry(blobs, "planted\n")
    files["src/conftest.py"] = await entry(blobs, "import pytest\n")
    files["conftest.py"] = await entry(blobs, "skip = True\n")
    del files["tests/test_app.py"]
    made = await repository.candidate(base, files, PROTECT)
    assert await repository.files(made.tree) == {**before, "src/app.py": files["src/app.py"]}
    for word in ("+planted", "+skip = True", "+import pytest", "-def test_add", "deleted file"):
        assert word in made.dropped
        assert word not in made.diff
    assert "fixed" not in made.dropped


async def test_a_protected_directory_cannot_be_replaced_by_a_file_or_link(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    before = await repository.files(base)
    for mode, blob in (("100644", await blobs.put(b"x")), ("120000", "src")):
        files = {p: e for p, e in before.items() if not p.startswith("tests/")}
        files["tests"] = FileEntry(mode, blob)
        made = await repository.candidate(base, files, PROTECT)
        assert await repository.files(made.tree) == before
        assert "new file mode" in made.dropped


async def test_a_directory_that_is_not_protected_may_become_a_file(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    files = {p: e for p, e in (await repository.files(base)).items() if not p.startswith("src/")}
    files["src"] = await entry(blobs, "now a file\n")
    files["run.sh/inner"] = await entry(blobs, "now a directory\n")
    del files["run.sh"]
    made = await repository.candidate(base, files, ())
    assert await repository.files(made.tree) == files


async def test_links_that_leave_the_tree_and_git_directories_are_not_taken(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    before = await repository.files(base)
    files = dict(before)
    hook = await entry(blobs, "#!/bin/sh\ntouch /tmp/pwned\n", "100755")
    for path in (".git/hooks/pre-commit", "src/.GIT/config", "git~1/x", ".g\u200cit/x", ".git. /x"):
        files[path] = hook
    out = {
        "out": "/etc/passwd",
        "src/up": "../../x",
        "into": ".git/config",
        ".gitmodules": "src/app.py",
    }
    files.update({path: FileEntry("120000", target) for path, target in out.items()})
    files["src/fine"] = FileEntry("120000", "../run.sh")
    made = await repository.candidate(base, files, ())
    assert await repository.files(made.tree) == {**before, "src/fine": files["src/fine"]}
    assert "/etc/passwd" in made.dropped
    assert "pwned" not in made.dropped + made.diff


async def test_a_manifest_that_climbs_is_refused(
    repository: GitRepository, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    for path in ("../x", "/x", "a//b"):
        with pytest.raises(ValueError):
            await repository.candidate(base, {path: await entry(blobs, "x")}, ())


async def test_nothing_of_a_workspace_runs_on_the_host(
    repository: GitRepository, blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    base = await repository.fetch("main")
    files = dict(await repository.files(base))
    attributes = "* filter=evil diff=evil merge=evil text eol=crlf\n*.py diff=evil\n"
    config = f"[filter 'evil']\nclean = touch {ran}\n[diff 'evil']\ncommand = touch {ran}\ntextconv = touch {ran}\n[core]\nfsmonitor = touch {ran}\n"
    files[".gitattributes"] = await entry(blobs, attributes)
    files[".gitconfig"] = await entry(blobs, config)
    files[".git/config"] = await entry(blobs, config)
    files[".git/hooks/post-index-change"] = await entry(
        blobs, f"#!/bin/sh\ntouch {ran}\n", "100755"
    )
    files[".gitmodules"] = await entry(
        blobs, "[submodule 'x']\npath = x\nurl = ext::sh -c 'touch /x'\n"
    )
    files["src/app.py"] = await entry(blobs, "one\r\ntwo\n")
    made = await repository.candidate(base, files, PROTECT)
    commit = await repository.commit(base, made.tree, message="m", author=AUTHOR, at=1)
    await repository.push(commit, "loops/evil")
    assert (await repository.files(made.tree))["src/app.py"] == files["src/app.py"]
    assert not ran.exists()


async def test_the_users_git_configuration_and_environment_decide_nothing(
    repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\nfsmonitor = touch {ran}\nhooksPath = {home}\n[user]\nname = someone\n"
        f"[url 'file:///nowhere/']\ninsteadOf = file://\n"
    )
    (home / "reference-transaction").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (home / "reference-transaction").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {ran}")
    base = await repository.fetch("main")
    files = {**await repository.files(base)}
    files.pop("run.sh")
    assert "run.sh" in (await repository.candidate(base, files, ())).diff
    assert not ran.exists()


async def test_the_same_commit_has_the_same_id_everywhere(
    repository: GitRepository, upstream: Path, tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    elsewhere = GitRepository(str(upstream), tmp_path / "elsewhere", blobs)
    ids: set[str] = set()
    for one in (repository, elsewhere, repository):
        base = await one.fetch("main")
        files = {**await one.files(base), "new": await entry(blobs, "n\n")}
        made = await one.candidate(base, files, PROTECT)
        arguments = {"message": "Fix\n\nLoop: triage\n", "author": AUTHOR, "at": 1_700_000_000}
        ids.add(await one.commit(base, made.tree, **arguments))
    (commit,) = ids
    await repository.push(commit, "loops/fix")
    assert git("log", "-1", "--format=%an <%ae>|%cn|%at %ct|%B", commit, cwd=upstream) == (
        f"{AUTHOR}|Looprail|1700000000 1700000000|Fix\n\nLoop: triage"
    )
    with pytest.raises(ValueError, match="Name <address>"):
        await repository.commit(base, made.tree, message="m", author="nobody", at=1)


async def test_pushing_twice_is_pushing_once_and_never_forces(
    repository: GitRepository, upstream: Path, blobs: DirectoryBlobs
) -> None:
    base = await repository.fetch("main")
    files = {**await repository.files(base), "new": await entry(blobs, "n\n")}
    tree = (await repository.candidate(base, files, ())).tree
    commit = await repository.commit(base, tree, message="m", author=AUTHOR, at=1)
    other = await repository.commit(base, tree, message="m", author=AUTHOR, at=2)
    await asyncio.gather(*(repository.push(commit, "loops/fix") for _ in range(3)))
    assert git("rev-parse", "loops/fix", cwd=upstream) == commit
    for branch in ("loops/fix", "main"):
        with pytest.raises(Rejected, match="points to"):
            await repository.push(other, branch)
    with pytest.raises(Rejected):
        await repository.push(commit, "bad..name")
    assert git("rev-parse", "main", cwd=upstream) == base


async def test_several_processes_share_a_mirror(
    upstream: Path, tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    many = [GitRepository(str(upstream), tmp_path / "shared", blobs) for _ in range(4)]
    assert len(set(await asyncio.gather(*(one.fetch("main") for one in many)))) == 1


@pytest.fixture
def http_server() -> Iterator[tuple[str, list[str]]]:
    """A server that redirects '/away' to itself and refuses everything else; and the headers it saw."""
    seen: list[str] = []

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(302 if self.path.startswith("/away") else 403)
            self.send_header(
                "Location", f"http://localhost:{server.server_port}/elsewhere/info/refs"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_token_goes_to_its_host_and_nowhere_else(
    http_server: tuple[str, list[str]], tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    url, seen = http_server
    token = "ghp_canary0123456789"
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    for path in ("/refused.git", "/away.git"):
        repository = GitRepository(url + path, tmp_path / path[1:], blobs, token)
        with pytest.raises(LoopError) as caught:
            await repository.fetch("main")
        assert token not in str(caught.value)
        assert basic not in str(caught.value)
    assert isinstance(caught.value, (Rejected, Unavailable))
    assert [line.split(" ", 1)[1] for line in seen] == [f"Basic {basic}"] * 2
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert token.encode() not in stored
    assert basic.encode() not in stored


async def test_an_upstream_that_does_not_answer_is_unavailable(
    tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    repository = GitRepository("http://127.0.0.1:9/x.git", tmp_path / "c", blobs)
    with pytest.raises(Unavailable):
        await repository.fetch("main")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@example.com/x.git",
        "ext::sh -c 'touch pwned'",
        "--upload-pack=touch pwned",
        "relative/path",
        "http://example.com/x.git",
    ],
)
async def test_a_url_that_would_run_or_give_away_something_is_rejected(
    tmp_path: Path, blobs: DirectoryBlobs, url: str
) -> None:
    with pytest.raises(Rejected) as caught:
        GitRepository(url, tmp_path, blobs, "token")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("glob", "inside", "outside"),
    [
        ("tests/**", ("tests/a", "tests/a/b"), ("src/tests/a", "tests", "testsa")),
        ("conftest.py", ("conftest.py", "a/b/conftest.py"), ("xconftest.py", "conftest.pyc")),
        ("**/test_*.py", ("test_a.py", "a/b/test_a.py"), ("a/test_a.txt",)),
        ("a/**/z", ("a/z", "a/b/c/z"), ("az", "b/a/z")),
        ("docs/", ("docs/a", "x/docs/a"), ("docsx",)),
        ("*.toml", ("a.toml", "b/c.toml"), ("a.tomlx",)),
        ("/top.[ch]", ("top.c", "top.h"), ("sub/top.c", "top.o")),
        (".github/workflows", (".github/workflows/ci.yml",), (".github/x",)),
    ],
)
def test_globs_name_what_they_seem_to(
    glob: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    assert [path for path in inside if not protected(path, (glob,))] == []
    assert [path for path in outside if protected(path, (glob,))] == []


def test_names_that_a_file_system_takes_for_git_are_known() -> None:
    for path in (
        ".git",
        "a/.GIT/x",
        "git~1",
        ".git ",
        ".git...",
        ".git::$INDEX_ALLOCATION",
        ".g\u200dit",
    ):
        assert git_own(path), path
    for path in (".gitignore", "git", "x.git", ".github/x", "dot.git/x"):
        assert not git_own(path), path
