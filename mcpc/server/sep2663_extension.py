"""The tasks extension, `io.modelcontextprotocol/tasks` (SEP-2663), over the same tasks that MCPC clients follow.

A background tool called by a client that declares the extension, and speaks no
MCPC on that call, answers with a task handle; `tasks/get`, `tasks/update`,
`tasks/cancel` and `subscriptions/listen` with `taskIds` reach any task of the
server's one registry, however it was begun. Whose a task is: its principal's,
where the transport authenticates; among those without, whoever knows its
unguessable id. A foreign id looks exactly like an unknown one.

Specification: modelcontextprotocol/ext-tasks, specification/draft/tasks.md.
"""

import uuid
from dataclasses import replace
from typing import Any, ClassVar, cast

import anyio
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    SERVER_INFO_META_KEY,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict, Field

from mcpc.errors import PromptError
from mcpc.routing import check_task_name
from mcpc.sdk import request_headers
from mcpc.server.call import Call, current_principal
from mcpc.server.desk import Desk
from mcpc.server.execution import Execution
from mcpc.server.outlets import NullOutlet
from mcpc.server.sep2663_push import AcknowledgingSession, TaskStream, notify, send_states
from mcpc.server.sep2663_state import created_state, detailed_state
from mcpc.server.terms import Terms
from mcpc.tasks import TaskState
from mcpc.wire.jsontext import as_object
from mcpc.wire.message import meta_of, with_meta
from mcpc.wire.names import CALLBACKS_EXTENSION, CHANNEL_META, SUBSCRIPTION_META
from mcpc.wire.prompts import read_response
from mcpc.wire.reasons import PROMPT, UNKNOWN_TASK, reason_data
from mcpc.wire.requests import TASK_ID
from mcpc.wire.sep2663 import (
    ACKNOWLEDGED_METHOD,
    CANCEL_METHOD,
    GET_METHOD,
    REQUIRED_CAPABILITIES,
    SUBSCRIBE_METHOD,
    TASKS_EXTENSION,
    UPDATE_METHOD,
    wanted_ids,
)
from mcpc.wire.standard import INPUT_RESPONSES, RESULT_TYPE

__all__ = ["TasksExtension", "declares_tasks", "missing_extension"]

Context = ServerRequestContext[Any, Any]


class _TaskParams(RequestParams):
    """Of `tasks/get`, `tasks/update` and `tasks/cancel`. Checked by the handlers, after the version and the caller."""

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True, extra="ignore")

    task_id: Any = Field(default=None, alias=TASK_ID)
    input_responses: Any = Field(default=None, alias=INPUT_RESPONSES)


def _declares(ctx: Context, identifier: str) -> bool:
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and identifier in (capabilities.extensions or {})


def declares_tasks(ctx: Context) -> bool:
    """Whether the caller declared the extension on this very request."""
    return _declares(ctx, TASKS_EXTENSION)


def missing_extension() -> MCPError:
    """The refusal of a caller who did not declare the extension where that is needed."""
    return MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"Missing required client capability: the extension {TASKS_EXTENSION}",
        REQUIRED_CAPABILITIES,
    )


def _is_unguessable(task_id: str) -> bool:
    """Whether it is a random UUID, as we make them and our clients do; other ids may have been thought up."""
    try:
        return uuid.UUID(task_id).version == 4
    except ValueError:
        return False


