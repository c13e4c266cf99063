"""Tasks as a state machine and a registry: which moves are legal, which task is whose.

No I/O and no clock of its own: the registry is given one. What runs a task, and
what it sends, is the server's affair.

The legal moves (`waiting` means that a prompt is open)::

    start ──> running <──> waiting
                │  ╲        ╱ │
                │   stopping  │
                ▼      ▼      ▼
             complete    failed        (final: no move leads out)
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mcpc.errors import DuplicateTask, TaskEnded, TooManyTasks, UnknownTask

__all__ = ["FINAL", "TRANSITIONS", "Move", "Status", "TaskRecord", "TaskRegistry"]


class Status(StrEnum):
    """Where a task stands, in the protocol's words."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    COMPLETE = "complete"
    FAILED = "failed"


class Move(StrEnum):
    """What can happen to a task."""

    UPDATE = "update"
    ASK = "ask"
    ANSWER = "answer"
    STOP = "stop"
    COMPLETE = "complete"
    FAIL = "fail"


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


@dataclass(slots=True, eq=False)
class TaskRecord:
    """One task as the registry knows it. Times are seconds since the epoch."""

    task_id: str
    tool_name: str
    session_id: str
    owner: str
    """Whose it is: the channel that may see and steer it."""
    created_at: float
    updated_at: float
    status: Status = Status.RUNNING
    last_message: bytes | None = None
    expires_at: float | None = None
    """When it may be forgotten; None while it runs."""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    """Room for what serves the task; the registry does not look inside."""

    @property
    def ended(self) -> bool:
        """Whether it has reached a final status."""
        return self.status in FINAL


class TaskRegistry:
    """The tasks of a server.

    Args:
        clock: Gives the time, in seconds since the epoch.
        max_running: How many tasks may run at once.
        time_to_live: Seconds for which an ended task is remembered.
        max_ended: How many ended tasks are remembered at the most; beyond it the first ended is forgotten.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_running: int = 1000,
        time_to_live: float = 300.0,
        max_ended: int = 10_000,
    ) -> None:
        self._clock = clock
        self.max_running = max_running
        self.time_to_live = time_to_live
        self.max_ended = max_ended
        self._records: dict[str, TaskRecord] = {}
        self._ended: dict[str, TaskRecord] = {}

    @property
    def running(self) -> int:
        """How many tasks have not ended."""
        return len(self._records) - len(self._ended)

    def __iter__(self) -> Iterator[TaskRecord]:
        self.forget_expired()
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        self.forget_expired()
        return len(self._records)

    def start(self, *, owner: str, tool_name: str, session_id: str, task_id: str | None = None) -> TaskRecord:
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
        if task_id in self._records:
            raise DuplicateTask("this task id is in use; make a new one for each call")
        now = self._clock()
        record = TaskRecord(task_id, tool_name, session_id, owner, created_at=now, updated_at=now)
        self._records[task_id] = record
        return record

    def get(self, owner: str, task_id: str) -> TaskRecord:
        """The task `task_id` of `owner`.

        Raises:
            UnknownTask: there is none. Another owner's task gives the same error, word for word.
        """
        self.forget_expired()
        record = self._records.get(task_id)
        if record is None or record.owner != owner:
            raise UnknownTask("unknown task")
        return record

    def find(self, task_id: str) -> TaskRecord | None:
        """The task of that id, whoever's it is: for the application's own side, never for a client's request."""
        self.forget_expired()
        return self._records.get(task_id)

    def of(self, owner: str) -> list[TaskRecord]:
        """The tasks of `owner`, oldest first."""
        self.forget_expired()
        return [record for record in self._records.values() if record.owner == owner]

    def move(self, record: TaskRecord, move: Move) -> Status:
        """Make a move, and return the new status.

        Raises:
            TaskEnded: the move is not legal from where the task stands.
        """
        status = TRANSITIONS[record.status].get(move)
        if status is None:
            raise TaskEnded(f"the task is {record.status}: it takes no {move}")
        if record.ended:
            return record.status
        record.status = status
        record.updated_at = self._clock()
        if status in FINAL and self._records.get(record.task_id) is record:
            record.expires_at = record.updated_at + self.time_to_live
            self._ended[record.task_id] = record
        return status

    def touch(self, record: TaskRecord) -> None:
        """A task has sent an update: the one move that leads nowhere, made without the table.

        Raises:
            TaskEnded: it has ended.
        """
        # The usual status first: to look one up in a set costs more than all the rest.
        if record.status is not _R and record.status in FINAL:
            raise TaskEnded(f"the task is {record.status}: it takes no {Move.UPDATE}")
        record.updated_at = self._clock()

    def forget(self, record: TaskRecord) -> None:
        """Drop a task, ended or not."""
        for table in (self._records, self._ended):
            if table.get(record.task_id) is record:
                del table[record.task_id]

    def forget_expired(self) -> None:
        """Drop the ended tasks whose time is over, or that are too many. They ended in this order, so it is cheap."""
        now = self._clock()
        while self._ended:
            first = next(iter(self._ended.values()))
            if len(self._ended) <= self.max_ended and (first.expires_at or 0.0) > now:
                return
            self.forget(first)
