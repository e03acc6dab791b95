"""How do commits come from upstream and go back there, with nobody else's configuration in force?"""

import re
from pathlib import Path

from drivers.git.candidate import Candidates
from drivers.git.objects import Objects
from drivers.git.process import Git
from drivers.locks import held
from governance.errors import Rejected
from governance.parts import digest
from governance.ports import Blobs, Candidate, Manifest

_MIRRORED = ("+refs/heads/*:refs/upstream/heads/*", "+refs/tags/*:refs/upstream/tags/*")
_ID = re.compile(r"[0-9a-f]{7,40}")
_AUTHOR = re.compile(r"(?P<name>[^<>\n]*[^<>\s])\s*<(?P<email>[^<>\s]+)>")


class GitRepository:
    """One upstream repository, mirrored bare below `cache_dir`, which repositories and processes may share.

    `token` is sent as HTTP basic auth to the URL's host only; it is on no command line and in no file.
    """

    def __init__(self, url: str, cache_dir: Path, blobs: Blobs, token: str | None = None) -> None:
        """Raises `Rejected` when the URL carries a password."""
        name = digest(url).removeprefix("sha256:")[:16]
        self.url, self._directory = url, cache_dir / f"{name}.git"
        self._lock = cache_dir / f"{name}.lock"
        self._git = Git(self._directory, url, token)
        self._objects = Objects(self._git, blobs)
        self._candidates = Candidates(self._git, self._objects, blobs)

    async def fetch(self, ref: str) -> str:
        """The commit a branch, tag or id stands for upstream now; a branch wins over a tag of its name.

        Raises `Rejected` (no such ref, no access) and `Unavailable`.
        """
        async with held(self._lock):
            await self._made()
            await self._git.call(
                "fetch", "-q", "--prune", "--no-tags", "--no-write-fetch-head", self.url, *_MIRRORED
            )
        for name in _meanings(ref):
            done = await self._git.call(
                "rev-parse",
                "--verify",
                "-q",
                "--end-of-options",
                f"{name}^{{commit}}",
                codes=(0, 1, 128),
            )
            if done.code == 0:
                return done.out.decode().strip()
        raise Rejected(
            f"ref '{ref}' of '{self.url}'", "no branch, tag or commit of that name upstream."
        )

    async def hold(self, commit: str, ref: str) -> None:
        """Have a commit that work started from, maybe on another machine; fetched only when it is not here.

        Raises `Rejected` when `ref` leads to it no more, and as `fetch`.
        """
        async with held(self._lock):
            await self._made()
        known = await self._git.call("cat-file", "-e", f"{commit}^{{tree}}", codes=(0, 1, 128))
        if known.code != 0:
            await self.fetch(ref)
            await self._tree(commit)

    async def files(self, treeish: str) -> Manifest:
        """The files of a commit or tree, contents in the blob store; submodules are left out.

        Raises `Rejected` when the mirror has no such tree.
        """
        return await self._objects.manifest(await self._objects.entries(await self._tree(treeish)))

    async def candidate(self, base: str, files: Manifest, protect: tuple[str, ...]) -> Candidate:
        """The tree these files amount to over `base`, protected paths taken from it.

        Left out: what the base's .gitignore files or the usual tool leftovers name (unless tracked), and
        anything called `.git`. Dropped, with a diff: changes to protected paths, links that lead out of
        the tree. Submodules stay as they are. The diff is for reading: bytes that are not UTF-8 are
        replaced; the tree has them all. Raises `ValueError` (bad path), `Rejected` (diff over 20 MB).
        """
        return await self._candidates.make(await self._tree(base), files, protect)

    async def commit(self, base: str, tree: str, *, message: str, author: str, at: int) -> str:
        """The commit of exactly this tree on `base`; same arguments, same id. `at` is Unix seconds.

        `author` is `Name <address>`. Raises `ValueError` when it is not, `Rejected` for a missing base.
        """
        who = _AUTHOR.fullmatch(author)
        if who is None:
            raise ValueError(f"author {author!r} is not of the form 'Name <address>'.")
        env = {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (
                ("NAME", who["name"]),
                ("EMAIL", who["email"]),
                ("DATE", f"@{at} +0000"),
            )
        }
        arguments = ("commit-tree", await self._tree(tree), "-p", base, "-F", "-")
        done = await self._git.call(*arguments, stdin=message.encode(), env=env)
        return done.out.decode().strip()

    async def push(self, commit: str, branch: str) -> None:
        """Put the commit on the branch upstream; doing it twice is doing it once.

        Raises `Rejected` when the branch points elsewhere: it is never forced over others' work.
        """
        ref = f"refs/heads/{branch}"
        if (await self._git.call("check-ref-format", ref, codes=(0, 1))).code:
            raise Rejected(f"branch {branch!r}", "is not a name that git allows for a branch.")
        if await self._upstream(ref, commit):
            return
        # "Only if there is none": an upstream that changed since we looked refuses.
        lease = f"--force-with-lease={ref}:"
        done = await self._git.call(
            "push", "-q", lease, self.url, f"{commit}:{ref}", codes=(0, 1, 128)
        )
        if done.code != 0 and not await self._upstream(ref, commit):
            raise self._git.failed("push", done)

    async def _upstream(self, ref: str, commit: str) -> bool:
        """Whether the ref is that commit upstream. Raises `Rejected` when it is another."""
        said = await self._git.text("ls-remote", self.url, ref)
        found = dict(line.split("\t")[::-1] for line in said.splitlines()).get(ref)
        if found not in (None, commit):
            raise Rejected(
                f"branch '{ref}' of '{self.url}'",
                f"points to {found}, not to {commit}. Delete it or choose another name.",
            )
        return found == commit

    async def _tree(self, treeish: str) -> str:
        arguments = ("rev-parse", "--verify", "-q", "--end-of-options", f"{treeish}^{{tree}}")
        done = await self._git.call(*arguments, codes=(0, 1, 128))
        if done.code != 0:
            raise Rejected(
                f"tree '{treeish}' of '{self.url}'", "is not in the mirror. Fetch first."
            )
        return done.out.decode().strip()

    async def _made(self) -> None:
        if not (self._directory / "HEAD").exists():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            await self._git.call("init", "-q", "--bare", "--template=", str(self._directory))


def _meanings(ref: str) -> list[str]:
    """Names in the mirror that a ref may stand for, best first. Raises `Rejected` for revision syntax."""
    if not re.fullmatch(r"[\w./+@#=,%-]+", ref) or "@{" in ref or ".." in ref:
        raise Rejected(f"ref {ref!r}", "is not the name of a branch, a tag or a commit id.")
    short = ref.removeprefix("refs/")
    names = [f"refs/upstream/{short}"] if short != ref else []
    names += [f"refs/upstream/heads/{ref}", f"refs/upstream/tags/{ref}"]
    return names + ([ref] if _ID.fullmatch(ref) else [])
