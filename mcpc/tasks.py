"""Tasks as data, as a state machine and as a registry: what is known of one, which moves are legal, which is whose.

No I/O and no clock of its own: the registry is given one. What runs a task, and
what it sends, is the server's affair.
"""

import uuid
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from pydantic_core import from_json, to_json

from mcpc.clock import Clock
from mcpc.errors import DuplicateTask, TaskEnded, TooManyTasks, UnknownTask

__all__ = ["FIELDS", "FINAL", "TRANSITIONS", "Move", "Prompt", "Status", "TaskRegistry", "TaskState"]


class Status(StrEnum):
    """Where a task stands, in the protocol's words."""

    RUNNING = "running"
    """Its worker runs."""
    WAITING = "waiting"
    """The same, and a question of its is open."""
    STOPPING = "stopping"
    """It was asked to stop, and has not ended yet."""
    COMPLETE = "complete"
    """It has a result."""
    FAILED = "failed"
    """It has none: its worker raised, or it was stopped."""


class Move(StrEnum):
    """What can happen to a task."""

    UPDATE = "update"
    """It tells of its progress."""
    ASK = "ask"
    """It asks a question."""
    ANSWER = "answer"
    """The last open question is closed."""
    STOP = "stop"
    """Somebody wants it to end."""
    COMPLETE = "complete"
    """Its worker returns."""
    FAIL = "fail"
    """Its worker raises, or is stopped."""


FINAL = frozenset((Status.COMPLETE, Status.FAILED))

_R, _W, _S, _C, _F = Status.RUNNING, Status.WAITING, Status.STOPPING, Status.COMPLETE, Status.FAILED

TRANSITIONS: dict[Status, dict[Move, Status]] = {
    _R: {Move.UPDATE: _R, Move.ASK: _W, Move.STOP: _S, Move.COMPLETE: _C, Move.FAIL: _F},
    _W: {Move.UPDATE: _W, Move.ASK: _W, Move.ANSWER: _R, Move.STOP: _S, Move.COMPLETE: _C, Move.FAIL: _F},
    _S: {Move.UPDATE: _S, Move.ANSWER: _S, Move.STOP: _S, Move.COMPLETE: _C, Move.FAIL: _F},
    _C: {Move.STOP: _C},
    _F: {Move.STOP: _F},
}
"""From each status, the moves that are legal and where they lead. Anything else is refused.

`ANSWER` is the last open prompt being closed; a stopping task may not ask. Stopping a task that has ended does nothing.
"""


MAX_HEARD = 256
"""Keys of inputs that a task remembers."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question of a task, as data."""

    prompt_id: str
    message: str
    choices: list[Any] | None = None
    """The answers that are allowed; None where that is not said."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the answer must fit."""
    request: dict[str, Any] | None = None
    """The standard's request that it is, which the client's program answers."""

    def to_plain(self) -> dict[str, Any]:
        """The same as JSON-able values; versions that know of no requests read all others."""
        plain = {"prompt_id": self.prompt_id, "message": self.message, "choices": self.choices, "schema": self.schema}
        return plain if self.request is None else {**plain, "request": self.request}


