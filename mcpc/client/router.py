"""`Router`: messages to listeners, to the handles of their tasks, and to prompt handlers.

It also makes the messages that stand for what a server says otherwise (an ordinary
result, a progress). Knows nothing of connections and requests.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast
from weakref import WeakValueDictionary

import anyio
from mcp.client.session import LoggingFnT
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcpc.client.answering import Answering
from mcpc.client.handle import TaskHandle, result_value
from mcpc.client.inbox import EVERY_SESSION
from mcpc.client.logs import log_teller
from mcpc.client.steering import Steering
from mcpc.dispatcher import Dispatcher, Spawn
from mcpc.errors import ConnectionLost, MCPCError, MessageError, UnknownTask
from mcpc.flow import Flow
from mcpc.foreign import text_of
from mcpc.logs import logger_of
from mcpc.messages import LOG_EVENT, TERMINAL_EVENTS, MCPCMessage, Prompt, prompt_of, request_of
from mcpc.wire.callbacks import decode_message
from mcpc.wire.jsontext import json_size
from mcpc.wire.prompts import prompt_update
from mcpc.wire.reasons import refusal_in
from mcpc.wire.requests import LAST_MESSAGE, LAST_MESSAGE_SIZE, SESSION_ID, TOOL_NAME
from mcpc.wire.results import failure
from mcpc.wire.standard import PROGRESS_TOKEN

__all__ = ["LOST_EVENT", "Router"]

LOST_EVENT = "lost"
"""The server event that a client makes when the connection is lost for good."""

logger: logging.Logger = logger_of(__name__)

FIRST_LOOK, LAST_LOOK = 0.5, 30.0
"""Seconds between two looks at a task of which nothing comes: the first wait, and the longest."""


class Router:
    """Where the messages of one client go.

    Args:
        spawn: Runs an async function in the background, for as long as the client lives.
        flow: Stopped while there is no room for a message.
        steer: How to reach a task by its id, where nobody holds its handle.
        on_log: The SDK's callback for log entries: it gets those of background workers too.
    """

    def __init__(
        self, spawn: Spawn, flow: Flow, steer: Callable[[str], Steering], on_log: LoggingFnT | None = None
    ) -> None:
        self.spawn = spawn
        self.listeners: Dispatcher = Dispatcher(spawn, flow)
        self.handles: WeakValueDictionary[str, TaskHandle] = WeakValueDictionary()
        """The handles of tasks that have not ended, by id. One that nobody holds is gone."""
        self.answering: Answering = Answering(spawn, self._send_answer)
        """Who answers what tasks ask."""
        self.progress: dict[str, Callable[[dict[str, Any]], None]] = {}
        """What takes the progress of each call that a handle follows, by the call's token."""
        self._steer = steer
        if on_log is not None:
            self.listeners.add(log_teller(on_log), event=LOG_EVENT)

    # --- what arrives ---

    def deliver(self, messages: Sequence[MCPCMessage], each: int = 0) -> int:
        """Give messages of `each` bytes to listeners and to the handles of their tasks; how many there was room for."""
        is_run = len(messages) == 1
        deliver = self._deliver_run if is_run else self._deliver_each if self.handles else self.listeners.deliver_all
        taken = deliver(messages, each)
        if self.answering.is_there:
            for message in islice(messages, taken):
                self.answering.take(message)
        return taken

    def _deliver_each(self, messages: Sequence[MCPCMessage], each: int) -> int:
        taken = end = 0
        while taken == end < len(messages):
            end = _end_of_run(messages, taken)
            taken += self._deliver_run(messages[taken:end], each)
        return taken

    def _deliver_run(self, row: Sequence[MCPCMessage], each: int) -> int:
        """`deliver` for messages of one task."""
        task_id = row[0].task_id
        if task_id is None or (handle := self.handles.get(task_id)) is None:
            return self.listeners.deliver_all(row, each)
        given = _deliver_row(self.listeners, handle, row, each)
        if handle.ended:
            self.forget(handle)
        return given

    async def _send_answer(self, prompt: Prompt, answer: Any) -> None:
        assert prompt.task_id is not None
        handle = self.handles.get(prompt.task_id)
        steering = self._steer(prompt.task_id) if handle is None else handle.steering
        await steering.send_input(answer, prompt.id)
        if handle is not None:
            handle.closed(prompt.id)

    # --- what we make ourselves ---

    def emit(self, handle: TaskHandle, event: str, result: Any) -> bool:
        """A message that we make, where the server sends none; False where there is no room for it."""
        message = _message_of(handle, event, result)
        size = json_size(result)
        if self.deliver((message,), size):
            return True
        if message.terminal:
            handle.feed(message, size)
        return message.terminal

    def take_progress(self, params: dict[str, Any]) -> bool:
        """The params of a progress notification; False where it is not of a call that a handle follows."""
        token: Any = params.get(PROGRESS_TOKEN)
        take = self.progress.get(token) if isinstance(token, str) else None
        if take is not None:
            take(params)
        return take is not None

    def finish(self, handle: TaskHandle, result: CallToolResult) -> None:
        """End a handle with an ordinary tool result."""
        value = result_value(result)
        if result.is_error:
            text = value if isinstance(value, str) else str(value)
            self.emit(handle, "failed", {**failure("ToolError", text), **refusal_in(result.meta)})
        else:
            self.emit(handle, "complete", value)

    def fail(self, handle: TaskHandle, exc: Exception) -> None:
        """End a handle with an error. Where the task was lost from sight nobody knows whether it has failed."""
        if isinstance(exc, ConnectionLost | UnknownTask):
            handle.lose(exc)
            self.forget(handle)
        else:
            self.emit(handle, "failed", failure(type(exc).__name__, text_of(exc)))

    # --- handles ---

    def add(self, handle: TaskHandle) -> None:
        """Let a handle have the messages of its task."""
        self.handles[handle.task_id] = handle

    def rename(self, handle: TaskHandle, task_id: str) -> None:
        """The task has another id than we thought."""
        self.forget(handle)
        handle.task_id = task_id
        self.add(handle)

    def forget(self, handle: TaskHandle) -> None:
        """A handle has ended."""
        self.handles.pop(handle.task_id, None)

    def lose_unknown(self, known: set[str]) -> None:
        """The server's log was lost: so are the tasks of its channel that it does not know any more."""
        lost = ConnectionLost("the server was restarted and no longer knows this task")
        for handle in list(self.handles.values()):
            if handle.task_id not in known and handle.steering.on_channel:
                handle.lose(lost)
                self.forget(handle)

    def look_after_gap(self, again: bool) -> None:
        """Messages were missed: ask the server about the tasks whose end may have been among them.

        Args:
            again: Ask until something is heard of a task: its messages may never come.
        """
        for handle in list(self.handles.values()):
            if handle.steering.on_channel:
                self.spawn(partial(self._look_after, handle, again))

    async def look_up(self, handle: TaskHandle) -> None:
        """Ask the server about a task that was begun before: its end may have been told to others.

        Raises:
            MCPCError, MCPError: the server cannot tell.
        """
        heard, state = handle.heard, await handle.steering.state()
        if handle.heard == heard:
            self._begin_as_described(handle, state)

    async def find(self, handle: TaskHandle, caught_up: anyio.Event) -> None:
        """Learn how a task stands that another client began, once all that is kept of it has come.

        What it asks and nobody has answered is asked again: the client that it asked is gone.
        """
        await caught_up.wait()
        while not handle.heard and not handle.ended:
            try:
                state = await handle.steering.state()
            except UnknownTask as exc:
                self.fail(handle, exc)
                return
            except (MCPCError, MCPError) as exc:
                logger.debug("a task could not be asked about: %s", exc)
                await anyio.sleep(FIRST_LOOK)
                continue
            if not handle.heard and handle.steering.on_channel:
                self._begin_as_described(handle, state)
            return

    def _begin_as_described(self, handle: TaskHandle, state: dict[str, Any]) -> None:
        handle.tool_name = handle.tool_name or state.get(TOOL_NAME, "")
        handle.session_id = state.get(SESSION_ID, handle.session_id)
        handle.known()
        if state.get("status") in TERMINAL_EVENTS:
            self._end_as_described(handle, state)
            return
        for asked in _prompts_in(handle, state):
            handle.feed(asked)
            self.answering.take_once(asked)

    async def _look_after(self, handle: TaskHandle, again: bool) -> None:
        heard, wait = handle.heard, FIRST_LOOK
        while not handle.ended and handle.heard == heard:
            try:
                state = await handle.steering.state()
            except UnknownTask as exc:
                handle.lose(exc)
                self.forget(handle)
                return
            except (MCPCError, MCPError) as exc:
                logger.debug("a task could not be asked about: %s", exc)
                state = {}  # ask again: the gap is told once, and this may have been the end
            if state.get("status") in TERMINAL_EVENTS and handle.heard == heard:
                self._end_as_described(handle, state)
                return
            if state and not again:
                return
            await anyio.sleep(wait)
            wait = min(2 * wait, LAST_LOOK)

    def _end_as_described(self, handle: TaskHandle, state: dict[str, Any]) -> None:
        """The end of a task whose last message we missed."""
        try:
            message = decode_message(state.get(LAST_MESSAGE))
        except MessageError:
            message = None
        if message is not None and message.terminal and message.task_id == handle.task_id and handle.takes():
            handle.feed(message)
        else:
            handle.lose(ConnectionLost(f"the task has ended ({state['status']}), and {_why_missed(state)}"))
        self.forget(handle)

    def lose_all(self, failure: Exception, *, tell: bool = False) -> None:
        """No more messages come.

        Args:
            failure: What the open handles end with.
            tell: Tell the listeners, too, who hold no handles.
        """
        if tell:
            result = {"message": str(failure)}
            about = MCPCMessage(type="server_event", event=LOST_EVENT, session_id=EVERY_SESSION, result=result)
            self.listeners.deliver(about)
        for handle in list(self.handles.values()):
            handle.lose(failure)
        self.handles.clear()
        self.listeners.close()


