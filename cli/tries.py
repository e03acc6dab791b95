"""Does a credential do what it is for? Each try is the cheapest real use through the driver that will use it."""

import tempfile
from pathlib import Path

from cli.labels import labelled
from cli.words import one_line
from governance.conversation import ModelRequest, user
from governance.errors import Rejected, StoreError


async def try_model(base_url: str, key: str, models: tuple[str, ...]) -> str:
    """Count the tokens of one word with each model; nothing is billed. Raises `DriverError`."""
    from drivers.model import AnthropicModel

    provider = AnthropicModel(base_url, key)
    lines: list[str] = []
    for model in models:
        request = ModelRequest(model=model, system="", messages=(user("Hello"),), max_tokens=1)
        tokens = await provider.count(request)
        lines.append(
            f"The key is accepted: model {model!r} counts {tokens:,} tokens in a greeting."
        )
    return "\n".join(lines)


async def try_mcp(name: str, block: object, token: str | None) -> str:
    """List the tools the way a worker would. Raises `DriverError`."""
    from blocks import McpServer
    from tasks.world import mcp_connector

    assert isinstance(block, McpServer)
    async with mcp_connector(name, block, token) as connector:
        tools = await connector.tools()
        return labelled(name, tools, connector.left_out)


async def try_repository(url: str, token: str | None) -> str:
    """Ask which branches there are; nothing is fetched, and nothing is pushed. Raises `DriverError`."""
    from drivers.git.process import Git

    with tempfile.TemporaryDirectory(prefix="looprail-connect-") as nowhere:
        said = await Git(Path(nowhere), url, token).text(
            "ls-remote", "--symref", url, "HEAD", "refs/heads/*"
        )
    refs = [line.split("\t") for line in said.splitlines() if "\t" in line]
    branches = [ref for _, ref in refs if ref.startswith("refs/heads/")]
    head = next((sha[5:] for sha, ref in refs if ref == "HEAD" and sha.startswith("ref: ")), None)
    if not branches:
        raise Rejected(f"repository {url!r}", "has no branches to work from. Push a first commit.")
    default = f", {one_line(head.removeprefix('refs/heads/'))!r} by default" if head else ""
    count = f"{len(branches):,} branch{'' if len(branches) == 1 else 'es'}"
    return f"The repository can be read: {count}{default}. Whether it can be pushed to shows with the first push."


async def try_store(url: str, blobs: Path) -> str:
    """Open it, bring it up to date, and keep and read one blob. Raises `StoreError`."""
    from drivers.blobs import DirectoryBlobs
    from drivers.store import store_at

    try:
        store = store_at(url, str(blobs))
        due = await store.outbox(1)
        content = DirectoryBlobs(blobs)
        await content.get(await content.put(b"looprail"))
    except OSError as error:
        raise StoreError(
            f"the store cannot be kept there: {error.strerror or error} ({error.filename}). "
            "Name places this user may write."
        ) from error
    return "The store is open and up to date" + (", with something to send." if due else ".")
