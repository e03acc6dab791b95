"""How is an image with a repository's dependencies made, once, where an index can be reached?

The setup runs as root of a container that is thrown away, with the network, and with the seed files in
/workspace; what it changed elsewhere is the image. It is code of the seed's repository: seed it from a
commit that people reviewed, never from what a maker wrote.
"""

import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from drivers.locks import held
from drivers.sandbox import container, setup_env
from drivers.sandbox.box import CellBox
from drivers.sandbox.cell import BASE_ENV, BUILT_BY
from drivers.sandbox.docker_cell import DockerCell
from drivers.sandbox.engine import Engine
from drivers.sandbox.setup_env import run_setup
from governance.errors import Rejected
from governance.ports import Blobs, Manifest

REPOSITORY = "looprail/prepared"
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
"""What apt and pip need as root; no raw sockets, no device nodes, no mounts."""
_MAX_MB, _MEMORY_MB, _PIDS = 2000, 3000, 1024


class Builder:
    """Prepares images on one engine; processes that want the same one at once build it once."""

    def __init__(
        self,
        engine: Engine,
        state_dir: Path,
        network: str,
        env: Mapping[str, str],
        ca_bundle: Path | None,
    ) -> None:
        self._engine, self._state, self._locks = engine, str(state_dir), state_dir / "locks"
        self._network, self._ca_bundle = network, ca_bundle
        self._env = setup_env.completed(env, ca_bundle)

    async def prepare(
        self,
        threads: Executor,
        blobs: Blobs,
        image: str,
        setup: str,
        seed: Manifest,
        *,
        timeout_s: float,
    ) -> str:
        """As `DockerSandbox.prepare`."""
        base = self._image_id(image)
        if base is None:
            raise Rejected(
                f"image '{image}'", "is not on this engine. Run 'make image', or 'docker pull' it."
            )
        if not setup.strip():
            return base
        name = setup_env.prepared_name(base, setup, seed)
        tag = f"{REPOSITORY}:{name}"
        async with held(self._locks / f"image-{name}.lock"):
            if self._image_id(tag) is None:
                box = f"looprail-build-{uuid.uuid4().hex[:16]}"
                cell = DockerCell(self._engine, box, user=0)
                try:
                    self._create(box, base, timeout_s)
                    workspace = CellBox(cell, blobs, threads, _MAX_MB)
                    await workspace.load(seed)
                    await run_setup(workspace, image, setup, self._env, timeout_s)
                    self._commit(box, name)
                finally:
                    cell.remove()
        return tag

    def _image_id(self, image: str) -> str | None:
        from docker.errors import ImageNotFound

        with self._engine.speaking(f"image '{image}'") as client:
            try:
                return str(client.images.get(image).id)
            except ImageNotFound:
                return None

    def _create(self, name: str, base: str, timeout_s: float) -> None:
        # A commit copies labels into the image: every box overrides these, and `_commit` empties this one.
        lease_until = int(time.time() + timeout_s + 600)
        labels = container.labelled(name, {BUILT_BY: self._state}, lease_until)
        with self._engine.speaking(f"image '{base}'") as client:
            container.make_volume(client, name, labels, _MAX_MB)
            client.containers.create(
                base,
                ["/bin/sleep", "infinity"],
                name=name,
                labels=labels,
                mounts=[container.mount(name), *self._certificates()],
                environment=dict(BASE_ENV),
                network_mode=self._network,
                use_config_proxy=False,
                cap_drop=["ALL"],
                cap_add=_CAPABILITIES,
                security_opt=["no-new-privileges:true"],
                # An exec gets no capabilities in a container of another user than root, and pid 1 is
                # the one process that root cannot kill from inside.
                user="0:0",
                init=False,
                mem_limit=f"{_MEMORY_MB + _MAX_MB}m",
                pids_limit=_PIDS,
                working_dir="/",
            ).start()

    def _certificates(self) -> list[Any]:
        from docker.types import Mount

        if self._ca_bundle is None:
            return []
        target = setup_env.CA_TARGET
        return [Mount(target, str(self._ca_bundle), type="bind", read_only=True)]

    def _commit(self, box: str, name: str) -> None:
        with self._engine.speaking(f"image '{REPOSITORY}:{name}'") as client:
            client.api.commit(box, repository=REPOSITORY, tag=name, changes=[f"LABEL {BUILT_BY}="])
