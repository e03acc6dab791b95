"""What do the pages tell a reader to type, and to look at?"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOLD = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def typed(page: Path, program: str) -> Iterator[list[str]]:
    """What a reader would type of one program: each call in the page's shell blocks, as words."""
    for block in blocks(page, "sh"):
        whole = re.sub(r'-c "\n.*?\n"', "-c code", block, flags=re.DOTALL)
        for line in whole.splitlines():
            words = shlex.split(line, comments=True)
            while words:
                at = next((n for n, w in enumerate(words) if w in ("&&", "|", ";")), len(words))
                call, words = words[:at], words[at + 1 :]
                if call and Path(call[0]).name == program:
                    yield call[1:]


def quoted(page: Path, program: str) -> Iterator[list[str]]:
    """The same, as it stands in code spans of the text."""
    for span in re.findall(r"`([^`\n]+)`", prose(page)):
        words = span.split()
        if words[0] == program and len(words) > 1:
            yield words[1:]
