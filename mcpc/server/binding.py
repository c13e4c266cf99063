"""What makes an MCP server an MCPC server: its tasks, its channels, and the methods that reach them.

One binding a server, found again by `bind`. It adds a middleware (which reads a
tool call's metadata and answers the older handshakes), the `mcpc/*` methods, the
extension in the server's capabilities, and a hold on the host for as long as the
server is served, whoever serves it.
"""

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import anyio
from mcp.server import MCPServer, Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from pydantic_core import from_json

from mcpc.errors import MCPCError, MessageError
from mcpc.framing import Connection, current_connection
from mcpc.messages import MCPCMessage
from mcpc.server.answers import timestamp
from mcpc.server.call import Call, current_call, current_principal
from mcpc.server.channel import Channel, ChannelTable, DirectStream, ListenStream
from mcpc.server.host import Host
from mcpc.server.limits import Limits
from mcpc.server.running import Outlet, RunningTask
from mcpc.server.sep2663_push import TaskStream
from mcpc.server.sep2663_state import SharedOutlet
from mcpc.server.tasks_extension import TasksExtension, declares_tasks, missing_extension
from mcpc.tasks import TaskRecord, TaskRegistry
from mcpc.wire.callbacks import encode_message
from mcpc.wire.calls import CallMetadata, read_call
from mcpc.wire.names import CALLBACKS_EXTENSION

__all__ = ["EVERY_SESSION", "Binding", "bind", "lowlevel_of"]

logger = logging.getLogger("mcpc")

EVERY_SESSION = "*"
"""The `session_id` of a server event that is for every channel."""
MAX_DESCRIBED = 1000
"""Tasks described to a listener that has missed messages; the newest, when there are more."""
SWEEP_INTERVAL = 15.0
"""Seconds between looks for what may be forgotten."""

_ATTRIBUTE = "mcpc_binding"


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


def bind(server: Any, limits: Limits | None = None) -> "Binding":
    """The binding of `server`, made at the first call.

    Raises:
        MCPCError: it is not a server, or it is bound already with other limits.
    """
    lowlevel = lowlevel_of(server)
    binding: Binding | None = vars(lowlevel).get(_ATTRIBUTE)
    if binding is None:
        binding = Binding(server, lowlevel, limits or Limits())
        setattr(lowlevel, _ATTRIBUTE, binding)  # on the server itself, so that the two live and die together
        binding.install()
    elif limits is not None and limits != binding.limits:
        raise MCPCError("this server has a helper already, with other limits; make one helper and share it")
    return binding


