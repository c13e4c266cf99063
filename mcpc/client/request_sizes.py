"""How large a request may be for its server, and what can be sent at all: the checks before anything is sent.

Knows nothing of what is asked.
"""

from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse

from mcpc.errors import LimitReached, MessageError
from mcpc.messages import MCPCInformation
from mcpc.wire.rpc import encode_rpc

__all__ = ["check_size", "sendable", "told_limit"]


def told_limit(server: MCPCInformation | None) -> int | None:
    """Bytes of the largest message that a server takes; None where it has not told."""
    return None if server is None else server.mcpc_max_message_size


def check_size(request: JSONRPCRequest, limit: int | None) -> None:
    """Whether a request may be sent.

    Raises:
        MessageError: it has no form in JSON.
        LimitReached: it is larger than the server takes.
    """
    size = _size(request)
    if limit is not None and size > limit:
        text = f"a request of {size} bytes is over the server's limit of {limit} bytes (max_message_size)"
        raise LimitReached(f"{text}; nothing was sent", limit="max_message_size", value=limit)


def sendable(message: JSONRPCMessage) -> JSONRPCMessage:
    """The message, or in place of an answer that has no form in JSON an error that says so: somebody waits for it.

    A stream that encodes later, in another task, would end with it, and with all that others wait for there.

    Raises:
        MessageError: it has no form in JSON, and nobody waits for it.
    """
    try:
        _size(message)
    except MessageError as exc:
        if not isinstance(message, JSONRPCResponse):
            raise
        return JSONRPCError(jsonrpc="2.0", id=message.id, error=ErrorData(code=INTERNAL_ERROR, message=str(exc)))
    return message


def _size(message: JSONRPCMessage) -> int:
    try:
        return len(encode_rpc(message))
    except (ValueError, RecursionError) as exc:  # pydantic's errors are ValueErrors
        raise MessageError(f"not a JSON value that can travel: {exc}; nothing was sent") from exc
