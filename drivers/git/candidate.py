"""What of a workspace would be delivered, and what was it not allowed to change?

Only plumbing on objects: no work tree of the maker's is ever laid out, so no attribute, filter, hook or
link of it has a place to act.
"""

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from drivers.git.objects import Objects, TreeEntry
from drivers.git.patterns import (
    IGNORED_BY_DEFAULT,
    clashing,
    git_own,
    protected,
    unsafe_link,
)
from drivers.git.process import Git
from drivers.sandbox.paths import check_manifest
from governance.ports import Blobs, Candidate, FileEntry, Manifest

Changes = dict[str, FileEntry | None]
"""What becomes of a path; None removes it."""

_NOTHING = "0" * 40
_MAX_DIFF = 20_000_000
_DIFF = ("diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color")


class Candidates:
    """Makes candidates over the trees of one repository."""

    def __init__(self, git: Git, objects: Objects, blobs: Blobs) -> None:
        self._git, self._objects, self._blobs = git, objects, blobs

    async def make(self, base: str, files: Manifest, globs: tuple[str, ...]) -> Candidate:
        """As `Repository.candidate`."""
        check_manifest(files)
        entries = await self._objects.entries(base)
        before = await self._objects.manifest(entries)
        wanted = await self._wanted(files, before)
        changes: Changes = {p: e for p, e in wanted.items() if before.get(p) != e}
        changes |= {path: None for path in before if path not in wanted and not git_own(path)}
        dropped = _dropped(changes, before, _untouchable(entries, before), globs)
        taken = {path: change for path, change in changes.items() if path not in dropped}
        tree = await self._tree(base, taken)
        refused = await self._tree(base, dropped) if dropped else base
        return Candidate(
            tree=tree,
            diff=await self._diff(base, tree),
            dropped=await self._diff(base, refused),
            lines=await self._lines(base, tree),
        )

    async def _wanted(self, files: Manifest, before: Manifest) -> dict[str, FileEntry]:
        """Files and links that are neither git's own nor, unless the base tracks them, ignored."""
        plain = {
            path: entry
            for path, entry in files.items()
            if entry.mode != "040000" and not git_own(path)
        }
        ignored = await self._ignored([path for path in plain if path not in before], before)
        return {path: entry for path, entry in plain.items() if path not in ignored}

    async def _ignored(self, paths: Iterable[str], before: Manifest) -> set[str]:
        with tempfile.TemporaryDirectory(prefix="looprail-ignore-") as scratch:
            await self._lay_out_rules(Path(scratch), before)
            # './' keeps a leading ':' from being read as pathspec magic, which this command cannot switch off.
            done = await self._git.call(
                "check-ignore",
                "--no-index",
                "-z",
                "--stdin",
                stdin="".join(f"./{path}\0" for path in paths).encode(),
                env={"GIT_WORK_TREE": scratch, "GIT_LITERAL_PATHSPECS": "0"},
                cwd=Path(scratch),
                codes=(0, 1),
            )
        return {path.decode().removeprefix("./") for path in done.out.split(b"\0") if path}

    async def _lay_out_rules(self, scratch: Path, before: Manifest) -> None:
        """The base's .gitignore files and nothing else, the usual leftovers ahead of them: the last rule wins."""
        rules = {".gitignore": b""}
        for path, entry in before.items():
            if path.rpartition("/")[2] == ".gitignore" and entry.mode != "120000":
                rules[path] = await self._blobs.get(entry.blob)
        rules[".gitignore"] = "\n".join((*IGNORED_BY_DEFAULT, "")).encode() + rules[".gitignore"]
        for path, content in rules.items():
            await asyncio.to_thread(_write, scratch / path, content)

    async def _tree(self, base: str, changes: Changes) -> str:
        with tempfile.TemporaryDirectory(prefix="looprail-index-") as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            await self._git.call("read-tree", base, env=env)
            lines = [
                f"0 {_NOTHING}\t{path}\0" for path, change in changes.items() if change is None
            ]
            added = [(path, change) for path, change in changes.items() if change is not None]
            oids = await self._objects.oids([entry for _, entry in added])
            lines += [
                f"{entry.mode} {oid}\t{path}\0"
                for (path, entry), oid in zip(added, oids, strict=True)
            ]
            await self._git.call(
                "update-index", "-z", "--index-info", stdin="".join(lines).encode(), env=env
            )
            return await self._git.text("write-tree", env=env)

    async def _diff(self, base: str, tree: str) -> str:
        done = await self._git.call(
            *_DIFF, "--no-ext-diff", "--no-textconv", base, tree, max_bytes=_MAX_DIFF
        )
        return done.out.decode("utf-8", "replace")

    async def _lines(self, base: str, tree: str) -> int:
        done = await self._git.call("diff-tree", "-r", "--numstat", "--no-renames", base, tree)
        counts = (line.split("\t")[:2] for line in done.out.decode("utf-8", "replace").splitlines())
        return sum(int(count) for pair in counts for count in pair if count.isdigit())


def _untouchable(entries: Mapping[bytes, TreeEntry], before: Manifest) -> set[str]:
    """Submodules, names and link targets that are not UTF-8: no workspace can hold them, so they stay as they are."""
    names = {path.decode("utf-8", "surrogateescape") for path in entries}
    return names - before.keys()


def _dropped(
    changes: Changes, before: Manifest, untouchable: set[str], globs: tuple[str, ...]
) -> Changes:
    """Changes to protected paths, links out of the tree, and what cannot stand beside what is kept."""
    dropped = {
        path
        for path, change in changes.items()
        if protected(path, globs)
        or (change and change.mode == "120000" and unsafe_link(path, change.blob))
    }
    kept = {path: None for path in before if path in dropped or path not in changes}
    clashes = clashing(
        (path for path, change in changes.items() if change), dict.fromkeys(untouchable) | kept
    )
    return {path: changes[path] for path in sorted(dropped | clashes)}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
