"""A task of the store where it runs: what it says goes into a line, what is said to it comes as signals.

Its worker may be another's successor: then it finds the last checkpoint, inputs
since, and the answers to questions that were asked with a key.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, cast

from anyio.lowlevel import checkpoint
from pydantic_core import from_json

from mcpc.errors import MCPCError, PromptError, TaskEnded, TaskError
from mcpc.server.attendance import Attendance
from mcpc.server.execution import Execution
from mcpc.server.inputs import Inputs
from mcpc.server.limits import Limits
from mcpc.server.line import Line
from mcpc.server.outlet import OpenPrompt
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import STATE_ONLY, interrupted_message
from mcpc.stored import Signal
from mcpc.tasks import Prompt, Status, TaskRegistry, TaskState
from mcpc.wire.jsontext import encode_json

__all__ = ["StoredExecution", "StoredOutlet", "hand_off"]


class StoredOutlet:
    """Where the messages of a stored task go: into its line.

    Args:
        line: The line.
        journal: The client's journal; None for a task that is followed by its state alone.
    """

    def __init__(self, line: Line, journal: StoredJournal | None) -> None:
        self._line = line
        self._journal = journal
        self.is_log: bool = journal is not None
        self.shown: set[str] = set()
        """Questions that the worker before this one has shown, and nobody has answered."""
        if journal is not None:
            journal.running += 1

    def offer(self, data: bytes) -> bool:
        """Say it if nobody has to wait for that."""
        if self._journal is None or not self._journal.has_room(len(data)):
            return False
        self._line.put(data)
        return True

    async def update(self, data: bytes, result: Any) -> None:
        """Say it when there is room."""
        if self._journal is None:
            self._line.change()
            await checkpoint()
            return
        await self._journal.room(len(data))
        self._line.put(data)

    def post(self, data: bytes) -> None:
        """Say it."""
        if self._journal is None:
            self._line.change()
        else:
            self._line.put(data)

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """Say what is asked, if nobody has."""
        if prompt.prompt.prompt_id in self.shown:
            await checkpoint()
        else:
            await self.update(data, None)

    async def ready(self, size: int) -> None:
        """Wait for room."""
        if self._journal is not None:
            await self._journal.room(size)

    def end(self, data: bytes, event: str, result: Any) -> None:
        """Say the last of it."""
        self.leave()
        self._line.end(None if self._journal is None else data, cast("Literal['complete', 'failed']", event))

    def leave(self) -> None:
        """The task does not run here any more."""
        if self._journal is not None:
            self._journal.running -= 1


class _StoredInputs(Inputs):
    """Inputs with their numbers: which were taken is told to the store, which bounds those that wait."""

    def __init__(self, line: Line, limits: Limits) -> None:
        super().__init__(max_waiting=1 << 62, max_bytes=limits.max_input_bytes)
        self._line = line
        self._numbers: deque[int] | None = None  # made when it is needed, as the inputs are

    def put_numbered(self, number: int, value: Any, size: int) -> None:
        """An input that the store has taken."""
        self.add(value, size)
        if self._numbers is None:
            self._numbers = deque()
        self._numbers.append(number)

    async def next(self) -> tuple[Any] | None:
        """See `Inputs.next`."""
        item = await super().next()
        if item is not None and self._numbers:
            self._line.taken = max(self._line.taken, self._numbers.popleft())
        return item


class StoredExecution(Execution):
    """One task of the store and its worker.

    Args:
        state: The task.
        registry: Where its moves are made.
        outlet: Where its messages go.
        limits: The server's.
        on_end: Called once, when it has ended.
        line: Where it is written.
        attendance: Whether somebody is there for it; its channel's, where it has one.
        resumed: What the last checkpoint holds, encoded; None where there is none.
    """

    outlet: StoredOutlet

    def __init__(
        self,
        state: TaskState,
        registry: TaskRegistry,
        outlet: StoredOutlet,
        limits: Limits,
        on_end: Callable[[Execution], None],
        line: Line,
        attendance: Attendance,
        resumed: bytes | None = None,
    ) -> None:
        super().__init__(state, registry, outlet, limits, on_end)
        self._stored_inputs = _StoredInputs(line, limits)
        self.inputs: Inputs = self._stored_inputs
        self.line: Line = line
        self.attendance: Attendance = attendance
        self.lost: bool = False
        """Whether it is no longer ours to run: nothing more of it is sent."""
        self.may_run_again = False
        """Whether it is given back, and not stopped, when the server shuts down."""
        self.heard: int = 0
        """The number of the last signal that was heard."""
        self.resumed: Any = None if resumed is None else from_json(resumed)
        self.stops: Callable[[], None] = lambda: None
        """Called when somebody asks the task to stop."""
        self.let_go: Callable[[], Awaitable[None]] | None = None
        """Hands the task off."""
        self._answers: dict[str, Signal] = {}
        """Answers that nobody waits for yet: a keyed question may be asked again."""
        self.observers.append(lambda state: line.change())
        line.on_lost = self.lose

    # --- what it says ---

    def remember(self, data: bytes) -> None:
        """See `Execution.remember`."""
        if self.lost:
            raise TaskEnded("the task is run elsewhere now, or has ended there")
        super().remember(data)

    def _end(self, ending: Any) -> None:
        if not self.lost:
            super()._end(ending)

    async def checkpoint(self, value: Any) -> None:
        """Keep from where the task may be resumed, once that is durable.

        Raises:
            MessageError: the value is not JSON.
            TaskEnded: the task has ended.
        """
        data = encode_json(value)
        if self.lost or self.state.ended:
            raise TaskEnded(f"the task is {self.state.status}: it takes no checkpoint")
        await self.line.checkpoint(data)

    def lose(self) -> None:
        """It is no longer ours to run: its worker is cancelled, and nothing more of it is sent."""
        if self.lost or self.ended.is_set():
            return
        self.lost = True
        self.outlet.leave()
        self.stop.set()
        self.inputs.close()
        self._questions.end()
        self.ended.set()
        self._on_end(self)
        self.scope.cancel()

    def interrupt(self) -> None:
        """It was given up, and may be nobody's: let it end as interrupted, unless somebody else has it by now."""
        state = self.state
        state.status, state.ending = Status.FAILED, interrupted_message(state)
        state.prompts.clear()
        self.tell_end()

    def tell_end(self) -> None:
        """Tell the store how it ended, by a new writer: whatever the one before has told, it may not have landed."""
        state = self.state
        self.line: Line = self.line.again()
        event = "complete" if state.status is Status.COMPLETE else "failed"
        self.line.end(None if state.owner.startswith(STATE_ONLY) else state.ending, event)

    # --- what it hears ---

    def hear(self, signals: list[Signal]) -> None:
        """What was said to it, in order; what was heard before is left out."""
        for signal in signals:
            if signal.number > self.heard:
                self.heard = signal.number
                self._hear(signal)

    def hear_late(self, signal: Signal) -> None:
        """What was said under a number that was heard before. A stop may be said again: it changes nothing."""
        self._hear(replace(signal, number=self.heard))

    def _hear(self, signal: Signal) -> None:
        if signal.kind == "stop":
            self.stops()
            return
        self.attendance.seen()
        if signal.kind == "input":
            key, value = from_json(signal.value or b"[null, null]")
            if self.state.hear(key, signal.number):
                self._stored_inputs.put_numbered(signal.number, value, len(signal.value or b""))
                self.line.change()  # what was heard is known, too, to whoever runs it next
        elif signal.prompt_id is not None:
            self._answers[signal.prompt_id] = signal
            self._settle(signal.prompt_id)

    def _settle(self, prompt_id: str) -> None:
        """Give an open question its answer."""
        signal = self._answers.get(prompt_id)
        if signal is None:
            return
        try:
            if signal.kind == "refusal":
                self.refuse(prompt_id, (signal.value or b"decline").decode())
            else:
                self.answer(prompt_id, from_json(signal.value or b"null"))
        except (PromptError, TaskError):
            pass  # nobody asks it now

    async def ask(self, prompt: Prompt, timeout: float | None = None) -> Any:
        """See `Execution.ask`. What has a key and was answered before is taken so, and nobody is asked."""
        known = self._answers.get(prompt.prompt_id)
        if known is None or known.kind != "answer":
            return await super().ask(prompt, timeout)
        await checkpoint()
        return from_json(known.value or b"null")

    def prompt_id(self, key: str | None) -> str:
        return super().prompt_id(key) if key is None else f"{self.state.task_id}/{key}"


async def hand_off(running: Execution) -> None:
    """Leave a task to who knows its id. Its worker is cancelled.

    Raises:
        MCPCError: it is in no store: it has none, or its caller waits for it.
    """
    if not isinstance(running, StoredExecution) or running.let_go is None:
        raise MCPCError(
            "this task is in no store that processes share, so it cannot be handed off: "
            "the server has none, or the caller speaks plain MCP and waits for its result"
        )
    await running.let_go()
