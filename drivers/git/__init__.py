"""How do commits come and go, with git as our tool and never as theirs?"""

from drivers.git.repository import GitRepository

__all__ = ["GitRepository"]