@dataclass(slots=True, eq=False)
class TaskState:
    """One task as data: plain values, nothing of where or how it runs. Times are seconds since the epoch."""

    task_id: str
    tool_name: str
    session_id: str
    owner: str
    """Whose it is: the channel that may see and steer it."""
    created_at: float
    updated_at: float
    principal: Hashable | None = None
    """Who called, where the transport authenticates: texts, or a tuple of texts."""
    arguments: dict[str, Any] | None = None
    """What the tool was called with; kept only for tasks that may run again."""
    fingerprint: str | None = None
    """Of the tool and the arguments of a start that has a key: another start of the same key must have the same."""
    status: Status = Status.RUNNING
    prompts: dict[str, Prompt] = field(default_factory=dict[str, Prompt])
    """The questions that wait for an answer, by id, oldest first."""
    last_update: bytes | None = None
    """The newest message that is not the last one, as JSON."""
    ending: bytes | None = None
    """The terminal message, as JSON."""
    error: dict[str, Any] | None = None
    """The JSON-RPC error that its worker raised: `code`, `message` and perhaps `data`."""
    answer: bytes | None = None
    """What an ordinary call answers, in wire form, as JSON, where the server has made it; else it is made of the
    ending."""
    heard: dict[str, int] | None = None
    """The numbers of the newest inputs, by the key that each came with: one that is sent again is known. None where
    none has come."""
    trace: dict[str, str] | None = None
    """The trace context of its call, as it travels (W3C Trace Context); kept only where it may run elsewhere."""
    kept_for: float | None = None
    """Seconds for which it is remembered after its end; None while it runs."""

    @property
    def ended(self) -> bool:
        """Whether it has reached a final status."""
        return self.status in FINAL

    def has_heard(self, key: str | None) -> bool:
        """Whether an input of that key is known."""
        return self.heard is not None and key in self.heard

    def hear(self, key: str | None, number: int) -> bool:
        """Know an input by its key from now on; whether it is none that was heard under another number."""
        if key is None:
            return True
        if self.heard is None:
            self.heard = {}
        is_new = self.heard.setdefault(key, number) == number
        if len(self.heard) > MAX_HEARD:
            del self.heard[next(iter(self.heard))]
        return is_new

    @property
    def last_message(self) -> bytes | None:
        """The newest message of all, as JSON."""
        return self.last_update if self.ending is None else self.ending

    @property
    def result(self) -> Any:
        """What the terminal message carries; None before there is one."""
        return None if self.ending is None else from_json(self.ending).get("result")

    def to_plain(self) -> dict[str, Any]:
        """The same as JSON-able values, for a store. The principal must be one."""
        plain: dict[str, Any] = {"version": VERSION}
        for name in FIELDS:
            value = getattr(self, name)
            plain[name] = value.decode() if isinstance(value, bytes) else value
        plain["answer"] = None if self.answer is None else from_json(self.answer)
        plain["heard"] = self.heard or {}
        plain["status"] = str(self.status)
        plain["prompts"] = [prompt.to_plain() for prompt in self.prompts.values()]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TaskState":
        """The state that `to_plain` gave, perhaps through JSON.

        Raises:
            ValueError: a newer version of mcpc made it.
        """
        if plain["version"] > VERSION:
            raise ValueError(f"a task's state of version {plain['version']}; this version of mcpc knows {VERSION}")
        values: dict[str, Any] = {name: plain[name] for name in FIELDS if name in plain}
        for name in ("last_update", "ending"):
            if values.get(name) is not None:
                values[name] = values[name].encode()
        if values.get("answer") is not None:
            values["answer"] = to_json(values["answer"])
        values["heard"] = values.get("heard") or None
        if isinstance(values.get("principal"), list):
            values["principal"] = tuple(values["principal"])
        values["status"] = Status(plain["status"])
        values["prompts"] = {p["prompt_id"]: Prompt(**p) for p in plain["prompts"]}
        return cls(**values)


VERSION = 1
"""Of the layout that `to_plain` gives. A field that is added does not change it."""
FIELDS = tuple(entry.name for entry in fields(TaskState))
"""The names of a state's values."""


@dataclass(slots=True)
class _Ended:
    """An ended task, and when it is forgotten, on the steady clock."""

    state: TaskState
    expires_at: float
    size: int = 0
    """Bytes that it keeps, as far as they were told."""


