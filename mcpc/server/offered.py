"""The channel that a client offers when it asks what the server is, at 2026-07-28.

It is opened then, so that the client need not wait until it listens: what comes before that is in the log. Where it
cannot be opened nothing is said, and the client is refused when it listens, as ever.
"""

from typing import Any

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError

from mcpc.errors import MCPCError
from mcpc.server.call import client_of
from mcpc.server.methods import open_journal
from mcpc.server.reception import MAX_KEY, MIN_KEY, Reception
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import META
from mcpc.wire.names import CALLBACKS_EXTENSION, CHANNEL_META, CHANNEL_OPEN

__all__ = ["with_channel_opened"]


async def with_channel_opened(
    answer: HandlerResult, ctx: ServerRequestContext[Any, Any], reception: Reception
) -> HandlerResult:
    """The answer to `server/discover`, which says so where the offered channel is open."""
    found = as_object(answer)
    capabilities = as_object(found.get("capabilities"))
    extensions = as_object(capabilities.get("extensions"))
    channel = as_object((ctx.params or {}).get(META)).get(CHANNEL_META)
    if CALLBACKS_EXTENSION not in extensions or not isinstance(channel, str):
        return answer
    if not MIN_KEY <= len(channel) <= MAX_KEY:
        return answer
    try:
        await open_journal(reception, channel, client=client_of(ctx.request))
    except (MCPError, MCPCError):
        return answer
    settings = {**as_object(extensions[CALLBACKS_EXTENSION]), CHANNEL_OPEN: True}
    return {**found, "capabilities": {**capabilities, "extensions": {**extensions, CALLBACKS_EXTENSION: settings}}}