def _why_missed(state: dict[str, Any]) -> str:
    size: Any = state.get(LAST_MESSAGE_SIZE)
    if type(size) is int:
        return f"its last message, of {size} bytes, is over our limit (see max_message_size)"
    return "its last message was missed"


def _message_of(handle: TaskHandle, event: str, result: Any) -> MCPCMessage:
    """A message of a handle's task, made here."""
    return MCPCMessage(
        event=event,
        session_id=handle.session_id,
        task_id=handle.task_id,
        tool_name=handle.tool_name,
        result=result,
    )


def _prompts_in(handle: TaskHandle, state: dict[str, Any]) -> list[MCPCMessage]:
    """The questions of a task that wait for an answer, as the messages that asked them."""
    bodies: Any = state.get("prompts")
    messages = [
        _message_of(handle, "update", prompt_update(body))
        for body in (cast("list[dict[str, Any]]", bodies) if isinstance(bodies, list) else [])
    ]
    return [message for message in messages if prompt_of(message) or request_of(message)]


def _end_of_run(messages: Sequence[MCPCMessage], begin: int) -> int:
    """Where the messages end that are of the same task as the one at `begin`; most often all are."""
    task_id, end, count = messages[begin].task_id, begin + 1, len(messages)
    while end < count and messages[end].task_id == task_id:
        end += 1
    return end


def _deliver_row(listeners: Dispatcher, handle: TaskHandle, row: Sequence[MCPCMessage], each: int) -> int:
    """Messages of one task whose handle is held: to the listeners, then to it. How many there was room for."""
    given, size = 0, len(row)
    if handle.ended or handle.room(each) >= size:  # the usual case
        given = listeners.deliver_all(row, each)
        if given:
            handle.feed_row(row if given == size else row[:given], each)
        return given
    while given < size:
        room = size if handle.ended else handle.room(each)
        if room < 1:
            if not handle.takes(each):
                break
            room = 1
        part = row[given : given + room]
        taken = listeners.deliver_all(part, each)
        if taken:
            handle.feed_row(part[:taken], each)
        given += taken
        if taken < len(part):
            break
    return given
