"""Tasks in Redis: a hash each, and a stream of what is said to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from mcpc.errors import (
    DuplicateTask,
    InputRefused,
    PromptError,
    StoreRefused,
    TaskEnded,
    TooManyTasks,
    UnknownTask,
)
from mcpc.stored import Claim, Entered, NewTask, OnInterrupt, Signal, StoredTask, StoreLimits
from mcpc_stores.redis.engine import Engine
from mcpc_stores.redis.keys import Keys

__all__ = ["RedisTasks", "stored_task"]

RESERVED_FOR = 60
"""Seconds for which an id is reserved while its task is being entered."""


class RedisTasks:
    """The tasks of one handle's store."""

    def __init__(self, engine: Engine, keys: Keys, limits: StoreLimits) -> None:
        self._engine = engine
        self._keys = keys
        self._limits = limits

    # --- entering and finding ---

    async def enter(self, task: NewTask, runner: str | None) -> Entered:
        """See `Store.enter`."""
        if (known := await self.known_start(task)) is not None:
            return known
        await self._reserve(task)
        answer = await self._engine.run(
            "enter", self._keys.channel(task.channel, task.task_id), self._enter_args(task, runner)
        )
        if answer[0] != b"ok":
            return await self._not_entered(answer, task)
        await self._engine.command("persist", self._keys.where(task.task_id))
        claim = None if runner is None else Claim(task.task_id, task.channel, int(answer[1]))
        return Entered(task.task_id, claim, is_new=True)

    async def known_start(self, task: NewTask) -> Entered | None:
        """The task that was started with the same key, if there is one."""
        if task.key is None:
            return None
        known = await self._engine.command("hget", self._keys.starts(task.channel), task.key)
        return None if known is None else Entered(known.decode(), None, is_new=False)

    async def _reserve(self, task: NewTask) -> None:
        """An id is used once, on whichever channel. One that is not entered after all is free again after a while."""
        if await self._engine.set_new(self._keys.where(task.task_id), task.channel, RESERVED_FOR):
            return
        raise DuplicateTask("this task id is in use; make a new one for each call")

    def _enter_args(self, task: NewTask, runner: str | None) -> list[str | bytes | int]:
        return [
            self._keys.prefix,
            task.task_id,
            task.tool_name,
            task.session_id,
            task.state,
            task.on_interrupt,
            task.max_attempts,
            int(task.arguments is not None),
            task.arguments or b"",
            task.interrupted,
            task.key or "",
            runner or "",
            self._limits.max_tasks_per_channel,
            self._limits.max_kept,
        ]

    async def _not_entered(self, answer: Sequence[Any], task: NewTask) -> Entered:
        await self._engine.command("delete", [self._keys.where(task.task_id)])
        if answer[0] == b"known":
            return Entered(answer[1].decode(), None, is_new=False)
        if answer[0] == b"absent":
            raise StoreRefused("there is no such channel in the store")
        if answer[0] == b"many":
            raise TooManyTasks(
                f"{int(answer[1])} tasks of this client run, which is the limit; try again when one has ended",
                limit="max_tasks_per_channel",
                value=self._limits.max_tasks_per_channel,
            )
        if answer[0] == b"crowded":
            raise TooManyTasks("too many results of this client wait to be read; it must listen before it starts more")
        raise DuplicateTask("this task id is in use; make a new one for each call")

    async def _channel_of(self, task_id: str) -> str | None:
        found = await self._engine.command("get", self._keys.where(task_id))
        return None if found is None else found.decode()

    async def task(self, task_id: str) -> StoredTask | None:
        """See `Store.task`."""
        channel = await self._channel_of(task_id)
        if channel is None:
            return None
        found = await self._engine.command("hgetall", self._keys.task(channel, task_id))
        return stored_task(task_id, channel, found) if found else None

    async def tasks(self, channel: str, limit: int) -> list[StoredTask]:
        """See `Store.tasks`."""
        ids = [name.decode() for name in await self._engine.command("zrange", self._keys.tasks(channel), -limit, -1)]
        found = await self._engine.commands([("hgetall", self._keys.task(channel, task_id)) for task_id in ids])
        return [stored_task(task_id, channel, each) for task_id, each in zip(ids, found, strict=True) if each]

    async def keyed(self, channel: str, key: str) -> StoredTask | None:
        """See `Store.keyed`."""
        known = await self._engine.command("hget", self._keys.starts(channel), key)
        return None if known is None else await self.task(known.decode())

    # --- signals ---

    async def signal(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""
        channel = await self._channel_of(task_id)
        if channel is None:
            raise UnknownTask("unknown task")
        args: list[str | bytes | int] = [
            self._keys.prefix,
            task_id,
            signal.kind,
            signal.value or b"",
            int(signal.value is not None),
            signal.prompt_id or "",
            self._limits.max_inputs,
        ]
        answer = await self._engine.run("signal", self._keys.channel(channel, task_id), args)
        if answer[0] == b"ok":
            return int(answer[1])
        if answer[0] == b"unknown":
            raise UnknownTask("unknown task")
        if answer[0] == b"ended":
            raise TaskEnded(f"the task is {answer[1].decode()}: it takes no {signal.kind}")
        if answer[0] == b"answered":
            raise PromptError("this prompt has been answered", closed=True)
        raise InputRefused(f"{self._limits.max_inputs} inputs wait already, which is the limit")

    async def signals(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        found = await self._engine.run_all(
            [
                ("signals", self._keys.channel(claim.channel, claim.task_id), [claim.token, after])
                for claim, after in heard.items()
            ]
        )
        return {claim: [_signal(each) for each in said] for claim, said in zip(heard, found, strict=True) if said}


def _signal(entry: Any) -> Signal:
    values: Mapping[bytes, bytes] = (
        entry[1] if isinstance(entry[1], dict) else dict(zip(entry[1][::2], entry[1][1::2], strict=True))
    )
    value = values[b"value"]
    return Signal(
        kind=cast("Any", values[b"kind"].decode()),
        value=value[1:] if value[:1] == b"1" else None,
        prompt_id=values[b"prompt"].decode() or None,
        number=int(entry[0].partition(b"-")[0]),
    )


Status = Literal["queued", "handed", "running", "complete", "failed"]


def stored_task(task_id: str, channel: str, found: Mapping[bytes, bytes]) -> StoredTask:
    """The members of a task's hash as a value."""

    def text(name: bytes) -> str:
        return found.get(name, b"").decode()

    def number(name: bytes) -> int:
        return int(found.get(name) or 0)

    principal = text(b"principal")
    return StoredTask(
        task_id=task_id,
        channel=channel,
        tool_name=text(b"tool"),
        session_id=text(b"session"),
        principal=principal[1:] if principal else None,
        status=cast("Status", text(b"status")),
        state=found.get(b"state", b""),
        on_interrupt=cast("OnInterrupt", text(b"policy")),
        token=number(b"token"),
        attempt=number(b"attempt"),
        created_at=number(b"created") / 1000,
        updated_at=number(b"updated") / 1000,
        expires_at=number(b"expires") / 1000 if b"expires" in found else None,
        end_number=number(b"end"),
        was_interrupted=text(b"reaped") == "1",
        arguments=found.get(b"arguments"),
        checkpoint=found.get(b"checkpoint"),
        taken=number(b"taken"),
    )
