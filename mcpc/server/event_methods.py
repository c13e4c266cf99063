"""MCP Events, EXPERIMENTAL: `events/list`, `events/poll` and `events/stream` as handlers on a server.

What can be asked for are the server events that were offered, and the end of a task that the caller may see.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import anyio
from anyio.lowlevel import checkpoint
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, RequestParams
from pydantic import ConfigDict, Field

from mcpc.server.binding import bind
from mcpc.server.desk import Desk
from mcpc.server.events import ANY_OBJECT, EMPTY, MAX_PAGE, EndOfTask, Events, OfferedEvent, Page, Source, begin
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.server.sep2663_push import notify
from mcpc.tasks import TaskState
from mcpc.wire.events import (
    ACTIVE_METHOD,
    EVENT_METHOD,
    HEARTBEAT_METHOD,
    LIST_METHOD,
    MAX_AGE,
    MAX_EVENTS,
    NOT_FOUND,
    POLL_METHOD,
    STREAM_METHOD,
    event_type,
    not_found_data,
    poll_result,
    type_list,
    with_events,
    write_cursor,
)
from mcpc.wire.jsontext import as_object
from mcpc.wire.requests import TASK_ID
from mcpc.wire.standard import DISCOVER_METHOD, INITIALIZE_METHOD

__all__ = ["TASK_ENDED", "serve_events"]

Context = ServerRequestContext[Any, Any]

TASK_ENDED = "task.ended"
"""The event that is the end of a task."""

HEARTBEAT = 15.0
"""Seconds after which a quiet stream says that it is there."""
POLL_EVERY = 1000
"""Milliseconds between two polls, as a suggestion."""

OF_TASK: dict[str, Any] = {
    "type": "object",
    "properties": {TASK_ID: {"type": "string", "description": "The task whose end is waited for"}},
    "required": [TASK_ID],
    "additionalProperties": False,
}


def serve_events(server: Any, events: Mapping[str, str | OfferedEvent] | None = None) -> None:
    """Serve MCP Events (EXPERIMENTAL: a draft that still moves, and this with it).

    From now on clients may list, poll and stream the ends of their tasks (`task.ended`, with the argument `taskId`) and
    the server events that are named here and sent with `callbacks.emit` to every channel. An event that is sent to one
    session, or that is not named, is not among them. May be called again, for more.

    Draft: modelcontextprotocol/experimental-ext-triggers-events, docs/design-sketch-proposal.md.

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        events: By name: what a model reads of it, or an `OfferedEvent`.

    Raises:
        ValueError: an event is offered already, or has no name.
        MCPCError: it is not a server.
    """
    binding = bind(server)
    if binding.events is None:
        binding.events = Events(binding.workshop.limits, binding.workshop.clock)
        _EventMethods(binding.events, binding.desk, binding.sep2663).install(binding.lowlevel)
    for name, offered in (events or {}).items():
        if not name or name == TASK_ENDED:
            raise ValueError(f"an event cannot be named {name!r}")
        binding.events.offer(name, OfferedEvent(offered) if isinstance(offered, str) else offered)


class _ListParams(RequestParams):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    cursor: None = None
    """There is one page, so no cursor was ever given."""


class _EventParams(RequestParams):
    """Of `events/poll` and `events/stream`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", populate_by_name=True)

    name: str = Field(max_length=1024)
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    cursor: str | None = Field(default=None, max_length=256)
    max_age: int | None = Field(default=None, alias=MAX_AGE, ge=0, strict=True)
    max_events: int = Field(default=MAX_PAGE, alias=MAX_EVENTS, ge=1, strict=True)


