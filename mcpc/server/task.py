"""What a worker is handed: `Task` in an async worker, `SyncTask` in a thread. The same names in both."""

import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from mcpc.errors import MCPCError, TaskStopped
from mcpc.later import later
from mcpc.server.execution import Execution
from mcpc.server.thread_updates import ThreadUpdates
from mcpc.tasks import Prompt

if TYPE_CHECKING:
    from mcpc.server import stored_execution
else:
    stored_execution = later("mcpc.server.stored_execution")  # most servers have no store

__all__ = ["SyncTask", "Task"]

T = TypeVar("T")


class _Handle:
    """What both kinds share: who the task is, and whether it shall stop."""

    __slots__ = ("_running",)

    def __init__(self, running: Execution) -> None:
        self._running = running

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._running.state.task_id

    @property
    def session_id(self) -> str:
        """The conversation that the task belongs to, as the client named it."""
        return self._running.state.session_id

    @property
    def tool_name(self) -> str:
        """The tool that the task is a call of."""
        return self._running.state.tool_name

    @property
    def resumed(self) -> Any:
        """What the last checkpoint holds, where this worker goes on for one whose process died; else None."""
        return self._running.resumed

    @property
    def stop_requested(self) -> bool:
        """Whether the task shall stop. After a grace the worker is cancelled."""
        return self._running.stop.is_set()

    def check_stopped(self) -> None:
        """Go on, or raise if the task shall stop.

        Raises:
            TaskStopped: it shall. Let it pass: the task then ends as stopped.
        """
        if self._running.stop.is_set() or self._running.state.ended:
            raise TaskStopped("the task was stopped", task_id=self.task_id)


class _Inputs(AsyncIterator[Any]):
    """The inputs of a task. Not a generator: a worker may leave its loop without closing anything."""

    def __init__(self, running: Execution) -> None:
        self._running = running

    async def __anext__(self) -> Any:
        item = await self._running.inputs.next()
        if item is None:
            raise StopAsyncIteration
        return item[0]


class Task(_Handle):
    """A running task, in the hands of its async worker."""

    __slots__ = ()

    async def update(self, result: Any = None) -> None:
        """Send an update; any JSON value.

        Waits while a connected client is a whole log behind, at most `stall_timeout`.

        Raises:
            MessageError: the value is not JSON; nothing was sent.
        """
        # What `Execution.update` does, without a second coroutine: this is the busiest call there is.
        running = self._running
        data = running.note("update", result)
        if not running.outlet.offer(data):
            await running.outlet.update(data, result)

    async def ask(
        self,
        message: str,
        *,
        choices: list[Any] | None = None,
        schema: dict[str, Any] | None = None,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Any:
        """Ask the client a question and wait for the answer, which fits `choices` and the JSON `schema`.

        Args:
            message: The question.
            choices: The answers that are allowed.
            schema: A JSON schema that the answer must fit.
            timeout: Seconds to wait for the answer; None waits for ever.
            key: Names the question within the task. With a store its answer is kept: if the worker runs again it gets
                it at once, and nobody is asked twice.

        Raises:
            TaskStopped: the task is being stopped.
            TimeoutError: no answer came in time.
            PromptError: the caller cannot be asked, too many prompts are open, or the schema is not one.
        """
        running = self._running
        return await running.ask(Prompt(running.prompt_id(key), message, choices, schema), timeout)

    def inputs(self) -> AsyncIterator[Any]:
        """What the client sends to the running task, in order. Ends when the task shall stop."""
        return _Inputs(self._running)

    async def checkpoint(self, value: Any) -> None:
        """Keep a JSON value from which the task may be resumed; returns once it is durable.

        If the process dies, a tool made with `on_interrupt="resume"` runs again and finds it in `resumed`. Inputs that
        were taken before it do not come again. Without a store nothing outlives the process, and this does nothing.

        Raises:
            MessageError: the value is not JSON.
            TaskEnded: the task has ended.
        """
        await self._running.checkpoint(value)

    async def stopping(self) -> None:
        """Wait until the task shall stop."""
        await self._running.stop.wait()

    async def hand_off(self) -> NoReturn:
        """Leave the task to another process, which attaches to it by its id (`mcpc.attach`); the worker ends here.

        Who is to attach must know the id: tell them before. Does not return: the worker is cancelled.

        Raises:
            MCPCError: the task is in no store, so no other process can have it.
        """
        await stored_execution.hand_off(self._running)
        await anyio.sleep_forever()
        raise AssertionError("the worker was cancelled")


class SyncTask(_Handle):
    """A running task, in the hands of its worker in a thread: the same names, blocking.

    May be used from any thread: the worker's own, those that it starts, those of a pool. Made in the event loop.
    """

    def __init__(self, running: Execution, updates: ThreadUpdates) -> None:
        super().__init__(running)
        self._token = anyio.lowlevel.current_token()
        self._loop_thread = threading.get_ident()
        self._updates = updates

    def update(self, result: Any = None) -> None:
        """Send an update; see `Task.update`.

        It is encoded here and may be posted a moment later, in order with all else that this task sends.

        Raises:
            MessageError: the value is not JSON; nothing was sent.
            TaskStopped: the task has ended meanwhile.
        """
        self._check_thread()
        if self._running.outlet.is_log:
            self._updates.put(result)
        elif self._running.state.ended:
            raise TaskStopped("the task was stopped", task_id=self.task_id)
        else:
            self._run(self._running.update, result)

    def ask(
        self,
        message: str,
        *,
        choices: list[Any] | None = None,
        schema: dict[str, Any] | None = None,
        timeout: float | None = None,
        key: str | None = None,
    ) -> Any:
        """Ask the client a question and wait for the answer; see `Task.ask`."""
        asked = Prompt(self._running.prompt_id(key), message, choices, schema)
        return self._run(self._running.ask, asked, timeout)

    def inputs(self) -> Iterator[Any]:
        """What the client sends to the running task, in order. Ends when the task shall stop."""
        while (item := self._run(self._running.inputs.next)) is not None:
            yield item[0]

    def checkpoint(self, value: Any) -> None:
        """Keep a JSON value from which the task may be resumed; see `Task.checkpoint`."""
        self._run(self._running.checkpoint, value)

    def stopping(self) -> None:
        """Wait until the task shall stop."""
        self._run(self._running.stop.wait)

    def hand_off(self) -> NoReturn:
        """Leave the task to another process; see `Task.hand_off`.

        Raises:
            TaskStopped: always. Let it pass: the worker ends here.
        """
        self._run(stored_execution.hand_off, self._running)
        raise TaskStopped("the task was handed off", task_id=self.task_id)

    def _run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run `function` in the event loop, and wait for it."""
        self._check_thread()
        self._updates.flush()
        try:
            return anyio.from_thread.run(function, *arguments, token=self._token)
        except concurrent.futures.CancelledError:
            raise TaskStopped("the task was stopped", task_id=self.task_id) from None

    def _check_thread(self) -> None:
        if threading.get_ident() == self._loop_thread:
            raise MCPCError("a SyncTask waits, so it cannot be used in the event loop's own thread; take a mcpc.Task")