class TaskRegistry:
    """The tasks of a server.

    Args:
        clock: Tells the time: the wall clock's to be shown, the steady one's to forget by.
        max_running: How many tasks may run at once.
        time_to_live: Seconds for which an ended task is remembered.
        max_ended: How many ended tasks are remembered at the most; beyond it the first ended is forgotten.
        max_ended_bytes: How many bytes of what they ended with, unless the last alone is larger.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_running: int = 1000,
        time_to_live: float = 300.0,
        max_ended: int = 10_000,
        max_ended_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self._wall = clock.wall
        self.max_running = max_running
        self.time_to_live = time_to_live
        self.max_ended = max_ended
        self.max_ended_bytes = max_ended_bytes
        self.ended_bytes: int = 0
        """Bytes of what the remembered tasks ended with."""
        self.forgotten: int = 0
        """Ended tasks that were forgotten before their time, as there were too many or too large ones."""
        self._states: dict[str, TaskState] = {}
        self._ended: dict[str, _Ended] = {}

    @property
    def running(self) -> int:
        """How many tasks have not ended."""
        return len(self._states) - len(self._ended)

    def __iter__(self) -> Iterator[TaskState]:
        self.forget_expired()
        return iter(list(self._states.values()))

    def __len__(self) -> int:
        self.forget_expired()
        return len(self._states)

    def start(
        self,
        *,
        owner: str,
        tool_name: str,
        session_id: str,
        task_id: str | None = None,
        principal: Hashable | None = None,
    ) -> TaskState:
        """Enter a new, running task.

        Raises:
            TooManyTasks: as many run as may.
            DuplicateTask: the id is in use.
        """
        self.forget_expired()
        if self.running >= self.max_running:
            raise TooManyTasks(
                f"{self.max_running} tasks are running, which is the limit; try again when one has ended"
            )
        task_id = task_id or str(uuid.uuid4())
        if task_id in self._states:
            raise DuplicateTask("this task id is in use; make a new one for each call")
        now = self._wall()
        state = TaskState(task_id, tool_name, session_id, owner, created_at=now, updated_at=now, principal=principal)
        self._states[task_id] = state
        return state

    def adopt(self, state: TaskState) -> None:
        """Take over a running task that another process began, however many run here."""
        self._states[state.task_id] = state

    def get(self, owner: str, task_id: str) -> TaskState:
        """The task `task_id` of `owner`.

        Raises:
            UnknownTask: there is none. Another owner's task gives the same error, word for word.
        """
        self.forget_expired()
        state = self._states.get(task_id)
        if state is None or state.owner != owner:
            raise UnknownTask("unknown task")
        return state

    def find(self, task_id: str) -> TaskState | None:
        """The task of that id, whoever's it is: for the application's own side, never for a client's request."""
        self.forget_expired()
        return self._states.get(task_id)

    def remembers(self, state: TaskState) -> bool:
        """Whether that very task has not been forgotten."""
        return self.find(state.task_id) is state

    def of(self, owner: str) -> list[TaskState]:
        """The tasks of `owner`, oldest first."""
        self.forget_expired()
        return [state for state in self._states.values() if state.owner == owner]

    def move(self, state: TaskState, move: Move) -> Status:
        """Make a move, and return the new status.

        Raises:
            TaskEnded: the move is not legal from where the task stands.
        """
        status = TRANSITIONS[state.status].get(move)
        if status is None:
            raise TaskEnded(f"the task is {state.status}: it takes no {move}")
        if state.ended:
            return state.status
        state.status = status
        state.updated_at = self._wall()
        if status in FINAL:
            self._end(state)
        return status

    def _end(self, state: TaskState) -> None:
        state.kept_for = self.time_to_live
        if self._states.get(state.task_id) is state:
            self._ended[state.task_id] = _Ended(state, self._clock.steady() + self.time_to_live)

    def weigh(self, state: TaskState) -> None:
        """A task that has ended has got what it keeps; the first ended make room for that."""
        entry = self._ended.get(state.task_id)
        if entry is None:
            return
        size = len(state.ending or b"") + len(state.last_update or b"") + len(state.answer or b"")
        self.ended_bytes += size - entry.size
        entry.size = size
        self.forget_expired()

    def touch(self, state: TaskState) -> None:
        """A task has sent an update: the one move that leads nowhere, made without the table.

        Raises:
            TaskEnded: it has ended.
        """
        # The usual status first: to look one up in a set costs more than all the rest.
        if state.status is not _R and state.status in FINAL:
            raise TaskEnded(f"the task is {state.status}: it takes no {Move.UPDATE}")
        state.updated_at = self._wall()

    def forget(self, state: TaskState) -> None:
        """Drop a task, ended or not."""
        if self._states.get(state.task_id) is state:
            del self._states[state.task_id]
            entry = self._ended.pop(state.task_id, None)
            self.ended_bytes -= 0 if entry is None else entry.size

    def forget_expired(self) -> None:
        """Drop the ended tasks whose time is over, or that are too many. They ended in this order, so it is cheap."""
        now = self._clock.steady()
        while self._ended:
            first = next(iter(self._ended.values()))
            too_much = len(self._ended) > self.max_ended or (
                self.ended_bytes > self.max_ended_bytes and len(self._ended) > 1
            )
            if not too_much and first.expires_at > now:
                return
            self.forgotten += first.expires_at > now
            self.forget(first.state)
