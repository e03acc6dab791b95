"""Does Prefect answer, and how is it told when it does not?"""

from collections.abc import Generator
from contextlib import contextmanager

from governance.errors import Unavailable

_WAY_OUT = "Is the server up (`prefect server start`), and does PREFECT_API_URL name it?"


@contextmanager
def reaching_prefect() -> Generator[None]:
    """Raises `Unavailable` for whatever keeps Prefect from doing what is asked inside."""
    import httpx
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

    try:
        # Without an address Prefect 3.8.8 would start a server of its own for one look-up: 22 s, measured.
        with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}):
            yield
    except (httpx.HTTPError, PrefectException, OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise Unavailable(f"Prefect at {address()}", f"{said}. {_WAY_OUT}") from error


def address() -> str:
    """Where Prefect's API is, without any password."""
    from prefect.settings import PREFECT_API_URL

    scheme, _, rest = (PREFECT_API_URL.value() or "").partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else "no address"


def link(flow_run: str) -> str:
    """Where a flow run is in Prefect's UI."""
    from tasks.notices import link as in_the_ui

    return in_the_ui(flow_run)
