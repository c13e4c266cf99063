"""The `mcpc/*` methods, as handlers on a server: what a client asks of the workshop, and what it is refused."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Notification, RequestParams
from pydantic_core import from_json

from mcpc.errors import MCPCError, TaskError, UnknownTask
from mcpc.framing import current_connection
from mcpc.later import later
from mcpc.mailbox import Batch
from mcpc.responses import current_response
from mcpc.server.call import client_of, current_principal
from mcpc.server.desk import Desk
from mcpc.server.direct import DirectForm
from mcpc.server.journal import Journal
from mcpc.server.reception import Reception
from mcpc.server.streams import ListenStream
from mcpc.server.told_limit import information
from mcpc.tasks import TaskState
from mcpc.wire.message import with_meta
from mcpc.wire.names import (
    HEADS_FORM,
    INFO_METHOD,
    LISTEN_METHOD,
    LISTENING_METHOD,
    MESSAGES_METHOD,
    PAUSE_METHOD,
    RESUME_METHOD,
    SEND_METHOD,
    STOP_METHOD,
    SUBSCRIPTION_META,
    TASK_METHOD,
)
from mcpc.wire.reasons import reason_to

if TYPE_CHECKING:
    from mcpc.server import method_params
else:
    method_params = later("mcpc.server.method_params")  # a server's first answer needs none of them

__all__ = ["add_methods", "open_journal"]

Context = ServerRequestContext[Any, Any]
ParamsT = TypeVar("ParamsT", bound=RequestParams)


def add_methods(lowlevel: Server[Any], desk: Desk, reception: Reception, direct: DirectForm) -> None:
    """Register the methods on a server."""
    methods = _Methods(lowlevel.name, desk, reception, direct)

    def add(
        name: str, params: Callable[[], type[ParamsT]], handler: Callable[[Context, ParamsT], Awaitable[dict[str, Any]]]
    ) -> None:
        async def handle(ctx: Context, _: RequestParams) -> dict[str, Any]:
            # As the SDK reads them, which makes the same answer of what is wrong with them.
            return await handler(ctx, params().model_validate(ctx.params or {}, by_name=False))

        lowlevel.add_request_handler(name, RequestParams, handle)

    add(INFO_METHOD, lambda: method_params.InfoParams, methods.info)
    add(LISTEN_METHOD, lambda: method_params.ListenParams, methods.listen)
    add(PAUSE_METHOD, lambda: method_params.PauseParams, methods.pause)
    add(RESUME_METHOD, lambda: method_params.PauseParams, methods.resume)
    add(TASK_METHOD, lambda: method_params.StateParams, methods.task)
    add(SEND_METHOD, lambda: method_params.SendParams, methods.send)
    add(STOP_METHOD, lambda: method_params.TaskParams, methods.stop)


async def open_journal(reception: Reception, key: str, session_id: str = "", client: Hashable | None = None) -> Journal:
    """The journal of that channel key for the caller of this request, made where there is none.

    Raises:
        MCPError: it is another principal's (-32602), or there are too many.
    """
    try:
        journal = await reception.open_journal(key, current_principal(), session_id, client)
    except MCPCError as exc:
        raise _refusal(exc) from exc
    if journal is None:
        raise MCPError(INVALID_PARAMS, "unknown channel")
    return journal


class _Methods:
    """The handlers."""

    def __init__(self, name: str, desk: Desk, reception: Reception, direct: DirectForm) -> None:
        self._name = name
        self._desk = desk
        self._reception = reception
        self._direct = direct

    async def info(self, ctx: Context, params: "method_params.InfoParams") -> dict[str, Any]:
        """Who we are."""
        return information(self._name)

    async def task(self, ctx: Context, params: "method_params.StateParams") -> dict[str, Any]:
        """A task's state."""
        return self._desk.workshop.describe(await self._state(params), largest=params.max_message_size)

    async def send(self, ctx: Context, params: "method_params.SendParams") -> dict[str, Any]:
        """An input for a running task, or the answer to one of its prompts."""
        state = await self._state(params)
        try:
            if params.prompt_id is not None:
                await self._desk.answer(state, params.prompt_id, params.input)
            else:
                await self._desk.send_input(state, params.input, params.key)
        except TaskError as exc:
            raise _refusal(exc) from exc
        return {}

    async def stop(self, ctx: Context, params: "method_params.TaskParams") -> dict[str, Any]:
        """Stop a task; one that has ended is left as it is."""
        await self._desk.request_stop(await self._state(params))
        return {}

    async def _state(self, params: "method_params.TaskParams") -> TaskState:
        """The caller's task. A foreign id, an unknown one and a foreign channel all give the same error."""
        try:
            return await self._desk.find(params.channel, current_principal(), params.task_id)
        except UnknownTask as exc:
            raise _refusal(exc) from exc

    async def pause(self, ctx: Context, params: "method_params.PauseParams") -> dict[str, Any]:
        """Send the listener nothing until it resumes; senders wait for it meanwhile, as for one that reads."""
        self._stream(params).pause()
        return {}

    async def resume(self, ctx: Context, params: "method_params.PauseParams") -> dict[str, Any]:
        """Send the listener what has come meanwhile, and go on."""
        self._stream(params).resume()
        return {}

    def _stream(self, params: "method_params.PauseParams") -> ListenStream:
        """The caller's listening. A request that comes late must not pause the one after it."""
        journal = self._reception.known_journal(params.channel, current_principal())
        stream = None if journal is None else journal.reader
        if not isinstance(stream, ListenStream) or stream.name != params.listen_id:
            raise MCPError(INVALID_PARAMS, "nobody of that listenId listens to this channel here")
        return stream

    async def listen(self, ctx: Context, params: "method_params.ListenParams") -> dict[str, Any]:
        """Send the channel's messages on this request until it is cancelled, replaced or the server shuts down."""
        journal = await open_journal(self._reception, params.channel, client=client_of(ctx.request))
        assert ctx.request_id is not None
        await self._reception.expect_listener(journal, params.after, params.epoch)
        stream = ListenStream(
            journal,
            ctx.request_id,
            params.after,
            params.epoch,
            max_message_size=params.max_message_size,
            heads=HEADS_FORM in params.forms,
            name=params.listen_id,
        )
        journal.listen(stream)
        connection = current_connection.get()
        if connection is not None:
            self._direct.close(connection)
        try:
            if connection is None:
                await _pump(ctx, stream)
            else:
                stream.bind(connection.wake)
                connection.attach(stream)
                await stream.ended.wait()
        finally:
            if connection is not None:
                connection.detach(stream)
            journal.leave(stream)
            self._reception.left(journal)
        return {}


