"""What may the process of a local MCP server see of this machine?

With bubblewrap: an allow-list. System directories, its own program, what the declaration binds, an empty home;
no process but its own, no variable but the declared ones. The network, where declared, is its own (`outbound.py`).
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from governance.errors import Rejected

Bind = tuple[str, Literal["ro", "rw"]]
"""An absolute path of this machine and what the server may do with it, seen under the same path."""

Isolation = Literal["bubblewrap", "none"]

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Not all of /etc: a worker that runs as root could read keys and password hashes there.
_ETC = (
    "ssl", "pki", "ca-certificates", "hosts", "nsswitch.conf", "passwd", "group", "localtime",
    "timezone", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "mime.types",
)  # fmt: skip
_TMP_BYTES = 256 * 1024 * 1024
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Launch:
    """How to start a process: argument vector, its whole environment, directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str | None
    private: tuple[IPv4Network, ...] | None = None
    """Of a fenced process with a network: what it reaches beside public addresses."""


def plain(
    subject: str,
    command: tuple[str, ...],
    *,
    env: Mapping[str, str],
    home: str,
    cwd: str | None = None,
) -> Launch:
    """Without isolation: only the environment is ours to choose."""
    program = _found(subject, command[0])
    path = os.environ.get("PATH", _PATH)
    own = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", **env}
    return Launch((str(program), *command[1:]), own, cwd)


def fenced(
    subject: str,
    command: tuple[str, ...],
    *,
    env: Mapping[str, str],
    binds: tuple[Bind, ...] = (),
    hidden: tuple[str, ...] = (),
    private: tuple[IPv4Network, ...] | None = None,
    cwd: str | None = None,
) -> Launch:
    """In bubblewrap; `hidden` paths below a bind are covered by an empty directory. Raises `Rejected`.

    With `private` it has a network, once that is connected; without it has none.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise Rejected(
            subject,
            "cannot be isolated: bubblewrap is not installed. Install it (apt-get install bubblewrap), "
            "or declare isolation 'none' to run it with everything this user may read",
        )
    program = _found(subject, command[0])
    programs = _with_interpreter(program)
    roots = _visible(programs)
    argv = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--dir", "/tmp/home"]
    argv += _each("--ro-bind-try", (*_SYSTEM, *(f"/etc/{name}" for name in _ETC)))
    argv += _each("--ro-bind", sorted(roots))
    for path, access in binds:
        argv += _each("--bind" if access == "rw" else "--ro-bind", (_bound(subject, path),))
    for path in hidden:
        if Path(path).is_dir() and any(Path(path).is_relative_to(bind) for bind, _ in binds):
            argv += ["--tmpfs", path]
    argv += ["--chdir", cwd or "/tmp/home", "--", str(program), *command[1:]]
    places = dict.fromkeys(str(one.parent) for one in programs)
    # Through bubblewrap's own environment, never `--setenv`: its arguments are visible to every user.
    return Launch(
        tuple(argv),
        {"PATH": ":".join((*places, _PATH)), "HOME": "/tmp/home", "LANG": "C.UTF-8", **env},
        "/",
        private,
    )


def _each(option: str, paths: tuple[str, ...] | list[str]) -> list[str]:
    return [word for path in paths for word in (option, path, path)]


def _found(subject: str, name: str) -> Path:
    program = shutil.which(name)
    if program is None:
        raise Rejected(subject, f"cannot be started: there is no program {name!r}. Install it.")
    return Path(program).absolute()


def _bound(subject: str, path: str) -> str:
    if not Path(path).is_absolute() or Path(path) == Path("/"):
        raise Rejected(subject, f"cannot bind {path!r}: an absolute path below / is needed")
    if not Path(path).exists():
        raise Rejected(subject, f"cannot bind {path!r}: there is no such file or directory")
    return path


def _with_interpreter(program: Path) -> tuple[Path, ...]:
    with program.open("rb") as file:
        first = file.readline(512)
    if not first.startswith(b"#!"):
        return (program,)
    words = first[2:].decode(errors="replace").split() or [str(program)]
    name = words[1] if Path(words[0]).name == "env" and len(words) > 1 else words[0]
    found = shutil.which(name)
    return (program, Path(found).absolute()) if found else (program,)


def _visible(programs: tuple[Path, ...]) -> set[str]:
    roots = {root for program in programs for root in _roots(program)}
    known = (*roots, *_SYSTEM)
    alone = (one for one in programs if not any(one.is_relative_to(root) for root in known))
    return roots | {str(one) for one in alone}


def _roots(program: Path) -> set[str]:
    """The directories a program is installed in; none where no such place is known."""
    real = program.resolve()
    for place in (program, real):
        venv = place.parent.parent
        if (venv / "pyvenv.cfg").is_file():
            return {str(venv), *_base(venv)}
    modules = [str(parent) for parent in real.parents if parent.name == "node_modules"]
    prefix = real.parent.parent
    if real.parent.name == "bin" and (prefix / "lib" / real.name).is_dir():
        modules = [str(prefix)]
    return {root for root in modules[-1:] if not root.startswith("/usr")}


def _base(venv: Path) -> set[str]:
    """The Python installation a virtual environment stands on, by every name it is reached under."""
    lines = (venv / "pyvenv.cfg").read_text().splitlines()
    settings = {
        key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)
    }
    base = Path(settings["home"]).parent
    real = (venv / "bin" / "python").resolve().parent.parent
    return {str(path) for path in (base, base.resolve(), real) if not path.is_relative_to("/usr")}
