"""What leaves a handler and is no `Exception`: it ends its own request, and not the server for everybody.

The SDK takes only `Exception` for an answer. All else (`sys.exit` in an ordinary tool, a stray `CancelledError`, a
middleware's mistake) would go on through its task groups, and end every connection.
"""

import logging
from typing import Any

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from mcpc.foreign import hold_back
from mcpc.logs import logger_of
from mcpc.server.answers import error_result, on_the_wire
from mcpc.server.failures import failure_of
from mcpc.wire.standard import CALL_TOOL_METHOD

__all__ = ["answer_instead"]

logger: logging.Logger = logger_of(__name__)


async def answer_instead(
    raised: BaseException, ctx: ServerRequestContext[Any, Any], stamp: dict[str, Any]
) -> HandlerResult:
    """The answer of a request whose handler raised that: a tool's is an error that the model may read.

    Args:
        raised: What left it.
        ctx: The request, or the notification.
        stamp: What the server says of itself.

    Raises:
        MCPError: it was no call of a tool.
        BaseException: it is our own end: we are cancelled, or closed.
    """
    if not isinstance(raised, KeyboardInterrupt):  # where Ctrl-C is meant to end us it comes as a signal
        await hold_back(raised)
    told = failure_of(raised).result
    text = f"{told['error']}: {told['message']}"
    logger.error("the handler of %s raised %s", ctx.method, type(raised).__name__, exc_info=raised)
    if ctx.method != CALL_TOOL_METHOD or ctx.request_id is None:
        raise MCPError(INTERNAL_ERROR, text)
    return on_the_wire(error_result(text), ctx.protocol_version, stamp)
