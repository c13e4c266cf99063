"""`SyncClient`: a `Client` for scripts and notebooks, whose calls block.

The client lives in an event loop of its own, in a thread of its own, so it works where
none runs and where one does. Knows nothing of connections and messages: every verb is the
client's, run over there.
"""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Literal, Self, TypeVar, Unpack, overload

import anyio.to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp_types import CallToolResult, ListToolsResult

from mcpc.client.answering import PromptHandler
from mcpc.client.backoff import Backoff
from mcpc.client.client import Client
from mcpc.client.configured import Configured
from mcpc.client.handle import HandleStatus, TaskHandle
from mcpc.client.life import ConnectionState
from mcpc.client.options import ClientOptions
from mcpc.dispatcher import Registration
from mcpc.matching import Matches
from mcpc.messages import MCPCMessage, TaskInfo
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, ListenerStats, Overflow

__all__ = ["SyncClient", "SyncOptions", "SyncRegistration", "SyncTaskHandle"]

T = TypeVar("T")

_END = object()


class SyncOptions(ClientOptions, total=False):
    """What `SyncClient` takes: all that `Client` does."""

    provider: str
    reconnect: bool | Backoff | None
    reconnect_timeout: float | None
    on_connection: Callable[[ConnectionState], None] | None
    channel: str | None
    heartbeat: float | None
    channel_file: str | os.PathLike[str] | None
    transport_options: Mapping[str, Any] | None
    bytes: bool


class SyncRegistration:
    """One listener as it was added."""

    def __init__(self, client: "SyncClient", registration: Registration) -> None:
        self._client = client
        self._registration = registration

    @property
    def stats(self) -> ListenerStats:
        """A reading of the counters, taken now."""
        return self._registration.stats

    def remove(self) -> None:
        """Call the listener no more. What waits for it is dropped."""
        self._client.run(self._registration.remove)


class SyncTaskHandle:
    """One task: see `TaskHandle`. Iterate over it for its messages; `result()` is its outcome."""

    def __init__(self, client: "SyncClient", handle: TaskHandle) -> None:
        self._client = client
        self._handle = handle

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._handle.task_id

    @property
    def tool_name(self) -> str:
        """Its tool."""
        return self._handle.tool_name

    @property
    def session_id(self) -> str:
        """The conversation that it belongs to."""
        return self._handle.session_id

    @property
    def status(self) -> HandleStatus:
        """The last status heard of."""
        return self._handle.status

    @property
    def ended(self) -> bool:
        """Whether it has ended, as far as is known here."""
        return self._handle.ended

    @property
    def prompts(self) -> dict[str, MCPCMessage]:
        """The messages that asked something and were not answered by us yet, by prompt id."""
        return dict(self._handle.prompts)

    def __iter__(self) -> Iterator[MCPCMessage]:
        return self

    def __next__(self) -> MCPCMessage:
        """The next message; the iteration ends after the terminal one.

        Raises:
            ConnectionLost: the task was lost from sight (after what had come of it).
        """
        message = self._client.run(anext, self._handle, _END)
        if not isinstance(message, MCPCMessage):
            raise StopIteration
        return message

    def result(self) -> Any:
        """The value of the task's `complete`.

        Raises:
            TaskStopped, TaskInterrupted, TaskFailed, ConnectionLost: see `TaskHandle.result`.
        """
        return self._client.run(self._handle.result)

    def send(self, value: Any) -> None:
        """Send a value to the running task; see `TaskHandle.send`."""
        self._client.run(self._handle.send, value)

    def answer(self, prompt_id: str, value: Any) -> None:
        """Answer one of the task's prompts; see `TaskHandle.answer`."""
        self._client.run(self._handle.answer, prompt_id, value)

    def stop(self) -> None:
        """Ask the task to stop; see `TaskHandle.stop`."""
        self._client.run(self._handle.stop)

    def state(self) -> TaskInfo:
        """What the server knows of it; see `TaskHandle.state`."""
        return self._client.run(self._handle.state)

    def __repr__(self) -> str:
        return repr(self._handle)


