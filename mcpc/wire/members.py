"""Members of an envelope that MCP does not name, kept on their way through the SDK's values, which have no place for
them.

A bridge passes on what it does not know. Knows nothing of bytes, nor of who sends what to whom.
"""

from collections.abc import Mapping
from typing import Any, cast

from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from mcpc.wire.envelope import ENVELOPE_NAMES
from mcpc.wire.message import Message
from mcpc.wire.rpc import dump_rpc, encode_rpc, rpc_message

__all__ = ["ARRIVED", "encode_whole", "unknown_in", "unknown_members", "whole_message"]

ARRIVED = "mcpc.message"
"""Where the scope of an HTTP request has the message that it brought, as it came."""


class _Request(JSONRPCRequest, extra="allow"):
    pass


class _Notification(JSONRPCNotification, extra="allow"):
    pass


class _Response(JSONRPCResponse, extra="allow"):
    pass


class _Error(JSONRPCError, extra="allow"):
    pass


_OPEN: dict[type[Any], type[Any]] = {
    JSONRPCRequest: _Request,
    JSONRPCNotification: _Notification,
    JSONRPCResponse: _Response,
    JSONRPCError: _Error,
}


def unknown_members(message: Mapping[str, Any]) -> Message:
    """Those of a message's members that MCP does not name."""
    return {name: value for name, value in message.items() if name not in ENVELOPE_NAMES}


def unknown_in(scope: Mapping[str, Any]) -> Message:
    """Those of the message that an HTTP request has brought to one of our listeners; none elsewhere."""
    return unknown_members(scope.get(ARRIVED) or {})


def whole_message(message: Message) -> JSONRPCMessage:
    """A decoded message as the SDK's value, as `rpc_message` makes it, and with what MCP does not name."""
    plain = rpc_message(message)
    unknown = unknown_members(message)
    if not unknown:
        return plain
    known = {name: getattr(plain, name) for name in plain.model_fields_set}
    whole = _OPEN[type(plain)].model_construct(**known)
    # Not as arguments: their names are the peer's.
    whole.model_extra.update(unknown)
    return cast("JSONRPCMessage", whole)


def encode_whole(message: JSONRPCMessage) -> bytes:
    """One of the SDK's messages as a frame, with what `whole_message` has kept."""
    if message.model_extra:
        return dump_rpc(message)
    return encode_rpc(message)
