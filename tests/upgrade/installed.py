"""An installation as an operator keeps it: the code of one release, and commands typed in a directory of their own."""

import re
import shlex
import subprocess
import zipfile
from contextlib import suppress
from pathlib import Path

import yaml

from demo.processes import program
from demo.world import POOL, ROOT, DemoWorld
from tests.flows.farside import processes_of
from tests.flows.registries import MERGER
from tests.histories.history import FOLDER, read

RELEASES = ROOT / "tests" / "releases"
PAGE = ROOT / "docs" / "operations.md"


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def unpacked(wheel: Path, place: Path) -> Path:
    """The release's packages, in a directory that can stand first where Python looks."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    return place


def registry_of(version: str, place: Path, asking: str, sorting: str) -> Path:
    """The organisation as that release's histories have it, with two loops: one asks a person, one asks nobody."""
    history = read(FOLDER / version / "ticket-to-its-end.json")
    for name, text in history.registry.items():
        if not name.startswith("loops/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
    org = yaml.safe_load((place / "org.yaml").read_text())
    (place / "org.yaml").write_text(yaml.safe_dump({**org, "alerts": []}))
    loop = yaml.safe_load(history.registry[f"loops/{history.loop}.yaml"])
    del loop["trigger"]
    (place / "loops").mkdir()
    (place / "loops" / f"{sorting}.yaml").write_text(yaml.safe_dump({**loop, "name": sorting}))
    (place / "loops" / f"{asking}.yaml").write_text(MERGER.format(name=asking, after="3d"))
    return place


def steps() -> list[list[str]]:
    """What `docs/operations.md` has an operator type to upgrade, as words."""
    (told,) = re.findall(r"^## Upgrading\n.*?^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)  # fmt: skip
    return [words for line in told.splitlines() if (words := shlex.split(line, comments=True))]


class Installation(DemoWorld):
    """The world, set up and deployed by the commands of the release whose code is in `code`."""

    code: Path | None = None
    """Where the packages of an earlier release are; None is the code of today."""

    def environment(self) -> dict[str, str]:
        found = super().environment()
        return {**found, "PYTHONPATH": str(self.code)} if self.code else found

    @property
    def desk(self) -> Path:
        """Where commands are typed; prefect.yaml is written there."""
        return self.home / "desk"

    def types(self, *words: str, **more: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            (program(words[0]), *words[1:]), cwd=self.desk, env={**self.environment(), **more}, text=True,
            capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def starts(self, name: str, *words: str) -> None:
        """A command that goes on until its process is stopped."""
        self._start(name, (program(words[0]), *words[1:]), self.environment())

    def start_worker(self, name: str) -> None:
        """As 0.1.0 had it done: it knew Prefect's own worker alone."""
        self.starts(name, "prefect", "worker", "start", "--pool", POOL, "--type", "process")

    def _set_up_prefect(self) -> None:
        self.desk.mkdir()
        self.types("prefect", "work-pool", "create", POOL, "--type", "process")
        self.types("loops", "connect", "store", "--url", self.store_url, "--blobs", self.blobs)
        self.types(
            "loops", "connect", "model", "anthropic", "--base-url", self.model_url, "--key-env", "KEY",
            KEY=self.keys.model,
        )  # fmt: skip
        for name in ("github", "linear"):
            url = f"{self.forge_url}/{name}/mcp"
            self.types(
                "loops", "connect", "mcp", name, "--url", url, "--token-env", "TOKEN",
                TOKEN=self.keys.forge,
            )  # fmt: skip
        self.types("loops", "apply")

    def deploy(self) -> None:
        self.types("loops", "render")
        self.types("prefect", "--no-prompt", "deploy", "--all")

    def processes_of(self, flow_run: str) -> set[int]:
        """Processes that work on a flow run, as Prefect's own worker marks them or ours names them."""
        mark = f"PREFECT__FLOW_RUN_ID={flow_run}".encode()
        found = set(processes_of(flow_run))
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found.add(int(place.name))
        return found

    def code_of(self, process: int, module: str) -> Path | None:
        """The file a module comes from in a running process; None when it has just ended.

        Asked of another one with the same environment in the same directory.
        """
        look = f"from importlib.util import find_spec; print(find_spec({module!r}).origin)"
        try:
            told = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
            done = subprocess.run(
                (program("python"), "-c", look),
                cwd=f"/proc/{process}/cwd", env=dict(e.split("=", 1) for e in told if "=" in e),
                text=True, capture_output=True, check=True,
            )  # fmt: skip
        except OSError:
            return None
        return Path(done.stdout.strip())
