"""What did the next release of a package change, and what does a repository look like that still waits for it?

Both releases come from the package index, by hash. The repository has two commits: the old release, and the new
release's regression test on top of it. The fix is what the new release did to the named sources.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from demo.forge.git import Bare
from demo.forge.seed import Chapter, write_history

CACHE = Path(tempfile.gettempdir()) / "looprail-releases"
WHO, WHEN = "Release Robot <robot@northwind.example>", "2026-03-01T12:00:00+00:00"
DOWNLOAD_S = 240
LEFT_OUT = ("PKG-INFO", ".egg-info", "__pycache__")
"""What building a release added to what its authors wrote."""


@dataclass(frozen=True)
class Release:
    name: str
    version: str
    sha256: str

    def sdist(self) -> bytes:
        """The sdist, from the index the first time. Whatever the cache holds, only these bytes are taken."""
        place = CACHE / self.sha256
        if not any(place.glob("*.tar.gz")):
            self._download(place)
        (file,) = place.glob("*.tar.gz")
        content = file.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        assert found == self.sha256, f"{file} has sha256 {found}, expected {self.sha256}"
        return content

    def files(self) -> dict[str, bytes]:
        """Its files by path, without what building it added."""
        with tarfile.open(fileobj=io.BytesIO(self.sdist())) as archive:
            found = {
                member.name.partition("/")[2]: extracted.read()
                for member in archive.getmembers()
                if member.isfile() and (extracted := archive.extractfile(member))
            }
        return {
            path: content
            for path, content in found.items()
            if not any(part.endswith(LEFT_OUT) for part in path.split("/"))
        }

    def _download(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.write(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
            wanted.flush()
            command = (
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
                "--no-binary", ":all:", "--dest", str(place), "--requirement", wanted.name,
            )  # fmt: skip
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_S
            )
        assert done.returncode == 0, f"{self.name} {self.version}: {done.stderr[-2000:]}"


@dataclass(frozen=True)
class Package:
    """One package, in a release with a known bug."""

    name: str
    bug: str
    old: Release
    new: Release
    tests: tuple[str, ...]
    sources: tuple[str, ...]
    setup: str

    @property
    def verify(self) -> str:
        """What is red before the fix, and green after it."""
        return f"python -m pytest -q {' '.join(self.tests)}"

    def history(self) -> tuple[Chapter, ...]:
        """The old release, then the new release's regression test."""
        added = {path: self.new.files()[path] for path in self.tests}
        return (
            Chapter(WHO, WHEN, f"{self.name} {self.old.version}", self.old.files()),
            Chapter(WHO, WHEN, f"Test for: {self.bug}", added),
        )

    def fix(self) -> Mapping[str, bytes]:
        """The sources as the new release has them."""
        return {path: self.new.files()[path] for path in self.sources}

    def diff(self, place: Path) -> str:
        """The fix as git shows it; `place` is where a repository may be made for that."""
        base = write_history(place / "base.git", self.history())
        mended = (*self.history(), Chapter(WHO, WHEN, "The fix", self.fix()))
        write_history(place / "mended.git", mended)
        return Bare(place / "mended.git").run("diff", base, "main")

    def lessons(self) -> list[dict[str, str]]:
        """The fix as what a model may know: what is wrong, and what stands there when it is right."""
        old = self.old.files()
        return [
            {"find": find, "replace": replace}
            for path, content in self.fix().items()
            for find, replace in snippets(old[path].decode(), content.decode())
        ]


def snippets(old: str, new: str) -> list[tuple[str, str]]:
    """Hunks with as much around them as makes each stand only once in the old text."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for around in range(1, len(before)):
        matcher = SequenceMatcher(None, before, after, autojunk=False)
        hunks = [
            (
                "".join(before[group[0][1] : group[-1][2]]),
                "".join(after[group[0][3] : group[-1][4]]),
            )
            for group in matcher.get_grouped_opcodes(around)
        ]
        if all(old.count(find) == 1 for find, _ in hunks):
            return hunks
    raise ValueError("the texts share nothing that stands only once")


def packages() -> tuple[Package, ...]:
    """Those listed in packages.toml."""
    listed = tomllib.loads((Path(__file__).parent / "packages.toml").read_text())
    return tuple(
        Package(
            name=name,
            bug=told["bug"],
            old=Release(name, **told["old"]),
            new=Release(name, **told["new"]),
            tests=tuple(told["tests"]),
            sources=tuple(told["sources"]),
            setup=told["setup"],
        )
        for name, told in listed.items()
    )


def fetch_all() -> None:
    """Every release of every package, several at a time; the index answers slowly."""
    wanted = [release for p in packages() for release in (p.old, p.new)]
    with ThreadPoolExecutor(5) as several:
        list(several.map(Release.sdist, wanted))


def teach(place: Path) -> Path:
    """A knowledge file with the lessons of every package."""
    place.write_text(json.dumps([lesson for p in packages() for lesson in p.lessons()]))
    return place
