"""`TaskHandle`: one task as its client sees it. Knows neither the connection nor how the task is reached."""

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, Self, cast

import anyio
from mcp_types import CallToolResult, TextContent

from mcpc.client.steering import Steering, Unsteered
from mcpc.errors import TaskFailed, TaskInterrupted, TaskStopped, TooManyTasks
from mcpc.messages import MCPCMessage, TaskInfo, prompt_of
from mcpc.queue import ListenerStats, TaskQueue, is_update
from mcpc.wire.reasons import error_of

__all__ = ["HandleStatus", "TaskHandle", "result_value"]

HandleStatus = Literal["running", "waiting", "complete", "failed", "lost"]
"""How a task stands, as far as its client has heard; `lost` where nobody knows any more."""


def result_value(result: CallToolResult) -> Any:
    """An ordinary tool result as the value it stands for: structured content, else JSON text, else the text."""
    structured = cast("dict[str, Any] | None", result.structured_content)
    if structured is not None:
        return structured["result"] if set(structured) == {"result"} else structured
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if len(texts) != 1 or len(result.content) != 1:
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)["content"]
    try:
        return json.loads(texts[0])
    except ValueError:
        return texts[0]


class TaskHandle:
    """One task. Iterate over it for its messages, `await result()` for its outcome.

    Messages wait here until they are iterated over: `capacity` of them, or `capacity_bytes`, then
    `overflow` decides (see `mcpc.queue.Overflow`); `stats` counts.

    Args:
        task_id: The task.
        tool_name: Its tool.
        session_id: The conversation that it belongs to.
        queue: Where its messages wait.
    """

    def __init__(self, task_id: str, tool_name: str, session_id: str, queue: TaskQueue) -> None:
        self.task_id = task_id
        self.tool_name = tool_name
        self.session_id = session_id
        self.status: HandleStatus = "running"
        """The last status heard of."""
        self.prompts: dict[str, MCPCMessage] = {}
        """The messages that asked something and were not answered by us yet, by prompt id."""
        self.steering: Steering = Unsteered(tool_name)
        """How the task is reached."""
        self._queue = queue
        self._came: anyio.Event | None = None
        """Set when a message comes; there is one where iterations wait, however many."""
        self._awaited = 0
        """How many wait for the result."""
        self.ended: bool = False
        """Whether it has ended, as far as is known here."""
        self._ended = anyio.Event()
        self.call_result: CallToolResult | None = None
        """What an ordinary tool answered, as it came; None for a background tool, and while it runs."""
        self.heard: int = 0
        """How many messages have come."""
        self.on_news: Callable[[bool], None] | None = None
        """Told when messages have come, or the task is lost, and whether that was its end."""
        self._known = anyio.Event()
        self._is_known = False
        self._terminal: MCPCMessage | None = None
        self._failure: Exception | None = None

    # --- what it is fed ---

    def takes(self, each: int = 0) -> bool:
        """Whether it can take a message of `each` bytes now; where it cannot, the flow stops until it can."""
        if self._awaited and self._came is None and not self._queue.has_room(each):
            self._queue.let_go(each)
        return self._queue.takes(each)

    def room(self, each: int) -> int:
        """How many messages of `each` bytes it can take before its policy has to decide."""
        return self._queue.room(each)

    def feed(self, message: MCPCMessage, each: int = 0) -> bool:
        """Take a message of this task, of `each` bytes; whether it is the last one."""
        return self.feed_row((message,), each)

    def feed_row(self, messages: Sequence[MCPCMessage], each: int = 0) -> bool:
        """Take messages in a row: as many as there is `room` for, or one. Whether the task's last one has come."""
        if self.ended:
            return True
        if not self._is_known:
            self.known()
        firm = 0
        for number, message in enumerate(messages, 1):
            if not is_update(message):  # seldom
                firm += 1
                self._note(message)
                if self._terminal is not None:  # what comes after it is not taken
                    messages = messages[:number]
                    break
        self.heard += len(messages)
        if self._queue.room(each) >= len(messages):
            self._queue.put_task_row(messages, firm, each)
        else:
            self._queue.put(messages[0], each)
        if self._terminal is not None:
            self._ended.set()
        self._wake()
        return self._terminal is not None

    def _note(self, message: MCPCMessage) -> None:
        """See what a message says of the task."""
        if (prompt := prompt_of(message)) is not None:
            self.status = "waiting"
            self.prompts[prompt.id] = message
        elif message.terminal:
            self.status = "complete" if message.event == "complete" else "failed"
            self._terminal = message
            self.ended = True

    def _wake(self) -> None:
        if self._came is not None:
            self._came.set()
            self._came = None
        if self.on_news is not None:
            self.on_news(self._ended.is_set())

    def lose(self, failure: Exception) -> None:
        """End it without a terminal message: nobody knows any more how it went."""
        if self._ended.is_set():
            return
        self.status = "lost"
        self._failure = failure
        self.ended = True
        self.known()
        self._ended.set()
        self._wake()

    def known(self) -> None:
        """The server has told something of it, or will not."""
        self._is_known = True
        self._known.set()

    def closed(self, prompt_id: str) -> None:
        """A prompt is no longer open, whoever answered it."""
        self.prompts.pop(prompt_id, None)
        if not self.prompts and self.status == "waiting":
            self.status = "running"

    # --- what its owner does ---

    @property
    def stats(self) -> ListenerStats:
        """What became of the messages that waited here."""
        return self._queue.stats

    def __await__(self) -> Generator[Any, Any, Self]:
        """Wait until the server has told of the task, which it has where it was started here; gives the handle itself.

        Raises:
            UnknownTask: the server does not know it.
            ConnectionLost: the server cannot be asked.
        """
        return self._once_known().__await__()

    async def _once_known(self) -> Self:
        await self._known.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MCPCMessage:
        """The next message; the iteration ends after the terminal one.

        Raises:
            ConnectionLost: the task was lost from sight (after what had come of it).
        """
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._ended.is_set():
                raise StopAsyncIteration
            if self._came is None:
                self._came = anyio.Event()
            await self._came.wait()
        message = self._queue.get()
        self._queue.counts.delivered += 1
        return message

    async def result(self) -> Any:
        """The value of the task's `complete`.

        Raises:
            TaskStopped: it was stopped.
            TaskInterrupted: the process that ran it died, and it may not run again.
            TooManyTasks: it was not begun, as a limit of the server is reached.
            TaskFailed: it failed; `.result` has what the terminal message carried.
            ConnectionLost: it was lost from sight.
        """
        await self._until_ended()
        if self._failure is not None:
            raise self._failure
        assert self._terminal is not None
        value: Any = self._terminal.result
        if self._terminal.event == "complete":
            return value
        details = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        error, text = details.get("error"), details.get("message")
        if error == "stopped":
            raise TaskStopped("the task was stopped", task_id=self.task_id, result=value)
        if isinstance(refusal := error_of(f"{text}", details), TooManyTasks):
            refusal.task_id, refusal.result = self.task_id, value
            raise refusal
        if error == "interrupted":
            raise TaskInterrupted(f"{text}", task_id=self.task_id, result=value)
        raise TaskFailed(f"{error}: {text}" if error else f"{value}", task_id=self.task_id, result=value)

    async def _until_ended(self) -> None:
        """Whoever waits for the result alone gets it, though the messages are more than have room: the oldest go."""
        self._awaited += 1
        if self._came is None:
            self._queue.let_go()
        try:
            await self._ended.wait()
        finally:
            self._awaited -= 1

    async def send(self, value: Any) -> None:
        """Send a value to the running task (`task.inputs()` in its worker).

        Raises:
            TaskEnded: it has ended.
            InputRefused: too many wait already.
            UnknownTask: the server does not know it.
            ConnectionLost: the connection is gone for good; one that comes back is waited for.
        """
        await self.steering.send_input(value)

    async def answer(self, prompt_id: str, value: Any) -> None:
        """Answer one of the task's prompts.

        Raises:
            PromptError: no such prompt is open, or the answer does not fit it.
            TaskEnded, UnknownTask, ConnectionLost: see `send`.
        """
        await self.steering.send_input(value, prompt_id)
        self.closed(prompt_id)

    async def stop(self) -> None:
        """Ask the task to stop; it ends as stopped within the server's grace. Once it has ended this does nothing.

        Raises:
            UnknownTask, ConnectionLost: see `send`.
        """
        if not self.ended:
            await self.steering.stop()

    async def state(self) -> TaskInfo:
        """What the server knows of it; raises what `stop` does."""
        return cast("TaskInfo", await self.steering.state())

    def __repr__(self) -> str:
        return f"<task {self.task_id} of {self.tool_name}: {self.status}>"
