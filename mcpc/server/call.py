"""One `tools/call` as its tool sees it: who calls, over what, and what the caller can do."""

import contextvars
from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.session import ServerSession
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.framing import Connection, current_connection
from mcpc.server.entrance import Entrance
from mcpc.server.handed import HandedTasks
from mcpc.server.journal import Journal
from mcpc.server.start_key import StartKey
from mcpc.wire.calls import CallMetadata
from mcpc.wire.client_requests import NEEDED

__all__ = ["Call", "answered_by", "client_of", "current_call", "current_principal"]


@dataclass(eq=False, slots=True)
class Call:
    """The call that is being handled."""

    server: Any
    """The server that is called, as its author made it."""
    tool_name: str
    metadata: CallMetadata
    session: ServerSession
    request_id: RequestId
    journal: Journal | None
    """The caller's journal; None for a caller that speaks no MCPC."""
    connection: Connection | None = None
    client: Hashable | None = None
    """The connection or the address that it came over: what no client can make up."""
    arguments: dict[str, Any] | None = None
    """What stands in place of the request's arguments; None where they stay as they are."""
    task_extension: bool = False
    """Whether the caller declared `io.modelcontextprotocol/tasks` on this request."""
    outcome: dict[str, Any] | None = None
    """A result that replaces the tool's own, for shapes that a tool cannot return (SEP-2663)."""
    key: StartKey | None = None
    """Names the start, where the caller may repeat it."""
    handed: HandedTasks | None = None
    """The tasks of the server that is called whose plain callers were given a handle."""
    entrance: Entrance | None = None
    """Where its task is entered, where it may be a call of a background tool."""

    def when_answered(self, then: Callable[[], None]) -> None:
        """Call `then` once the answer to this call is on its way; at once, where that cannot be told."""
        if self.connection is not None:
            self.connection.on_answer(self.request_id, then)
        else:
            then()


current_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("mcpc_call", default=None)
"""The call being handled, in its tool and in the tasks it started."""


def answered_by(call: Call) -> AbstractSet[str]:
    """The methods of the standard's requests that the caller answers where they come as questions of its task."""
    if call.journal is not None:
        return call.metadata.answers
    session = call.session
    if session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return frozenset()
    return {method for method, needed in NEEDED.items() if session.check_client_capability(needed)}


def current_principal() -> Hashable | None:
    """Whom the transport authenticated for this request; None where it does not."""
    connection = current_connection.get()
    if connection is not None and connection.peer.principal is not None:
        return connection.peer.principal
    token = get_access_token()
    return None if token is None else tuple(principal_components(token))


def client_of(request: Any) -> Hashable:
    """What no client can make up of itself: the connection that a request came over; over HTTP, its address.

    Args:
        request: The HTTP request, where there is one.
    """
    connection = current_connection.get()
    if connection is not None:
        return connection.name
    address: Any = getattr(request, "client", None)
    return "address", getattr(address, "host", "")
