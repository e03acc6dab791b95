"""What does the engine see of a box: one container, one volume, our labels?"""

import contextlib
from collections.abc import Mapping
from typing import Any

from drivers.sandbox.cell import (
    BASE_ENV,
    MAX_FILE_MB,
    SCRATCH_MB,
    SHM_MB,
    UID,
    charged_mb,
    inodes,
    prefixed,
)
from drivers.sandbox.engine import Engine
from governance.ports import BoxSpec

BOX = "looprail.box"
LEASE = "looprail.lease_until"
KEEPER_UID = 1001
_MB = 1024 * 1024


def labelled(name: str, labels: Mapping[str, str], lease_until: int) -> dict[str, str]:
    """The caller's labels under our prefix, with ours on top."""
    theirs = {prefixed(key): value for key, value in labels.items()}
    return {**theirs, BOX: name, LEASE: str(lease_until)}


def create(engine: Engine, name: str, spec: BoxSpec, runtime: str | None) -> None:
    """Start a locked-down container with an empty, size-limited workspace. Raises `Rejected`, `Unavailable`."""
    labels = labelled(name, spec.labels, spec.lease_until)
    with engine.speaking(f"image '{spec.image}'") as client:
        make_volume(client, name, labels, spec.max_mb)
        container = client.containers.create(
            spec.image, ["/bin/sleep", "infinity"], **_locked_down(name, spec, labels, runtime)
        )
        container.start()


def make_volume(client: Any, name: str, labels: Mapping[str, str], max_mb: int) -> None:
    """A tmpfs: the one kind of volume whose quota (bytes and files) every engine enforces without help."""
    options = (
        f"size={max_mb}m,nr_inodes={inodes(max_mb)},uid={UID},gid={UID},mode=0700,nosuid,nodev"
    )
    client.volumes.create(
        name,
        driver="local",
        driver_opts={"type": "tmpfs", "device": "tmpfs", "o": options},
        labels=dict(labels),
    )


def mount(name: str) -> Any:
    """The box's volume at /workspace, nothing of the image copied into it."""
    from docker.types import Mount

    return Mount("/workspace", name, type="volume", no_copy=True)


def _locked_down(
    name: str, spec: BoxSpec, labels: Mapping[str, str], runtime: str | None
) -> dict[str, Any]:
    from docker.types import LogConfig, Ulimit

    memory = f"{charged_mb(spec)}m"
    return {
        "name": name,
        "labels": dict(labels),
        "runtime": runtime,
        "mounts": [mount(name)],
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={SCRATCH_MB}m,nr_inodes=50000,mode=1777"},
        "shm_size": f"{SHM_MB}m",
        "network_mode": "none",
        "use_config_proxy": False,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "user": f"{KEEPER_UID}:{KEEPER_UID}",
        "environment": dict(BASE_ENV),
        "init": True,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": spec.pids,
        "nano_cpus": int(spec.cpus * 1e9),
        "ulimits": [
            Ulimit(name="nofile", soft=4096, hard=4096),
            Ulimit(name="fsize", soft=MAX_FILE_MB * _MB, hard=MAX_FILE_MB * _MB),
            Ulimit(name="core", soft=0, hard=0),
        ],
        "log_config": LogConfig(type="none"),
        "ipc_mode": "private",
        "hostname": "box",
        "working_dir": "/",
    }


def start_keeper(engine: Engine, name: str) -> str:
    """Another container that only mounts the box's volume, so that it survives a restart; its name."""
    keeper = f"{name}-keeper"
    with engine.at(name) as client:
        box = client.containers.get(name)
        client.containers.create(
            box.attrs["Image"],
            ["/bin/sleep", "infinity"],
            name=keeper,
            labels=dict(box.labels),
            mounts=[mount(name)],
            network_mode="none",
            use_config_proxy=False,
            read_only=True,
            cap_drop=["ALL"],
            user=f"{KEEPER_UID}:{KEEPER_UID}",
        ).start()
    return keeper


def remove(engine: Engine, name: str) -> None:
    """Remove the box's containers and its volume. Safe to repeat, and beside another remover."""
    from docker.errors import APIError, NotFound

    with engine.speaking(f"box '{name}'") as client:
        for container in (name, f"{name}-keeper"):
            try:
                client.api.remove_container(container, force=True, v=True)
            except NotFound:
                pass
            except APIError as error:
                # 409: another process is removing it now.
                if error.status_code != 409:
                    raise
        with contextlib.suppress(NotFound):
            client.api.remove_volume(name, force=True)


def boxes(engine: Engine, labels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Labels of every box of ours that carries these, by name; also of those of which only a volume is left."""
    wanted = [BOX, *(f"{prefixed(key)}={value}" for key, value in labels.items())]
    found: dict[str, dict[str, str]] = {}
    with engine.speaking("boxes") as client:
        containers = client.api.containers(all=True, filters={"label": wanted})
        volumes = client.api.volumes(filters={"label": wanted})["Volumes"] or ()
    for thing in (*volumes, *containers):
        known = {str(key): str(value) for key, value in thing["Labels"].items()}
        found[known[BOX]] = known
    return found


def lease(labels: Mapping[str, str]) -> int:
    """When the box's lease ends, in Unix seconds; a box without a readable lease has none left."""
    value = labels.get(LEASE, "")
    return int(value) if value.isdigit() else 0
