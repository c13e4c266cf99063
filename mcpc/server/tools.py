"""Background tools: a worker function becomes a tool of a server, of whichever kind the server is.

The tool is registered in the server's own way, so its listing, its validation of
arguments and its middleware all apply. What the tool answers depends on the
caller (see the table in protocol.md); the worker's code does not.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import anyio.to_thread
from mcp.server import MCPServer, Server
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError
from pydantic_core import from_json

from mcpc.errors import MCPCError
from mcpc.server.answers import call_result, error_result
from mcpc.server.binding import Binding
from mcpc.server.call import Call, current_call
from mcpc.server.outlets import ProgressOutlet
from mcpc.server.running import RunningTask
from mcpc.server.task import SyncTask, Task
from mcpc.wire.calls import CallMetadata

__all__ = ["BackgroundTool"]

Worker = Callable[..., Any]


class BackgroundTool:
    """A worker, and how it is called.

    Args:
        binding: The server it belongs to.
        worker: The function; a parameter annotated `Task` or `SyncTask`, or named `task`, is handed the task.
        name: The tool's name; the function's where none is given.
        description: What the model reads; the docstring where none is given.
        options: `title`, `annotations`, `icons`, `meta` of the tool; and `task_required`: refuse callers that can
            follow no task (they speak no MCPC and declare no tasks extension) instead of letting them wait.

    Raises:
        MCPCError: the worker asks for the other kind of task than it can use.
    """

    def __init__(
        self,
        binding: Binding,
        worker: Worker,
        name: str | None,
        description: str | None,
        options: dict[str, Any],
    ) -> None:
        self.binding = binding
        self.worker = worker
        self.name = name or worker.__name__
        self.description = description or inspect.getdoc(worker) or ""
        self.options = dict(options)
        self.task_required = bool(self.options.pop("task_required", False))
        self.is_async = inspect.iscoroutinefunction(worker)
        signature = inspect.signature(worker, eval_str=True)
        self._task_name = self._find_task(signature)
        kept = [p for p in signature.parameters.values() if p.name != self._task_name]
        self.signature = signature.replace(parameters=kept, return_annotation=CallToolResult)

    def _find_task(self, signature: inspect.Signature) -> str | None:
        wrong = SyncTask if self.is_async else Task
        for parameter in signature.parameters.values():
            if parameter.annotation is wrong:
                kind = "an async worker takes mcpc.Task" if self.is_async else "a sync worker takes mcpc.SyncTask"
                raise MCPCError(f"{self.name}: {kind}, not mcpc.{wrong.__name__}")
            if parameter.annotation in (Task, SyncTask) or (
                parameter.name == "task" and parameter.annotation is inspect.Parameter.empty
            ):
                return parameter.name
        return None

    # --- registration ---

    def register(self) -> None:
        """Add the tool to its server, in the server's own way."""
        self.binding.background_tools.add(self.name)
        if self.task_required:
            self.binding.task_required_tools.add(self.name)
        server = self.binding.server
        if isinstance(server, MCPServer):
            cast("MCPServer[Any]", server).add_tool(
                self._function(),
                self.name,
                description=self.description,
                structured_output=False,
                **self.options,
            )
        elif isinstance(server, Server):
            _lowlevel_tools(cast("Server[Any]", server)).add(self)
        else:
            server.tool(name=self.name, description=self.description, output_schema=None, **self.options)(
                self._function()
            )

    def _function(self) -> Callable[..., Awaitable[CallToolResult]]:
        """The tool's function as a server sees it: the worker's parameters, without the task."""

        async def call(**arguments: Any) -> CallToolResult:
            return await self.call(arguments)

        call.__name__ = call.__qualname__ = self.name
        call.__doc__ = self.description
        call.__module__ = self.worker.__module__
        call.__signature__ = self.signature  # pyright: ignore[reportFunctionMemberAccess]
        call.__annotations__ = {p.name: p.annotation for p in self.signature.parameters.values()}
        call.__annotations__["return"] = CallToolResult
        return call

    # --- calls ---

    async def call(self, arguments: dict[str, Any]) -> CallToolResult:
        """Answer a call, by what the caller can do."""
        call = current_call.get()
        try:
            if call is not None and call.channel is not None:
                return self._start(call, arguments)
            if call is not None and call.task_extension:
                return self._start_followed(call, arguments)
            return await self._run_to_end(call, arguments)
        except MCPCError as exc:
            return error_result(f"{self.name}: {exc}")

    def _start(self, call: Call, arguments: dict[str, Any]) -> CallToolResult:
        """For a caller that speaks MCPC: the `created` message at once; the rest comes on its channel."""
        running = self.binding.start(tool_name=self.name, metadata=call.metadata, channel=call.channel)
        created = running.encode("created", f"{self.name} has started; its updates follow.")
        running.record.last_message = created
        self.binding.host.spawn(lambda: running.run(lambda: self._work(running, arguments)))
        self.binding.release(running, call)
        return CallToolResult(
            content=[TextContent(type="text", text=created.decode())], structured_content=from_json(created)
        )

    def _start_followed(self, call: Call, arguments: dict[str, Any]) -> CallToolResult:
        """For a caller that declares the tasks extension: a task handle, which takes the place of this result."""
        running = self.binding.sep2663.start(call)
        self.binding.host.spawn(lambda: running.run(lambda: self._work(running, arguments)))
        self.binding.release(running, call)
        return CallToolResult(content=[])

    async def _run_to_end(self, call: Call | None, arguments: dict[str, Any]) -> CallToolResult:
        """For anyone else: progress while it runs, and the final result as the answer.

        The task is stopped if the call is cancelled.
        """
        outlet = ProgressOutlet(call.session, call.request_id) if call is not None else ProgressOutlet(None, None)
        metadata = CallMetadata(call.metadata.session_id if call is not None else "default")
        running = self.binding.start(tool_name=self.name, metadata=metadata, channel=None, outlet=outlet)
        running.started.set()
        await running.run(lambda: self._work(running, arguments))
        return call_result(running)

    async def _work(self, running: RunningTask, arguments: dict[str, Any]) -> Any:
        """Run the worker with its task."""
        call = dict(arguments)
        if self.is_async:
            if self._task_name is not None:
                call[self._task_name] = Task(running)
            return await self.worker(**call)
        if self._task_name is not None:
            call[self._task_name] = SyncTask(running)
        limiter = self.binding.thread_limiter()
        value = await anyio.to_thread.run_sync(
            functools.partial(self.worker, **call), abandon_on_cancel=True, limiter=limiter
        )
        if inspect.isawaitable(value):
            raise TypeError(f"{self.name}: a sync worker returned an awaitable; declare it with `async def`")
        return value


