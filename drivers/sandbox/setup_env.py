"""What does a workspace's setup run with, and what is its result called?"""

from collections.abc import Mapping
from pathlib import Path

from governance.errors import Rejected
from governance.parts import digest
from governance.ports import Box, Manifest

CA_TARGET = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's tools look; a bundle of the host is laid over it while the setup runs."""

_PASSED_ON = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_OURS: Mapping[str, str] = {
    "HOME": "/root",
    # Debian's pip refuses to install beside apt's packages (PEP 668); this root is ours alone.
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    # 'setup.py develop' would leave its metadata in the workspace, which is not part of the image.
    "PIP_USE_PEP517": "1",
    "DEBIAN_FRONTEND": "noninteractive",
}
_TAIL_LINES = 40
_MAX_OUTPUT = 20_000_000


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the host's environment a package manager needs to reach its index."""
    return {key: environment[key] for key in _PASSED_ON if environment.get(key)}


def host_bundle(environment: Mapping[str, str]) -> Path | None:
    """The certificates this machine trusts, which a setup behind its proxy must trust too."""
    named = environment.get("PIP_CERT") or environment.get("SSL_CERT_FILE") or CA_TARGET
    return Path(named) if Path(named).is_file() else None


def completed(env: Mapping[str, str], ca_bundle: Path | None) -> dict[str, str]:
    """The whole environment of a setup, certificates named where a bundle is laid over."""
    trust = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if ca_bundle else ()
    return {**env, **_OURS, **dict.fromkeys(trust, CA_TARGET)}


def prepared_name(base: str, setup: str, seed: Manifest) -> str:
    """16 hex digits that stand for image, setup and seed together."""
    files = {path: [entry.mode, entry.blob] for path, entry in seed.items()}
    return digest([base, setup, files]).removeprefix("sha256:")[:16]


async def run_setup(
    box: Box, image: str, setup: str, env: Mapping[str, str], timeout_s: float
) -> None:
    """Run it in the workspace. Raises `Rejected` with the end of its output when it fails."""
    result = await box.run(setup, timeout_s=timeout_s, max_bytes=_MAX_OUTPUT, env=env)
    if result.exit_code == 0 and result.stopped is None:
        return
    what = f"was ended by {result.stopped}" if result.stopped else "failed"
    tail = "\n".join(result.output.splitlines()[-_TAIL_LINES:])
    raise Rejected(
        f"setup of image '{image}'",
        f"{setup!r} {what} (exit code {result.exit_code}) after {result.seconds:.0f} s "
        f"of {timeout_s:.0f} s allowed. Its last output:\n{tail}",
    )
