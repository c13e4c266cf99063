"""`Client`: everything `mcp.Client` does, plus callbacks, over any transport, with reconnection."""

from __future__ import annotations

import inspect
import logging
import secrets
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Self, cast
from weakref import WeakValueDictionary

import anyio
import anyio.abc
import mcp
from mcp.client import ClientExtension, ClientSession, advertise
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcpc.client.connecting import Connector, InProcess
from mcpc.client.handle import TaskHandle, result_value
from mcpc.client.inbox import Inbox
from mcpc.client.life import Life, Steps, unwrapped
from mcpc.client.peer import (
    Backoff,
    Form,
    keep_listening,
    send_input,
    shake_hands,
    stop_task,
    task_state,
    typed,
)
from mcpc.client.sep2663_tasks import Hooks
from mcpc.client.tap import tap
from mcpc.client.tasks_extension import RemoteTasks, call_as_asked
from mcpc.dispatcher import DEFAULT_CAPACITY, Dispatcher, Overflow, Registration
from mcpc.errors import ConnectFailed, ConnectionLost, MCPCError, UnknownTask
from mcpc.messages import MCPCInformation, MCPCMessage, Prompt, prompt_of
from mcpc.transport import URI, StreamPair
from mcpc.wire.callbacks import messages_in_content
from mcpc.wire.calls import call_meta
from mcpc.wire.names import CALLBACKS_EXTENSION
from mcpc.wire.sep2663 import TASKS_EXTENSION

__all__ = ["Client", "PromptHandler"]

logger = logging.getLogger("mcpc")

PromptHandler = Callable[[Prompt], Any]
"""Answers a prompt: its return value (or what it awaits to) is the answer."""

NO_RECONNECT = frozenset(("stdio", "memory"))
"""Schemes that are not dialled again unless asked: a new process, or a new server, is another one."""

_SDK_OPTIONS = frozenset(f.name for f in fields(mcp.Client) if f.init) - {"server"}


