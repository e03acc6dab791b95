"""Where does this installation keep what can be made again: mirrors, locks, scratch, the analytics lake?"""

import os
from pathlib import Path


def home() -> Path:
    """`LOOPRAIL_HOME`, else `.looprail` in the working directory; absolute, and not created here."""
    return Path(os.environ.get("LOOPRAIL_HOME", ".looprail")).absolute()
