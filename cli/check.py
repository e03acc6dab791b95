"""What is wrong with the registry?"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from cli.source import examine_texts, json_option, registry_option
from drivers.registry_files import read_registry, read_text
from governance.problems import Problem
from governance.registry import Examined

_EXAMPLE = """\b
$ loops check --json
{"loops": 3,
 "problems": [{"file": "registry/loops/night-fix.yaml", "line": 12,
               "field": "harness.max_step",
               "text": "is not a field of Harness; did you mean 'max_steps'?"}],
 "warnings": []}
"""


@click.command(epilog=_EXAMPLE)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@registry_option
@json_option
def check(paths: tuple[Path, ...], root: Path, as_json: bool) -> None:
    """Find every problem of every file of the registry.

    With PATHS only those loop files are reported. A file that stands outside the registry is
    checked as if it stood in its loops/, so that an edit can be tried before it is made.

    Exit code 0 when nothing is wrong (warnings may remain), 2 when something is.
    """
    examined, loops = check_registry(root, paths)
    if as_json:
        click.echo(json.dumps(_as_json(examined, loops), indent=2))
    else:
        click.echo(_as_text(examined, loops))
    if examined.problems:
        raise SystemExit(2)


def check_registry(root: Path, paths: tuple[Path, ...] = ()) -> tuple[Examined, int]:
    """What an examination finds, and of how many loops; with `paths`, about those files only."""
    texts = read_registry(root)
    tried = {f"loops/{path.stem}.yaml": path for path in paths}
    if tried:
        files = {**texts.files, **{as_if: read_text(path) for as_if, path in tried.items()}}
        texts = replace(texts, files=files)
    examined = examine_texts(texts)
    loops = sum(path.startswith("loops/") for path in texts.files)
    if not tried:
        return examined, loops
    named = {f"{texts.root}/{as_if}": str(path) for as_if, path in tried.items()}
    named[f"{texts.root}/org.yaml"] = f"{texts.root}/org.yaml"
    examined.problems = _about(examined.problems, named)
    examined.warnings = _about(examined.warnings, named)
    return examined, len(tried)


def _about(problems: list[Problem], named: dict[str, str]) -> list[Problem]:
    return [replace(p, file=named[p.file]) for p in problems if p.file in named]


def _as_json(examined: Examined, loops: int) -> dict[str, object]:
    return {
        "loops": loops,
        "problems": [asdict(p) for p in examined.problems],
        "warnings": [asdict(p) for p in examined.warnings],
    }


def _as_text(examined: Examined, loops: int) -> str:
    lines = [str(p) for p in examined.problems]
    lines += [f"{w} (warning)" for w in examined.warnings]
    lines.append(
        f"{_count(loops, 'loop')}, {_count(len(examined.problems), 'problem')}, "
        f"{_count(len(examined.warnings), 'warning')}"
    )
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
