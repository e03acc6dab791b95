"""How does a forked process of the chaos tests come to its end, if nobody kills it?"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def live(act: Callable[[], None]) -> NoReturn:
    """Act, say what went wrong, and leave at once: what the parent would do at its end is not this one's to do."""
    code = 1
    try:
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
