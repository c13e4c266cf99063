"""What a background worker logs, told to the SDK's logging callback as an ordinary tool's entries are."""

from collections.abc import Awaitable, Callable

from mcp.client.session import LoggingFnT
from mcp_types import LoggingMessageNotificationParams
from pydantic import ValidationError

from mcpc.messages import MCPCMessage
from mcpc.wire.jsontext import as_object

__all__ = ["log_teller"]


def log_teller(callback: LoggingFnT) -> Callable[[MCPCMessage], Awaitable[None]]:
    """A listener for `log` events that calls the SDK's callback."""

    async def tell(message: MCPCMessage) -> None:
        try:
            params = LoggingMessageNotificationParams.model_validate(as_object(message.result))
        except ValidationError:
            return  # somebody else's event of that name
        await callback(params)

    return tell
