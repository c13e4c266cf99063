"""How a background tool is added to a server, in the server's own way, whichever kind the server is.

So its listing, its check of arguments and its middleware all apply. What a call answers is `tools`' affair.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from mcp.server import MCPServer, Server
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    Icon,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from mcpc.errors import MCPCError
from mcpc.server.answers import error_result
from mcpc.server.tools import BackgroundTool

__all__ = ["register"]


def register(tool: BackgroundTool, options: dict[str, Any]) -> None:
    """Add a tool to its server.

    Args:
        tool: The tool.
        options: `title`, `annotations`, `icons`, `meta` of the tool; and `task_required`: refuse callers that can
            follow no task (they speak no MCPC and declare no tasks extension) instead of letting them wait.

    Raises:
        MCPCError: the worker's parameters cannot be a tool's.
        TypeError: there is no such option.
    """
    options = dict(options)
    task_required = bool(options.pop("task_required", False))
    try:
        _add(tool, options)
    except (MCPCError, TypeError):
        raise
    except Exception as exc:
        # Each kind of server and each version of pydantic has errors of its own for what no schema can be made of.
        raise MCPCError(f"{tool.name} cannot be a tool: {exc}") from exc
    binding = tool.binding
    binding.background_tools.add(tool.name)
    if task_required:
        binding.task_required_tools.add(tool.name)


def _add(tool: BackgroundTool, options: dict[str, Any]) -> None:
    server = tool.binding.server
    description = tool.signature.description
    if isinstance(server, MCPServer):
        function = _function(tool, _errors_as_results(tool))
        cast("MCPServer[Any]", server).add_tool(function, tool.name, description=description, **options)
    elif isinstance(server, Server):
        _lowlevel_tools(cast("Server[Any]", server)).add(tool, options)
    else:
        # What FastMCP has opened for the call must see an error as one: a transaction, say.
        server.tool(name=tool.name, description=description, **options)(_function(tool, tool.call))


Handler = Callable[[dict[str, Any]], Awaitable[Any]]


def _errors_as_results(tool: BackgroundTool) -> Handler:
    """A call whose errors are results: the SDK would hide what they say, and log each with its traceback."""

    async def call(arguments: dict[str, Any]) -> Any:
        try:
            return await tool.call(arguments)
        except MCPError:
            raise
        except Exception as exc:
            return error_result(f"{type(exc).__name__}: {exc}")

    return call


def _function(tool: BackgroundTool, handler: Handler) -> Callable[..., Awaitable[Any]]:
    """The tool's function as a server sees it: the worker's parameters, without the task."""

    async def call(**arguments: Any) -> Any:
        return await handler(arguments)

    parameters = tool.signature.parameters
    call.__name__ = call.__qualname__ = tool.name
    call.__doc__ = tool.signature.description
    call.__module__ = getattr(tool.signature.worker, "__module__", None) or __name__
    call.__signature__ = parameters  # pyright: ignore[reportFunctionMemberAccess]
    call.__annotations__ = {p.name: p.annotation for p in parameters.parameters.values()}
    if parameters.return_annotation is not parameters.empty:
        call.__annotations__["return"] = parameters.return_annotation
    return call


# --- the SDK's lowlevel server, which has no registry of tools ---


class _LowlevelTools:
    """Background tools of a lowlevel `Server`: its list and call handlers, wrapped."""

    def __init__(self, server: Server[Any]) -> None:
        self._tools: dict[str, tuple[BackgroundTool, FuncMetadata, Tool]] = {}
        self._list = server.get_request_handler("tools/list")
        self._call = server.get_request_handler("tools/call")
        server.add_request_handler("tools/list", PaginatedRequestParams, self._on_list)
        server.add_request_handler("tools/call", CallToolRequestParams, self._on_call)

    def add(self, tool: BackgroundTool, options: dict[str, Any]) -> None:
        """Add a tool."""
        metadata = func_metadata(_function(tool, tool.call))
        self._tools[tool.name] = (tool, metadata, _listed(tool, metadata, **options))

    async def _on_list(self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> ListToolsResult:
        """The server's own tools, page by page; ours with the last page."""
        listed = ListToolsResult(tools=[])
        if self._list is not None:
            listed = ListToolsResult.model_validate(await self._list.handler(ctx, params))
        if listed.next_cursor is None:
            listed = listed.model_copy(update={"tools": [*listed.tools, *(tool[2] for tool in self._tools.values())]})
        return listed

    async def _on_call(self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> HandlerResult:
        found = self._tools.get(params.name)
        if found is not None:
            tool, metadata, _ = found
            try:
                arguments = metadata.validate_arguments(params.arguments or {})
            except ValidationError as exc:
                return error_result(f"{tool.name}: {exc}")
            value = await _errors_as_results(tool)(arguments)
            try:
                return metadata.convert_result(value)
            except ValueError as exc:
                return error_result(str(exc))
        if self._call is not None:
            return await self._call.handler(ctx, params)
        return error_result(f"Unknown tool: {params.name}")


def _listed(
    tool: BackgroundTool,
    metadata: FuncMetadata,
    *,
    title: str | None = None,
    annotations: ToolAnnotations | None = None,
    icons: list[Icon] | None = None,
    meta: dict[str, Any] | None = None,
) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.signature.description,
        input_schema=metadata.arg_model.model_json_schema(by_alias=True),
        output_schema=metadata.output_schema,
        title=title,
        annotations=annotations,
        icons=icons,
        _meta=meta,
    )


_LOWLEVEL = "mcpc_lowlevel_tools"


def _lowlevel_tools(server: Server[Any]) -> _LowlevelTools:
    tools: _LowlevelTools | None = vars(server).get(_LOWLEVEL)
    if tools is None:
        tools = _LowlevelTools(server)
        setattr(server, _LOWLEVEL, tools)
    return tools
