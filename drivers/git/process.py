"""How is git run so that nothing but our arguments decides what it does?

No configuration of system or user, no hook, no filter, no helper, no prompt, no protocol that runs a
command; the token goes in by the environment, so neither `ps` nor a file nor an error shows it.
"""

import asyncio
import base64
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from governance.errors import Rejected, Unavailable

_TIMEOUT_S = 900
_MAX_OUTPUT = 256_000_000
_CHUNK = 65_536

_CONFIG: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.logAllRefUpdates": "false",
    "credential.helper": "",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "protocol.ssh.allow": "always",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_KNOWN = re.compile(r"(https?|ssh|file)://[^-]|/|[\w.]+@[\w.][\w.-]*:[^-]")
_HOPELESS = (
    "authentication failed",
    "could not read username",
    "permission denied",
    "not found",
    "does not appear to be a git repository",
    "does not exist",
    "invalid",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
    "remote rejected",
    "dubious ownership",
    "not allowed",
)


@dataclass(frozen=True)
class Done:
    """What one git process said."""

    code: int
    out: bytes
    err: str


class Git:
    """Runs git on one bare repository."""

    def __init__(self, directory: Path, url: str, token: str | None) -> None:
        """Raises `Rejected` when the URL is of an unknown kind or would give a secret away."""
        _check(url, token)
        self.directory, self.url = directory, url
        self._secrets: tuple[str, ...] = ()
        config = dict(_CONFIG)
        if local(url):
            config["protocol.file.allow"] = "always"
        if token is not None:
            basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            self._secrets = (token, basic)
            config["http.extraHeader"] = f"Authorization: Basic {basic}"
            # The header would follow a redirect to whatever host it names.
            config["http.followRedirects"] = "false"
        self._config = config

    async def call(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        codes: tuple[int, ...] = (0,),
        max_bytes: int = _MAX_OUTPUT,
    ) -> Done:
        """One git process. Raises `Rejected` or `Unavailable` when it ends with another code than `codes`."""
        async with self.started(*arguments, env=env, cwd=cwd) as process:
            done = await self._finished(process, arguments[0], stdin, max_bytes)
        if done.code not in codes:
            raise self.failed(arguments[0], done)
        return done

    async def text(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Its output, stripped."""
        return (await self.call(*arguments, env=env)).out.decode().strip()

    def failed(self, command: str, done: Done) -> Rejected | Unavailable:
        """The error a failure amounts to: `Unavailable` unless its text says that no retry will help."""
        hopeless = any(word in done.err.lower() for word in _HOPELESS)
        kind = Rejected if hopeless else Unavailable
        return kind(f"git {command} of '{self.url}'", f"exit code {done.code}: {done.err.strip()}")

    @asynccontextmanager
    async def started(
        self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A running git with pipes; killed when the block is left before it ended."""
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd or self.directory,
            env={**self._environment(self._config), **(env or {})},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _environment(self, config: Mapping[str, str]) -> dict[str, str]:
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (key, value) in enumerate(config.items()):
            env[f"GIT_CONFIG_KEY_{number}"] = key
            env[f"GIT_CONFIG_VALUE_{number}"] = value
        for name in ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "HTTPS_PROXY", "https_proxy", "NO_PROXY"):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    async def _finished(
        self, process: asyncio.subprocess.Process, command: str, stdin: bytes, max_bytes: int
    ) -> Done:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                _, out, err = await asyncio.gather(
                    feed(process, (stdin,)), _read(process.stdout, max_bytes), process.stderr.read()
                )
                code = await process.wait()
        except TimeoutError as error:
            raise Unavailable(f"git {command}", f"no end after {_TIMEOUT_S:,} s.") from error
        except OverflowError as error:
            raise Rejected(f"git {command}", f"more than {max_bytes:,} bytes of output.") from error
        return Done(code, out, self._scrubbed(err.decode("utf-8", "replace")))

    def _scrubbed(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[token]")
        return text


def _check(url: str, token: str | None) -> None:
    parts = urlsplit(url)
    if parts.password is not None:
        # It would be seen in process lists.
        raise Rejected("repository", "its URL carries a password. Give it as the token instead.")
    if not _KNOWN.match(url):
        raise Rejected(
            f"repository '{url}'", "is no https, http, ssh or file URL, and no full path."
        )
    if token and parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Rejected(f"repository '{url}'", "would get its token unencrypted. Use https.")


def local(url: str) -> bool:
    """Whether the URL names a directory of this machine."""
    return url.startswith(("file://", "/"))


async def feed(process: asyncio.subprocess.Process, chunks: Iterable[bytes]) -> None:
    """Write to a process that may end before it has read everything, then close."""
    assert process.stdin is not None
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass


async def _read(stream: asyncio.StreamReader, max_bytes: int) -> bytes:
    taken = bytearray()
    while chunk := await stream.read(_CHUNK):
        taken += chunk
        if len(taken) > max_bytes:
            raise OverflowError
    return bytes(taken)
