"""Is the house still built as it says?"""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PRODUCT = (
    "governance", "drivers", "blocks", "tasks", "flows", "analytics", "gateway", "cli", "looprail",
    "worker",
)  # fmt: skip
LONG: dict[str, str] = {}
"""Files that may pass 250 lines, with the reason."""


def sources() -> list[Path]:
    return [
        p
        for folder in (*PRODUCT, "demo")
        for p in (ROOT / folder).rglob("*.py")
        if "demo/repository" not in str(p)
    ]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_run_downward_only() -> None:
    done = run(str(Path(sys.executable).parent / "lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_files_stay_small() -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources()}
    assert {name: n for name, n in sizes.items() if n > 250 and name not in LONG} == {}
    written = sorted(n for n in sizes.values() if n > 2)
    assert written[len(written) // 2] <= 120


def test_every_module_says_which_question_it_answers() -> None:
    silent = [
        str(p.relative_to(ROOT))
        for p in sources()
        if p.read_text().strip() and not p.read_text().lstrip().startswith('"""')
    ]
    assert silent == []


def broad(handler: ast.ExceptHandler) -> bool:
    named = (
        {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
        if handler.type
        else {"Exception"}
    )
    return bool(named & {"Exception", "BaseException"})


def passes_it_on(handler: ast.ExceptHandler) -> bool:
    """It tidies up and raises again, or hands the exception to whoever waits for it."""
    return any(
        isinstance(n, ast.Raise)
        or (isinstance(n, ast.Attribute) and n.attr in ("set_exception", "broke"))
        for n in ast.walk(handler)
    )


def test_nothing_is_swallowed_that_nobody_can_handle() -> None:
    swallowed = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and broad(node) and not passes_it_on(node)
    ]
    assert swallowed == []


def test_flows_are_short_enough_to_read_aloud() -> None:
    assert all(len(p.read_text().splitlines()) <= 110 for p in (ROOT / "flows").glob("*.py"))


@pytest.mark.parametrize(
    "module",
    [
        "governance.edge",
        "drivers.model",
        "drivers.mcp",
        "drivers.sandbox.choose",
        "drivers.store",
        "cli.main",
    ],
)
def test_importing_does_not_pay_for_an_sdk(module: str) -> None:
    heavy = {"anthropic", "mcp", "docker", "prefect", "duckdb", "sqlalchemy", "pyarrow"}
    told = run(
        sys.executable, "-c", f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == ""


def test_no_other_distribution_owns_one_of_our_names() -> None:
    owners = packages_distributions()
    assert {
        name: owners[name] for name in PRODUCT if set(owners.get(name, [])) - {"looprail"}
    } == {}


@pytest.mark.slow
def test_the_wheel_holds_the_product_and_nothing_else(tmp_path: Path) -> None:
    built = run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        ".",
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("looprail-*.whl"))) as wheel:
        names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {t for t in tops if not t.startswith("looprail-")} == set(PRODUCT)
    assert any(name.endswith(".sql") for name in names)


def test_the_committed_deployments_are_those_of_the_registry() -> None:
    done = run(str(Path(sys.executable).parent / "loops"), "render", "--check")
    assert done.returncode == 0, done.stdout


def test_the_version_is_the_same_wherever_it_stands() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    told = (ROOT / "drivers" / "mcp" / "upstream.py").read_text()
    assert re.findall(r'name="looprail", version="([^"]+)"', told) == [version]
    headed = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headed[0] == version
    kept = sorted(p.name.split("-")[1] for p in (ROOT / "tests" / "releases").glob("*.whl"))
    assert kept == sorted(headed[1:]), "every earlier release is kept as it was published"
