"""Which proxy an address is reached through, by the environment: the same for every transport that speaks HTTP first.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, as the standard library reads them.
`ws` goes by what is said for `http`, `wss` by that for `https`. None stands between us and loopback. No I/O.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from mcpc.errors import MissingExtra, URIError
from mcpc_transports.addresses import authority, is_loopback

__all__ = ["Proxy", "proxy_for"]

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The kinds of proxy, and where each is where nothing is said."""


@dataclass(frozen=True)
class Proxy:
    """A proxy. What is shown of it holds no password."""

    variable: str
    """What names it."""
    scheme: str
    host: str
    port: int
    url: str = field(repr=False)
    """As it was given, with the credentials in it."""
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5; HTTP, where not."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"the proxy of {self.variable} ({self.scheme}://{authority(self.host, self.port)})"


def proxy_for(is_tls: bool, host: str, port: int, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy for an address; None where it is dialled directly.

    Args:
        is_tls: Whether the connection to it is encrypted.
        host: The host, without brackets.
        port: The port.
        environment: Proxies by `http`, `https`, `all`, and where there is none by `no`; this machine's without it.

    Raises:
        URIError: what is said of the proxy cannot be used.
        MissingExtra: a SOCKS proxy needs a package that is not installed.
    """
    found = getproxies() if environment is None else environment
    name = "https" if is_tls else "http"
    kind = name if found.get(name) else "all"
    if not found.get(kind) or is_loopback(host) or _is_left_out(found.get("no", ""), host.lower(), port):
        return None
    return _proxy(f"{kind.upper()}_PROXY", found[kind])


def _is_left_out(listed: str, host: str, port: int) -> bool:
    """Whether `NO_PROXY` names the host: itself, a domain above it, its address or its network, perhaps with a port."""
    for entry in (one.strip().lower() for one in listed.split(",")):
        if entry == "*" or _is_network_of(entry, host):
            return True
        name, colon, its_port = entry.rpartition(":")
        if not colon or not its_port.isdecimal():
            name, its_port = entry, str(port)
        name = name.removeprefix("*").removeprefix(".")
        if name and its_port == str(port) and (host == name.strip("[]") or host.endswith(f".{name}")):
            return True
    return False


def _is_network_of(entry: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _proxy(variable: str, value: str) -> Proxy:
    """A proxy as it is given. No error shows the value, which may hold a password."""
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise URIError(f"{variable} cannot be read as the address of a proxy") from None
    if parts.scheme not in PORTS:
        raise URIError(f"{variable}: a proxy is one of {', '.join(PORTS)}, not {parts.scheme!r}")
    if not host:
        raise URIError(f"{variable} names no host")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise MissingExtra(f"{variable} names a SOCKS proxy, which needs 'socksio': pip install 'mcpc[socks]'")
    user = None if parts.username is None else unquote(parts.username)
    port = PORTS[parts.scheme] if port is None else port
    return Proxy(variable, parts.scheme, host, port, url, user, unquote(parts.password or ""))
