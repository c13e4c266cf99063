"""How large a request may be for its server: what the server has told, and the check before anything is sent.

Knows nothing of what is asked.
"""

from mcp_types import JSONRPCRequest

from mcpc.errors import LimitReached
from mcpc.messages import MCPCInformation
from mcpc.wire.rpc import encode_rpc

__all__ = ["check_size", "told_limit"]


def told_limit(server: MCPCInformation | None) -> int | None:
    """Bytes of the largest message that a server takes; None where it has not told."""
    return None if server is None else server.mcpc_max_message_size


def check_size(request: JSONRPCRequest, limit: int | None) -> None:
    """Whether a request may be sent.

    Raises:
        LimitReached: it is larger than the server takes.
    """
    if limit is None:
        return
    size = len(encode_rpc(request))
    if size > limit:
        text = f"a request of {size} bytes is over the server's limit of {limit} bytes (max_message_size)"
        raise LimitReached(f"{text}; nothing was sent", limit="max_message_size", value=limit)
