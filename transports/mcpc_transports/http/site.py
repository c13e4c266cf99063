"""An HTTP address being listened at: its options, checked once for both transports, and the listener itself.

It knows what every request passes (`edge`) and what serves requests (`server`), and
nothing of what is served.
"""

import math
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote

from starlette.routing import Router
from starlette.types import ASGIApp

from mcpc.errors import ListenFailed, URIError
from mcpc.transport import URI, Listener
from mcpc_transports.addresses import Guests, authority, dialable, is_loopback
from mcpc_transports.http.connections import Bounds
from mcpc_transports.http.edge import Door, Paths, authenticated, readable
from mcpc_transports.http.options import Mounting, Serving, check_seconds
from mcpc_transports.http.server import bind, serving

__all__ = ["Site", "mounted_site"]


@dataclass(frozen=True)
class _Serving:
    """An address being served."""

    uri: str


@dataclass(frozen=True)
class Site:
    """An address to listen at, with the options that both transports share, checked."""

    uri: URI
    default_path: str
    options: Serving
    tls: ssl.SSLContext | None = field(init=False, default=None)
    guests: Guests = field(init=False)

    def __post_init__(self) -> None:
        uri = self.uri
        if not uri.host:
            raise URIError(f"an address to listen at needs a host: {uri.scheme}://127.0.0.1:0/path")
        if uri.username is not None or uri.query:
            raise URIError("an address to listen at has no user and no query; use token_verifier to admit users")
        if self.options.max_message_size <= 0:
            raise URIError("max_message_size must be a positive number of bytes")
        if self.options.max_sessions is not None and self.options.max_sessions <= 0:
            raise URIError("max_sessions must be a positive number, or None")
        if not 0 < self.options.max_connections < math.inf:
            raise URIError("max_connections must be a positive number")
        check_seconds("head_timeout", self.options.head_timeout)
        check_seconds("body_timeout", self.options.body_timeout)
        guests = Guests.of(uri.host, self.options.allowed_hosts, self.options.allowed_origins)
        object.__setattr__(self, "tls", self._load_tls())
        object.__setattr__(self, "guests", guests)

    def _load_tls(self) -> ssl.SSLContext | None:
        given = self.options.ssl_context is not None or self.options.ssl_certfile is not None
        if not self.uri.scheme.endswith("https"):
            if given or self.options.ssl_keyfile is not None:
                raise URIError(f"TLS options are for {self.uri.scheme}s://, this address is {self.uri.scheme}://")
            return None
        if not given:
            raise URIError(f"{self.uri.scheme}:// needs ssl_context, or ssl_certfile (and ssl_keyfile)")
        if self.options.ssl_context is not None:
            return self.options.ssl_context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # The password: without one, an encrypted key would be asked for on the terminal.
            context.load_cert_chain(self.options.ssl_certfile or "", self.options.ssl_keyfile, password="")
        except (OSError, ssl.SSLError) as exc:
            raise URIError(f"the certificate cannot be used: {exc.strerror or exc}") from exc
        return context

    @property
    def path(self) -> str:
        """The path being served, decoded."""
        return unquote(self.uri.path or self.default_path)

    def guarded(self, apps: Mapping[str, ASGIApp], routes: Sequence[Any] = ()) -> ASGIApp:
        """The apps of some paths behind the checks that every request passes.

        Args:
            apps: By path.
            routes: What is served at other paths. As with the SDK's own apps, no token is asked for there.
        """
        if self.options.token_verifier is not None:
            apps = {path: authenticated(app, self.options.token_verifier) for path, app in apps.items()}
        return Door(readable(Paths(apps, Router(routes) if routes else None)), self.guests)

    @asynccontextmanager
    async def serve(self, app: ASGIApp, running: "AbstractAsyncContextManager[Any]") -> AsyncGenerator[Listener]:
        """Serve `app` at the address."""
        if not is_loopback(self.uri.host) and self.options.token_verifier is None and not self.options.allow_remote:
            raise ListenFailed(
                f"{self.uri} would let in anybody who can reach this machine: "
                "give a token_verifier, or say allow_remote=True"
            )
        with await bind(self.uri, self.options.backlog) as sock:
            listener = _Serving(self._dialable(sock.getsockname()[1]))
            bounds = Bounds(self.options.max_connections, self.options.head_timeout)
            async with serving(app, sock, bounds, ssl_context=self.tls, where=listener.uri, running=running):
                yield listener

    def _dialable(self, port: int) -> str:
        return f"{self.uri.scheme}://{authority(dialable(self.uri.host), port)}{self.uri.path or self.default_path}"


def mounted_site(scheme: str, path: str, options: Mounting) -> Site:
    """A path in somebody else's web server. Which hosts that one answers for is its own business, unless told.

    Raises:
        URIError: an option cannot be used.
    """
    shared = {each.name: getattr(options, each.name) for each in fields(Mounting)}
    if options.allowed_hosts is None:
        shared["allowed_hosts"] = ("*",)
    uri = URI(scheme=scheme, rest=f"//mounted{path}", host="mounted", path=path)
    return Site(uri, path, Serving(**shared, allow_remote=True))
