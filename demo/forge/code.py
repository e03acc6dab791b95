"""What does the code host offer: files, issues, pull requests and their merge?"""

from collections.abc import Callable
from typing import Any

from demo.forge.endpoint import Arguments, Refused, Tool
from demo.forge.git import Bare, GitError
from demo.forge.state import Row, State

_TEXT, _NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
_STATE = {"type": "string", "enum": ["open", "closed", "merged", "all"], "default": "open"}
_MAX_FILE = 200_000


class Code:
    """The tools of the code host, over one bare repository."""

    def __init__(self, state: State, git: Bare, moved: Callable[[], None]) -> None:
        self._state, self._git, self._moved = state, git, moved

    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        return (
            Tool("list_issues", "Issues of the repository.", {"state": _STATE}, self.issues),
            Tool(
                "get_file_contents",
                "A file at a branch, tag or commit, or the names below a directory.",
                {"path": {"type": "string"}, "ref": {**_TEXT, "default": "main"}},
                self.contents,
                required=("path",),
            ),
            Tool("list_pull_requests", "Pull requests.", {"state": _STATE}, self.pulls),
            Tool(
                "get_pull_request",
                "One pull request with its diff and comments.",
                {"pull_number": _NUMBER},
                self.pull,
                required=("pull_number",),
            ),
            Tool(
                "create_pull_request",
                "Propose the commits of branch `head` for branch `base`.",
                {"title": _TEXT, "body": {"type": "string"}, "head": _TEXT, "base": _TEXT},
                self.propose,
                required=("title", "body", "head", "base"),
                read_only=False,
            ),
            Tool(
                "merge_pull_request",
                "Merge an open pull request into its base branch.",
                {"pull_number": _NUMBER},
                self.merge,
                required=("pull_number",),
                read_only=False,
                destructive=True,
            ),
            Tool(
                "add_comment",
                "Comment on an issue or pull request.",
                {"number": _NUMBER, "body": _TEXT},
                self.comment,
                required=("number", "body"),
                read_only=False,
            ),
        )

    async def issues(self, given: Arguments) -> list[Row]:
        """Issues in a state."""
        return [*_in_state(self._state.rows("SELECT * FROM issues ORDER BY number"), given)]

    async def pulls(self, given: Arguments) -> list[Row]:
        """Pull requests in a state."""
        return [*_in_state(self._state.rows("SELECT * FROM pulls ORDER BY number"), given)]

    async def contents(self, given: Arguments) -> Row:
        """A file or a directory."""
        path, ref = str(given["path"]).strip("/"), given.get("ref", "main")
        commit = self._git.commit(ref)
        if commit is None:
            raise Refused(f"There is no branch, tag or commit {ref!r}.")
        found = {"path": path, "ref": ref, "commit": commit}
        try:
            kind = self._git.run("cat-file", "-t", f"{commit}:{path}")
            if kind == "tree":
                names = self._git.run("ls-tree", "--name-only", f"{commit}:{path}")
                return {**found, "entries": names.splitlines()}
            content = self._git.output("cat-file", "blob", f"{commit}:{path}").decode(
                errors="replace"
            )
        except GitError:
            raise Refused(f"There is no {path!r} at {ref!r}.") from None
        if len(content) > _MAX_FILE:
            raise Refused(
                f"{path!r} has {len(content):,} characters; at most {_MAX_FILE:,} are shown."
            )
        return {**found, "content": content}

    async def pull(self, given: Arguments) -> Row:
        """One pull request, whole."""
        pull = self._pull(given["pull_number"])
        base, head = self._git.branch(pull["base"]), self._git.branch(pull["head"])
        there = base is not None and head is not None
        opened = pull["state"] == "open"
        return {
            **pull,
            "mergeable": bool(there and opened and self._git.merged_tree(str(base), str(head))),
            "diff": self._git.diff(str(base), str(head)) if there and opened else "",
            "comments": self._comments(pull["number"]),
        }

    async def propose(self, given: Arguments) -> Row:
        """A new pull request."""
        head, base = self._branch(given["head"]), self._branch(given["base"])
        if self._git.contains(base, head):
            raise Refused(f"{given['head']!r} has no commit that {given['base']!r} has not.")
        known = self._state.row(
            "SELECT number FROM pulls WHERE head = ? AND base = ? AND state = 'open'",
            given["head"],
            given["base"],
        )
        if known:
            raise Refused(f"Pull request {known['number']} is open for these branches already.")
        last = self._state.row(
            "SELECT max(number) n FROM (SELECT number FROM issues UNION SELECT number FROM pulls)"
        )
        number = (last["n"] or 0) + 1 if last else 1
        self._state.write(
            "INSERT INTO pulls VALUES (?, ?, ?, ?, ?, 'open', NULL)",
            number,
            given["title"],
            given["body"],
            given["head"],
            given["base"],
        )
        return self._pull(number)

    async def merge(self, given: Arguments) -> Row:
        """The merge commit, on the base branch."""
        pull = self._pull(given["pull_number"])
        if pull["state"] != "open":
            raise Refused(f"Pull request {pull['number']} is {pull['state']}, not open.")
        head, base = self._branch(pull["head"]), self._branch(pull["base"])
        merged = base
        # A forge that died after the merge and before its entry finds it done.
        if not self._git.contains(base, head):
            tree = self._git.merged_tree(base, head)
            if tree is None:
                raise Refused(f"Pull request {pull['number']} conflicts with {pull['base']!r}.")
            message = f"Merge pull request {pull['number']} from {pull['head']}\n\n{pull['title']}"
            try:
                merged = self._git.merge(pull["base"], base, head, tree, message)
            except GitError as error:  # somebody pushed to the base meanwhile
                raise Refused(f"{pull['base']!r} has moved: {error}") from None
            self._moved()
        self._state.write(
            "UPDATE pulls SET state = 'merged', merge_commit = ? WHERE number = ?",
            merged,
            pull["number"],
        )
        return self._pull(pull["number"])

    async def comment(self, given: Arguments) -> Row:
        """A comment under an issue or pull request."""
        number = given["number"]
        if not self._state.row(
            "SELECT 1 FROM issues WHERE number = ? UNION SELECT 1 FROM pulls WHERE number = ?",
            number,
            number,
        ):
            raise Refused(f"There is no issue or pull request {number}.")
        made = self._state.write(
            "INSERT INTO comments(subject, author, body) VALUES (?, 'agent', ?)",
            f"#{number}",
            given["body"],
        )
        return {"id": made, "number": number, "body": given["body"]}

    def _pull(self, number: int) -> Row:
        pull = self._state.row("SELECT * FROM pulls WHERE number = ?", number)
        if pull is None:
            raise Refused(f"There is no pull request {number}.")
        return pull

    def _comments(self, number: int) -> list[Any]:
        rows = self._state.rows(
            "SELECT author, body FROM comments WHERE subject = ? ORDER BY id", f"#{number}"
        )
        return list(rows)

    def _branch(self, name: str) -> str:
        commit = self._git.branch(name)
        if commit is None:
            raise Refused(f"There is no branch {name!r}. Push it first.")
        return commit


def _in_state(rows: tuple[Row, ...], given: Arguments) -> tuple[Row, ...]:
    wanted = given.get("state", "open")
    return tuple(row for row in rows if wanted in ("all", row["state"]))
