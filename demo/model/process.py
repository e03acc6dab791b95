"""How does a test or the demo run a scripted model beside itself?"""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running(*options: str) -> Generator[str]:
    """The base URL of a scripted model started with these options (see `python -m demo.model --help`).

    It is another process and ends with the block. Raises `RuntimeError` when it does not start.
    """
    command = [sys.executable, "-m", "demo.model", *options]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{' '.join(command[1:])!r} ended before it listened")
            yield url
        finally:
            process.terminate()
