"""How a test follows a loop in a world."""

from rich.console import Console

from demo.story import Story
from demo.world import DemoWorld


def told(world: DemoWorld, loop: str) -> Story:
    """A story in that world, printed to nobody."""
    return Story(world, Console(quiet=True), loop)
