"""Hosts, as all transports understand them: what loopback is, what can be dialled, who is let in by Host and Origin.

One meaning for every transport, so that an address or an option that is right over
one is right over all. It knows texts only: no sockets, no names that have to be
looked up.

Who is let in (MCP 2025-11-25, Streamable HTTP, Security Warning): a listener on
loopback answers only for names of this machine, as otherwise any web page could
reach it by pointing a name of its own here (DNS rebinding); and web pages may
connect from this machine only. Both lists can be replaced.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from mcpc.errors import URIError

__all__ = ["Guests", "authority", "dialable", "is_loopback"]

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that stand for all interfaces, and how this machine reaches itself there."""

ANY = "*"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: `localhost`, 127.0.0.0/8 or ::1, however it is written."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def dialable(host: str) -> str:
    """The host under which this machine reaches what it listens at: the addresses of all interfaces are none."""
    return WILDCARDS.get(host, host)


def authority(host: str, port: int | None = None) -> str:
    """`host:port` as an address shows it, an IPv6 host in brackets."""
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Guests:
    """Whom a listener lets in, by what a request says of itself.

    `name:*` stands for a name with any port or none, `*` for everything.
    """

    hosts: tuple[str, ...]
    """Values of the Host header."""
    origins: tuple[str, ...]
    """Values of the Origin header. A request without one does not come from a web page, and passes."""

    @classmethod
    def of(cls, host: str, allowed_hosts: Sequence[str] | None, allowed_origins: Sequence[str] | None) -> Self:
        """Those of a listener bound to `host`.

        Args:
            host: Where it listens.
            allowed_hosts: In place of the names of this machine on loopback, and of all names elsewhere.
            allowed_origins: In place of the origins of this machine.

        Raises:
            URIError: an entry can match nothing.
        """
        hosts = _checked("allowed_hosts", allowed_hosts)
        origins = _checked("allowed_origins", allowed_origins)
        for name in hosts or ():
            if "/" in name:
                raise URIError(f"allowed_hosts: {name!r} is no Host; a Host is name or name:port, without a scheme")
        for name in origins or ():
            if name not in (ANY, "null") and (name.count("/") != 2 or "://" not in name):
                raise URIError(
                    f"allowed_origins: {name!r} is no Origin; an Origin is scheme://name or scheme://name:port"
                )
        return cls(_own_hosts(host) if hosts is None else hosts, _own_origins() if origins is None else origins)

    def refusal(self, hosts: Sequence[str], origins: Sequence[str]) -> tuple[HTTPStatus, str] | None:
        """Why a request with these headers is not let in; None where it is. Statuses as the SDK's HTTP has them."""
        if len(hosts) != 1 or len(origins) > 1:
            return HTTPStatus.BAD_REQUEST, "exactly one Host header is needed, and at most one Origin"
        if not _is_among(hosts[0], self.hosts):
            return HTTPStatus.MISDIRECTED_REQUEST, "this Host is not served here (see allowed_hosts)"
        if origins and not _is_among(origins[0], self.origins):
            return HTTPStatus.FORBIDDEN, "this Origin is not allowed (see allowed_origins)"
        return None


def _checked(option: str, given: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(given, str):
        raise URIError(f"{option} is a list of texts, not one text")
    return None if given is None else tuple(name.lower() for name in given)


def _own_hosts(host: str) -> tuple[str, ...]:
    # Any port: what rebinding needs is another name, and a forwarded port is an honest one.
    if not is_loopback(host):
        return (ANY,)
    return tuple(f"{authority(name)}:*" for name in sorted({*LOCAL_NAMES, host.lower()}))


def _own_origins() -> tuple[str, ...]:
    return tuple(f"{scheme}://{authority(name)}:*" for scheme in ("http", "https") for name in LOCAL_NAMES)


def _is_among(value: str, patterns: Sequence[str]) -> bool:
    value = value.lower()
    for pattern in patterns:
        if pattern in (ANY, value):
            return True
        name = pattern.removesuffix(":*")
        if name != pattern and (value == name or (value.startswith(f"{name}:") and value[len(name) + 1 :].isdecimal())):
            return True
    return False
