"""The middleware: reads what a `tools/call` says of its client and its task, and lets the tool find it.

Answers the handshakes of the originals, hands subscriptions to the tasks
extension, and leaves everything else to the server.
"""

from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import Any

from mcp.server import MCPServer, Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, SERVER_INFO_META_KEY, CallToolResult, InitializeRequestParams
from mcp_types.methods import is_input_required

from mcpc.errors import MCPCError, MessageError
from mcpc.framing import Connection, current_connection
from mcpc.sdk import share_what_is_known
from mcpc.server.answers import on_the_wire
from mcpc.server.call import Call, answered_by, client_of, current_call, current_principal
from mcpc.server.callers import Caller, caller_of
from mcpc.server.desk import Desk
from mcpc.server.direct import DirectForm
from mcpc.server.entrance import Entrance
from mcpc.server.handed import HandedTasks
from mcpc.server.invocation import Invocation
from mcpc.server.journal import Journal
from mcpc.server.kinds import is_async_tool
from mcpc.server.last_resort import answer_instead
from mcpc.server.methods import open_journal
from mcpc.server.offered import with_channel_opened
from mcpc.server.ordinary import shown_to_run
from mcpc.server.originals import handshake_answer, hide_parameters, is_handshake, old_arguments
from mcpc.server.own_task import in_own_task
from mcpc.server.reception import Reception
from mcpc.server.rounds import RoundTable, is_ours
from mcpc.server.sep2663_extension import TasksExtension, declares_tasks, missing_extension
from mcpc.server.start_key import StartKey
from mcpc.server.stubborn import left_alone_if_stubborn
from mcpc.server.task_session import PROGRESS_TOKEN, TaskSession
from mcpc.server.told_limit import with_limit
from mcpc.wire.calls import CallMetadata, read_call
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import META
from mcpc.wire.standard import (
    ARGUMENTS,
    AUTHORS_METHODS,
    CALL_TOOL_METHOD,
    DISCOVER_METHOD,
    INPUT_RESPONSES,
    LIST_TOOLS_METHOD,
    REQUEST_STATE,
)

__all__ = ["CallReader"]

Context = ServerRequestContext[Any, Any]

ASKING_VERSION = "2025-11-25"
"""The newest version at which FastMCP lets a tool ask while it runs. A background tool may ask at any."""


