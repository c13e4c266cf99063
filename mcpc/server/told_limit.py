"""What a server tells each client of the size of its requests, as it greets it: where it is served says how much.

Knows nothing of connections: who serves one says what its limit is.
"""

import contextvars
from typing import Any

from mcpc.messages import MCPCInformation
from mcpc.wire.jsontext import as_object
from mcpc.wire.names import CALLBACKS_EXTENSION

__all__ = ["information", "served_limit", "with_limit"]

served_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("mcpc_served_limit", default=None)
"""Bytes of the largest message that is taken at the address which a request came to; None where that is not known."""


def information(provider: str) -> dict[str, Any]:
    """What a server of that name says of itself to whoever asks here."""
    told = MCPCInformation(mcpc_provider=provider, mcpc_max_message_size=served_limit.get())
    return told.model_dump(exclude_none=True)


def with_limit(result: Any) -> Any:
    """The answer to `server/discover`, with the limit among what we say of ourselves."""
    capabilities = as_object(as_object(result).get("capabilities"))
    extensions = as_object(capabilities.get("extensions"))
    ours = as_object(extensions.get(CALLBACKS_EXTENSION))
    provider: Any = ours.get("mcpc_provider")
    if not isinstance(provider, str):  # who is asked by `mcpc/info` tells it there
        return result
    told = {**extensions, CALLBACKS_EXTENSION: {**information(provider), **ours}}
    return {**result, "capabilities": {**capabilities, "extensions": told}}