class _TappedTransport:
    """A transport whose streams pass our taps; entered once for each connection."""

    def __init__(self, inner: Any, enter: Callable[[StreamPair], StreamPair]) -> None:
        self._inner = inner
        self._enter = enter

    async def __aenter__(self) -> StreamPair:
        return self._enter(await self._inner.__aenter__())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class Client(mcp.Client):
    """An MCP client with callbacks.

    Args:
        server: A URI, one of the SDK's transports, or a server object (connected in memory).
        provider: Our name in the handshake.
        reconnect: Dial again when the connection is lost; by default for sockets and HTTP. A `Backoff` says how.
        reconnect_timeout: Seconds after which to give up dialling; None never gives up.
        on_connection: Called with `connected`, `lost` and `closed`.
        options: What `mcp.Client` takes (`mode`, `read_timeout_seconds`, `extensions`, …), and for a URI the
            transport's options for connecting (`headers`, `token`, `max_message_size`, …).

    Raises:
        URIError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
    """

    def __init__(
        self,
        server: Any,
        *,
        provider: str = "mcpc",
        reconnect: bool | Backoff | None = None,
        reconnect_timeout: float | None = 60.0,
        on_connection: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        sdk_options = {name: value for name, value in options.items() if name in _SDK_OPTIONS}
        transport_options = {name: value for name, value in options.items() if name not in _SDK_OPTIONS}
        transport, can_redial = _transport_of(server, transport_options)
        extensions: Sequence[ClientExtension] = sdk_options.pop("extensions", None) or ()
        if not any(extension.identifier == CALLBACKS_EXTENSION for extension in extensions):
            extensions = (*extensions, advertise(CALLBACKS_EXTENSION))
        self._remote = RemoteTasks(self, Hooks(self._emit, self._finish, self._spawn, self._handler_answer))
        if not any(extension.identifier == TASKS_EXTENSION for extension in extensions):
            extensions = (*extensions, self._remote.extension)
        super().__init__(cast("Any", _TappedTransport(transport, self._tap)), extensions=extensions, **sdk_options)
        self.provider = provider
        self.reconnect = can_redial if reconnect is None else bool(reconnect)
        self.reconnect_timeout = reconnect_timeout
        self.server_information: MCPCInformation | None = None
        """What the server said of itself in the handshake; None for a standard server."""
        self.tasks: WeakValueDictionary[str, TaskHandle] = WeakValueDictionary()
        """The handles of tasks that have not ended, by id. One that nobody holds is gone, and keeps no messages."""
        steps = Steps(self._connection, self._begin, self._fall_back, self._report)
        self._life = Life(steps, reconnect if isinstance(reconnect, Backoff) else Backoff())
        self._can_redial = isinstance(transport, Connector)
        self._form: Form = ""
        self._channel = secrets.token_urlsafe(24)
        self._on_connection = on_connection
        self._dispatcher = Dispatcher(self._spawn, on_drained=self.drained)
        self._inbox = Inbox(self._deliver, self._pause)
        self._inbox.on_lost_tasks = self._lose_unknown
        self._inbox.on_room = self.drained
        self.prompt_handlers: list[PromptHandler] = []
        """What `on_prompt` added; the last one answers."""
        self._tasks_group: anyio.abc.TaskGroup | None = None
        self._room = anyio.Event()
        self._listen_scope: anyio.CancelScope | None = None

    # --- its life ---

    async def __aenter__(self) -> Self:
        """Connect, shake hands, and listen.

        Raises:
            ConnectFailed: nobody answered, or the peer refused us.
        """
        if self._tasks_group is not None:
            raise RuntimeError("Client is already entered; cannot reenter")
        group = anyio.create_task_group()
        await group.__aenter__()
        self._tasks_group = group
        try:
            await group.start(self._live)
        except BaseException as exc:
            self._tasks_group = None
            group.cancel_scope.cancel()
            group.cancel_scope.shield = True  # a scope of its own would end before the group it is inside of
            await group.__aexit__(None, None, None)
            cause = unwrapped(exc)
            raise cause from cause.__cause__
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Leave. Tasks on the server go on; their handles here end as lost."""
        group, self._tasks_group = self._tasks_group, None
        if group is None:
            return
        self._lose_all(ConnectionLost("the client was closed"))
        group.cancel_scope.cancel()
        # The group is not told of the caller's exception: it would wrap it in a group.
        await group.__aexit__(None, None, None)
        self._report("closed")

    async def _live(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Hold a connection, and make a new one when it is lost."""
        await self._life.hold_first(task_status)
        while self.reconnect:
            if not await self._life.hold_next(self.reconnect_timeout):
                break
        self._lose_all(ConnectionLost("the connection to the server was lost"))

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None]:
        self._entered = False
        await super().__aenter__()
        try:
            yield
        finally:
            self._inbox.abandon_calls()
            await super().__aexit__(None, None, None)

    def _fall_back(self) -> bool:
        """A server that dies of the probe for the newer era is dialled again in the older one."""
        if self.mode != "auto" or not self._can_redial:
            return False
        logger.info("the server closed the connection when probed for the newer protocol; trying the older one")
        self.mode = "legacy"
        return True

    async def _begin(self, group: anyio.abc.TaskGroup) -> None:
        self._form, self.server_information = await shake_hands(self.session, self.provider)
        if self._form != "meta":
            return
        self._inbox.stopped_listening()
        group.start_soon(self._listen, self.session)
        with anyio.move_on_after(10) as patience:
            await self._inbox.listening.wait()
        if patience.cancelled_caught:
            raise ConnectFailed("the server did not confirm that it lets us listen within 10 seconds")

    async def _listen(self, session: ClientSession) -> None:
        try:
            await keep_listening(session, self._inbox, self._channel, running=self._set_scope, room=lambda: self._room)
        except (MCPError, MCPCError) as exc:
            logger.warning("listening for callbacks failed: %s", exc)
            self._life.end_connection()

    def _set_scope(self, scope: anyio.CancelScope) -> None:
        self._listen_scope = scope

    def _tap(self, streams: StreamPair) -> StreamPair:
        tapped = tap(streams, self._inbox, channel=lambda: self._channel, on_end=self._life.end_connection)
        return self._remote.streams.tap(tapped)

    def _report(self, state: str) -> None:
        if self._on_connection is not None:
            try:
                self._on_connection(state)
            except Exception:
                logger.exception("on_connection raised")

    def _spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._tasks_group is not None:
            self._tasks_group.start_soon(main)

    @property
    def session(self) -> ClientSession:
        """The session of the present connection.

        Raises:
            ConnectionLost: there is no connection now.
            RuntimeError: the client was not entered.
        """
        if self._session is None and self._tasks_group is not None:
            raise ConnectionLost("there is no connection to the server now")
        return super().session

    @property
    def supports_mcpc(self) -> bool:
        """Whether the server speaks MCPC in any form."""
        return self._form != ""

    # --- messages ---

    def add_event_listener(
        self,
        listener: Callable[[MCPCMessage], Any],
        *,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        **matches: str | None,
    ) -> Registration:
        """Call `listener`, sync or async, with every message that matches; server events too.

        Args:
            listener: The listener.
            capacity: Messages that may wait for an async listener.
            overflow: What happens when that many wait; see `mcpc.dispatcher.Overflow`.
            matches: Members (`session_id`, `task_id`, `tool_name`, `type`, `event`) that must be equal.
        """
        return self._dispatcher.add(listener, capacity=capacity, overflow=overflow, **matches)

    def remove_event_listener(self, listener: Callable[[MCPCMessage], Any]) -> None:
        """Call `listener` no more."""
        self._dispatcher.remove(listener)

    def on_prompt(self, handler: PromptHandler) -> PromptHandler:
        """Let `handler`, sync or async, answer what tasks ask (`task.ask`). Usable as a decorator."""
        self.prompt_handlers.append(handler)
        return handler

    def drained(self) -> None:
        """A queue has room again: go on listening if that had stopped."""
        if self._inbox.paused:
            self._room.set()
            if self._form != "meta":
                self._inbox.resume()  # nobody listens by request, so nobody else resumes

    def _pause(self) -> None:
        """A queue is full: stop listening; what is sent meanwhile stays with the server."""
        self._room = anyio.Event()
        if self._listen_scope is not None:
            self._listen_scope.cancel()

    def _deliver(self, messages: Sequence[MCPCMessage]) -> int:
        """Give messages to the listeners and to the handles of their tasks; how many there was room for."""
        taken = self._deliver_each(messages) if self.tasks else self._dispatcher.deliver_all(messages)
        if self.prompt_handlers:
            for message in islice(messages, taken):
                if (prompt := prompt_of(message)) is not None:
                    self._spawn(partial(self._answer, prompt))
        return taken

    def _deliver_each(self, messages: Sequence[MCPCMessage]) -> int:
        deliver, handle, task_id = self._dispatcher.deliver, None, None
        for taken, message in enumerate(messages):
            if message.task_id != task_id:  # most often the next message is of the same task
                task_id = message.task_id
                handle = None if task_id is None else self.tasks.get(task_id)
            if handle is None:
                if not deliver(message):
                    return taken
            elif not handle.has_room() or not deliver(message):
                return taken
            elif handle.feed(message):
                self.tasks.pop(handle.task_id, None)
                handle = None
        return len(messages)

    async def _handler_answer(self, prompt: Prompt) -> Any:
        """What the prompt handler answers."""
        answer = self.prompt_handlers[-1](prompt)
        return await answer if inspect.isawaitable(answer) else answer

    async def _answer(self, prompt: Prompt) -> None:
        try:
            answer = await self._handler_answer(prompt)
            assert prompt.task_id is not None
            handle = self.tasks.get(prompt.task_id)
            if handle is not None and handle.remote is not None:
                await handle.remote.send_input(answer, prompt.id)
            else:
                await send_input(self.session, self._channel, prompt.task_id, answer, prompt.id)
        except (MCPCError, MCPError) as exc:
            logger.info("the answer to a prompt of %s came to nothing: %s", prompt.tool_name, exc)
        except Exception:
            logger.exception("a prompt of %s was not answered", prompt.tool_name)

    def _lose_unknown(self, known: set[str]) -> None:
        lost = ConnectionLost("the server was restarted and no longer knows this task")
        for handle in list(self.tasks.values()):
            if handle.task_id not in known and handle.remote is None:
                handle.lose(lost)
                self.tasks.pop(handle.task_id, None)

    def _lose_all(self, failure: Exception) -> None:
        for handle in self.tasks.values():
            handle.lose(failure)
        self.tasks.clear()
        self._dispatcher.close()

    # --- tasks ---

    async def start_task(
        self,
        tool_name: str,
        arguments: dict[str, Any] | None = None,
        *,
        session_id: str = "default",
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
    ) -> TaskHandle:
        """Call a tool as a task, and return its handle.

        On a server that speaks MCPC this returns when the server has answered: at once, for a background tool. So it
        does on one that speaks the tasks extension (SEP-2663): the task's states then come as messages, and its id is
        the server's. On another server the tool runs as an ordinary call, its progress comes as updates, and the
        handle completes with its result.

        Args:
            tool_name: The tool.
            arguments: Its arguments.
            session_id: The conversation it belongs to, as you name it.
            capacity: Messages that wait in the handle until they are iterated over.
            overflow: What happens when that many wait; see `mcpc.dispatcher.Overflow`.

        Raises:
            MCPError: the server refused the call.
            ConnectionLost: there is no connection, or it went away before the answer.
        """
        task_id = str(uuid.uuid4())
        handle = TaskHandle(self, task_id, tool_name, session_id, capacity=capacity, overflow=overflow)
        self.session  # noqa: B018 - raises where there is no connection
        self.tasks[task_id] = handle
        if not self._form and self._remote.available:
            await self._remote.start(handle, dict(arguments or {}))
            return handle
        if not self._form:
            self._emit(handle, "created", f"{tool_name} was called")
            handle.call_scope = anyio.CancelScope()
            self._spawn(partial(self._run_standard, handle, handle.call_scope, dict(arguments or {})))
            return handle
        try:
            result = await self._call(handle, dict(arguments or {}))
        except MCPError as exc:
            self.tasks.pop(task_id, None)
            raise typed(exc) from exc
        except BaseException:
            self.tasks.pop(task_id, None)
            raise
        if not any(message.task_id == task_id for message in messages_in_content(result.content)):
            self._finish(handle, result)
        return handle

    def task(
        self,
        task_id: str,
        *,
        tool_name: str = "",
        session_id: str = "default",
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
    ) -> TaskHandle:
        """Attach to a task by its id, also to one that another process began; needs the tasks extension (SEP-2663).

        The handle is fed with what comes from now on, beginning with the present state; `await` it to be sure that the
        server knows the task. It takes answers to prompts and `stop`, but no other input.

        Args:
            task_id: The id that the task's handle had.
            tool_name: The name to give in messages, where the server does not say it.
            session_id: The conversation that the task belongs to, as you name it.
            capacity: Messages that wait in the handle until they are iterated over.
            overflow: What happens when that many wait; see `mcpc.dispatcher.Overflow`.

        Raises:
            UnknownTask: the server does not speak the extension. (On awaiting the handle: it does not know the task.)
            ConnectionLost: there is no connection.
        """
        known = self.tasks.get(task_id)
        if known is not None:
            return known
        if not self._remote.available:
            raise UnknownTask("this server lets nobody attach to a task: it does not speak the tasks extension")
        handle = TaskHandle(self, task_id, tool_name, session_id, capacity=capacity, overflow=overflow)
        self.tasks[task_id] = handle
        self._remote.follow(handle, None)
        return handle

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: ProgressFnT | None = None,
        **options: Any,
    ) -> CallToolResult:
        """Call a tool; see `mcp.Client.call_tool`. A call that becomes a task (SEP-2663) is followed to its result.

        Tasks have no progress notifications, so a call with a `progress_callback` is made as one that cannot become a
        task, and gets its progress as ever. Only where the server insists on a task, the callback is told the task's
        status messages instead, numbered. Cancelling the call cancels the task.
        """
        call = partial(super().call_tool, name, arguments, read_timeout_seconds, progress_callback, **options)
        return await call_as_asked(call, progress_callback)

    async def _call(self, handle: TaskHandle, arguments: dict[str, Any]) -> CallToolResult:
        """Call the tool with the metadata in the form that the server takes."""
        session_id, task_id = handle.session_id, handle.task_id
        if self._form == "meta":
            meta: Any = call_meta(channel=self._channel, session_id=session_id, task_id=task_id)
            return await self.call_tool(handle.tool_name, arguments, meta=meta)
        if self._form == "0.2.6":
            arguments["mcpc_params"] = {"session_id": session_id, "task_id": task_id}
        else:
            arguments["_metadata"] = {"mcpc_session_id": session_id, "mcpc_task_id": task_id}
        return await self.call_tool(handle.tool_name, arguments)

    async def _run_standard(self, handle: TaskHandle, scope: anyio.CancelScope, arguments: dict[str, Any]) -> None:
        """An ordinary call that looks like a task from outside."""

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            update = {"progress": progress, "total": total, "status": message}
            self._emit(handle, "update", {name: value for name, value in update.items() if value is not None})

        try:
            with scope:
                self._finish(handle, await self.call_tool(handle.tool_name, arguments, progress_callback=on_progress))
        except MCPError as exc:
            self._fail(handle, typed(exc))
        except Exception as exc:
            self._fail(handle, exc)
        if scope.cancelled_caught:
            self._emit(handle, "failed", {"error": "stopped", "message": "the call was cancelled"})

    def _fail(self, handle: TaskHandle, exc: Exception) -> None:
        if isinstance(exc, ConnectionLost):
            handle.lose(exc)
            self.tasks.pop(handle.task_id, None)
        else:
            self._emit(handle, "failed", {"error": type(exc).__name__, "message": str(exc)})

    def _finish(self, handle: TaskHandle, result: CallToolResult) -> None:
        """End a handle with an ordinary tool result."""
        value = result_value(result)
        if result.is_error:
            self._emit(
                handle,
                "failed",
                {"error": "ToolError", "message": value if isinstance(value, str) else str(value)},
            )
        else:
            self._emit(handle, "complete", value)

    def _emit(self, handle: TaskHandle, event: str, result: Any) -> bool:
        """A message that we make ourselves, where the server sends none; False where there is no room for it."""
        message = MCPCMessage(
            event=event,
            session_id=handle.session_id,
            task_id=handle.task_id,
            tool_name=handle.tool_name,
            result=result,
        )
        if self._deliver((message,)):
            return True
        if message.terminal:
            handle.feed(message)
        return message.terminal

    # --- steering (called by handles) ---

    async def send_input(self, handle: TaskHandle, value: Any, prompt_id: str | None = None) -> None:
        """See `TaskHandle.send` and `TaskHandle.answer`."""
        if handle.remote is not None:
            await handle.remote.send_input(value, prompt_id)
            return
        self._needs_mcpc(handle)
        await send_input(self.session, self._channel, handle.task_id, value, prompt_id)

    async def stop_task(self, handle: TaskHandle) -> None:
        """See `TaskHandle.stop`."""
        if handle.call_scope is not None:
            handle.call_scope.cancel()
            return
        if handle.remote is not None:
            await handle.remote.stop()
            return
        self._needs_mcpc(handle)
        await stop_task(self.session, self._channel, handle.task_id)

    async def task_state(self, handle: TaskHandle) -> dict[str, Any]:
        """See `TaskHandle.state`."""
        if handle.remote is not None:
            return await handle.remote.state()
        self._needs_mcpc(handle)
        return await task_state(self.session, self._channel, handle.task_id)

    def _needs_mcpc(self, handle: TaskHandle) -> None:
        if self._form != "meta":
            raise UnknownTask(f"this server cannot be asked about a running task ({handle.tool_name})")


def _transport_of(server: Any, options: dict[str, Any]) -> tuple[Any, bool]:
    """A transport for what a client was given, and whether it can be dialled again."""
    if isinstance(server, str | URI):
        connector = Connector(server, options)
        return connector, connector.uri.scheme not in NO_RECONNECT
    if options:
        names = ", ".join(map(repr, options))
        raise TypeError(f"Client does not take {names} where the server is not given by a URI")
    if isinstance(server, Connector):
        return server, server.uri.scheme not in NO_RECONNECT
    if hasattr(server, "__aenter__"):
        return server, False
    return InProcess(server), False
