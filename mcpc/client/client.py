"""`Client`: everything `mcp.Client` does, plus callbacks, over any transport, with reconnection."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from functools import partial
from typing import Any, Self, Unpack

import anyio
import anyio.abc
from mcp.client import ClientExtension, advertise
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult

from mcpc.client.backoff import Backoff
from mcpc.client.configured import Configured
from mcpc.client.handle import TaskHandle
from mcpc.client.handshake import Form, has_our_channel, shake_hands
from mcpc.client.heartbeat import HEARTBEAT, Heartbeat
from mcpc.client.inbox import Inbox
from mcpc.client.keeping import Keeping
from mcpc.client.life import ConnectionState
from mcpc.client.listened import ListenedClient
from mcpc.client.listening import Listening
from mcpc.client.opening import opening_of
from mcpc.client.options import OWN, SDK_OPTIONS, CallOptions, ClientOptions, split
from mcpc.client.patience import Patience
from mcpc.client.program import Program
from mcpc.client.questions import Questions
from mcpc.client.repeater import Repeater
from mcpc.client.request_sizes import told_limit
from mcpc.client.router import Router
from mcpc.client.sep2663_extension import RemoteTasks, call_as_asked
from mcpc.client.starting import Starter
from mcpc.client.steering import ChannelSteering
from mcpc.client.tap import tap
from mcpc.client.watching import Watch
from mcpc.flow import Flow
from mcpc.messages import MCPCInformation
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, Overflow, TaskQueue
from mcpc.transport import StreamPair
from mcpc.wire.names import CALLBACKS_EXTENSION

__all__ = ["Client"]


class Client(Configured, ListenedClient):
    """An MCP client with callbacks.

    Args:
        server: A URI, one of the SDK's transports, or a server object (connected in memory).
        provider: Our name in the handshake.
        reconnect: Dial again when the connection is lost; by default for sockets and HTTP. A `Backoff` says how.
        reconnect_timeout: Seconds after which to give up dialling; None never gives up.
        heartbeat: Seconds of silence after which a server that speaks MCPC is asked whether it is there, over tcp, unix
            and stdio; after as many more the connection is lost. Anything it sends counts. None never asks.
        on_connection: Called with `connected`, `lost` and `closed`.
        channel: The key of an earlier client's channel (a secret), whose tasks and kept messages are then ours.
        channel_file: A file (0600; made if need be) for the channel and the last number that listeners have handled:
            the next client that is given it goes on after that.
        transport_options: Options of a transport whose options are not among `ConnectOptions`.
        bytes: Let real bytes go between us and a server object, as over any transport: for tests.
        options: What `mcp.Client` takes, and for a URI the transport's options; see `ClientOptions`.

    Raises:
        URIError, TypeError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
        ChannelFileRefused: others may read the file, or it is none. (On entering: another client uses it.)
    """

    def __init__(
        self,
        server: Any,
        *,
        provider: str = "mcpc",
        reconnect: bool | Backoff | None = None,
        reconnect_timeout: float | None = 60.0,
        heartbeat: float | None = HEARTBEAT,
        on_connection: Callable[[ConnectionState], None] | None = None,
        channel: str | None = None,
        channel_file: str | os.PathLike[str] | None = None,
        transport_options: Mapping[str, Any] | None = None,
        bytes: bool = False,  # noqa: A002 - nobody makes bytes here
        **options: Unpack[ClientOptions],
    ) -> None:
        sdk_options, dialling = split(options, transport_options)
        opening = opening_of(server, dialling, {*OWN, *SDK_OPTIONS}, byte_true=bytes)
        self._flow = Flow()
        self._repeater = Repeater(lambda: self.session)
        self._router = Router(self._spawn, self._flow, self._steer, sdk_options.get("logging_callback"))
        self._router.answering.program = Program.of(sdk_options, lambda: self.session)
        self._inbox = Inbox(self._router.deliver, self._flow)
        self._inbox.on_lost_tasks = self._router.lose_unknown
        self._inbox.on_gap = self._router.look_after_gap
        self._keeping = Keeping.of(channel_file, channel, self._inbox, self._router.listeners)
        size, backoff = dialling.get("max_message_size"), copy(reconnect) if isinstance(reconnect, Backoff) else None
        self._listening = Listening(self._inbox, self._flow, self._keeping.channel, size, backoff)
        self._questions = Questions(self._router, sdk_options.get("elicitation_callback"))
        self._remote = RemoteTasks(self, self._router, self._questions, super().call_tool)
        self._starter = Starter(self._router, self._remote, self.call_tool, self._steer, self._inbox.caught_up)
        sdk_options["extensions"] = _with_ours(sdk_options.get("extensions") or (), self._remote.extension)
        sdk_options["elicitation_callback"] = self._questions
        super().__init__(opening, reconnect, reconnect_timeout, on_connection, **sdk_options)
        self.provider = provider
        self._heartbeat = Heartbeat(heartbeat, opening.heartbeat, lambda: self._inbox.last, self._life.end_connection)
        self.server_information: MCPCInformation | None = None
        """What the server said of itself in the handshake; None for a standard server."""
        self._form: Form = ""

    # --- its connections ---

    async def __aenter__(self) -> Self:
        """Connect, shake hands, and listen.

        Raises:
            ConnectFailed: nobody answered, or the peer refused us.
        """
        await super().__aenter__()
        self._starter.look_at_all()
        return self

    def _held(self) -> AbstractAsyncContextManager[None]:
        return self._keeping.held(self._listening)

    async def _begin(self, group: anyio.abc.TaskGroup) -> None:
        self._form, self.server_information = await shake_hands(self.session, self.provider)
        self._repeater.connected()
        if self._form != "meta":
            self._inbox.caught_up.set()
            return
        group.start_soon(self._heartbeat.watch, self.session, self.provider)
        waits = not has_our_channel(self.session)
        await self._listening.begin(group, self.session, self._life.end_connection, waits=waits)

    def _tap(self, streams: StreamPair) -> StreamPair:
        tapped = tap(
            streams,
            self._inbox,
            channel=lambda: self._listening.channel,
            on_end=self._life.end_connection,
            limit=lambda: told_limit(self.server_information),
        )
        return self._heartbeat.tap(self._questions.tap(self._remote.streams.tap(tapped)))

    def _may_overtake(self) -> bool:
        return self._form != "meta" or self._inbox.listening.is_set()

    def _disconnected(self) -> None:
        self._inbox.abandon_calls()

    def _lost(self, failure: Exception, *, tell: bool) -> None:
        self._router.lose_all(failure, tell=tell)
        self._repeater.closed(failure)

    @property
    def channel(self) -> str:
        """The key of our channel: who has it is us, to the server."""
        return self._listening.channel

    @property
    def supports_mcpc(self) -> bool:
        """Whether the server speaks MCPC in any form."""
        return self._form != ""

    # --- tasks ---

    async def start_task(
        self,
        tool_name: str,
        arguments: dict[str, Any] | None = None,
        *,
        session_id: str = "default",
        key: str | None = None,
        timeout: float | None = None,
        max_timeout: float | None = None,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
    ) -> TaskHandle:
        """Call a tool as a task, and return its handle.

        A background tool answers at once, and this returns. So it does on a server that speaks the tasks extension
        (SEP-2663): the task's states then come as messages, and its id is the server's. Any other tool's call goes on
        when this returns: its progress comes as updates, what it asks as prompts, its result as the handle's end.

        Args:
            tool_name: The tool.
            arguments: Its arguments.
            session_id: The conversation it belongs to, as you name it.
            key: Names the start: repeated with the same key, it gives the same task, running or ended.
            timeout: Seconds of silence (not of an open question) after which it is stopped, and its handle `TimedOut`.
            max_timeout: Seconds after which it is stopped, whatever comes.
            capacity: Messages that wait in the handle until they are iterated over.
            overflow: What happens when that many wait; see `mcpc.queue.Overflow`.
            capacity_bytes: Bytes of them that may wait; a single larger one still may.

        Raises:
            MCPError: the server refused the call.
            TimedOut: the server did not answer the call in time.
            KeyRefused: the key was used for another tool or other arguments, or the server knows no keys.
            ConnectionLost: there is no connection, or it went away before the answer, or will (`ServerStopping`).
        """
        self.session  # noqa: B018 - raises where there is no connection
        queue = TaskQueue(capacity, overflow, self._flow, capacity_bytes)
        handle = TaskHandle(str(uuid.uuid4()), tool_name, session_id, queue)
        patience = Patience(timeout, max_timeout)  # before the coroutine, which is awaited in any case
        start = self._starter.start(self._form, self._listening.channel, handle, dict(arguments or {}), key)
        handle = await patience.during(self._life.explaining(start))
        if patience.is_bounded and not handle.ended:
            self._spawn(Watch(handle, patience, self._flow, self._router.forget).run)
        return handle

    def task(
        self,
        task_id: str,
        *,
        tool_name: str = "",
        session_id: str = "default",
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
    ) -> TaskHandle:
        """Attach to a task by its id: to one of our channel, or, with the tasks extension (SEP-2663), of another's.

        The handle is fed with what comes from now on, what the task asks among it; `await` it to be sure that the
        server knows the task. One of another's channel takes answers to prompts and `stop`, but no other input. A
        client that was given its `channel` attaches to what is on that alone, and, before it is entered, has all
        messages that are kept.

        Args:
            task_id: The id that the task's handle had.
            tool_name: The name to give in messages, where the server does not say it.
            session_id: The conversation that the task belongs to, as you name it.
            capacity: Messages that wait in the handle until they are iterated over.
            overflow: What happens when that many wait; see `mcpc.queue.Overflow`.
            capacity_bytes: Bytes of them that may wait; a single larger one still may.

        Raises:
            UnknownTask: the server speaks neither MCPC nor the extension. (On awaiting the handle: it does not know the
                task, or it is another's and there is no extension.)
            ConnectionLost: there is no connection.
        """
        if (known := self.tasks.get(task_id)) is not None:
            return known
        queue = TaskQueue(capacity, overflow, self._flow, capacity_bytes)
        handle = TaskHandle(task_id, tool_name, session_id, queue)
        resumes = self._keeping.resumes
        self._starter.attach(handle, on_channel=resumes or self._form == "meta", elsewhere=not resumes)
        return handle

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: ProgressFnT | None = None,
        *,
        timeout: float | None = None,
        max_timeout: float | None = None,
        **options: Unpack[CallOptions],
    ) -> CallToolResult:
        """Call a tool; see `mcp.Client.call_tool`. A call that becomes a task (SEP-2663) is followed to its result.

        Tasks have no progress notifications, so a call with a `progress_callback` is made as one that cannot become a
        task, and gets its progress as ever. Only where the server insists on a task, the callback is told the task's
        status messages instead, numbered. Cancelling the call cancels the task.

        Args:
            timeout: Seconds of silence after which the call is cancelled, here and at the server; progress renews it.
            max_timeout: Seconds after which it is cancelled, whatever comes. Either raises `TimedOut`.
        """
        patience = Patience(timeout, max_timeout)
        progress = patience.hearing(progress_callback)
        call = partial(super().call_tool, name, arguments, read_timeout_seconds, progress, **options)
        return await patience.during(self._life.explaining(self._questions.during(call_as_asked(call, progress))))

    def _steer(self, task_id: str) -> ChannelSteering:
        listening = self._listening
        return ChannelSteering(self._repeater, listening.channel, task_id, listening.max_message_size)


def _with_ours(extensions: Sequence[ClientExtension], tasks: ClientExtension) -> tuple[ClientExtension, ...]:
    """The extensions to declare: the application's, and ours where it has none of the name."""
    known = {extension.identifier for extension in extensions}
    ours = (advertise(CALLBACKS_EXTENSION), tasks)
    return (*extensions, *(extension for extension in ours if extension.identifier not in known))