class _EventMethods:
    """The handlers of one server."""

    def __init__(self, events: Events, desk: Desk, tasks: TasksExtension) -> None:
        self._events = events
        self._desk = desk
        self._tasks = tasks

    def install(self, lowlevel: Server[Any]) -> None:
        """Advertise the capability and add the methods."""
        lowlevel.middleware.append(_advertise)
        lowlevel.add_request_handler(LIST_METHOD, _ListParams, self.list)
        lowlevel.add_request_handler(POLL_METHOD, _EventParams, self.poll)
        lowlevel.add_request_handler(STREAM_METHOD, _EventParams, self.stream)

    async def list(self, ctx: Context, params: _ListParams) -> dict[str, Any]:
        """What can be asked for."""
        offered = self._events.logs.values()
        types = [event_type(log.name, log.offered.description, EMPTY, log.offered.payload_schema) for log in offered]
        return type_list([*types, event_type(TASK_ENDED, "A task has completed or failed", OF_TASK, ANY_OBJECT)])

    async def poll(self, ctx: Context, params: _EventParams) -> dict[str, Any]:
        """The next events after a cursor; none, and a cursor, where there is no cursor yet."""
        source, _ = await self._source(ctx, params)
        after, missed = _begin(source, params.cursor)
        page = Page([], after, skipped=False, has_more=source.read(after, 1, 0.0).events != [])
        if params.cursor is not None:
            page = source.read(after, min(params.max_events, MAX_PAGE), self._oldest(params))
        return poll_result(
            page.events,
            write_cursor(source.epoch, page.after),
            truncated=missed or page.skipped,
            has_more=page.has_more,
            next_poll_ms=POLL_EVERY,
        )

    async def stream(self, ctx: Context, params: _EventParams) -> dict[str, Any]:
        """The events as they come, until the client cancels, or nothing can come any more."""
        source, task = await self._source(ctx, params)
        after, missed = _begin(source, params.cursor)
        stream = _Stream(ctx, source, after, self._oldest(params) if params.cursor is not None else 0.0)
        workshop = self._desk.workshop
        observed = self._desk.running_of([task] if task is not None else [])
        for each in observed:
            each.observers.append(stream.noticed)
        workshop.followers.append(stream)
        try:
            await stream.run(missed=missed)
        finally:
            workshop.followers.remove(stream)
            for each in observed:
                if stream.noticed in each.observers:
                    each.observers.remove(stream.noticed)
            stream.end()
        return {}

    def _oldest(self, params: _EventParams) -> float:
        """The time before which nothing shall be told again."""
        return 0.0 if params.max_age is None else max(0.0, self._desk.workshop.clock.wall() - params.max_age / 1000)

    async def _source(self, ctx: Context, params: _EventParams) -> tuple[Source, TaskState | None]:
        """Where the events of a subscription come from, and the task that they are of.

        Raises:
            MCPError: there is no such event or task, or the arguments do not fit.
        """
        if params.name == TASK_ENDED:
            task = await self._task(ctx, params.arguments)
            return EndOfTask(TASK_ENDED, task), task
        log = self._events.logs.get(params.name)
        if log is None:
            raise MCPError(NOT_FOUND, f"there is no event of the name {params.name!r}", not_found_data("event"))
        if params.arguments:
            raise MCPError(INVALID_PARAMS, f"the event {params.name!r} takes no arguments")
        return log, None

    async def _task(self, ctx: Context, arguments: dict[str, Any]) -> TaskState:
        if arguments.keys() != {TASK_ID} or not isinstance(arguments[TASK_ID], str):
            raise MCPError(INVALID_PARAMS, f"the event {TASK_ENDED!r} takes one argument, the text {TASK_ID}")
        task = await self._tasks.find(ctx, arguments[TASK_ID])
        if task is None:
            raise MCPError(NOT_FOUND, "unknown task", not_found_data("task"))
        return task


def _begin(source: Source, cursor: str | None) -> tuple[int, bool]:
    try:
        return begin(source, cursor)
    except ValueError as exc:
        raise MCPError(INVALID_PARAMS, str(exc)) from exc


class _Stream:
    """One `events/stream`: it reads its source as fast as its client does, so nothing waits here."""

    def __init__(self, ctx: Context, source: Source, after: int, not_before: float) -> None:
        self.ended: anyio.Event = anyio.Event()
        """Set when nothing more is sent."""
        self._ctx = ctx
        self._source = source
        self._after = after
        self._not_before = not_before
        self._finishing = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, *, missed: bool) -> None:
        """Send what there is and what comes."""
        with self._scope:
            await self._tell(ACTIVE_METHOD, truncated=missed)
            while True:
                change = self._source.change  # before it is looked what there is: nothing can come unseen
                if await self._send():
                    continue
                if self._source.is_over(self._after) or self._finishing.is_set():
                    return
                await self._wait(change)

    async def _send(self) -> bool:
        """Send what there is; whether there was something."""
        page = self._source.read(self._after, MAX_PAGE, self._not_before)
        self._after = page.after
        if page.skipped:
            await self._tell(ACTIVE_METHOD, truncated=True)
        for number, event in enumerate(page.events, page.after - len(page.events) + 1):
            cursor = write_cursor(self._source.epoch, number)
            await self._notify(EVENT_METHOD, {**event, "cursor": cursor})
            await checkpoint()
        return bool(page.events)

    async def _wait(self, change: anyio.Event) -> None:
        with anyio.move_on_after(HEARTBEAT) as quiet:
            async with anyio.create_task_group() as group:

                async def finishing() -> None:
                    await self._finishing.wait()
                    group.cancel_scope.cancel()

                group.start_soon(finishing)
                await change.wait()
                group.cancel_scope.cancel()
        if quiet.cancelled_caught:
            await self._tell(HEARTBEAT_METHOD)

    async def _tell(self, method: str, **more: Any) -> None:
        await self._notify(method, {"cursor": write_cursor(self._source.epoch, self._after), **more})

    async def _notify(self, method: str, params: dict[str, Any]) -> None:
        assert self._ctx.request_id is not None
        await notify(self._ctx.session, self._ctx.request_id, method, params)

    def noticed(self, state: TaskState) -> None:
        """The task that it is about has changed."""
        if isinstance(self._source, EndOfTask):
            self._source.noticed(state)

    def finish(self) -> None:
        """End once everything that waits has been sent."""
        self._finishing.set()

    def end(self) -> None:
        """End now."""
        self._scope.cancel()
        self.ended.set()


async def _advertise(ctx: Context, call_next: CallNext) -> HandlerResult:
    """A middleware: the greeting says that there are events."""
    result: Any = await call_next(ctx)
    if ctx.method not in (INITIALIZE_METHOD, DISCOVER_METHOD) or ctx.request_id is None:
        return result
    return with_events(as_object(result)) if isinstance(result, dict) else result
