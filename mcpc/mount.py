"""A transport as part of somebody else's web server: what it adds to the contract of `mcpc.transport`.

Only transports that speak HTTP can be mounted. One that can says by which word
(`Traits.mounted_as`) and has `mount`. ASGI 3 is all that is known of the web server.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from mcpc.transport import Endpoint, RoutedEndpoint

__all__ = ["ASGIApp", "Mount", "Mountable", "routes_of"]

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


def routes_of(endpoint: Endpoint) -> Sequence[Any]:
    """The further routes of an endpoint's application (Starlette's); none where it has none."""
    return endpoint.routes if isinstance(endpoint, RoutedEndpoint) else ()