# --- the SDK's lowlevel server, which has no registry of tools ---


class _LowlevelTools:
    """Background tools of a lowlevel `Server`: its list and call handlers, wrapped."""

    def __init__(self, server: Server[Any]) -> None:
        self._tools: dict[str, tuple[BackgroundTool, FuncMetadata]] = {}
        self._list = server.get_request_handler("tools/list")
        self._call = server.get_request_handler("tools/call")
        server.add_request_handler("tools/list", PaginatedRequestParams, self._on_list)
        server.add_request_handler("tools/call", CallToolRequestParams, self._on_call)

    def add(self, tool: BackgroundTool) -> None:
        """Add a tool."""
        self._tools[tool.name] = (tool, func_metadata(tool._function(), structured_output=False))  # pyright: ignore[reportPrivateUsage]

    async def _on_list(self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> ListToolsResult:
        """The server's own tools, page by page; ours with the last page."""
        listed = ListToolsResult(tools=[])
        if self._list is not None:
            listed = ListToolsResult.model_validate(await self._list.handler(ctx, params))
        if listed.next_cursor is None:
            listed = listed.model_copy(update={"tools": [*listed.tools, *map(self._describe, self._tools)]})
        return listed

    def _describe(self, name: str) -> Tool:
        tool, metadata = self._tools[name]
        options = dict(tool.options)
        return Tool(
            name=name,
            description=tool.description,
            input_schema=metadata.arg_model.model_json_schema(by_alias=True),
            title=options.get("title"),
            annotations=cast("ToolAnnotations | None", options.get("annotations")),
            icons=options.get("icons"),
            _meta=options.get("meta"),
        )

    async def _on_call(self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> HandlerResult:
        found = self._tools.get(params.name)
        if found is not None:
            tool, metadata = found
            try:
                arguments = metadata.validate_arguments(params.arguments or {})
            except ValidationError as exc:
                return error_result(f"{tool.name}: {exc}")
            return await tool.call(arguments)
        if self._call is not None:
            return await self._call.handler(ctx, params)
        return error_result(f"Unknown tool: {params.name}")


_LOWLEVEL = "mcpc_lowlevel_tools"


def _lowlevel_tools(server: Server[Any]) -> _LowlevelTools:
    tools: _LowlevelTools | None = vars(server).get(_LOWLEVEL)
    if tools is None:
        tools = _LowlevelTools(server)
        setattr(server, _LOWLEVEL, tools)
    return tools
