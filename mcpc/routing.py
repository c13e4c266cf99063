"""The header by which a request about a task is routed on its way, `Mcp-Name` (SEP-2663, SEP-2243). No I/O.

Who reads a request's body must see that the header says the same: otherwise a
router could be made to think of another task than the server.
"""

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH

from mcpc.wire.sep2663 import CANCEL_METHOD, GET_METHOD, UPDATE_METHOD

__all__ = ["TASK_METHODS", "check_task_name"]

TASK_METHODS = frozenset((GET_METHOD, UPDATE_METHOD, CANCEL_METHOD))
"""The methods whose `Mcp-Name` is their `taskId`."""


def check_task_name(headers: Mapping[str, str] | None, task_id: Any) -> None:
    """See that `Mcp-Name`, where there is one, is the task's id.

    SEP-2663 asks for the header; clients that are in use send none, and without one nobody can be misled. A listener
    that takes the letter (`strict_headers`) has refused those already.

    The SDK has checked `Mcp-Method` where that is due (Streamable HTTP); other transports that carry an HTTP request
    have no such headers.

    Args:
        headers: Those of the HTTP request; None where there is none.
        task_id: The `taskId` in the body. What is not a text is for others to refuse.

    Raises:
        MCPError: it names another.
    """
    if headers is None or not {MCP_METHOD_HEADER, MCP_NAME_HEADER} <= {*headers} or not isinstance(task_id, str):
        return
    if decode_header_value(headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(
            HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter"
        )
