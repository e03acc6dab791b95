"""What does a brain look like that is plugged in from outside?"""

from demo.model.brain import Brain, Options
from demo.model.view import Move, view_of


def parrot(options: Options) -> Brain:
    """Repeats the last message."""
    return lambda body: Move(view_of(body).last)
