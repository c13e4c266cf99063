"""Which kind of server object it is, and what only one kind knows.

The three kinds are the SDK's `MCPServer`, its lowlevel `Server`, and `fastmcp.FastMCP`, which is never imported here.
"""

from typing import Any, cast

from mcp.server import MCPServer, Server
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, InputRequiredResult

from mcpc.errors import MCPCError
from mcpc.sdk import lowlevel_inside, parameters_of_tool, runs_in_loop

__all__ = ["answer_of", "is_async_tool", "is_server", "lowlevel_of", "tool_parameters"]


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


def is_async_tool(server: Any, name: str) -> bool:
    """Whether a tool is known to run in the event loop as a whole; False for a kind that does not say, or none."""
    return isinstance(server, MCPServer) and runs_in_loop(cast("MCPServer[Any]", server), name)


async def answer_of(
    server: Any, tool_name: str, metadata: FuncMetadata, value: Any
) -> CallToolResult | InputRequiredResult:
    """What a server answers a call of one of its tools with whose function returned `value`.

    Args:
        server: The server, as its author made it. FastMCP has content and schemas of its own.
        tool_name: The tool.
        metadata: What the SDK knows of its function.
        value: The value.

    Raises:
        Exception: it is not what the tool says that it returns. Each kind of server has errors of its own for that.
    """
    provider: Any = getattr(server, "local_provider", None)
    tool: Any = None if provider is None else await provider.get_tool(tool_name)
    if tool is None:
        return metadata.convert_result(value)
    made: Any = tool.convert_result(value).to_mcp_result()
    if isinstance(made, tuple):
        content, structured = cast("tuple[Any, Any]", made)
        return CallToolResult(content=content, structured_content=structured)
    return CallToolResult(content=cast("Any", made)) if isinstance(made, list) else made
