"""Which addresses may a local server with a network send to?

Public IPv4 ones. Private ones only where declared, and never this machine's own, link-local or metadata
addresses, nor any of IPv6.
"""

import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from pathlib import Path

WAY_OUT = IPv4Network("198.19.255.0/24")
"""The server's side of slirp4netns: of the range for benchmarks, which is nobody's."""
RESOLVER = WAY_OUT[3]
"""Where slirp4netns hands questions on to this machine's resolver."""

NEVER = (
    WAY_OUT,
    *map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")),
    IPv4Network("168.63.129.16/32"),  # Azure's metadata, at a public address
)
"""Not even when declared: loopback, link-local with the metadata of most clouds, multicast, reserved."""

PRIVATE = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    )
)  # fmt: skip
"""Only when declared, as are the networks this machine is directly in."""


def rules(private: tuple[IPv4Network, ...]) -> str:
    """The namespace's rules for nftables, refusals told at once; this machine's addresses are those of now.

    Of the resolver only port 53 is open: slirp4netns would take any port of it to the host's resolver, which
    may be on loopback.
    """
    refuse = "reject with icmp type admin-prohibited"
    declared = f"    ip daddr {_set(private)} accept\n" if private else ""
    return (
        "table inet looprail {\n"
        "  chain out {\n"
        "    type filter hook output priority 0; policy drop;\n"
        '    oifname "lo" accept\n'
        f"    ip daddr {RESOLVER} udp dport 53 accept\n"
        f"    ip daddr {RESOLVER} tcp dport 53 accept\n"
        f"    ip daddr {_set((*NEVER, *_own()))} {refuse}\n"
        f"{declared}"
        f"    ip daddr {_set((*PRIVATE, *_adjacent()))} {refuse}\n"
        "    meta nfproto ipv4 accept\n"
        "    reject\n"
        "  }\n"
        "}\n"
    )


def _set(networks: Iterable[IPv4Network]) -> str:
    return f"{{ {', '.join(map(str, collapse_addresses(networks)))} }}"


def _own() -> list[IPv4Network]:
    """Every address of this machine, whatever its interface."""
    found: list[IPv4Network] = []
    address = ""
    for line in Path("/proc/net/fib_trie").read_text().splitlines():
        match line.split():
            case ["|--", address]:
                pass
            case [length, "host", "LOCAL"]:
                found.append(IPv4Network(f"{address}{length}", strict=False))
            case _:
                pass
    return found


def _adjacent() -> list[IPv4Network]:
    """The networks this machine reaches without a gateway."""
    found: list[IPv4Network] = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        _, destination, gateway, *_, mask = line.split()[:8]
        if int(gateway, 16) == 0 and int(mask, 16):
            found.append(IPv4Network(f"{_address(destination)}/{_address(mask)}"))
    return found


def _address(number: str) -> IPv4Address:
    """An address as the kernel prints it: hexadecimal, in this machine's byte order."""
    return IPv4Address(int(number, 16).to_bytes(4, sys.byteorder))