class Binding:
    """The MCPC side of one server."""

    def __init__(self, server: Any, lowlevel: Server[Any], limits: Limits) -> None:
        self.server = server
        self.lowlevel = lowlevel
        self.limits = limits
        self.host = Host()
        self.registry = TaskRegistry(
            time.time,
            max_running=limits.max_tasks,
            time_to_live=limits.task_ttl,
            max_ended=limits.max_ended_tasks,
        )
        self.channels = ChannelTable(limits, time.time, self._describe_channel)
        self.background_tools: set[str] = set()
        """The names of the tools made with `@callbacks.tool()`."""
        self.task_required_tools: set[str] = set()
        """Those of them that refuse a caller who can follow no task."""
        self.sep2663 = TasksExtension(self)
        """The same tasks, for clients that know the tasks extension."""
        self.shutting_down = False
        self.listeners = 0
        """How many of our listeners serve it."""
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def name(self) -> str:
        """The server's name: the provider, in the handshake."""
        return self.lowlevel.name

    def install(self) -> None:
        """Add what MCPC needs to the server. Done once."""
        from mcpc.server.methods import add_methods

        self.lowlevel.middleware.append(self._middleware)
        self.lowlevel.extensions[CALLBACKS_EXTENSION] = {}
        add_methods(self)
        self.sep2663.install()
        inner = self.lowlevel.lifespan

        def lifespan(server: Server[Any]) -> AbstractAsyncContextManager[Any]:
            return self._lifespan(inner(server))

        self.lowlevel.lifespan = lifespan

    @asynccontextmanager
    async def _lifespan(self, inner: AbstractAsyncContextManager[Any]) -> AsyncGenerator[Any]:
        async with self.hold(), inner as state:
            yield state

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Keep background work possible; the last one out ends what still runs."""
        first = self.host.holders == 0
        async with self.host.hold():
            if first:
                self.shutting_down = False
                self._threads = None  # a limiter belongs to its event loop
                self.host.spawn(self._sweep)
            try:
                yield
            finally:
                if self.host.holders == 1:
                    self._end_all()

    def thread_limiter(self) -> anyio.CapacityLimiter:
        """Bounds the threads of sync workers: as many as tasks may run."""
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(self.limits.max_tasks)
        return self._threads

    async def _sweep(self) -> None:
        while True:
            await anyio.sleep(SWEEP_INTERVAL)
            self.registry.forget_expired()
            self.channels.expire()

    # --- tasks ---

    def start(
        self, *, tool_name: str, metadata: CallMetadata, channel: Channel | None, outlet: Outlet | None = None
    ) -> RunningTask:
        """Enter a new task, whose messages go to `channel` (or to `outlet`, where that is given).

        Raises:
            TooManyTasks: a limit is reached.
            DuplicateTask: the id is in use.
            MCPCError: the server is shutting down, or not being served.
        """
        if self.shutting_down or not self.host.is_open:
            raise MCPCError("the server is shutting down" if self.shutting_down else "the server is not being served")
        if channel is not None and channel.mailbox.crowded(channel.sent):
            raise MCPCError("too many results of this client wait to be read; it must listen before it starts more")
        owner = channel.key if channel is not None else secrets.token_hex(16)
        record = self.registry.start(
            owner=owner, tool_name=tool_name, session_id=metadata.session_id, task_id=metadata.task_id
        )
        if outlet is None:
            assert channel is not None
            channel.name_session(metadata.session_id)
            outlet = SharedOutlet(channel, lambda: time.time() + self.limits.task_ttl)
        record.details["principal"] = current_principal()
        return RunningTask(record, self.registry, outlet, self.limits)

    def release(self, running: RunningTask, call: Call | None) -> None:
        """Let a task's worker start once the answer to its call is on its way (at once, where that cannot be told)."""
        if call is not None and call.connection is not None:
            call.connection.on_answer(call.request_id, running.started.set)
        else:
            running.started.set()

    def running(self, record: TaskRecord) -> RunningTask:
        """The running side of a task that the registry knows."""
        return record.details["running"]

    def running_by_id(self, task_id: str | None) -> RunningTask | None:
        """The task of that id, whoever's it is: for the application's own side only."""
        record = None if task_id is None else self.registry.find(task_id)
        return None if record is None else self.running(record)

    def describe(self, record: TaskRecord, *, last_message: bool = True) -> dict[str, Any]:
        """A task's state as `mcpc/task` gives it."""
        state: dict[str, Any] = {
            "taskId": record.task_id,
            "toolName": record.tool_name,
            "sessionId": record.session_id,
            "status": str(record.status),
            "createdAt": timestamp(record.created_at),
            "lastUpdatedAt": timestamp(record.updated_at),
        }
        if last_message and record.last_message is not None:
            state["lastMessage"] = from_json(record.last_message)
        return state

    def _describe_channel(self, key: str) -> list[dict[str, Any]]:
        return [self.describe(record, last_message=False) for record in self.registry.of(key)[-MAX_DESCRIBED:]]

    def stop(self, running: RunningTask) -> None:
        """Ask a task to stop, and cancel it if it has not when the grace is over. One that has ended is left alone."""
        if not running.stop.is_set() and not running.record.ended:
            running.request_stop()
            self.host.spawn(running.stop_after_grace)

    def _end_all(self) -> None:
        for record in self.registry:
            if not record.ended:
                self.running(record).stopped()

    async def wind_down(self) -> None:
        """Stop the tasks, cancel those that do not, and let every listener read the rest: within twice the grace."""
        self.shutting_down = True
        running = [self.running(record) for record in self.registry if not record.ended]
        for task in running:
            task.request_stop()
        with anyio.move_on_after(self.limits.shutdown_grace):
            for task in running:
                await task.ended.wait()
        for task in running:
            task.stopped()
            task.scope.cancel()
        await self.finish_streams()

    async def finish_streams(self) -> None:
        """End every listen stream, after its last message."""
        streams: list[ListenStream | TaskStream] = [c.stream for c in self.channels if c.stream is not None]
        streams += self.sep2663.streams
        for stream in streams:
            stream.finish()
        with anyio.move_on_after(self.limits.shutdown_grace):
            for stream in streams:
                await stream.ended.wait()
        for stream in streams:
            stream.end()

    # --- server events ---

    def emit(self, message: MCPCMessage) -> int:
        """Send a server event to the channels of its session (`*`: to all); how many there were."""
        data = encode_message(message)
        session = message.session_id
        channels = [c for c in self.channels if session == EVERY_SESSION or session in c.sessions]
        for channel in channels:
            channel.post(data)
        return len(channels)

    # --- requests ---

    async def _middleware(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list" and ctx.request_id is not None:
            return self._hide_parameters(await call_next(ctx))
        if self.sep2663.concerns(ctx):
            return await self.sep2663.listen(ctx, call_next)
        if ctx.method != "tools/call" or ctx.request_id is None:
            return await call_next(ctx)
        params = dict(ctx.params or {})
        answer = self._handshake(params, ctx)
        if answer is not None:
            return answer
        call = self._read_call(params, ctx)
        token = current_call.set(call)
        try:
            if call.arguments is not None:
                ctx = replace(ctx, params={**params, "arguments": call.arguments})
            result = await call_next(ctx)
        finally:
            current_call.reset(token)
        return result if call.outcome is None else call.outcome

    def _handshake(self, params: Mapping[str, Any], ctx: ServerRequestContext[Any, Any]) -> dict[str, Any] | None:
        """The answer to an original's handshake, which is a tool call; see protocol.md."""
        from mcpc.server.methods import answer_old_handshake

        return answer_old_handshake(self, params, ctx)

    def _read_call(self, params: Mapping[str, Any], ctx: ServerRequestContext[Any, Any]) -> Call:
        try:
            metadata = read_call(dict(params))
        except MessageError as exc:
            raise MCPError(INVALID_PARAMS, str(exc)) from exc
        connection = current_connection.get()
        assert ctx.request_id is not None
        call = Call(
            binding=self,
            tool_name=str(params.get("name")),
            metadata=metadata,
            session=ctx.session,
            request_id=ctx.request_id,
            channel=self._channel_of(metadata, connection),
            connection=connection,
            task_extension=declares_tasks(ctx),
        )
        if call.tool_name in self.task_required_tools and call.channel is None and not call.task_extension:
            raise missing_extension()
        call.arguments = self._arguments(params, metadata)
        return call

    def _channel_of(self, metadata: CallMetadata, connection: Connection | None) -> Channel | None:
        if metadata.channel is not None:
            channel = self.open_channel(metadata.channel)
            if metadata.session_id:
                channel.name_session(metadata.session_id)
            return channel
        if metadata.form != "none" and connection is not None:
            direct: Channel | None = connection.state.get("direct")
            return direct
        return None

    def open_channel(self, key: str) -> Channel:
        """The channel of that key for the caller of this request.

        Raises:
            MCPError: it is another principal's (-32602), or there are too many.
        """
        try:
            channel = self.channels.open(key, current_principal())
        except MCPCError as exc:
            raise MCPError(INVALID_PARAMS, str(exc)) from exc
        if channel is None:
            raise MCPError(INVALID_PARAMS, "unknown channel")
        return channel

    def close_direct(self, connection: Connection) -> None:
        """The peer listens in our own form after all: nothing more in the direct form."""
        channel: Channel | None = connection.state.pop("direct", None)
        if channel is not None:
            if channel.stream is not None:
                connection.detach(channel.stream)
                channel.leave(channel.stream)
            if channel.idle:
                self.channels.drop(channel)

    def open_direct(self, connection: Connection) -> None:
        """Give a connection that shook hands as the original does a channel of its own, in the direct form."""
        if "direct" in connection.state:
            return
        channel = self.open_channel(f"direct:{secrets.token_hex(16)}")
        stream = DirectStream(channel)
        channel.listen(stream)
        stream.bind(connection.wake)
        connection.state["direct"] = channel
        connection.attach(stream)

    def _arguments(self, params: Mapping[str, Any], metadata: CallMetadata) -> dict[str, Any] | None:
        """The tool's arguments, with the metadata where the tool looks for it (mcpc 0.2 style) and nowhere else.

        None for an ordinary call: they stay as they are.
        """
        if metadata.form == "none":
            return None
        arguments: dict[str, Any] = dict(params.get("arguments") or {})
        arguments.pop("_metadata", None)
        arguments.pop("mcpc_params", None)
        name = params.get("name")
        if self.server is self.lowlevel and name not in self.background_tools:
            arguments["_metadata"] = {
                "mcpc_session_id": metadata.session_id,
                "mcpc_task_id": metadata.task_id,
            }
        elif self._takes_mcpc_params(name):
            arguments["mcpc_params"] = {"session_id": metadata.session_id, "task_id": metadata.task_id}
        return arguments

    def _takes_mcpc_params(self, name: Any) -> bool:
        server: Any = self.server
        if not isinstance(server, MCPServer) or not isinstance(name, str):
            return False
        tool = cast("MCPServer[Any]", server)._tool_manager.get_tool(name)  # pyright: ignore[reportPrivateUsage]
        return tool is not None and "mcpc_params" in tool.parameters.get("properties", {})

    def _hide_parameters(self, result: HandlerResult) -> HandlerResult:
        """Leave `mcpc_params` (mcpc 0.2.6 style) out of the listed schemas: it is not for the model to fill."""
        tools: Any = result.get("tools") if isinstance(result, dict) else None
        for tool in cast("list[dict[str, Any]]", tools or []):
            schema: dict[str, Any] = tool.get("inputSchema") or {}
            properties: dict[str, Any] = schema.get("properties") or {}
            if "mcpc_params" in properties:
                kept = {name: value for name, value in properties.items() if name != "mcpc_params"}
                required = [name for name in schema.get("required", []) if name != "mcpc_params"]
                tool["inputSchema"] = {**schema, "properties": kept, "required": required}
        return result
