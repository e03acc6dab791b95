"""How do we speak to a Docker engine, and what does its every error mean for us?"""

import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from governance.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from docker import DockerClient

INSTALL = (
    "Install one: 'apt-get install docker.io' and start dockerd, or 'apt-get install bubblewrap'; "
    "then 'make image'."
)
_TIMEOUT_S = 60
_ITS_INIT = "/sbin/docker-init"
"""What the engine puts into each box by itself: that it cannot start it says nothing about the box or its image."""


class Engine:
    """One Docker engine behind a Unix socket. Safe to share between threads."""

    def __init__(self, socket_path: str, timeout_s: int = _TIMEOUT_S) -> None:
        self.socket_path = socket_path
        self._timeout_s = timeout_s
        self._client: DockerClient | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> "DockerClient":
        """The SDK's client, connected on first use. Raises `Unavailable`."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> "DockerClient":
        from docker import DockerClient
        from docker.errors import DockerException

        try:
            # The SDK leaves its socket open when nobody listens.
            with socket.socket(socket.AF_UNIX) as trial:
                trial.connect(self.socket_path)
            return DockerClient(base_url=f"unix://{self.socket_path}", timeout=self._timeout_s)
        except (DockerException, OSError) as error:
            raise Unavailable(f"docker engine '{self.socket_path}'", str(error)) from error

    @contextmanager
    def speaking(self, subject: str) -> Generator["DockerClient"]:
        """The client, its errors made ours: a 404 or 409 is `Rejected` (it is gone), others `Unavailable`."""
        from docker.errors import APIError, DockerException, NotFound
        from requests import RequestException

        try:
            yield self.client
        except NotFound as error:
            raise Rejected(subject, f"is not on this engine: {error.explanation}") from error
        except APIError as error:
            said = str(error.explanation or error)
            ours = error.status_code in (400, 409) and _ITS_INIT not in said
            raise (Rejected if ours else Unavailable)(
                subject, f"the engine answered {said}"
            ) from error
        except (DockerException, RequestException) as error:
            raise Unavailable(subject, f"the engine did not answer: {error}") from error

    @contextmanager
    def at(self, name: str) -> Generator["DockerClient"]:
        """The client, about a box that was there: one that is gone or stands still is `Unavailable`.

        An engine that died comes back without its boxes, and another one can be opened like the last saved state.
        """
        try:
            with self.speaking(f"box '{name}'") as client:
                yield client
        except Rejected as error:
            raise Unavailable(error.subject, error.detail) from error

    def close(self) -> None:
        """Let go of the engine's connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def execute(self, name: str, argv: list[str], *, user: int, env: Mapping[str, str]) -> str:
        """The id of a new exec with its streams attached, not started."""
        with self.at(name) as client:
            made: dict[str, Any] = client.api.exec_create(
                name, argv, stdin=True, user=f"{user}:{user}", workdir="/", environment=dict(env)
            )
        return str(made["Id"])

    def outcome(self, name: str, exec_id: str) -> dict[str, Any]:
        """What the engine knows about an exec: `Running`, `ExitCode`, `Pid`."""
        with self.at(name) as client:
            return dict(client.api.exec_inspect(exec_id))

    def processes(self, name: str) -> int:
        """How many processes the container has, its idle two among them; seen from outside."""
        with self.at(name) as client:
            return len(client.api.top(name)["Processes"] or ())
