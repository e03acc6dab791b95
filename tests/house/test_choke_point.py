"""There are two doors to the world and no third: the edge is the only way to a model, a tool or a sandbox."""

import ast
from pathlib import Path

import pytest

from tests.house.doors import Product

ROOT = Path(__file__).parent.parent.parent
ABOVE_THE_DRIVERS = (
    "governance",
    "blocks",
    "tasks",
    "flows",
    "analytics",
    "gateway",
    "cli",
    "looprail",
)
SPEAKING = ("drivers.model", "drivers.mcp", "drivers.sandbox", "drivers.git")
WIRES = {
    "anthropic",
    "mcp",
    "docker",
    "subprocess",
    "socket",
    "requests",
    "aiohttp",
    "httpx",
    "httpx2",
}

HOLD_A_WIRE = {
    "cli/saving.py": "asks Prefect's server whether it lets in whoever asks",
    "cli/server.py": "names what Prefect's client raises",
    "cli/store.py": "names what Prefect's client raises",
    "tasks/outbox.py": "names what Prefect's client raises",
    "tasks/watch.py": "names what Prefect's client raises",
}
"""Files above the drivers that import an HTTP client, with the reason; none of them sends a word of an agent's."""


def sources() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for package in ABOVE_THE_DRIVERS
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def planted(text: str, at: str = "tasks/planted.py") -> list[str]:
    acting = {p: t for p, t in sources().items() if p.startswith(("tasks/", "governance/edge"))}
    return Product({**acting, at: text}).outside()


def imported(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_nothing_reaches_a_model_a_tool_or_a_sandbox_past_the_edge():
    assert Product(sources()).outside() == []


def test_what_the_edge_covers_is_really_seen():
    """Were the rule blind to the places it is about, the test above would say nothing."""
    seen = Product(sources()).inside()
    assert "governance/edge.py: port.reply" in seen
    assert "governance/edge.py: port.call" in seen
    assert {"tasks/verify.py: box.run", "tasks/desk.py: box.run"} <= set(seen)
    assert "tasks/deliver.py: repository.push" in seen


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("a task calls a connector", "async def f(p):\n    await p.call('x', {})\n"),
        ("the method is only named", "async def f(p):\n    send = p.call\n    await send('x')\n"),
        ("at the top of a module", "import drivers.x\nanswer = MODEL.reply('hi')\n"),
        ("by reflection", "async def f(p):\n    await getattr(p, 'reply')('hi')\n"),
        ("a box's method is only named", "async def f(box):\n    go = box.run\n    await go('id')\n"),
        ("in a lambda nobody hands over", "def f(p):\n    return lambda: p.reply('hi')\n"),
        (
            "a helper that is handed over and also called",
            "async def f(job, box):\n    async def act():\n        await box.run('id')\n"
            "    await job.world.edge.local(1, act)\n    await act()\n",
        ),
        (
            "a helper of a covered function that a task uses too",
            "async def g(box):\n    await box.run('id')\n"
            "async def f(job, box):\n    async def act():\n        await g(box)\n"
            "    await job.world.edge.local(1, act)\n"
            "async def h(box):\n    await g(box)\n",
        ),
        (
            "something else that has a method called local",
            "async def f(other, box):\n    async def act():\n        await box.run('id')\n"
            "    await other.local(1, act)\n",
        ),
        (
            "a task of Prefect's, though a covered function uses it",
            "@task\nasync def g(box):\n    await box.run('id')\n"
            "async def f(job, box):\n    async def act():\n        await g(box)\n"
            "    await job.world.edge.local(1, act)\n",
        ),
        (
            "a passer that also calls what it passes on",
            "async def p(job, act):\n    await act()\n    return await job.world.edge.local(1, act)\n"
            "async def f(job, box):\n    async def act():\n        await box.run('id')\n"
            "    await p(job, act)\n",
        ),
        ("a covered function of the desk, used elsewhere", "async def f(desk):\n    await desk.box()\n"),
    ],
)  # fmt: skip
def test_a_planted_way_around_is_caught(how: str, text: str):
    assert planted(text), how


def test_a_way_around_planted_in_the_edge_itself_is_caught():
    text = (ROOT / "governance/edge.py").read_text()
    assert "    async def local(" in text
    planted_method = (
        "    async def quick(self, port, request):\n"
        "        return await port.reply(request, timeout_s=1)\n\n"
    )
    broken = text.replace("    async def local(", planted_method + "    async def local(", 1)
    (found,) = planted(broken, "governance/edge.py")
    assert found.endswith(": port.reply")


@pytest.mark.parametrize(
    "text",
    [
        "async def f(job, box):\n    async def act():\n        await box.run('id')\n"
        "    await job.world.edge.local(1, act)\n",
        "async def f(job, box):\n    await job.world.edge.local(1, lambda: box.run('id'))\n",
        "import asyncio\ndef f(path, store):\n    asyncio.run(store.run('r'))\n    path.open('rb')\n",
    ],
)
def test_what_is_handed_to_the_edge_and_what_is_something_else_is_let_be(text: str):
    assert planted(text) == []


def test_only_the_world_makes_what_speaks():
    """`loops connect` tries a credential once before it is saved: it lists a server's tools, or counts tokens."""
    makers = {
        path: sorted(n for n in imported(text) if n.startswith(SPEAKING))
        for path, text in sources().items()
    }
    assert {path for path, names in makers.items() if names} == {"tasks/world.py", "cli/tries.py"}


def test_nothing_above_the_drivers_speaks_for_itself():
    wired = {
        path: sorted(WIRES & {n.partition(".")[0] for n in imported(text)})
        for path, text in sources().items()
    }
    assert {path: names for path, names in wired.items() if names and path not in HOLD_A_WIRE} == {}
