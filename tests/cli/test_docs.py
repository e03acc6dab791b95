"""docs/loops.md says what the models say, and its examples load."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from governance import definition, organisation
from governance.examination import examine
from governance.parts import Part
from governance.registry import Texts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "loops.md").read_text()
MODELS = {
    name: model
    for module in (definition, organisation)
    for name, model in vars(module).items()
    if isinstance(model, type) and issubclass(model, Part) and model is not Part
}


def table(model: type[BaseModel]) -> str:
    """The rows a model's section must hold."""
    rows = [
        f"| `{name}` | {default(field)} | {field.description} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| field | default | what it says |", "|---|---|---|", *rows])


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "true unless `read_only`" if field.default_factory_takes_validated_data else "empty"
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, Part):
        return "its own defaults"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f"`{value.days}d`"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return f"{value:,}" if isinstance(value, int) else f"`{value}`" if value else "empty"


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_documented_as_it_is(name: str):
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None, f"docs/loops.md has no section '### {name}'"
    found = "\n".join(line for line in section[1].splitlines() if line.startswith("|"))
    assert found == table(MODELS[name])


def test_nothing_is_documented_that_is_not_there():
    assert set(re.findall(r"^### ([A-Z]\w+)$", PAGE, re.MULTILINE)) == set(MODELS)


def test_the_loops_on_the_page_load():
    blocks = re.findall(r"```yaml\n((?:agent:\n  )?name: .*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    files = {
        str(path.relative_to(ROOT / "registry")): path.read_text()
        for path in (ROOT / "registry").rglob("*")
        if path.is_file() and path.parent.name != "loops"
    }
    for block in blocks:
        name = re.search(r"name: (\S+)", block)
        assert name is not None
        found = examine(Texts(files | {f"loops/{name[1]}.yaml": block}), priced=bool)
        assert [str(p) for p in found.problems] == []
