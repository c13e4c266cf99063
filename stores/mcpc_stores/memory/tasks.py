"""Tasks in memory: who may run one, what is signalled to it, its one end."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

from mcpc.errors import DuplicateTask, InputRefused, PromptError, StoreRefused, TaskEnded, TooManyTasks, UnknownTask
from mcpc.stored import (
    Appended,
    Claim,
    Ended,
    Entered,
    Entry,
    Fenced,
    NewTask,
    Receipt,
    Refused,
    Signal,
    StoredTask,
    StoreLimits,
)
from mcpc_stores.memory.data import Channel, Data, Task
from mcpc_stores.memory.log import Channels, jump
from mcpc_stores.refusals import principal_full, queue_full

__all__ = ["Tasks"]


class Tasks:
    """The tasks of one store.

    Args:
        data: What is kept.
        channels: The channels of the same store.
        limits: The bounds.
        clock: Gives the time, in seconds; nobody sets it.
        ring: Tells the other handles of a change.
    """

    def __init__(
        self,
        data: Data,
        channels: Channels,
        limits: StoreLimits,
        clock: Callable[[], float],
        ring: Callable[[Any, str], None],
    ) -> None:
        self._data = data
        self._channels = channels
        self._limits = limits
        self._clock = clock
        self._ring = ring

    def enter(self, task: NewTask, *, runner: str | None) -> Entered:
        """See `Store.enter`."""
        channel = self._data.channels.get(task.channel)
        if channel is None:
            raise StoreRefused("there is no such channel in the store")
        if task.key is not None and (known := self._data.keys.get((task.channel, task.key))) is not None:
            return Entered(known, None, is_new=False)
        self._check_room(channel, task.task_id)
        if runner is None:
            self._check_queue(task.tool_name)
        token = 0 if runner is None else 1
        stored = StoredTask(
            task_id=task.task_id,
            channel=task.channel,
            tool_name=task.tool_name,
            session_id=task.session_id,
            principal=channel.principal,
            status="queued" if runner is None else "running",
            state=task.state,
            on_interrupt=task.on_interrupt,
            token=token,
            attempt=token,
            created_at=time.time(),
            updated_at=time.time(),
            arguments=task.arguments,
        )
        self._data.tasks[task.task_id] = Task(stored, task, runner)
        if task.key is not None:
            self._data.keys[task.channel, task.key] = task.task_id
        if runner is None:
            self._ring("task", task.task_id)
            return Entered(task.task_id, None, is_new=True)
        return Entered(task.task_id, Claim(task.task_id, task.channel, token), is_new=True)

    def _check_room(self, channel: Channel, task_id: str) -> None:
        if task_id in self._data.tasks:
            raise DuplicateTask("this task id is in use; make a new one for each call")
        ours = [t for t in self._data.tasks.values() if t.stored.channel == channel.name and not t.stored.ended]
        if len(ours) >= self._limits.max_tasks_per_channel:
            raise TooManyTasks(
                f"{len(ours)} tasks of this client run, which is the limit; try again when one has ended",
                limit="max_tasks_per_channel",
                value=self._limits.max_tasks_per_channel,
            )
        self._check_principal(channel.principal)
        if self._channels.crowded(channel):
            raise TooManyTasks("too many results of this client wait to be read; it must listen before it starts more")

    def _check_principal(self, principal: str | None) -> None:
        limit = self._limits.max_tasks_per_principal
        if principal is None or limit is None:
            return
        if sum(t.stored.principal == principal and not t.stored.ended for t in self._data.tasks.values()) >= limit:
            raise principal_full(limit)

    def _check_queue(self, tool: str) -> None:
        waiting = sum(t.stored.status == "queued" and t.stored.tool_name == tool for t in self._data.tasks.values())
        if waiting >= self._limits.max_queued:
            raise queue_full(self._limits.max_queued)

    def append(self, entry: Entry) -> Receipt:
        """Let one entry land."""
        channel = self._data.channels.get(entry.channel)
        if channel is None:
            return Refused("there is no such channel in the store")
        seq, first = channel.writers.get(entry.writer, (None, 0))
        if seq is not None and entry.seq == seq:
            return Appended(first, channel.cursor, channel.listener is not None)
        if seq is not None and entry.seq != seq + 1:
            return Refused(f"entry {entry.seq} is not the next of its writer after {seq}")
        if entry.claim is not None and (barred := self._barred(entry.claim, entry.channel)) is not None:
            return barred
        jump(channel, entry.known)
        first = channel.head + 1
        self._channels.add(channel, entry.messages)
        channel.writers[entry.writer] = entry.seq, first
        if entry.claim is not None:
            self._apply(entry, self._data.tasks[entry.claim.task_id], channel)
        if entry.messages:
            self._ring("channel", channel.name)
        return Appended(first, channel.cursor, channel.listener is not None)

    def _barred(self, claim: Claim, channel: str) -> Fenced | Ended | None:
        task = self._data.tasks.get(claim.task_id)
        if task is None or task.stored.channel != channel:
            return Fenced()
        if task.stored.ended:
            return Ended()
        return None if task.stored.token == claim.token and task.stored.status == "running" else Fenced()

    def _apply(self, entry: Entry, task: Task, channel: Channel) -> None:
        """What an entry says of its task, beside the messages."""
        if entry.end is not None:
            state = task.stored.state if entry.state is None else entry.state
            self._end(task, channel, entry.end, entry.messages[-1] if entry.messages else b"", state)
            return
        task.read = max(task.read, entry.taken)
        if entry.state is not None:
            self._change(task, state=entry.state)
        if entry.checkpoint is not None:
            self._change(task, checkpoint=entry.checkpoint, taken=task.read)
            task.signals = [s for s in task.signals if s.prompt_id is not None or s.number > task.read]

    def _change(self, task: Task, **changes: object) -> None:
        task.stored = replace(task.stored, updated_at=time.time(), **changes)  # type: ignore[arg-type]
        self._ring("task", task.stored.task_id)

    def _end(
        self, task: Task, channel: Channel, status: Literal["complete", "failed"], data: bytes, state: bytes
    ) -> None:
        task.expires = self._clock() + self._limits.task_ttl
        if data:
            self._channels.keep(channel, data, task.expires)
        self._change(
            task,
            status=status,
            state=state,
            expires_at=time.time() + self._limits.task_ttl,
            end_number=channel.head if data else 0,
            arguments=None,
            checkpoint=None,
        )
        task.runner = None
        task.signals.clear()

    # --- signals ---

    def signal(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""
        task = self._data.tasks.get(task_id)
        if task is None:
            raise UnknownTask("unknown task")
        if task.stored.ended:
            if signal.kind == "stop":
                return task.signalled
            raise TaskEnded(f"the task is {task.stored.status}: it takes no {signal.kind}")
        if signal.kind == "stop" and any(known.kind == "stop" for known in task.signals):
            return task.signalled
        if signal.prompt_id is not None and any(known.prompt_id == signal.prompt_id for known in task.signals):
            raise PromptError("this prompt has been answered", closed=True)
        inputs = [known.number for known in task.signals if known.kind == "input"]
        if signal.kind == "input" and sum(number > task.read for number in inputs) >= self._limits.max_inputs:
            raise InputRefused(f"{self._limits.max_inputs} inputs wait already, which is the limit")
        task.signalled += 1
        task.signals.append(replace(signal, number=task.signalled))
        gone = [number for number in inputs[: -2 * self._limits.max_inputs] if number <= task.read]
        task.signals = [known for known in task.signals if known.number not in gone]
        self._ring("signal", task_id)
        return task.signalled

    def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        found = {claim: self._signals(claim, after) for claim, after in heard.items()}
        return {claim: signals for claim, signals in found.items() if signals}

    def _signals(self, claim: Claim, after: int) -> list[Signal]:
        if self._barred(claim, claim.channel) is not None:
            return []
        return [signal for signal in self._data.tasks[claim.task_id].signals if signal.number > after]

    def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""
        queued = [t for t in self._data.tasks.values() if t.stored.status == "queued" and t.stored.tool_name in tools]
        if not queued:
            return None
        return self._take(min(queued, key=lambda task: task.stored.updated_at), runner)

    def take(self, runner: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""
        task = self._data.tasks.get(task_id)
        return self._take(task, runner) if task is not None and task.stored.status in ("queued", "handed") else None

    def _take(self, task: Task, runner: str) -> tuple[Claim, StoredTask]:
        task.runner, task.read = runner, task.stored.taken
        self._change(task, status="running", token=task.stored.token + 1, attempt=task.stored.attempt + 1)
        return Claim(task.stored.task_id, task.stored.channel, task.stored.token), task.stored

    def held(self, runner: str, claims: Collection[Claim]) -> set[str]:
        """Those of the claims that are the newest of their tasks, and the runner's."""
        return {
            claim.task_id
            for claim in claims
            if self._barred(claim, claim.channel) is None and self._data.tasks[claim.task_id].runner == runner
        }

    def release(self, claim: Claim, *, handed: bool) -> None:
        """See `Store.release`."""
        if self._barred(claim, claim.channel) is None:
            self._queue(self._data.tasks[claim.task_id], "handed" if handed else "queued")

    def _queue(self, task: Task, status: str = "queued") -> None:
        task.runner = None
        self._change(task, status=status, token=task.stored.token + 1)

    def orphans(self) -> list[StoredTask]:
        """End or queue the running tasks of runners that are gone; those that ended."""
        runners, tasks = self._data.runners, list(self._data.tasks.values())
        orphans = [task for task in tasks if task.stored.status == "running" and task.runner not in runners]
        return [task.stored for task in orphans if self._interrupt(task)]

    def _interrupt(self, task: Task) -> bool:
        """End an orphan, or queue it; whether it ended."""
        task.interruptions += 1
        if task.new.on_interrupt != "fail" and task.interruptions < task.new.max_attempts:
            self._queue(task)
            return False
        channel = self._data.channels[task.stored.channel]
        if task.new.interrupted:
            self._channels.add(channel, [task.new.interrupted])
            self._ring("channel", channel.name)
        self._end(task, channel, "failed", task.new.interrupted, task.stored.state)
        self._change(task, was_interrupted=True, token=task.stored.token + 1)
        return True

    def sweep(self) -> int:
        """Forget ended tasks whose time is over, or that are too many; how many."""
        now = self._clock()
        ended = sorted((t for t in self._data.tasks.values() if t.stored.ended), key=lambda task: -task.expires)
        over = [t for n, t in enumerate(ended) if t.expires <= now or n >= self._limits.max_ended_tasks]
        for task in over:
            del self._data.tasks[task.stored.task_id]
            if task.new.key is not None:
                del self._data.keys[task.stored.channel, task.new.key]
        return len(over)
