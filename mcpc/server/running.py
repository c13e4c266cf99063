"""A task while it runs: its worker, what it sends, what it is sent, and its one end.

`RunningTask` holds the state; `task.Task` and `task.SyncTask` are what a worker is
handed. Where the messages go is an `Outlet`'s affair, so a worker's code is the
same for every kind of caller.
"""

import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import jsonschema
from anyio.lowlevel import checkpoint
from jsonschema.validators import validator_for

from mcpc.errors import InputRefused, MessageError, PromptError, TaskEnded, TaskStopped
from mcpc.messages import TERMINAL_EVENTS
from mcpc.server.limits import Limits
from mcpc.server.outlet import OpenPrompt, Outlet
from mcpc.tasks import Move, TaskRecord, TaskRegistry
from mcpc.wire.callbacks import message_prefix, message_with_result
from mcpc.wire.prompts import prompt_update

__all__ = ["RunningTask"]

logger = logging.getLogger("mcpc")

ANSWER_TIMEOUT = 10.0
"""Seconds after which a worker starts even if the `created` answer was never sent (its request was cancelled)."""


STOPPED = {"error": "stopped", "message": "the task was stopped"}


@dataclass(frozen=True)
class _Ending:
    """A terminal message, and the same encoded."""

    event: str
    result: Any
    data: bytes


