"""Which of the messages that arrive are callbacks: in our form, or the originals'."""

from typing import Any

from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from mcpc.wire.message import ID, METHOD, PARAMS, RESULT, Message
from mcpc.wire.names import NOTIFICATION_PREFIX
from mcpc.wire.originals import DIRECT_ID

__all__ = ["callback_in", "is_callback"]


def is_callback(message: dict[str, Any]) -> bool:
    """Whether a decoded JSON-RPC message is a callback."""
    method = message.get(METHOD)
    if method is None:
        return message.get(ID) == DIRECT_ID and RESULT in message
    return method.startswith(NOTIFICATION_PREFIX) and ID not in message


def callback_in(message: JSONRPCMessage) -> Message | None:
    """The callback that one of the SDK's messages is, without the words that say so; None where it is none."""
    if isinstance(message, JSONRPCNotification):
        return {METHOD: message.method, PARAMS: message.params} if _is_ours(message) else None
    if isinstance(message, JSONRPCResponse) and message.id == DIRECT_ID:
        return {ID: DIRECT_ID, RESULT: message.result}
    return None


def _is_ours(message: JSONRPCNotification) -> bool:
    return message.method.startswith(NOTIFICATION_PREFIX)
