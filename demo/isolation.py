"""Is there anything here to isolate an agent with, and an image to start it from?"""

import subprocess
import tempfile
from pathlib import Path

from demo.world import ROOT
from drivers.blobs import DirectoryBlobs
from drivers.sandbox.choose import open_sandbox
from governance.errors import Rejected

IMAGE = "looprail/python:3.11"
_LOOK_S = 60


async def require_isolation() -> None:
    """Asks as a worker does. Raises `Rejected` with the way out, within seconds.

    The base image is made when it is not there yet, which takes a minute, root and debootstrap.
    """
    with tempfile.TemporaryDirectory(prefix="looprail-demo-") as place:
        blobs = DirectoryBlobs(Path(place))
        sandbox = await open_sandbox("auto", blobs=blobs, state_dir=Path(place))
        try:
            await sandbox.prepare(IMAGE, "", {}, timeout_s=_LOOK_S)
        except Rejected as missing:
            if subprocess.run((str(ROOT / "images" / "build.sh"),), check=False).returncode:
                raise Rejected(
                    missing.subject, f"{missing.detail} (as root: `sudo make image`)"
                ) from None
