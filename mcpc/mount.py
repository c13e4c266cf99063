"""A transport as part of somebody else's web server: what it adds to the contract of `mcpc.transport`.

Only transports that speak HTTP can be mounted. One that can says by which word
(`Traits.mounted_as`) and has `mount`. ASGI 3 is all that is known of the web server.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from mcpc.pending import PendingRequests
from mcpc.transport import Endpoint, RoutedEndpoint

__all__ = ["ASGIApp", "BoundedEndpoint", "Mount", "Mountable", "pending_of", "routes_of"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""


@dataclass(frozen=True)
class Mount:
    """A mounted transport."""

    kind: str
    """The type of ASGI scope that it serves."""
    apps: Mapping[str, ASGIApp]
    """What serves each path. A request for another path goes to any of them, to be refused or routed."""
    running: AbstractAsyncContextManager[Any]
    """Entered while they serve, once."""


class Mountable(Protocol):
    """What a transport has, besides the rest, that says `mounted_as`."""

    def mount(self, endpoint: Endpoint, path: str, /, *args: Any, **options: Any) -> Mount:
        """What serves `endpoint` at `path`. Options are keyword-only parameters of the implementation.

        Raises:
            URIError: the path or an option cannot be used.
        """
        ...


@runtime_checkable
class BoundedEndpoint(Protocol):
    """An endpoint that says how many requests of one client may wait."""

    def pending(self) -> PendingRequests:
        """Bounds the requests of one client."""
        ...


def pending_of(endpoint: Endpoint) -> Callable[[], PendingRequests]:
    """What makes the bounds on the requests of one session of an endpoint; the defaults, where it says nothing."""
    return endpoint.pending if isinstance(endpoint, BoundedEndpoint) else PendingRequests


def routes_of(endpoint: Endpoint) -> Sequence[Any]:
    """The further routes of an endpoint's application (Starlette's); none where it has none."""
    return endpoint.routes if isinstance(endpoint, RoutedEndpoint) else ()
