"""How many open tasks a principal has in Redis, on all its channels: a set, of another slot than any channel.

So a task is counted before it is entered, and once more after: what a process that died has left in between is found
when there is no room, and does not count.
"""

from mcpc.stored import NewTask, StoreLimits
from mcpc_stores.redis.engine import Engine
from mcpc_stores.redis.keys import Keys
from mcpc_stores.refusals import principal_full

__all__ = ["RedisShares", "Share"]

ENDED = (None, b"complete", b"failed")


class Share:
    """One task, counted for its principal.

    Args:
        engine: The client.
        key: The principal's open tasks.
        member: The task among them.
    """

    def __init__(self, engine: Engine, key: str, member: str) -> None:
        self._engine = engine
        self._key = key
        self._member = member

    async def confirm(self) -> None:
        """It has been entered."""
        await self._engine.command("sadd", self._key, [self._member])

    async def give_back(self) -> None:
        """It has not."""
        await self._engine.command("srem", self._key, [self._member])


class RedisShares:
    """The shares of one handle's store."""

    def __init__(self, engine: Engine, keys: Keys, limits: StoreLimits) -> None:
        self._engine = engine
        self._keys = keys
        self._limit = limits.max_tasks_per_principal

    async def take(self, task: NewTask) -> Share | None:
        """Count a task that is about to be entered; None where none is counted, or this one was already.

        Raises:
            TooManyTasks: its principal has as many as may be.
        """
        if self._limit is None:
            return None
        principal = await self._engine.command("hget", self._keys.channel(task.channel)[0], "principal")
        if not principal:
            return None
        key, member = self._keys.principal(principal), f"{task.channel} {task.task_id}"
        taken = await self._engine.run("share", [key], [member, self._limit])
        if taken < 0 and await self._forget_ended(key):
            taken = await self._engine.run("share", [key], [member, self._limit])
        if taken < 0:
            raise principal_full(self._limit)
        return Share(self._engine, key, member) if taken else None

    async def _forget_ended(self, key: str) -> bool:
        """Whether some were counted that are no open tasks: their processes died before they could say so."""
        members = [each.decode() for each in await self._engine.command("smembers", key)]
        places = [each.partition(" ") for each in members]
        calls = [("hget", self._keys.task(channel, task_id), "status") for channel, _, task_id in places]
        found = zip(members, await self._engine.commands(calls), strict=True)
        gone = [member for member, status in found if status in ENDED]
        if gone:
            await self._engine.command("srem", key, gone)
        return bool(gone)