class CallReader:
    """The middleware of one server.

    Args:
        server: The server as its author made it.
        lowlevel: The SDK's server inside it.
        desk: Where its clients ask for tasks.
        reception: Where they ask for their journals.
        direct: Its connections in the direct form.
        sep2663: The tasks extension.
        background_tools: The names of the tools made with `@callbacks.tool()`.
        task_required_tools: Those of them that refuse a caller who can follow no task.
        handed: The tasks whose plain callers were given a handle.
    """

    def __init__(
        self,
        server: Any,
        lowlevel: Server[Any],
        desk: Desk,
        reception: Reception,
        direct: DirectForm,
        sep2663: TasksExtension,
        background_tools: AbstractSet[str],
        task_required_tools: AbstractSet[str],
        handed: HandedTasks,
    ) -> None:
        self._server = server
        self._lowlevel = lowlevel
        self._desk = desk
        self._reception = reception
        self._direct = direct
        self._sep2663 = sep2663
        self._background_tools = background_tools
        self._task_required_tools = task_required_tools
        self._handed = handed
        self._known_clients: list[InitializeRequestParams] = []
        self._rounds = RoundTable(desk.workshop.limits.round_ttl)

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Handle one request or notification."""
        try:
            return await self._look(ctx, call_next)
        except Exception:
            raise  # the SDK makes an answer of it
        except BaseException as exc:
            return await answer_instead(exc, ctx, self._lowlevel.server_info_stamp)

    async def _look(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method not in AUTHORS_METHODS:
            return await self._handle(ctx, call_next)
        name = (ctx.params or {}).get("name", "")
        what = f"the handler of {ctx.method} {name!r}"
        if self._is_in_loop(ctx.method, str(name)):
            with left_alone_if_stubborn(what):
                return await self._handle(ctx, call_next)
        return await self._handle(ctx, partial(_in_own_task, what, call_next))

    def _is_in_loop(self, method: str, name: str) -> bool:
        """Whether it is known that nothing of it runs in a thread of anyio's, or that it runs in the host."""
        return method == CALL_TOOL_METHOD and (name in self._background_tools or is_async_tool(self._server, name))

    async def _handle(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method == LIST_TOOLS_METHOD and ctx.request_id is not None:
            return hide_parameters(await call_next(ctx))
        if ctx.method == DISCOVER_METHOD and ctx.request_id is not None:
            return await with_channel_opened(with_limit(await call_next(ctx)), ctx, self._reception)
        if self._sep2663.concerns(ctx):
            return await self._sep2663.listen(ctx, call_next)
        if ctx.method != CALL_TOOL_METHOD or ctx.request_id is None:
            return await call_next(ctx)
        params = dict(ctx.params or {})
        if is_handshake(params):
            return self._shake_hands(ctx)
        return await self._call(ctx, params, call_next)

    def _shake_hands(self, ctx: Context) -> dict[str, Any]:
        connection = current_connection.get()
        if connection is not None:
            try:
                self._direct.open(connection, current_principal())
            except MCPCError as exc:
                raise MCPError(INVALID_PARAMS, str(exc)) from exc
        return handshake_answer(self._lowlevel.name, ctx)

    async def _call(self, ctx: Context, params: dict[str, Any], call_next: CallNext) -> HandlerResult:
        call = await self._read(params, ctx)
        if call.arguments is not None:
            ctx = replace(ctx, params={**params, ARGUMENTS: call.arguments})
        token = current_call.set(call)
        try:
            if call.tool_name in self._background_tools:
                return await self._background(call, params, ctx, call_next)
            async with shown_to_run(call, self._desk.workshop):
                if isinstance(self._server, MCPServer | Server):
                    return await call_next(ctx)
                # FastMCP may have mounted a server with background tools that we know nothing of.
                return await self._background(call, params, ctx, call_next)
        finally:
            current_call.reset(token)

    async def _background(self, call: Call, params: dict[str, Any], ctx: Context, call_next: CallNext) -> HandlerResult:
        """A call that may be one of a background tool."""
        if is_ours(params.get(REQUEST_STATE)):
            answer = await self._resume(call, params)
        else:
            answer = await self._invoke(call, ctx, call_next)
        return self._on_the_wire(answer, ctx.protocol_version)

    def _on_the_wire(self, answer: HandlerResult, version: str) -> HandlerResult:
        """An answer of ours, with what the SDK adds to its own."""
        stamp = self._lowlevel.server_info_stamp
        if isinstance(answer, CallToolResult):
            return on_the_wire(answer, version, stamp)
        if is_input_required(answer):
            return {**as_object(answer), META: {SERVER_INFO_META_KEY: stamp}}
        return answer

    async def _resume(self, call: Call, params: dict[str, Any]) -> HandlerResult:
        """A call that was answered with questions comes back."""
        waiting = self._rounds.take(params[REQUEST_STATE], current_principal(), call.tool_name)
        return await waiting.resume(call, as_object(params.get(INPUT_RESPONSES)))

    async def _invoke(self, call: Call, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Let the call run in the host, and answer it in its caller's way."""
        caller = caller_of(call, self._desk, self._sep2663, self._rounds, self._handed)
        call.entrance = Entrance(caller.entry.enter)
        share_what_is_known(ctx.session, self._known_clients)
        invocation = Invocation(call.entrance)
        run = partial(invocation.run, partial(call_next, self._as_seen_by_worker(ctx, call, invocation, caller)))
        return await caller.answer(invocation, partial(self._desk.workshop.host.spawn, run))

    def _as_seen_by_worker(self, ctx: Context, call: Call, invocation: Invocation, caller: Caller) -> Context:
        """The request, whose session is the task's. FastMCP looks at more of it before it tells or asks anything."""
        waits = call.journal is None and not call.task_extension
        session: Any = TaskSession(
            ctx.session, lambda: invocation.running, caller.log, answers=answered_by(call), waits=waits
        )
        if isinstance(self._server, MCPServer | Server):
            return replace(ctx, session=session)
        meta: Any = {"progress_token": PROGRESS_TOKEN, **(ctx.meta or {})}
        version = ASKING_VERSION if ctx.params and ctx.params.get("name") in self._background_tools else None
        return replace(ctx, session=session, meta=meta, protocol_version=version or ctx.protocol_version)

    async def _read(self, params: dict[str, Any], ctx: Context) -> Call:
        try:
            metadata = read_call(dict(params))
        except MessageError as exc:
            raise MCPError(INVALID_PARAMS, str(exc)) from exc
        connection = current_connection.get()
        client = client_of(ctx.request)
        assert ctx.request_id is not None
        call = Call(
            server=self._server,
            tool_name=str(params.get("name")),
            metadata=metadata,
            session=ctx.session,
            request_id=ctx.request_id,
            journal=await self._journal_of(metadata, connection, client),
            connection=connection,
            client=client,
            task_extension=declares_tasks(ctx),
            handed=self._handed,
        )
        if metadata.key is not None:
            call.key = StartKey.of(metadata.key, call.tool_name, params.get("arguments"))
        if call.tool_name in self._task_required_tools and call.journal is None and not call.task_extension:
            raise missing_extension()
        background = call.tool_name in self._background_tools
        call.arguments = old_arguments(self._server, params, metadata, background=background)
        return call

    async def _journal_of(
        self, metadata: CallMetadata, connection: Connection | None, client: Hashable
    ) -> Journal | None:
        if metadata.channel is not None:
            return await open_journal(self._reception, metadata.channel, metadata.session_id, client)
        if metadata.form != "none" and connection is not None:
            return self._direct.journal(connection)
        return None


async def _in_own_task(what: str, call_next: CallNext, ctx: Context) -> HandlerResult:
    """Let code of the author's handle a request: if it cannot be cancelled, it is left alone."""

    async def handle() -> HandlerResult:
        with left_alone_if_stubborn(what):
            return await call_next(ctx)

    return await in_own_task(handle)
