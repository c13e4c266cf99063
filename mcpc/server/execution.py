"""A task where it runs: its worker, what it sends, what it is sent, and its one end.

What is known of the task is in its `TaskState`; an `Execution` is there as long as
the worker runs, and only in the process where it does. `task.Task` and
`task.SyncTask` are what a worker is handed. Where the messages go is an `Outlet`'s
affair, so a worker's code is the same for every kind of caller.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from mcpc.errors import PromptError, TaskEnded, TaskStopped
from mcpc.latch import Latch
from mcpc.logs import logger_of
from mcpc.messages import TERMINAL_EVENTS
from mcpc.server.failures import STOPPED, failure_of, holds_cancellation
from mcpc.server.inputs import Inputs
from mcpc.server.limits import Limits
from mcpc.server.outlet import Outlet
from mcpc.server.phrasing import Ending, Phrasing
from mcpc.server.questions import Questions
from mcpc.server.stubborn import left_alone_if_stubborn
from mcpc.tasks import Move, Prompt, TaskRegistry, TaskState
from mcpc.wire.jsontext import encode_json
from mcpc.wire.prompts import describe_prompt, prompt_update

__all__ = ["Execution", "Observer"]

logger: logging.Logger = logger_of(__name__)

ANSWER_TIMEOUT = 10.0
"""Seconds after which a worker starts even if the `created` answer was never sent (its request was cancelled)."""


def _nothing() -> None:
    """Nothing waits in a thread."""


Observer = Callable[[TaskState], None]
"""Told after each change of a task that a follower may want to see."""


class Execution:
    """One task and its worker.

    Args:
        state: The task.
        registry: Where its moves are made.
        outlet: Where its messages go.
        limits: The server's.
        on_end: Called once, when it has ended.
    """

    def __init__(
        self,
        state: TaskState,
        registry: TaskRegistry,
        outlet: Outlet,
        limits: Limits,
        on_end: Callable[["Execution"], None],
    ) -> None:
        self.state = state
        self.outlet = outlet
        self.limits = limits
        self.stop: Latch = Latch()
        """Set when the task shall stop."""
        self.ended: Latch = Latch()
        self.started: Latch = Latch()  # set when the worker may start: the answer is on its way
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.observers: list[Observer] = []
        self.inputs: Inputs = Inputs(limits.max_inputs, limits.max_input_bytes)
        self.resumed: Any = None
        """What the last checkpoint holds, where this worker goes on for another."""
        self.created: bytes | None = None
        """The message that told its caller of it, where one did."""
        self.post_waiting: Callable[[], None] = _nothing
        """Posts what threads have sent before."""
        self.stopped_as: dict[str, Any] = STOPPED  # what its last message carries if it is stopped
        self._registry = registry
        self._on_end = on_end
        self._questions = Questions(state, registry, limits.max_prompts, self._changed)
        self.phrasing: Phrasing = Phrasing(state, limits.max_message_size)

    # --- what it sends ---

    async def update(self, result: Any) -> None:
        """Send an update.

        Raises:
            MessageError: the result is not a JSON value; nothing was sent.
            TaskEnded: the task has ended (a worker in a thread may learn it here).
        """
        self.post_waiting()
        data = self.note("update", result)
        if not self.outlet.offer(data):
            await self.outlet.update(data, result)

    def send_nowait(self, event: str, result: Any) -> bool:
        """Send a message without waiting for room; False after the end.

        Raises:
            MessageError: the result is not a JSON value; nothing was sent.
        """
        self.post_waiting()
        if self.state.ended:
            return False
        if event in TERMINAL_EVENTS:
            self._end(self.phrasing.ending(event, result))
            return True
        self.outlet.post(self.note(event, result))
        return True

    def note(self, event: str, result: Any) -> bytes:
        """Encode a message that is not the last one, and remember it as the task's state.

        Raises:
            MessageError: the result is not a JSON value.
            TaskEnded: the task has ended.
        """
        data = self.phrasing.encode(event, result)
        self.remember(data)
        return data

    def remember(self, data: bytes) -> None:
        """An encoded message that is not the last one is about to be sent: it is the task's state now.

        Raises:
            TaskEnded: the task has ended.
        """
        self._registry.touch(self.state)
        self.state.last_update = data
        if self.observers:
            self._changed()

    def _changed(self) -> None:
        for observer in tuple(self.observers):
            try:
                observer(self.state)
            except Exception:
                logger.exception("an observer of task changes raised")

    # --- what it is sent ---

    def give(self, value: Any) -> None:
        """Queue an input for the worker.

        Raises:
            TaskEnded: the task has ended.
            InputRefused: as many wait as may.
        """
        if self.state.ended:
            raise TaskEnded(f"the task is {self.state.status}: it takes no input")
        self.inputs.put(value, len(encode_json(value)))

    async def ask(self, prompt: Prompt, timeout: float | None = None) -> Any:
        """Ask the client, and wait for the answer.

        Raises:
            TaskStopped: the task is being stopped.
            TimeoutError: no answer came within `timeout` seconds.
            PromptError: too many prompts are open, the schema is not one, or the user refused to answer.
        """
        self._check_stopped()
        asked = self._questions.ask(prompt)
        try:
            shown = self.phrasing.encode("update", prompt_update(describe_prompt(prompt.prompt_id, prompt)))
            with anyio.fail_after(timeout):
                await self.outlet.prompt(asked, shown)
                await asked.answered.wait()
        finally:
            self._questions.close(asked)
        self._check_stopped()
        if asked.refused is not None:
            raise PromptError(f"the user chose to {asked.refused} the question", action=asked.refused)
        return asked.answer

    def prompt_id(self, key: str | None) -> str:
        """The id of a question; its key is for those whose worker may be another's successor."""
        return str(uuid.uuid4())

    def _check_stopped(self) -> None:
        if self.stop.is_set() or self.state.ended:
            raise TaskStopped("the task was stopped", task_id=self.state.task_id)

    def answer(self, prompt_id: str, answer: Any) -> None:
        """Answer an open prompt.

        Raises:
            TaskEnded: the task has ended.
            PromptError: no such prompt is open, or the answer does not fit it.
        """
        if self.state.ended:
            raise TaskEnded(f"the task is {self.state.status}: it takes no answer")
        self._questions.answer(prompt_id, answer)

    def refuse(self, prompt_id: str, action: str) -> None:
        """The user will not answer a prompt: `decline` or `cancel`."""
        self._questions.refuse(prompt_id, action)

    async def checkpoint(self, value: Any) -> None:
        """Keep from where the task may be resumed. Nothing is, where nothing outlives the process.

        Raises:
            MessageError: the value is not JSON.
        """
        encode_json(value)
        await checkpoint()

    def request_stop(self) -> None:
        """Ask the worker to stop. A task that has ended is left as it is."""
        if self.state.ended or self.stop.is_set():
            return
        self._registry.move(self.state, Move.STOP)
        self.stop.set()
        self.inputs.close()
        self._questions.end()
        self._changed()

    # --- its end, and its life ---

    def stopped(self) -> None:
        """End it because it was stopped, if it has not ended before."""
        if not self.state.ended:
            self._end(self.phrasing.ending("failed", self.stopped_as))

    def fail(self, raised: BaseException) -> None:
        """End it as failed, if it has not ended before, without waiting for anything."""
        self._end(self._failed(raised))

    def _completed(self, result: Any) -> Ending:
        """How it ends whose worker returned."""
        if self.stop.is_set():
            return self.phrasing.ending("failed", {**self.stopped_as, "result": result})
        return self.phrasing.ending("complete", result)

    def _failed(self, raised: BaseException) -> Ending:
        """How it ends whose worker raised."""
        failure = failure_of(raised)
        return self.phrasing.ending("failed", failure.result, failure.error)

    def _end(self, ending: Ending) -> None:
        if self.state.ended:
            return
        self._registry.move(self.state, Move.COMPLETE if ending.event == "complete" else Move.FAIL)
        self.state.ending, self.state.error = ending.data, ending.error
        if self.state.last_update is self.created:
            self.state.last_update = None  # it says nothing that the ending does not
        self._registry.weigh(self.state)
        self._questions.end()
        self.inputs.clear()
        self.outlet.end(ending.data, ending.event, ending.result)
        self.ended.set()
        self._changed()
        self._on_end(self)

    async def run(self, worker: Callable[[], Awaitable[Any]]) -> None:
        """Run the worker to its end, whatever that is. Raises nothing but the cancellation of who runs it."""
        try:
            with self.scope:
                with anyio.move_on_after(ANSWER_TIMEOUT):
                    await self.started.wait()
                ending = await self._outcome(worker)
                if ending is not None:
                    await self.outlet.ready(len(ending.data))
                    self._end(ending)
        finally:
            # Cancelled: by the end of the grace, or with the server.
            self.stopped()

    async def _outcome(self, worker: Callable[[], Awaitable[Any]]) -> Ending | None:
        """How it is to end; None where it has."""
        try:
            with left_alone_if_stubborn(f"the worker of {self.state.tool_name}"):
                return self._completed(await worker())
        except GeneratorExit as exc:  # perhaps it is we who are being closed: nothing may be waited for
            return self.fail(exc)
        except BaseException as exc:
            if holds_cancellation(exc):
                await checkpoint_if_cancelled()  # raises where the task is being cancelled; else it was a stray one
            logger.debug("task %s failed", self.state.task_id, exc_info=exc)
            return self._failed(exc)

    async def stop_after_grace(self) -> None:
        """Cancel the worker if it has not ended `stop_grace` seconds after it was asked to stop."""
        with anyio.move_on_after(self.limits.stop_grace):
            await self.ended.wait()
        self.cancel()

    def cancel(self) -> None:
        """End it as stopped, if it has not ended, and cancel its worker."""
        self.stopped()
        self.scope.cancel()
