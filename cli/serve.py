"""How does the gateway come up, and where may it be reached from?"""

import ipaddress
from pathlib import Path

import click

_EXAMPLE = """\b
$ loops serve
$ loops serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
$ loops serve --host 10.0.0.5 --behind-proxy      # a proxy in front speaks TLS
"""


@click.command(epilog=_EXAMPLE)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=4280, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)  # fmt: skip
@click.option(
    "--tls-cert", "cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="With --tls-key."
)  # fmt: skip
@click.option(
    "--tls-key", "key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="With --tls-cert."
)  # fmt: skip
@click.option(
    "--behind-proxy", is_flag=True, help="A proxy in front speaks TLS; this host is not reached otherwise."
)  # fmt: skip
def serve(host: str, port: int, cert: Path | None, key: Path | None, behind_proxy: bool) -> None:
    """Take signed webhooks: `POST /hooks/LOOP` fires a loop whose file names a webhook.

    `GET /health` counts what was taken and refused. It listens on this machine alone unless told
    otherwise, and elsewhere only with TLS or behind a proxy.
    """
    if bool(cert) != bool(key):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if not (_here(host) or cert or behind_proxy):
        raise click.UsageError(
            f"--host {host} can be reached from other machines, and payloads would cross the network in clear. Give "
            "--tls-cert and --tls-key, or say --behind-proxy when a proxy in front speaks TLS."
        )
    import uvicorn

    from gateway.app import gateway

    uvicorn.run(
        gateway(), host=host, port=port, ssl_certfile=cert, ssl_keyfile=str(key) if key else None,
        server_header=False, access_log=False, timeout_keep_alive=5, limit_concurrency=100,
        h11_max_incomplete_event_size=16_384,
    )  # fmt: skip


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
