"""Which kind of server object it is, and what only one kind knows.

The three kinds are the SDK's `MCPServer`, its lowlevel `Server`, and `fastmcp.FastMCP`, which is never imported here.
"""

from collections.abc import Sequence
from typing import Any, cast

from mcp.server import MCPServer, Server

from mcpc.errors import MCPCError

__all__ = ["custom_routes", "is_server", "lowlevel_of", "tool_parameters"]


def lowlevel_of(server: Any) -> Server[Any]:
    """The SDK's lowlevel server inside an `MCPServer`, a `fastmcp.FastMCP`, or itself.

    Raises:
        MCPCError: it is none of these.
    """
    if isinstance(server, Server):
        return cast("Server[Any]", server)
    inner = getattr(server, "_lowlevel_server", None) or getattr(server, "_mcp_server", None)
    if isinstance(inner, Server):
        return cast("Server[Any]", inner)
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
    tool = cast("MCPServer[Any]", server)._tool_manager.get_tool(name)  # pyright: ignore[reportPrivateUsage]
    return {} if tool is None else tool.parameters.get("properties", {})


def custom_routes(server: Any) -> Sequence[Any]:
    """The routes that were added with `custom_route`, an `MCPServer`'s or a FastMCP's (Starlette's `Route`s)."""
    fastmcp_routes: Any = getattr(server, "_get_additional_http_routes", None)
    routes: Any = fastmcp_routes() if fastmcp_routes is not None else getattr(server, "_custom_starlette_routes", ())
    return routes