def _refusal(exc: MCPCError) -> MCPError:
    return MCPError(INVALID_PARAMS, str(exc), reason_to(exc))


async def _pump(ctx: Context, stream: ListenStream) -> None:
    """Send what the stream has as notifications of its request."""
    response = current_response.get()
    if response is None:
        await _notify(ctx, stream)
        return
    if not response.is_open:
        await _notify(ctx, stream, once=True)  # the SDK has to open the answer
    while not stream.ended.is_set():
        if frames := stream.take():
            await response.send(*frames)
            await anyio.lowlevel.checkpoint()
        elif not stream.ended.is_set():
            await stream.ready()


async def _notify(ctx: Context, stream: ListenStream, *, once: bool = False) -> None:
    """The same through the SDK, to the end or once."""
    while not stream.ended.is_set():
        item = stream.next()
        if item is None:
            if not stream.ended.is_set():
                await stream.ready()
            continue
        params: dict[str, Any] = with_meta({}, SUBSCRIPTION_META, stream.listen_id)
        if isinstance(item, Batch):
            method = MESSAGES_METHOD
            params.update(first=item.first, messages=[from_json(message) for message in item.messages])
        else:
            method = LISTENING_METHOD
            params.update(item)
        notification: Any = Notification[dict[str, Any], str](method=method, params=params)
        await ctx.session.send_notification(notification, related_request_id=stream.listen_id)
        await anyio.lowlevel.checkpoint()
        if once:
            return
