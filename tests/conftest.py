"""What every test may count on: no setting of the machine's own reaches it, and in CI nothing is left out."""

import os
from collections.abc import Generator

import pytest

for name in list(os.environ):
    if name.startswith(("PREFECT_", "ANTHROPIC_", "LOOPRAIL_")):
        del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip in CI is a failure: the machine there has to have all that the tests need."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report
