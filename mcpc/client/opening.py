"""What a client was given, as something that can be opened: a transport, and how long opening may take.

A transport bounds its own handshakes; what comes after, the handshakes of MCP and
MCPC, is bounded here, so that a peer that takes a connection and then says nothing
keeps nobody waiting. It knows nothing of what is done with the connection.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mcpc.client.connecting import Connector, InProcess
from mcpc.keywords import refuse_unknown
from mcpc.transport import URI
from mcpc.uri import parse_uri, resolve, transport_options

__all__ = ["PATIENCE", "Opening", "opening_of"]

PATIENCE = 60.0
"""Seconds for connecting and all handshakes together, unless `open_timeout` says otherwise: a command may have to fetch
what it runs."""


@dataclass(frozen=True)
class Opening:
    """How a client comes to its connection."""

    transport: Any
    """One of the SDK's transports."""
    redialled: bool = False
    """Dialling again reaches the same server."""
    patience: float | None = PATIENCE
    """Seconds for all of it; None for any time."""
    heartbeat: bool = False
    """Nothing but asking tells whether the server still answers."""


def opening_of(
    server: Any, options: Mapping[str, Any], others: Collection[str] = (), *, byte_true: bool = False
) -> Opening:
    """How to open what a client was given.

    Args:
        server: A URI, one of the SDK's transports, or a server object.
        options: Those of the transport, where it is a URI. `open_timeout` bounds the whole, and goes to the transport
            where that takes it. With `auth` there is no bound: a person may be asked.
        others: What else the client takes, one of which may be meant by a misspelt one.
        byte_true: Whether real bytes go to a server object, too.

    Raises:
        URIError: the address or an option cannot be used.
        TypeError: there are options, and no URI.
    """
    if isinstance(server, str | URI):
        connector = Connector(server, _taken(server, options, others))
        return Opening(connector, connector.redialled, _patience(options), connector.heartbeat)
    refuse_unknown("Client of a server that is not given by a URI", (), options, TypeError, others=others)
    if isinstance(server, Connector):
        return Opening(server, server.redialled, _patience(server.options), server.heartbeat)
    if hasattr(server, "__aenter__"):
        return Opening(server)
    return Opening(InProcess(server, byte_true=byte_true))


def _taken(server: str | URI, options: Mapping[str, Any], others: Collection[str]) -> dict[str, Any]:
    """The options without `open_timeout` where the transport has no such: starting a process takes no time."""
    scheme = parse_uri(server).scheme
    known = transport_options(resolve(scheme), "connect")
    given = [name for name in options if name != "open_timeout"]
    refuse_unknown(f"{scheme}: connect", known, given, others={*others, "open_timeout"})
    return {name: value for name, value in options.items() if name != "open_timeout" or name in known}


def _patience(options: Mapping[str, Any]) -> float | None:
    return options.get("open_timeout", None if options.get("auth") is not None else PATIENCE)
