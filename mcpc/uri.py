"""From a URI to a transport: parse it, find who serves its scheme, dial or serve it.

Transports are found in the entry-point group `mcpc.transports` (name: the scheme,
value: a class without arguments or an instance), the built-in ones too, and in
what `register_transport` added. The scheme is looked up when it is used, so a
transport that nobody uses is never imported.
"""

import inspect
import logging
import re
import threading
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint, entry_points
from typing import Any
from urllib.parse import urlsplit

from mcpc.errors import MissingExtra, UnknownOption, UnknownScheme, URIError
from mcpc.transport import URI, Endpoint, FrameChannel, Listener, StreamPair, Transport

__all__ = [
    "dial",
    "listen_at",
    "parse_uri",
    "prepare",
    "register_transport",
    "resolve",
    "schemes",
    "transport_options",
]

GROUP = "mcpc.transports"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
"""RFC 3986, section 3.1."""

logger = logging.getLogger("mcpc")

_registered: dict[str, Transport] = {}
_loaded: dict[str, Transport] = {}
_lock = threading.Lock()


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
    if not colon or not _SCHEME.fullmatch(scheme):
        known = ", ".join(schemes())
        raise URIError(f"not a transport address: it must start with a scheme and a colon; known schemes: {known}")
    scheme = scheme.lower()
    if not rest.startswith("//"):
        return URI(scheme=scheme, rest=rest)
    if any(c.isspace() or ord(c) < 32 for c in rest):
        raise URIError(f"a {scheme}: address cannot hold spaces or control characters")
    if "#" in rest:
        raise URIError(f"a {scheme}: address cannot have a fragment (#…)")
    try:
        parts = urlsplit(f"x:{rest}")
        port = parts.port
    except ValueError:
        raise URIError(f"the host or port of this {scheme}: address cannot be read") from None
    userinfo = parts.netloc.rpartition("@")[0] if "@" in parts.netloc else None
    username, _, password = (userinfo or "").partition(":")
    host = parts.netloc.rpartition("@")[2]
    # A name may be case-sensitive (memory://Name), so the host is taken as written, not as urlsplit folds it.
    if host.startswith("["):
        host, _, after = host[1:].partition("]")
        if after and not after.startswith(":"):
            raise URIError(f"the host or port of this {scheme}: address cannot be read")
    elif port is not None:
        host = host.rpartition(":")[0]
    else:
        host = host.removesuffix(":")
    return URI(
        scheme=scheme,
        rest=rest,
        host=host,
        port=port,
        path=parts.path,
        query=parts.query,
        username=None if userinfo is None else username,
        password=password if userinfo is not None and ":" in userinfo else None,
    )


def register_transport(scheme: str, transport: Transport, *, replace: bool = False) -> None:
    """Serve `scheme` with `transport` in this process, ahead of any installed one.

    Raises:
        URIError: the scheme is taken and `replace` is not set.
    """
    if not _SCHEME.fullmatch(scheme):
        raise URIError(f"not a scheme: {scheme!r}; give the part before the colon")
    scheme = scheme.lower()
    with _lock:
        if not replace and (scheme in _registered or scheme in _installed()):
            raise URIError(f"scheme {scheme!r} is taken; pass replace=True to replace its transport")
        _registered[scheme] = transport


def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        first = found.setdefault(point.name.lower(), point)
        if first.value != point.value:
            logger.warning("scheme %r is offered twice; %s is used, %s is not", point.name, first.value, point.value)
    return found


def schemes() -> list[str]:
    """The schemes that can be used here, sorted."""
    return sorted({*_registered, *_installed()})


def resolve(scheme: str) -> Transport:
    """The transport that serves `scheme`.

    Raises:
        UnknownScheme: none does; the message names those that are known.
        MissingExtra: the transport is there, but a package it needs is not.
    """
    scheme = scheme.lower()
    found = _registered.get(scheme) or _loaded.get(scheme)
    if found is not None:
        return found
    point = _installed().get(scheme)
    if point is None:
        known = ", ".join(schemes()) or "none"
        raise UnknownScheme(
            f"no transport for scheme {scheme!r}; known: {known}. "
            f"Others come with packages that offer the entry point {GROUP!r}, or with mcpc.register_transport()"
        )
    transport = _load(point)
    with _lock:
        return _loaded.setdefault(scheme, transport)


def _load(point: EntryPoint) -> Transport:
    package = f" (package {point.dist.name})" if point.dist is not None else ""
    try:
        loaded: Any = point.load()
        return loaded() if isinstance(loaded, type) else loaded
    except ImportError as exc:
        missing = (exc.name or "a package").partition(".")[0]
        raise MissingExtra(
            f"the transport for {point.name!r}{package} needs {missing!r}, "
            f"which is not installed: pip install {missing}"
        ) from exc
    except Exception as exc:
        raise URIError(f"the transport for {point.name!r}{package} cannot be loaded: {exc}") from exc


def transport_options(transport: Transport, method: str) -> dict[str, Any]:
    """The options that `transport.connect` or `transport.listen` takes, with their defaults."""
    parameters = inspect.signature(getattr(transport, method)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def prepare(uri: str | URI, method: str, options: Mapping[str, Any]) -> tuple[URI, Transport]:
    """Check an address and options for `method` (`connect` or `listen`) without opening anything.

    Raises:
        URIError: the address or an option cannot be used.
    """
    parsed = parse_uri(uri)
    transport = resolve(parsed.scheme)
    known = transport_options(transport, method)
    unknown = [name for name in options if name not in known]
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise UnknownOption(
            f"{parsed.scheme}: {method} does not take {names}; it takes: {', '.join(known) or 'no options'}"
        )
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
