"""What a server of ours is called, and whether its port is free."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from foundation.errors import StudyError


def host_names(host: str) -> list[str]:
    """What a browser may call the server that listens at `host`; first the one to give away."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        everywhere = False
    names = [*_own_addresses(), socket.gethostname(), socket.getfqdn()] if everywhere else [host]
    return list(dict.fromkeys([*names, "127.0.0.1", "localhost", "::1"]))


def _own_addresses() -> list[str]:
    """This machine's addresses that others may reach it by."""
    found = [address.address for each in psutil.net_if_addrs().values() for address in each if _is_ip(address.family)]
    return [address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_loopback]


def _is_ip(family: int) -> bool:
    return family in (socket.AF_INET, socket.AF_INET6)


def in_url(host: str) -> str:
    """A host as it stands in an address: of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def refuse_taken(host: str, port: int, key: str = "port") -> None:
    """Check that a server can listen at `host`:`port`; `key` is the setting that chooses another.

    Raises:
        StudyError: it cannot.
    """
    try:
        if not 0 < port < 65536:  # what is above would come round to another port
            raise OverflowError("ports go from 1 to 65535")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"cannot listen on {host}:{port} ({error}); choose another {key}=, or end what is there"
        ) from error