class TasksExtension:
    """The extension on one server."""

    def __init__(self, desk: Desk, lowlevel: Server[Any]) -> None:
        self.streams: list[TaskStream] = []
        """The subscriptions to tasks that are open."""
        self._desk = desk
        self._lowlevel = lowlevel

    def install(self) -> None:
        """Advertise it and add its methods. (`listen` is called by the middleware, see `calls`.)"""
        lowlevel = self._lowlevel
        lowlevel.extensions[TASKS_EXTENSION] = {}
        for name, handler in ((GET_METHOD, self.get), (UPDATE_METHOD, self.update), (CANCEL_METHOD, self.cancel)):
            lowlevel.add_request_handler(name, _TaskParams, handler)

    async def start(self, call: Call, terms: Terms) -> Execution:
        """Enter a task for a call, whose answer becomes the task handle.

        Raises:
            TooManyTasks, MCPCError: see `Workshop.start`.
        """
        execution = await self._desk.enter(
            tool_name=call.tool_name,
            session_id=call.metadata.session_id,
            principal=current_principal(),
            outlet=NullOutlet(),
            client=call.client,
            terms=terms,
        )
        assert isinstance(execution, Execution), "there is no key"
        if not self._desk.is_shared:
            self._desk.workshop.presence.begin(execution.state.task_id)
        call.outcome = self._stamped(created_state(execution.state))
        return execution

    def _stamped(self, result: dict[str, Any]) -> dict[str, Any]:
        """A result that does not pass the SDK's own stamping."""
        return with_meta(result, SERVER_INFO_META_KEY, self._lowlevel.server_info_stamp)

    # --- whose task it is ---

    async def find(self, ctx: Context, task_id: Any) -> TaskState | None:
        """The task of that id, if the caller may see it."""
        if not isinstance(task_id, str):
            return None
        state = await self._desk.look_up(task_id)
        if state is None or not self._may_see(ctx, state):
            return None
        self._desk.workshop.presence.seen(task_id)
        return state

    def _may_see(self, ctx: Context, state: TaskState) -> bool:
        principal = current_principal()
        if state.principal != principal:
            return False
        if principal is not None or _is_unguessable(state.task_id):
            return True
        channel = meta_of(ctx.params).get(CHANNEL_META)
        return isinstance(channel, str) and self._desk.owns(channel, state)

    async def _task(self, ctx: Context, params: _TaskParams) -> TaskState:
        """The task that a request is about.

        Raises:
            MCPError: not at this version, not with these headers, not for this caller, or no such task.
        """
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
        check_task_name(request_headers(ctx.request), params.task_id)
        if not declares_tasks(ctx):
            raise missing_extension()
        state = await self.find(ctx, params.task_id)
        if state is None:
            raise MCPError(INVALID_PARAMS, "Unknown task: there is none of this id", reason_data(UNKNOWN_TASK))
        return state

    # --- methods ---

    async def get(self, ctx: Context, params: _TaskParams) -> dict[str, Any]:
        """The task's state."""
        task = await self._task(ctx, params)
        limit = self._desk.workshop.limits.max_message_size
        return detailed_state(task, max_size=limit, with_details=_declares(ctx, CALLBACKS_EXTENSION))

    async def cancel(self, ctx: Context, params: _TaskParams) -> dict[str, Any]:
        """Stop the task; one that has ended is left as it is."""
        await self._desk.request_stop(await self._task(ctx, params))
        return {}

    async def update(self, ctx: Context, params: _TaskParams) -> dict[str, Any]:
        """Answer some of the task's questions. Those that are not open (any more) are passed over, as the spec asks.

        An answer that does not fit is refused; its question stays open, the other answers count.
        """
        state = await self._task(ctx, params)
        responses: Any = params.input_responses
        if not isinstance(responses, dict):
            raise MCPError(INVALID_PARAMS, "inputResponses must be an object of responses by key")
        problems: list[str] = []
        for key, response in cast("dict[str, Any]", responses).items():
            try:
                await self._respond(state, key, response)
            except PromptError as exc:
                problems.append(f"{key}: {exc}")
        if problems:
            raise MCPError(INVALID_PARAMS, "; ".join(problems), reason_data(PROMPT))
        return {}

    async def _respond(self, state: TaskState, key: str, response: Any) -> None:
        prompt = state.prompts.get(key)
        if prompt is None:
            return
        action, answer = read_response(prompt, as_object(response))
        if action == "accept":
            await self._desk.answer(state, key, answer)
        else:
            await self._desk.refuse(state, key, action)

    # --- push ---

    def concerns(self, ctx: Context) -> bool:
        """Whether a request is a subscription to tasks."""
        if ctx.method != SUBSCRIBE_METHOD or ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return False
        return ctx.request_id is not None and _wanted(ctx) is not None

    async def listen(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Serve a subscription to tasks, beside what the server's own handler makes of the rest of it.

        Raises:
            MCPError: the caller did not declare the extension, or `taskIds` is not a list of texts.
        """
        if not declares_tasks(ctx):
            raise missing_extension()
        wanted = _wanted(ctx)
        if not isinstance(wanted, list) or not all(isinstance(item, str) for item in cast("list[Any]", wanted)):
            raise MCPError(INVALID_PARAMS, "notifications.taskIds must be a list of task ids")
        found = [await self.find(ctx, task_id) for task_id in dict.fromkeys(cast("list[str]", wanted))]
        tasks = [state for state in found if state is not None]
        stream = TaskStream(
            tasks,
            self._desk.running_of(tasks),
            max_size=self._desk.workshop.limits.max_message_size,
            with_details=_declares(ctx, CALLBACKS_EXTENSION),
        )
        self.streams.append(stream)
        self._desk.workshop.followers.append(stream)
        try:
            with self._desk.workshop.presence.following(stream.task_ids):
                return await self._serve(ctx, self._others(call_next), stream)
        finally:
            self.streams.remove(stream)
            self._desk.workshop.followers.remove(stream)
            stream.end()

    def _others(self, call_next: CallNext) -> CallNext:
        """The server's own handler, which sends list changes; a server without one has none to send."""
        return call_next if self._lowlevel.get_request_handler(SUBSCRIBE_METHOD) is not None else _acknowledge

    async def _serve(self, ctx: Context, others: CallNext, stream: TaskStream) -> HandlerResult:
        assert ctx.request_id is not None
        session = AcknowledgingSession(ctx.session, stream.task_ids)
        result: HandlerResult = self._stamped(with_meta({RESULT_TYPE: "complete"}, SUBSCRIPTION_META, ctx.request_id))
        failure: Exception | None = None
        async with anyio.create_task_group() as group:

            async def serve_others() -> None:
                nonlocal result, failure
                try:
                    result = await others(replace(ctx, session=cast("Any", session)))
                    stream.finish()
                    if not session.acknowledged.is_set():
                        group.cancel_scope.cancel()  # nothing may be sent before the acknowledgement
                except Exception as exc:
                    failure = exc  # raised below, where no task group wraps it
                    group.cancel_scope.cancel()

            group.start_soon(serve_others)
            await session.acknowledged.wait()
            await send_states(ctx.session, ctx.request_id, stream)
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return result


def _wanted(ctx: Context) -> Any:
    """The `taskIds` of a subscription as they came: the SDK's own model does not know them."""
    return wanted_ids(ctx.params)


async def _acknowledge(ctx: Context) -> HandlerResult:
    """A `subscriptions/listen` handler that has nothing of its own to send."""
    assert ctx.request_id is not None
    await notify(ctx.session, ctx.request_id, ACKNOWLEDGED_METHOD, {"notifications": {}})
    await anyio.sleep_forever()