class SyncClient(Configured):
    """A client whose calls block: `with mcpc.SyncClient(uri) as client`, or `open()` and `close()` in a notebook.

    Listeners and prompt handlers that are plain functions run in threads: they may block, and call the client. Ctrl-C
    interrupts a call that waits, and cancels it.

    Args:
        server: A URI, one of the SDK's transports, or a server object (connected in memory).
        backend: The event loop that runs behind it.
        options: What `Client` takes.

    Raises:
        URIError, TypeError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
    """

    def __init__(
        self, server: Any, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[SyncOptions]
    ) -> None:
        self.client: Client = Client(server, **options)
        """The client behind it, for `run`."""
        self._backend = backend
        self._portal: BlockingPortal | None = None
        self._stack: ExitStack | None = None

    def open(self) -> Self:
        """Connect, shake hands, and listen; what `with` does.

        Raises:
            ConnectFailed: nobody answered, or the peer refused us.
            RuntimeError: it is open.
        """
        if self._stack is not None:
            raise RuntimeError("SyncClient is open already")
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(self._backend))
            stack.callback(self._forget_portal)
            self.run(self.client.__aenter__)
            stack.callback(self.run, self.client.__aexit__, None, None, None)
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Leave. Tasks on the server go on; their handles here end as lost."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

    def _forget_portal(self) -> None:
        self._portal = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *raised: object) -> None:
        self.close()

    @overload
    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T: ...
    @overload
    def run(self, function: Callable[..., T], *args: Any) -> T: ...
    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run any function where the client lives, and wait for it: `client.run(client.client.list_resources)`.

        Raises:
            RuntimeError: the client is not open.
            Exception: what the function raised.
        """
        if self._portal is None:
            raise RuntimeError("open the client first: with mcpc.SyncClient(...) as client")
        future = self._portal.start_task_soon(function, *args)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C ends the waiting here; what was waited for ends with it
            raise

    # --- messages ---

    def add_event_listener(
        self,
        listener: Callable[[MCPCMessage], Any],
        *,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        **matches: Unpack[Matches],
    ) -> SyncRegistration:
        """Call `listener` with every message that matches; see `Client.add_event_listener`."""
        add = functools.partial(
            self.client.add_event_listener,
            _in_thread(listener),
            capacity=capacity,
            overflow=overflow,
            capacity_bytes=capacity_bytes,
            **matches,
        )
        return SyncRegistration(self, add() if self._portal is None else self.run(add))

    def on_prompt(self, handler: PromptHandler) -> PromptHandler:
        """Let `handler` answer what tasks ask (`task.ask`); it may block, as `input()` does. Usable as a decorator."""
        self.client.on_prompt(_in_thread(handler))
        return handler

    # --- tools and tasks ---

    def list_tools(self) -> ListToolsResult:
        """The server's tools."""
        return self.run(self.client.list_tools)

    def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
        max_timeout: float | None = None,
    ) -> CallToolResult:
        """Call a tool, and wait for its result; see `Client.call_tool`."""
        call = functools.partial(self.client.call_tool, timeout=timeout, max_timeout=max_timeout)
        return self.run(call, name, arguments)

    def start_task(
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
    ) -> SyncTaskHandle:
        """Call a tool as a task, and return its handle at once; see `Client.start_task`."""
        start = functools.partial(
            self.client.start_task,
            session_id=session_id,
            key=key,
            timeout=timeout,
            max_timeout=max_timeout,
            capacity=capacity,
            overflow=overflow,
            capacity_bytes=capacity_bytes,
        )
        return SyncTaskHandle(self, self.run(start, tool_name, arguments))

    def task(self, task_id: str, *, tool_name: str = "", session_id: str = "default") -> SyncTaskHandle:
        """Attach to a task by its id; see `Client.task`."""
        attach = functools.partial(self.client.task, task_id, tool_name=tool_name, session_id=session_id)
        return SyncTaskHandle(self, self.run(attach))


def _in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in a thread of its own for each call, unless it is async."""
    if inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    async def call(value: Any) -> Any:
        return await anyio.to_thread.run_sync(function, value, abandon_on_cancel=True)

    return call