class RunningTask:
    """One task and its worker."""

    def __init__(self, record: TaskRecord, registry: TaskRegistry, outlet: Outlet, limits: Limits) -> None:
        self.record = record
        self.outlet = outlet
        self.limits = limits
        self.stop = anyio.Event()
        """Set when the task shall stop."""
        self.ended = anyio.Event()
        self.started = anyio.Event()
        """Set when the worker may start: the `created` answer is on its way."""
        self.event = ""
        """How it ended: `complete` or `failed`."""
        self.result: Any = None
        """What the terminal message carries."""
        self.error: BaseException | None = None
        """What the worker raised."""
        self.last_update: Any = None
        self.prompts: dict[str, OpenPrompt] = {}
        self.scope = anyio.CancelScope()
        self.observers: list[Callable[[RunningTask], None]] = []
        """Called after each change that a follower may want to see."""
        self._registry = registry
        self._inputs: deque[Any] = deque()
        self._input_came = anyio.Event()
        self._prefixes: dict[str, bytes] = {}
        record.details["running"] = self

    # --- what it sends ---

    def encode(self, event: str, result: Any) -> bytes:
        """A message of this task, encoded.

        Raises:
            MessageError: the result is not a JSON value, or too large.
        """
        prefix = self._prefixes.get(event)
        if prefix is None:
            record = self.record
            prefix = self._prefixes[event] = message_prefix(
                event, session_id=record.session_id, task_id=record.task_id, tool_name=record.tool_name
            )
        data = message_with_result(prefix, result)
        if len(data) > self.limits.max_message_size:
            raise MessageError(f"a message of {len(data)} bytes is over the limit of {self.limits.max_message_size}")
        return data

    async def update(self, result: Any) -> None:
        """Send an update.

        Raises:
            MessageError: the result is not a JSON value; nothing was sent.
            TaskEnded: the task has ended (a worker in a thread may learn it here).
        """
        data = self.note("update", result)
        if not self.outlet.offer(data):
            await self.outlet.update(data, result)

    def send_nowait(self, event: str, result: Any) -> bool:
        """Send a message without waiting for room; False after the end.

        Raises:
            MessageError: the result is not a JSON value; nothing was sent.
        """
        if self.record.ended:
            return False
        if event in TERMINAL_EVENTS:
            self._end(self._ending(event, result))
            return True
        self.outlet.post(self.note(event, result))
        return True

    def note(self, event: str, result: Any) -> bytes:
        """Encode a message that is not the last one, and remember it as the task's state.

        Raises:
            MessageError: the result is not a JSON value.
            TaskEnded: the task has ended.
        """
        data = self.encode(event, result)
        self._registry.touch(self.record)
        self.record.last_message = data
        self.last_update = result
        if self.observers:
            self._changed()
        return data

    def _completed(self, result: Any) -> "_Ending":
        """How it ends whose worker returned."""
        if self.stop.is_set():
            return self._ending("failed", {**STOPPED, "result": result})
        return self._ending("complete", result)

    def _failed(self, error: Exception) -> "_Ending":
        """How it ends whose worker raised: with the type and the text, never a traceback."""
        self.error = error
        if isinstance(error, TaskStopped):
            return self._ending("failed", STOPPED)
        return self._ending("failed", {"error": type(error).__name__, "message": str(error)})

    def stopped(self) -> None:
        """End it because it was stopped, if it has not ended before."""
        if not self.record.ended:
            self._end(self._ending("failed", STOPPED))

    def _ending(self, event: str, result: Any) -> "_Ending":
        """A terminal message. A value that is not JSON makes it a failure."""
        try:
            return _Ending(event, result, self.encode(event, result))
        except MessageError as exc:
            result = {"error": "MessageError", "message": f"the result cannot be sent: {exc}"}
            return _Ending("failed", result, self.encode("failed", result))

    def _end(self, ending: "_Ending") -> None:
        if self.record.ended:
            return
        event, result = ending.event, ending.result
        self._registry.move(self.record, Move.COMPLETE if event == "complete" else Move.FAIL)
        self.record.last_message = ending.data
        self.event, self.result = event, result
        for prompt in self.prompts.values():
            prompt.answered.set()
        self.prompts.clear()
        self.outlet.end(ending.data, event, result)
        self.ended.set()
        self._input_came.set()
        self._changed()

    def _changed(self) -> None:
        for observer in tuple(self.observers):
            try:
                observer(self)
            except Exception:
                logger.exception("an observer of task changes raised")

    # --- what it is sent ---

    def give(self, value: Any) -> None:
        """Queue an input for the worker.

        Raises:
            TaskEnded: the task has ended.
            InputRefused: as many wait as may.
        """
        if self.record.ended:
            raise TaskEnded(f"the task is {self.record.status}: it takes no input")
        if len(self._inputs) >= self.limits.max_inputs:
            raise InputRefused(f"{self.limits.max_inputs} inputs wait already, which is the limit")
        self._inputs.append(value)
        self._input_came.set()

    async def next_input(self) -> tuple[Any] | None:
        """The next input, in a tuple; None once the task shall stop and nothing waits."""
        await checkpoint()
        while not self._inputs:
            if self.stop.is_set() or self.record.ended:
                return None
            self._input_came = anyio.Event()
            await self._input_came.wait()
        return (self._inputs.popleft(),)

    async def ask(
        self, message: str, choices: list[Any] | None, schema: dict[str, Any] | None, timeout: float | None
    ) -> Any:
        """Ask the client, and wait for the answer.

        Raises:
            TaskStopped: the task is being stopped.
            TimeoutError: no answer came within `timeout` seconds.
            PromptError: too many prompts are open, the schema is not one, or the user refused to answer.
        """
        prompt = self._open(message, choices, schema)
        try:
            with anyio.fail_after(timeout):
                await self.outlet.prompt(prompt, self.encode("update", prompt_update(prompt.describe())))
                await prompt.answered.wait()
        finally:
            self._close(prompt)
        if self.stop.is_set() or self.record.ended:
            raise TaskStopped("the task was stopped", task_id=self.record.task_id)
        if prompt.refused is not None:
            raise PromptError(f"the user chose to {prompt.refused} the question")
        return prompt.answer

    def _open(self, message: str, choices: list[Any] | None, schema: dict[str, Any] | None) -> OpenPrompt:
        if self.stop.is_set():
            raise TaskStopped("the task was stopped", task_id=self.record.task_id)
        if len(self.prompts) >= self.limits.max_prompts:
            raise PromptError(f"{self.limits.max_prompts} prompts are open, which is the limit")
        if schema is not None:
            try:
                validator_for(schema).check_schema(schema)
            except jsonschema.SchemaError as exc:
                raise PromptError(f"not a JSON schema: {exc.message}") from exc
        prompt = OpenPrompt(str(uuid.uuid4()), message, choices, schema)
        self._registry.move(self.record, Move.ASK)
        self.prompts[prompt.prompt_id] = prompt
        self._changed()
        return prompt

    def _close(self, prompt: OpenPrompt) -> None:
        if self.prompts.pop(prompt.prompt_id, None) is None or self.record.ended:
            return
        if not self.prompts:
            self._registry.move(self.record, Move.ANSWER)
        self._changed()

    def answer(self, prompt_id: str, answer: Any) -> None:
        """Answer an open prompt.

        Raises:
            TaskEnded: the task has ended.
            PromptError: no such prompt is open, or the answer does not fit it.
        """
        if self.record.ended:
            raise TaskEnded(f"the task is {self.record.status}: it takes no answer")
        prompt = self.prompts.get(prompt_id)
        if prompt is None:
            raise PromptError("no such open prompt")
        prompt.accept(answer)

    def request_stop(self) -> None:
        """Ask the worker to stop. A task that has ended is left as it is."""
        if self.record.ended or self.stop.is_set():
            return
        self._registry.move(self.record, Move.STOP)
        self.stop.set()
        self._input_came.set()
        for prompt in self.prompts.values():
            prompt.answered.set()
        self._changed()

    # --- its life ---

    async def run(self, worker: Callable[[], Awaitable[Any]]) -> None:
        """Run the worker to its end, whatever that is. Raises nothing but cancellation."""
        try:
            with self.scope:
                with anyio.move_on_after(ANSWER_TIMEOUT):
                    await self.started.wait()
                ending = await self._outcome(worker)
                await self.outlet.ready(len(ending.data))
                self._end(ending)
        finally:
            # Cancelled: by the end of the grace, or with the server.
            self.stopped()

    async def _outcome(self, worker: Callable[[], Awaitable[Any]]) -> "_Ending":
        try:
            return self._completed(await worker())
        except Exception as exc:
            logger.debug("task %s failed", self.record.task_id, exc_info=exc)
            return self._failed(exc)

    async def stop_after_grace(self) -> None:
        """Cancel the worker if it has not ended `stop_grace` seconds after it was asked to stop."""
        with anyio.move_on_after(self.limits.stop_grace):
            await self.ended.wait()
        if not self.record.ended:
            self.stopped()
        self.scope.cancel()
