"""From a URI to a transport: parse it, find who serves its scheme, dial or serve it.

Transports are found in the entry-point group `mcpc.transports`, the built-in ones
too, and in what `register_transport` added (see `registry`).
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

from mcpc.errors import MCPCError, URIError
from mcpc.keywords import refuse_unknown
from mcpc.registry import SCHEME, Registry, options_of
from mcpc.transport import URI, Endpoint, FrameChannel, Listener, StreamPair, Transport, traits_of

__all__ = [
    "TRANSPORTS",
    "default_address",
    "dial",
    "example_of",
    "listen_at",
    "parse_uri",
    "prepare",
    "register_transport",
    "resolve",
    "schemes",
    "transport_options",
]

TRANSPORTS: Registry[Transport] = Registry("mcpc.transports", "transport", register="mcpc.register_transport()")
"""The transports of this process."""


def default_address() -> str:
    """Where a server is served that is told no address: what is installed as `default` in the entry-point group
    `mcpc.addresses`.

    Raises:
        URIError: nothing is.
    """
    for entry in entry_points(group="mcpc.addresses", name="default"):
        return entry.load()
    raise URIError("no transport is installed that serves where no address is given: give one")


def example_of(scheme: str) -> str:
    """An address of a scheme on this machine, which takes the place of nobody's: for help, and for a shell's Tab key.

    What is installed in the entry-point group `mcpc.examples` is told without loading the transport; of others the
    transport itself is asked (`Traits.example`). The bare scheme, where it cannot be loaded.
    """
    try:
        for entry in entry_points(group="mcpc.examples", name=scheme):
            return entry.load().format(scheme=scheme)
        return traits_of(resolve(scheme)).example.format(scheme=scheme)
    except (MCPCError, ImportError):
        return f"{scheme}:"


def parse_uri(text: str | URI) -> URI:
    """Take an address apart.

    Raises:
        URIError: it has no scheme, or its parts cannot be read. The message never shows a password.
    """
    if isinstance(text, URI):
        return text
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all type-checked
        raise URIError(f"a transport address is a text, not {type(text).__name__}")
    scheme, colon, rest = text.partition(":")
    if not colon or not SCHEME.fullmatch(scheme):
        known = ", ".join(schemes())
        raise URIError(f"not a transport address: it must start with a scheme and a colon; known schemes: {known}")
    scheme = scheme.lower()
    return _with_authority(scheme, rest) if rest.startswith("//") else URI(scheme=scheme, rest=rest)


def _with_authority(scheme: str, rest: str) -> URI:
    """An address that names a host after two slashes (RFC 3986, section 3.2)."""
    if any(c.isspace() or ord(c) < 32 for c in rest):
        raise URIError(f"a {scheme}: address cannot hold spaces or control characters")
    if "#" in rest:
        raise URIError(f"a {scheme}: address cannot have a fragment (#…)")
    try:
        parts = urlsplit(f"x:{rest}")
        userinfo, at, hostport = parts.netloc.rpartition("@")
        port, host = parts.port, _host(hostport)
    except ValueError:
        raise URIError(f"the host or port of this {scheme}: address cannot be read") from None
    username, colon, password = userinfo.partition(":")
    return URI(
        scheme=scheme,
        rest=rest,
        host=host,
        port=port,
        path=parts.path,
        query=parts.query,
        username=username if at else None,
        password=password if colon else None,
    )


def _host(hostport: str) -> str:
    """The host as it was written: a name may be case-sensitive (memory://Name), and `urlsplit` folds it.

    Raises:
        ValueError: something other than a port stands behind an address in brackets.
    """
    if not hostport.startswith("["):
        return hostport.partition(":")[0]
    host, _, after = hostport[1:].partition("]")
    if after and not after.startswith(":"):
        raise ValueError("neither an address nor a port")
    return host


def register_transport(scheme: str, transport: Transport, *, replace: bool = False) -> None:
    """Serve `scheme` with `transport` in this process, ahead of any installed one.

    Raises:
        URIError: the scheme is taken and `replace` is not set.
    """
    TRANSPORTS.register(scheme, transport, replace=replace)


def schemes() -> list[str]:
    """The schemes that can be used here, sorted."""
    return TRANSPORTS.schemes()


def resolve(scheme: str) -> Transport:
    """The transport that serves `scheme`.

    Raises:
        UnknownScheme: none does; the message names those that are known.
        MissingExtra: the transport is there, but a package it needs is not.
    """
    return TRANSPORTS.resolve(scheme)


def transport_options(transport: Transport, method: str) -> dict[str, Any]:
    """The options that `transport.connect` or `transport.listen` takes, with their defaults."""
    return options_of(getattr(transport, method))


def prepare(
    uri: str | URI, method: str, options: Mapping[str, Any], others: Iterable[str] = ()
) -> tuple[URI, Transport]:
    """Check an address and options for `method` (`connect` or `listen`) without opening anything.

    Args:
        uri: The address.
        method: What is to be done.
        options: The options.
        others: What else the caller takes by name, one of which may be meant by a misspelt one.

    Raises:
        URIError: the address or an option cannot be used.
    """
    parsed = parse_uri(uri)
    transport = resolve(parsed.scheme)
    refuse_unknown(f"{parsed.scheme}: {method}", transport_options(transport, method), options, others=others)
    return parsed, transport


def dial(uri: str | URI, **options: Any) -> "AbstractAsyncContextManager[FrameChannel | StreamPair]":
    """Connect to `uri` with its transport.

    Raises:
        URIError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
    """
    parsed, transport = prepare(uri, "connect", options)
    return transport.connect(parsed, **options)


def listen_at(uri: str | URI, endpoint: Endpoint, **options: Any) -> "AbstractAsyncContextManager[Listener]":
    """Serve `endpoint` at `uri` with its transport.

    Raises:
        URIError: the address or an option cannot be used. (On entering: `ListenFailed`.)
    """
    parsed, transport = prepare(uri, "listen", options)
    return transport.listen(parsed, endpoint, **options)
