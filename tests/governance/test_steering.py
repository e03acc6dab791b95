"""A maker never decides what is green: files that steer a verifier are protected without being named."""

import pytest
from pydantic import ValidationError

from drivers.git.patterns import protected
from governance.definition import Goal
from governance.steering import STEERING, never_delivered, shadowing


def shut(path: str, *protect: str) -> bool:
    return protected(path, never_delivered(protect))


@pytest.mark.parametrize(
    "path",
    [
        "conftest.py", "tests/deep/conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini",
        "setup.cfg", "pyproject.toml", "packages/one/pyproject.toml", "sitecustomize.py",
        "sitecustomize/__init__.py", "src/usercustomize.py", "evil.pth", "evil-1.dist-info/entry_points.txt",
        "evil.egg-info/PKG-INFO", "pkg/__pycache__/mod.cpython-311.pyc", "mod.pyc",
    ],
)  # fmt: skip
def test_what_steers_a_verifier_is_protected_without_being_named(path: str) -> None:
    assert shut(path)


@pytest.mark.parametrize(
    "path", ["src/app.py", "tests/test_app.py", "setup.py", "docs/pytest.ini.md", "my_conftest.py"]
)
def test_sources_and_tests_stay_the_makers_to_change(path: str) -> None:
    assert not shut(path)


def test_a_loop_frees_one_of_them_by_name_and_only_that_one() -> None:
    assert not shut("pyproject.toml", "!pyproject.toml")
    assert shut("setup.cfg", "!pyproject.toml")


def test_what_a_loop_protects_itself_comes_on_top() -> None:
    assert never_delivered(("tests/**", "!tox.ini")) == (
        "tests/**",
        *(glob for glob in STEERING if glob != "tox.ini"),
    )


def test_freeing_what_is_not_protected_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"frees nothing; did you mean 'pyproject\.toml'"):
        Goal(verify="pytest", protect=("!pyprojct.toml",))


@pytest.mark.parametrize(
    "path",
    ["json.py", "pytest.py", "pytest/__init__.py", "_pytest/__init__.cpython-311.so", "re.so"],
)
def test_a_module_at_the_root_cannot_stand_before_an_installed_one(path: str) -> None:
    assert shadowing([path], "python -m pytest -q") == (f"/{path}",)
    assert protected(path, shadowing([path], "python -m pytest -q"))


def test_nor_before_the_module_that_the_verifier_starts() -> None:
    assert shadowing(["nox.py"], "python -m pytest && python -m nox -s test") == ("/nox.py",)
    assert shadowing(["nox.py"], "python -m pytest") == ()


@pytest.mark.parametrize("path", ["app/json.py", "json/schema.py", "html/index.html", "parse.py"])
def test_modules_that_nothing_imports_by_accident_are_left_alone(path: str) -> None:
    assert shadowing([path], "python -m pytest -q") == ()
