"""How soon does a flow that does nothing begin? The baseline of `firing to first effect`."""

from prefect import flow


@flow(name="bare-start")
def bare() -> None:
    """Nothing."""
