"""Which kind of server object it is, and what only one kind knows.

The three kinds are the SDK's `MCPServer`, its lowlevel `Server`, and `fastmcp.FastMCP`, which is never imported here.
"""

from typing import Any, cast

from mcp.server import MCPServer, Server

from mcpc.errors import MCPCError
from mcpc.sdk import lowlevel_inside, parameters_of_tool

__all__ = ["is_server", "lowlevel_of", "tool_parameters"]


def lowlevel_of(server: Any) -> Server[Any]:
    """The SDK's lowlevel server inside an `MCPServer`, a `fastmcp.FastMCP`, or itself.

    Raises:
        MCPCError: it is none of these.
    """
    if isinstance(server, Server):
        return cast("Server[Any]", server)
    if (inner := lowlevel_inside(server)) is not None:
        return inner
    raise MCPCError(
        f"cannot serve a {type(server).__name__}: it must be mcp.server.MCPServer, mcp.server.Server or fastmcp.FastMCP"
    )


def is_server(candidate: Any) -> bool:
    """Whether it can be served: an `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`. Nothing is added to it."""
    try:
        lowlevel_of(candidate)
    except MCPCError:
        return False
    return True


def tool_parameters(server: Any, name: Any) -> dict[str, Any]:
    """The parameters of a tool of an `MCPServer`, as its schema has them; none for another kind or an unknown tool."""
    if not isinstance(server, MCPServer) or not isinstance(name, str):
        return {}
    return parameters_of_tool(cast("MCPServer[Any]", server), name)
