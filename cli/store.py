"""Which store does a command talk to?

`LOOPRAIL_STORE_URL` with `LOOPRAIL_BLOBS`, else the Prefect block that the workers use. Prefect is imported only
where the block is asked for: it costs two seconds.
"""

import os
from pathlib import Path
from typing import NamedTuple

from drivers.blobs import DirectoryBlobs
from drivers.store import store_at
from governance.errors import StoreError
from governance.memory import Store
from governance.ports import Blobs

URL_VARIABLE = "LOOPRAIL_STORE_URL"
BLOBS_VARIABLE = "LOOPRAIL_BLOBS"
_WAY_OUT = (
    f"Make it with `loops connect store`, or set {URL_VARIABLE} (sqlite:////srv/looprail/store.db or postgresql://…) "
    f"and {BLOBS_VARIABLE} (a directory)."
)


class CliStore(NamedTuple):
    """The store and its blobs. A process opens one store once, and lets go of it when it ends."""

    store: Store
    blobs: Blobs


def open_cli_store() -> CliStore:
    """The store this command works on.

    Call it outside an event loop: where Prefect's block is asked, that is one blocking request.

    Raises:
        StoreError: Neither the environment nor Prefect names a store, or it cannot be opened.
    """
    url, blobs = named_store()
    return CliStore(store_at(url, blobs), DirectoryBlobs(Path(blobs)))


def named_store() -> tuple[str, str]:
    """The store's URL and its blobs' directory, opened or not. Raises `StoreError` as `open_cli_store`."""
    url, blobs = os.environ.get(URL_VARIABLE), os.environ.get(BLOBS_VARIABLE)
    if bool(url) != bool(blobs):
        found, lacking = (URL_VARIABLE, BLOBS_VARIABLE) if url else (BLOBS_VARIABLE, URL_VARIABLE)
        raise StoreError(
            f"{found} is set and {lacking} is not. A store has both: set both or none."
        )
    if not url or not blobs:
        return _from_block()
    return url, blobs


def _from_block() -> tuple[str, str]:
    import httpx
    from prefect.exceptions import PrefectException
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        temporary_settings,
    )
    from pydantic import ValidationError

    from blocks.store_database import STORE, StoreDatabase

    try:
        # Without an address Prefect 3.8.8 starts a server of its own for one look-up: 22 s, measured.
        with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}):
            block = StoreDatabase.load(STORE.partition("/")[2])
    except ValidationError as error:
        # Its text would repeat the values, and a URL may hold a password.
        fields = ", ".join(repr(".".join(map(str, e["loc"]))) for e in error.errors())
        raise StoreError(f"block {STORE!r} is wrong in {fields}. {_WAY_OUT}") from None
    except (ValueError, httpx.HTTPError, PrefectException) as error:
        asked = f"Prefect at {PREFECT_API_URL.value() or 'no address'}"
        raise StoreError(
            f"{URL_VARIABLE} is not set, and {asked} does not name a store: "
            f"{str(error).rstrip('.')}. {_WAY_OUT}"
        ) from error
    assert isinstance(block, StoreDatabase)
    return block.url.get_secret_value(), block.blobs
