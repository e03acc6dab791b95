"""Which paths may anyone name in a workspace?"""

from collections.abc import Mapping

from governance.ports import FileEntry


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
