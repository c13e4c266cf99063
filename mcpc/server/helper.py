"""`MCPCHelper`: what the author of a server holds. The names of mcpc 0.2 work as they did there."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Unpack

from mcp_types import TextContent

from mcpc.errors import MCPCError, MessageError, TaskEnded
from mcpc.keywords import refuse_unknown
from mcpc.logs import logger_of
from mcpc.messages import MCPCInformation, MCPCMessage, MessageType, check_message
from mcpc.server.begun import BegunTasks, KnownTask, StartedTask
from mcpc.server.binding import Binding, bind
from mcpc.server.call import Call, current_call, current_principal
from mcpc.server.collected import Collected, CollectOutlet
from mcpc.server.execution import Execution
from mcpc.server.journals import EVERY_SESSION
from mcpc.server.keeper import Source
from mcpc.server.limits import Limits
from mcpc.server.old_workers import run_plain
from mcpc.server.options import LimitOptions, Plain, ToolOptions, tool_keywords
from mcpc.server.outlets import NullOutlet
from mcpc.server.registration import DEFAULT_AFTER, handle_after, register
from mcpc.server.signature import read_worker
from mcpc.server.stats import ServerStats, read_stats
from mcpc.server.store_option import source_of
from mcpc.server.tools import BackgroundTool
from mcpc.server.workshop import Workshop
from mcpc.wire.callbacks import decode_message, encode_message

__all__ = ["MCPCHelper"]

logger: logging.Logger = logger_of(__name__)

WorkerT = TypeVar("WorkerT", bound=Callable[..., Any])


class MCPCHelper:
    """Background tools and callbacks for one MCP server.

    Args:
        server: An `mcp.server.MCPServer`, a lowlevel `mcp.server.Server` or a `fastmcp.FastMCP`. A bare name works
            too, as in mcpc 0.2: the server is then the one that is being called, served by `mcpc.serve`.
        store: Where tasks and logs outlive the process: `sqlite:///…`; by default what `MCPC_STORE` says, or nowhere.
        plain: What a plain caller gets: `wait` for the result, or a `handle` to a task that lasts longer than `after`.
        after: Seconds, for `plain="handle"`. Both can be given for each tool too.
        limits: The bounds, by the names in `Limits`.

    Raises:
        URIError: the store's address cannot be used.
        MCPCError: it is not a server, or it has a helper with other limits.
        TypeError: there is no such option.
    """

    def __init__(
        self,
        server: Any,
        *,
        store: str | Source | None = None,
        plain: Plain = "wait",
        after: float = DEFAULT_AFTER,
        **limits: Unpack[LimitOptions],
    ) -> None:
        refuse_unknown("MCPCHelper", ("store", "plain", "after", *LimitOptions.__annotations__), limits, TypeError)
        handle_after(plain, after)
        self._plain: ToolOptions = {"plain": plain, "after": after}
        self._binding: Binding | None = None
        self._limits = Limits(**limits)
        self.background_tasks: BegunTasks = BegunTasks()
        """The tasks made with `start_task`, until `cleanup_task`, or until the server has forgotten them."""
        if isinstance(server, str):
            self.provider_name: str = server
        else:
            source = source_of(store, self._limits)
            self._binding = bind(server, self._limits if limits else None, source)
            self.provider_name = self._binding.name

    @property
    def binding(self) -> Binding:
        """The MCPC side of the server.

        Raises:
            MCPCError: the helper was made with a bare name, and no call is being handled.
        """
        if self._binding is None:
            call = current_call.get()
            if call is None:
                raise MCPCError(
                    "this helper knows its server by name only, and no tool call is being handled; "
                    "make it with the server itself: MCPCHelper(server)"
                )
            self._binding = bind(call.server)
        return self._binding

    @property
    def stats(self) -> ServerStats:
        """What the server holds now, and how often it met its bounds. To be read in the loop that serves it."""
        return read_stats(self.binding.workshop)

    # --- background tools ---

    def tool(
        self, name: str | None = None, *, description: str | None = None, **options: Unpack[ToolOptions]
    ) -> Callable[[WorkerT], WorkerT]:
        """Make a function a tool whose body is a background task.

        Args:
            name: The tool's name; the function's where none is given.
            description: What the model reads; the docstring where none is given.
            options: See `ToolOptions`.

        Raises:
            TypeError: used without parentheses, or there is no such option.
            MCPCError: it cannot be a tool; see `read_worker` and `register`.
        """
        if callable(name):
            raise TypeError("write @callbacks.tool(), with the parentheses")
        refuse_unknown("tool", tool_keywords(self.binding.server), options, TypeError)

        def decorate(worker: WorkerT) -> WorkerT:
            register(BackgroundTool(self.binding, read_worker(worker, name, description)), {**self._plain, **options})
            return worker

        return decorate

    async def emit(self, event: str, result: Any = None, *, session_id: str | None = None) -> int:
        """Send a server event to the channels of a session, or to every channel; how many there were.

        May be called from any event loop.

        Raises:
            MessageError: the result is not a JSON value, or the event is empty.
            StoreError: there is a store, and it cannot tell which channels there are.
        """
        message = MCPCMessage(type="server_event", event=event, session_id=session_id or EVERY_SESSION, result=result)
        binding = self.binding
        return await binding.workshop.host.arun(lambda: binding.announce(message))

    # --- tasks, mcpc 0.2 style ---

    def start_task(
        self,
        task_id: str,
        worker_func: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
    ) -> StartedTask:
        """Run a worker in the background; returns at once.

        The worker is a coroutine function, a plain function (which gets a thread), or a generator of either kind
        that yields messages. It ends its task with a terminal message; if it does not, its end is sent for it.

        Args:
            task_id: The task's id, as the call gave it.
            worker_func: The worker.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            timeout: Seconds to wait for the messages, for a caller that speaks no MCPC.

        Raises:
            TooManyTasks: a limit is reached.
            DuplicateTask: the id is in use.
            MCPCError: no tool call is being handled, or the server is not being served.
        """
        call = current_call.get()
        workshop = self.binding.workshop
        collected = _collected(workshop.limits) if call is not None and call.journal is None else None
        running = self._enter(workshop, call, task_id, collected)
        work = functools.partial(run_plain, running, worker_func, args, dict(kwargs or {}), workshop.threads)
        workshop.run(running, work)
        if call is not None and call.journal is not None:
            call.when_answered(running.started.set)
        else:
            running.started.set()
        self.background_tasks.begin(running, workshop.registry.remembers)
        return StartedTask(running, timeout, collected)

    def _enter(self, workshop: Workshop, call: Call | None, task_id: str, collected: Collected | None) -> Execution:
        if call is None:
            return workshop.start(tool_name="task", session_id="default", task_id=task_id, outlet=NullOutlet())
        return workshop.start(
            tool_name=call.tool_name,
            session_id=call.metadata.session_id,
            task_id=task_id,
            principal=current_principal(),
            journal=call.journal,
            client=call.client,
            outlet=None if collected is None else CollectOutlet(collected),
        )

    def check_task(self, task_id: str) -> KnownTask:
        """What is known of a task; empty for an unknown one."""
        return self.background_tasks.describe(task_id, self.binding.workshop.registry.remembers)

    def stop_task(self, task_id: str) -> bool:
        """Ask a task to stop; after a grace its worker is cancelled. False for an unknown one."""
        workshop = self.binding.workshop
        state = workshop.registry.find(task_id)
        if state is None:
            return False
        if task_id in self.background_tasks:
            self.background_tasks[task_id]["status"] = "stopping"
        workshop.host.call(lambda: workshop.stop(state))
        return True

    def cleanup_task(self, task_id: str) -> None:
        """Forget a task that `start_task` began. Its messages are kept for the client all the same."""
        self.background_tasks.pop(task_id, None)

    # --- messages, mcpc 0.2 style ---

    def create_message(
        self,
        type: MessageType,  # noqa: A002 - the name is the protocol's
        event: str,
        session_id: str | None = None,
        tool_name: str | None = None,
        task_id: str | None = None,
        result: Any = None,
    ) -> MCPCMessage:
        """Make a message.

        Raises:
            MessageError: a member that its type needs is missing, or the event is not one of a task's four.
        """
        if type == "server_event":
            return check_message(MCPCMessage(type=type, event=event, session_id=session_id, result=result))
        message = MCPCMessage(
            type=type, event=event, session_id=session_id, tool_name=tool_name, task_id=task_id, result=result
        )
        return check_message(message)

    def create_task_event(
        self, event: str, tool_name: str, session_id: str, task_id: str, result: Any = None
    ) -> MCPCMessage:
        """Make a task message; see `create_message`."""
        return self.create_message("task", event, session_id, tool_name, task_id, result)

    def create_server_event(self, session_id: str, result: Any, event: str) -> MCPCMessage:
        """Make a server event; see `create_message`."""
        return self.create_message("server_event", event, session_id, result=result)

    async def send(self, message: MCPCMessage) -> bool:
        """Send a message to the client it is for, from any thread or event loop; whether there was one.

        A task message goes to the client that called for its task, a server event to the channels of its session.
        After a task's end nothing more is sent for it.
        """
        try:
            check_message(message)
            binding = self.binding
            workshop = binding.workshop
            if message.type == "server_event":
                return await workshop.host.arun(lambda: binding.announce(message)) > 0
            if workshop.host.is_here:
                return await _send_here(workshop, message)
            return await workshop.host.acall(lambda: _send_nowait(workshop, message))
        except MCPCError as exc:
            logger.warning("a callback was not sent: %s", exc)
            return False

    async def send_direct(self, message: str) -> bool:
        """Send a message given as JSON text; see `send`."""
        try:
            return await self.send(decode_message(message))
        except MessageError as exc:
            logger.warning("a callback was not sent: %s", exc)
            return False

    def messages_to_text_content(self, messages: list[MCPCMessage]) -> list[TextContent]:
        """The messages as a tool's content, for a caller that speaks no MCPC."""
        return [TextContent(type="text", text=encode_message(message).decode()) for message in messages]

    def get_protocol_info(self) -> MCPCInformation:
        """Who this server is, in the handshake's words."""
        return MCPCInformation(mcpc_provider=self.provider_name)


def _collected(limits: Limits) -> Collected:
    """Where the messages of a task are kept for a caller that speaks no MCPC."""
    return Collected(limits.max_messages, limits.max_bytes)


async def _send_here(workshop: Workshop, message: MCPCMessage) -> bool:
    running = workshop.running_by_id(message.task_id) if message.type == "task" else None
    if running is None or message.event != "update":
        return _send_nowait(workshop, message)
    try:
        await running.update(message.result)
    except TaskEnded:
        return False
    return True


def _send_nowait(workshop: Workshop, message: MCPCMessage) -> bool:
    running = workshop.running_by_id(message.task_id)
    if running is not None:
        return running.send_nowait(message.event, message.result)
    if workshop.registry.find(message.task_id or "") is not None:
        return False  # it has ended
    return _send_to_caller(message)


def _send_to_caller(message: MCPCMessage) -> bool:
    """A task that was not made by `start_task`: its message goes to the client that is being answered."""
    call = current_call.get()
    if call is None or call.journal is None:
        return False
    call.journal.post(encode_message(message))
    return True
