"""What does a code host do to a bare repository? Plumbing only: no work tree, no hook, no configuration of ours."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

NAME, EMAIL = "Northwind Forge", "forge@northwind.example"
_TIMEOUT_S = 30


class GitError(Exception):
    """git refused; the text is what it said."""


class Bare:
    """One bare repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def output(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        """What one git command printed. Raises `GitError`."""
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *words],
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={**self._environment(), **(env or {})},
        )
        if done.returncode:
            raise GitError((done.stderr or done.stdout).decode(errors="replace").strip())
        return done.stdout

    def run(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """The same as text, without the last newline. Raises `GitError`."""
        return self.output(*words, stdin=stdin, env=env).decode(errors="replace").rstrip("\n")

    def create(self) -> None:
        """Make it, empty, with `main` as its default branch."""
        self.run(
            "init", "--bare", "--quiet", "--template=", "--object-format=sha1", "-b", "main",
            str(self.path),
        )  # fmt: skip

    def branch(self, name: str) -> str | None:
        """The commit of a branch, None when there is no such branch."""
        return self._commit(f"refs/heads/{name}")

    def commit(self, ref: str) -> str | None:
        """The commit that a branch, tag or id stands for."""
        return self._commit(f"refs/heads/{ref}") or self._commit(ref)

    def contains(self, base: str, commit: str) -> bool:
        """Whether `commit` is part of the history of `base`."""
        try:
            self.run("merge-base", "--is-ancestor", commit, base)
        except GitError:
            return False
        return True

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of both merged, None when they conflict or share no history."""
        try:
            return self.run("merge-tree", "--write-tree", base, head).partition("\n")[0]
        except GitError:
            return None

    def merge(self, branch: str, base: str, head: str, tree: str, message: str) -> str:
        """The merge commit, put on `branch` only if that still stands at `base`."""
        merged = self.run("commit-tree", tree, "-p", base, "-p", head, "-m", message)
        self.run("update-ref", f"refs/heads/{branch}", merged, base)
        return merged

    def diff(self, base: str, head: str) -> str:
        """What `head` changes since it left `base`."""
        return self.run("diff", "--no-ext-diff", "--no-textconv", f"{base}...{head}")

    def _commit(self, name: str) -> str | None:
        try:
            return self.run(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            )
        except GitError:
            return None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/nonexistent",
            "GIT_DIR": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": NAME,
            "GIT_AUTHOR_EMAIL": EMAIL,
            "GIT_COMMITTER_NAME": NAME,
            "GIT_COMMITTER_EMAIL": EMAIL,
            "LC_ALL": "C",
        }
