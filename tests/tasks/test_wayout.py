"""Does a refusal that will not heal name the block, and nothing else do so?"""

import pytest

from governance.errors import Rejected, Unavailable
from governance.failures import ended_by
from governance.organisation import Organisation
from tasks.wayout import of_connector, of_model, of_repository

ORGANISATION = Organisation.model_validate(
    {
        "name": "Northwind",
        "models": {"m": {"provider": "anthropic"}},
        "connectors": {"github": {"server": "github-app", "tools": {}}},
        "repositories": {"northwind/api": {"repository": "northwind-api"}},
    }
)


@pytest.mark.parametrize(
    ("using", "block", "command"),
    [
        (of_model("anthropic"), "model-provider/anthropic", "model anthropic"),
        (of_connector(ORGANISATION, "github"), "mcp-server/github-app", "mcp github-app"),
        (
            of_repository(ORGANISATION, "northwind/api"), "repository/northwind-api",
            "repository northwind-api",
        ),
    ],
)  # fmt: skip
def test_the_block_and_the_command_that_mends_it_are_in_the_stop(
    using: object, block: str, command: str
) -> None:
    with pytest.raises(Rejected) as raised, using:  # type: ignore[attr-defined]
        raise Rejected("far side", "refused our credential (HTTP 401). Renew it.")
    detail = ended_by(raised.value, 0).detail
    assert detail.startswith("far side: refused our credential (HTTP 401). Renew it. ")
    assert f"block '{block}'; `loops connect {command} --replace`" in detail


def test_what_may_heal_says_nothing_of_blocks() -> None:
    with pytest.raises(Unavailable) as raised, of_model("anthropic"):
        raise Unavailable("m", "busy")
    assert "block" not in ended_by(raised.value, 0).detail
