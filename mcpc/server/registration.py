"""How a background tool is added to a server, in the server's own way, whichever kind the server is.

So its listing, its check of arguments and its middleware all apply. What a call answers is `tools`' affair.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast, get_args

from mcp.server import MCPServer, Server
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    Icon,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import ValidationError

from mcpc.errors import MCPCError
from mcpc.later import later
from mcpc.server.answers import error_result, on_the_wire, to_be_kept
from mcpc.server.binding import Binding
from mcpc.server.companions import Companions
from mcpc.server.execution import Execution
from mcpc.server.kinds import answer_of
from mcpc.server.options import RunsWhere
from mcpc.server.outcome import concluded
from mcpc.server.store_option import SHARED
from mcpc.server.tools import BackgroundTool
from mcpc.wire.standard import CALL_TOOL_METHOD, LIST_TOOLS_METHOD

if TYPE_CHECKING:
    from mcpc import stored
else:
    stored = later("mcpc.stored")  # most tools leave nothing to another process

__all__ = ["DEFAULT_AFTER", "handle_after", "register"]

DEFAULT_AFTER = 4.0
"""Seconds after which a plain caller is given a handle: some hosts wait for no more than five."""


def register(tool: BackgroundTool, options: dict[str, Any]) -> None:
    """Add a tool to its server.

    Args:
        tool: The tool.
        options: `title`, `annotations`, `icons`, `meta` of the tool; `task_required`: refuse callers that can follow
            no task (they speak no MCPC and declare no tasks extension) instead of letting them wait; `on_interrupt`
            and `max_attempts` (3): what becomes of a task whose process dies, where there is a store. `fail`: it ends
            as failed; `restart`: it runs again from the start, so often at the most; `resume`: the same, and the
            worker finds its last `task.checkpoint` in `task.resumed`. `run`: see `RunsWhere`.
            `plain` and `after`: see `handle_after`.

    Raises:
        MCPCError: the worker's parameters cannot be a tool's.
        ValueError: an option has no such value.
    """
    options = dict(options)
    task_required = bool(options.pop("task_required", False))
    after = handle_after(options.pop("plain", "wait"), options.pop("after", DEFAULT_AFTER))
    tool.on_interrupt = options.pop("on_interrupt", tool.on_interrupt)
    tool.max_attempts = options.pop("max_attempts", tool.max_attempts)
    tool.run = options.pop("run", tool.run)
    _check_terms(tool)
    try:
        _add(tool, options, is_handed=after is not None)
    except (MCPCError, TypeError):
        raise
    except Exception as exc:
        # Each kind of server and each version of pydantic has errors of its own for what no schema can be made of.
        raise MCPCError(f"{tool.name} cannot be a tool: {exc}") from exc
    binding = tool.binding
    binding.background_tools.add(tool.name)
    if tool.run == "worker" or tool.on_interrupt != "fail":
        runs_again = binding.workshop.duties.away if tool.run == "worker" else binding.workshop.duties.again
        runs_again[tool.name] = _without_call(tool, structured=None if after is None else False)
    if task_required:
        binding.task_required_tools.add(tool.name)
    if after is not None:
        _add_companions(binding, after)
        tool.handle_after = after
        binding.hands_out = True


def _without_call(
    tool: BackgroundTool, *, structured: bool | None
) -> Callable[[Execution, dict[str, Any]], Awaitable[Any]]:
    """The tool where no call is open, after a restart say: its arguments are read, and its answer made, as in one."""
    metadata = func_metadata(_function(tool), structured_output=structured)

    async def work(running: Execution, kept: dict[str, Any]) -> Any:
        value = await tool.work(running, metadata.validate_arguments(kept))
        try:
            made = await answer_of(tool.binding.server, tool.name, metadata, value)
        except Exception as exc:
            made = error_result(str(exc))
        if not isinstance(made, CallToolResult):
            return value

        def keep(answer: dict[str, Any]) -> None:
            running.state.answer = to_be_kept(answer)

        return concluded(on_the_wire(made, LATEST_MODERN_VERSION), value, keep)

    return work


def _check_terms(tool: BackgroundTool) -> None:
    """See that its tasks can be run as its options say.

    Raises:
        MCPCError: they cannot.
    """
    known = tool.on_interrupt == "fail" or tool.on_interrupt in get_args(stored.OnInterrupt)
    if not known or tool.max_attempts < 1:
        raise MCPCError(
            f"{tool.name}: on_interrupt is one of {', '.join(get_args(stored.OnInterrupt))}, and max_attempts 1 or more"
        )
    if tool.run not in get_args(RunsWhere):
        raise MCPCError(f"{tool.name}: run is one of {', '.join(get_args(RunsWhere))}, not {tool.run!r}")
    if tool.run == "worker" and tool.binding.source is None:
        raise MCPCError(f'{tool.name}: run="worker" needs a store that processes share: {SHARED}')
    if tool.run == "worker" and (given := tool.signature.given_by_server()):
        raise MCPCError(
            f'{tool.name}: run="worker", and {given} is of a call, which a worker process has not; take it out'
        )


def handle_after(plain: Any, after: Any) -> float | None:
    """After how many seconds a plain caller gets a handle; None where it waits for the end.

    Raises:
        ValueError: there is no such policy, or it is no time.
    """
    if plain not in ("wait", "handle"):
        raise ValueError(f'plain is "wait" or "handle", not {plain!r}')
    if isinstance(after, bool) or not isinstance(after, int | float) or not 0 <= after < float("inf"):
        raise ValueError(f"after is a number of seconds, not {after!r}")
    return float(after) if plain == "handle" else None


def _add_companions(binding: Binding, after: float) -> None:
    """The tools with which a model looks after a task that it was handed; once a server."""
    if binding.hands_out:
        return
    server = binding.server
    for name, function in Companions(binding.handed, after).tools().items():
        if isinstance(server, MCPServer):
            cast("MCPServer[Any]", server).add_tool(function, name)
        elif isinstance(server, Server):
            _lowlevel_tools(cast("Server[Any]", server)).add_function(name, function)
        else:
            server.tool(name=name)(function)


def _add(tool: BackgroundTool, options: dict[str, Any], *, is_handed: bool) -> None:
    """Add it. What hands out its tasks cannot say what its calls return."""
    server = tool.binding.server
    description = tool.signature.description
    if isinstance(server, MCPServer):
        function = _function(tool, errors_as_results=True)
        cast("MCPServer[Any]", server).add_tool(
            function, tool.name, description=description, structured_output=False if is_handed else None, **options
        )
    elif isinstance(server, Server):
        _lowlevel_tools(cast("Server[Any]", server)).add(tool, options, structured=None if not is_handed else False)
    else:
        if is_handed:
            options = {"output_schema": None, **options}
        # What FastMCP has opened for the call must see an error as one: a transaction, say.
        server.tool(name=tool.name, description=description, **options)(_function(tool))


Function = Callable[..., Awaitable[Any]]


def _error_as_result(exc: Exception) -> CallToolResult:
    """An error of a call as its result: the SDK would hide what it says, and log it with its traceback."""
    return error_result(f"{type(exc).__name__}: {exc}")


def _function(tool: BackgroundTool, *, errors_as_results: bool = False) -> Function:
    """The tool's function as a server sees it: the worker's parameters, without the task."""

    async def call(**arguments: Any) -> Any:
        try:
            return await tool.call(arguments)
        except MCPError:
            raise
        except Exception as exc:
            if not errors_as_results:
                raise
            return _error_as_result(exc)

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
        self._tools: dict[str, tuple[Function, FuncMetadata, Tool]] = {}
        self._list = server.get_request_handler(LIST_TOOLS_METHOD)
        self._call = server.get_request_handler(CALL_TOOL_METHOD)
        server.add_request_handler(LIST_TOOLS_METHOD, PaginatedRequestParams, self._on_list)
        server.add_request_handler(CALL_TOOL_METHOD, CallToolRequestParams, self._on_call)

    def add(self, tool: BackgroundTool, options: dict[str, Any], *, structured: bool | None) -> None:
        """Add a background tool."""
        function = _function(tool, errors_as_results=True)
        metadata = func_metadata(function, structured_output=structured)
        listed = _listed(tool.name, tool.signature.description, metadata, **options)
        self._tools[tool.name] = (function, metadata, listed)

    def add_function(self, name: str, function: Function) -> None:
        """Add an ordinary tool."""
        metadata = func_metadata(function)

        self._tools[name] = (function, metadata, _listed(name, inspect.getdoc(function) or "", metadata))

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
            function, metadata, _ = found
            try:
                arguments = metadata.validate_arguments(params.arguments or {})
            except ValidationError as exc:
                return error_result(f"{params.name}: {exc}")
            value = await function(**arguments)
            try:
                return metadata.convert_result(value)
            except ValueError as exc:
                return error_result(str(exc))
        if self._call is not None:
            return await self._call.handler(ctx, params)
        return error_result(f"Unknown tool: {params.name}")


def _listed(
    name: str,
    description: str,
    metadata: FuncMetadata,
    *,
    title: str | None = None,
    annotations: ToolAnnotations | None = None,
    icons: list[Icon] | None = None,
    meta: dict[str, Any] | None = None,
) -> Tool:
    return Tool(
        name=name,
        description=description,
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
