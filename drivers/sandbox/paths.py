"""Which paths and commands may anyone give to a workspace?"""

from collections.abc import Mapping

from governance.ports import FileEntry

_MAX_COMMAND = 120_000
"""The kernel takes 131,072 bytes per argument."""
_MIN_S = 0.01


def checked(path: str) -> str:
    """The path without `.` and doubled slashes. Raises `ValueError` when absolute, `..`, empty or not UTF-8."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or not parts:
        raise ValueError(
            f"path {path!r} is not below the workspace. Give a relative path without '..'."
        )
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"path {path!r} is not UTF-8. Rename the file.") from error
    return "/".join(parts)


def check_command(command: str, timeout_s: float, env: Mapping[str, str]) -> None:
    """Raises `ValueError` for what no process can be started with, or would run without a limit."""
    size = len(command.encode())
    if size > _MAX_COMMAND:
        raise ValueError(
            f"the command has {size:,} bytes; at most {_MAX_COMMAND:,} are possible. "
            "Write it to a file first, then run the file."
        )
    if "\0" in command or any("\0" in name + value or "=" in name for name, value in env.items()):
        raise ValueError("the command or its environment holds a NUL byte, or a name an '='.")
    if timeout_s < _MIN_S:
        raise ValueError(f"a timeout of {timeout_s} s is none; give at least {_MIN_S} s.")


def check_manifest(manifest: Mapping[str, FileEntry]) -> None:
    """Raises `ValueError` unless every path is plain and nothing lies below a file or a link."""
    for path in manifest:
        if checked(path) != path:
            raise ValueError(f"path {path!r} of a manifest is not in its plain form.")
        parent = path.rpartition("/")[0]
        while parent:
            entry = manifest.get(parent)
            if entry is not None and entry.mode != "040000":
                raise ValueError(
                    f"path {path!r} lies below {parent!r}, which is not a directory ({entry.mode})."
                )
            parent = parent.rpartition("/")[0]
