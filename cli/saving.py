"""How does a credential get into a Prefect block: only after it was tried, and never over another unasked?"""

import asyncio
import ipaddress
import re
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import click

from cli.server import address, reaching_prefect
from governance.errors import LoopError, Rejected
from governance.guardrails import Screen

if TYPE_CHECKING:
    from prefect.blocks.core import Block

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Attempt = Callable[[], Coroutine[object, object, str]]


class Document(NamedTuple):
    """One block as it is to be saved, under `slug/name`."""

    document: str
    block: "Block"
    overwrite: bool


def make_ready(document: str, *, replace: bool, secret: bool) -> bool:
    """Whether a block is there that will be replaced; all that can be known before a key is asked for.

    Raises `LoopError` or `click.ClickException`; the person is asked before something is replaced.
    """
    slug, _, name = document.partition("/")
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise click.UsageError(
            "NAME takes lower case letters, digits and single dashes, at most 100"
        )
    with reaching_prefect():
        taken = asyncio.run(_taken(slug, name))
        if secret:
            _closed_to_strangers()
    if not taken or replace:
        return taken
    if not sys.stdin.isatty():
        raise click.ClickException(f"block {document!r} exists already. Replace it with --replace.")
    click.confirm(f"Block {document!r} exists already. Replace it?", abort=True, err=True)
    return True


def keep(
    documents: tuple[Document, ...], attempt: Attempt, screen: Screen, *, save_anyway: bool
) -> str | None:
    """What the try said, after the blocks were saved; None when it failed and they were saved all the same."""
    said: str | None = None
    try:
        said = screen.text(asyncio.run(attempt()))
    except LoopError as error:
        failed = screen.text(str(error))
        if not save_anyway:
            raise click.ClickException(
                f"tried, and it failed: {failed}\nNothing was saved. Mend it and try again, or keep it as it "
                "is with --save-anyway."
            ) from None
        click.echo(f"Tried, and it failed: {failed}", err=True)
    try:
        with reaching_prefect():
            asyncio.run(_save(documents))
    except LoopError as error:
        # What Prefect says of a request it refuses may repeat the request.
        raise click.ClickException(f"not saved: {screen.text(str(error))}") from None
    return said


async def _taken(slug: str, name: str) -> bool:
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            await client.read_block_document_by_name(name, slug, include_secrets=False)
        except ObjectNotFound:
            return False
    return True


async def _save(documents: tuple[Document, ...]) -> None:
    for document, block, overwrite in documents:
        await block.asave(document.partition("/")[2], overwrite=overwrite)


def _closed_to_strangers() -> None:
    """Raises `Rejected` when the server is not this machine's own and answers whoever asks."""
    import httpx

    api = address()
    if api == "no address" or _loopback(urlsplit(api).hostname or ""):
        return
    if httpx.get(f"{api}/admin/version", timeout=10).status_code == 200:
        raise Rejected(
            f"Prefect at {api}",
            "answers anyone without a password, and would hand out every key it holds; nothing was saved. Set "
            "PREFECT_SERVER_API_AUTH_STRING for the server and PREFECT_API_AUTH_STRING here.",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
