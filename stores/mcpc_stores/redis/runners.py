"""Who runs what in Redis: leases, claims, queues, and what becomes of the tasks of runners that are gone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from mcpc.stored import Claim, StoredTask, StoreLimits
from mcpc_stores.redis.engine import Engine
from mcpc_stores.redis.keys import Keys
from mcpc_stores.redis.log import milliseconds
from mcpc_stores.redis.tasks import stored_task

__all__ = ["RedisRunners"]

FIRST_LEASE = 15.0
"""Seconds that a runner has before its first `beat`."""
CLAIMED_AT_ONCE = 20
"""Queued tasks of a tool that are looked at for one that nobody else has taken meanwhile."""
ENTERED_WITHIN = 10.0
"""Seconds for which a place in the queue is left alone whose task is not there yet: it is being entered."""

Queued = Literal["placed", "there", "full"]
"""What has become of a task that is to wait: it does, it did before, or as many wait as may."""


class RedisRunners:
    """The runners of one handle's store."""

    def __init__(self, engine: Engine, keys: Keys, limits: StoreLimits) -> None:
        self._engine = engine
        self._keys = keys
        self._limits = limits

    async def lease(self, runner: str, ttl: float, *, first: bool) -> None:
        """A runner is alive for `ttl` seconds; with `first`, only one that has no lease gets it."""
        await self._engine.run("lease", [self._keys.runners], [runner, milliseconds(ttl), int(first)])

    async def hold(self, runner: str, channel: str, task_id: str) -> None:
        """Before a runner takes a task: if it dies right after, its tasks are found by this."""
        await self.lease(runner, FIRST_LEASE, first=True)
        await self._engine.command("sadd", self._keys.held(runner), [f"{channel} {task_id}"])

    async def claim(self, runner: str, tools: Collection[str]) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""
        await self.lease(runner, FIRST_LEASE, first=True)
        passed = set[str]()
        while found := [each for each in await self._waiting(tools, len(passed)) if each[1] not in passed]:
            for tool, member, since in found:
                channel, _, task_id = member.partition(" ")
                claimed = await self._claim(runner, channel, task_id, handed=False)
                if claimed is None and await self._is_being_entered(channel, task_id, since):
                    passed.add(member)
                    await self._let_go(runner, channel, task_id, None)
                    continue
                # Taken by us, or by another before: either way it does not wait any more.
                await self._leave_queue(runner, tool, channel, task_id)
                if claimed is not None:
                    return claimed
        return None

    async def _is_being_entered(self, channel: str, task_id: str, since: float) -> bool:
        """Whether a task may still come for a place in the queue: who enters it may die right after, and not say so."""
        status, now = await self._engine.commands([("hget", self._keys.task(channel, task_id), "status"), ("time",)])
        return status is None and now.timestamp() - since < ENTERED_WITHIN

    async def take(self, runner: str, channel: str, task_id: str) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""
        taken = await self._claim(runner, channel, task_id, handed=True)
        if taken is not None:
            await self._leave_queue(runner, taken[1].tool_name, channel, task_id)
        else:
            await self.let_go(runner, channel, task_id)
        return taken

    async def let_go(self, runner: str, channel: str, task_id: str) -> None:
        """A runner has not got what it was about to take."""
        holder = await self._engine.command("hget", self._keys.task(channel, task_id), "runner")
        await self._let_go(runner, channel, task_id, holder)

    async def _claim(self, runner: str, channel: str, task_id: str, *, handed: bool) -> tuple[Claim, StoredTask] | None:
        """Take one task, if it waits; with `handed`, also one that was handed off."""
        await self.hold(runner, channel, task_id)
        found = await self._engine.run("claim", self._keys.channel(channel, task_id), [runner, int(handed)])
        if not found:
            return None
        stored = stored_task(task_id, channel, dict(zip(found[::2], found[1::2], strict=True)))
        return Claim(task_id, channel, stored.token), stored

    async def _leave_queue(self, runner: str, tool: str, channel: str, task_id: str) -> None:
        """A task that a runner has tried to take waits no more."""
        await self._let_go(runner, channel, task_id, await self.unqueue(tool, channel, task_id))

    async def unqueue(self, tool: str, channel: str, task_id: str) -> bytes | None:
        """A task waits no more, unless it is one that does, by its status: queued meanwhile, or by somebody else.

        Who holds it now is returned.
        """
        _, (status, holder) = await self._engine.commands(
            [
                ("zrem", self._keys.queue(tool), [f"{channel} {task_id}"]),
                ("hmget", self._keys.task(channel, task_id), ["status", "runner"]),
            ]
        )
        if status == b"queued":
            await self.queue(tool, channel, task_id)
        return holder

    async def _let_go(self, runner: str, channel: str, task_id: str, holder: bytes | None) -> None:
        """Last of all, so that a runner that dies before is looked after. What it holds from before stays."""
        if holder != runner.encode():
            await self._engine.command("srem", self._keys.held(runner), [f"{channel} {task_id}"])

    async def _waiting(self, tools: Collection[str], more: int) -> list[tuple[str, str, float]]:
        """The queued tasks of these tools, who waits longest first: each with its tool, and since when it does.

        Args:
            tools: The tools.
            more: How many more are looked at than usually.
        """
        last = CLAIMED_AT_ONCE - 1 + more
        calls = [("zrange", self._keys.queue(tool), 0, last, None, None, None, None, True) for tool in tools]
        found = [
            (member.score, tool, member.member.decode())
            for tool, members in zip(tools, await self._engine.commands(calls), strict=True)
            for member in members
        ]
        return [(tool, member, score / 1e6) for score, tool, member in sorted(found)]

    async def beat(self, runner: str, ttl: float, claims: Collection[Claim]) -> set[str]:
        """See `Store.beat`."""
        await self.lease(runner, ttl, first=False)
        calls = [
            ("hmget", self._keys.task(claim.channel, claim.task_id), ["status", "token", "runner"]) for claim in claims
        ]
        answers = await self._engine.commands(calls)
        mine = (b"running", runner.encode())
        return {
            claim.task_id
            for claim, (status, token, holder) in zip(claims, answers, strict=True)
            if (status, holder) == mine and int(token) == claim.token
        }

    async def release(self, claim: Claim, *, handed: bool) -> None:
        """See `Store.release`."""
        tool = await self._engine.run(
            "release",
            self._keys.channel(claim.channel, claim.task_id),
            [self._keys.prefix, claim.task_id, claim.token, "handed" if handed else "queued"],
        )
        if tool is not None:
            await self.queue(tool.decode(), claim.channel, claim.task_id)

    async def queue(self, tool: str, channel: str, task_id: str, most: int | None = None) -> Queued:
        """Let a task wait for somebody who serves its tool; who heard the bell before it stood here hears another.

        Args:
            tool: Its tool.
            channel: Its channel.
            task_id: The task.
            most: How many may wait; None for any number. Where there are as many, it is not let.
        """
        limit = "" if most is None else most
        done = await self._engine.run("queue", [self._keys.queue(tool)], [f"{channel} {task_id}", limit])
        if done < 0:
            return "full"
        await self._engine.command("publish", self._keys.ring, f"t{task_id}")
        return "placed" if done else "there"

    async def reap(self) -> list[StoredTask]:
        """See `Store.reap`."""
        ended: list[StoredTask] = []
        for runner in await self._engine.run("dead", [self._keys.runners]):
            name = runner.decode()
            for member in await self._engine.command("smembers", self._keys.held(name)):
                channel, _, task_id = member.decode().partition(" ")
                found = await self._interrupt(name, channel, task_id)
                if found is not None:
                    ended.append(found)
                # One that had ended before is noted, too: its runner may have died before it could.
                await self.note_ends([(channel, task_id)], {})
                await self._engine.command("srem", self._keys.held(name), [member])
            await self._engine.run("bury", [self._keys.runners], [name])
        await self._forget_listeners()
        return ended

    async def _interrupt(self, runner: str, channel: str, task_id: str) -> StoredTask | None:
        """Look after a task of a runner that is gone; the task, where it ended here."""
        limits = self._limits
        args: list[str | bytes | int] = [
            self._keys.prefix,
            task_id,
            channel,
            runner,
            limits.max_messages,
            limits.max_bytes,
            limits.max_kept,
            milliseconds(limits.task_ttl),
        ]
        answer = await self._engine.run("reap", self._keys.channel(channel, task_id), args)
        # Whoever entered it, gave it back or looked after it before us may have died in the middle of that.
        status, tool = await self._engine.command("hmget", self._keys.task(channel, task_id), ["status", "tool"])
        if status is not None:
            await self._engine.command("set", self._keys.where(task_id), channel)
        if status == b"queued":
            await self.queue(tool.decode(), channel, task_id)
        if not answer or answer[0] != b"ended":
            return None
        return stored_task(task_id, channel, dict(zip(answer[1][::2], answer[1][1::2], strict=True)))

    async def note_ends(self, tasks: Sequence[tuple[str, str]], runners: Mapping[str, str]) -> None:
        """Remember when ended tasks may be forgotten, and that neither their runners nor their principals hold them.

        Args:
            tasks: The channel and the id of each.
            runners: By task id, as far as they are known here.
        """
        found = await self._engine.commands(
            [("hmget", self._keys.task(*task), ["expires", "principal"]) for task in tasks]
        )
        calls: list[tuple[Any, ...]] = []
        for (channel, task_id), (at, principal) in zip(tasks, found, strict=True):
            member = f"{channel} {task_id}"
            if at is not None:
                calls.append(("zadd", self._keys.ended, {member: int(at)}))
                if principal:
                    calls.append(("srem", self._keys.principal(principal), [member]))
            if (runner := runners.get(task_id)) is not None:
                calls.append(("srem", self._keys.held(runner), [member]))
        await self._engine.commands(calls)

    async def _forget_listeners(self) -> None:
        """A process that is gone listens no more."""
        for listener in await self._engine.command("smembers", self._keys.listeners):
            name = listener.decode()
            if await self._engine.command("zscore", self._keys.runners, name) is not None:
                continue
            channels = await self._engine.command("smembers", self._keys.listens(name))
            await self._engine.run_all([("leave", self._keys.channel(each.decode()), [name]) for each in channels])
            await self._engine.commands(
                [("delete", [self._keys.listens(name)]), ("srem", self._keys.listeners, [name])]
            )

    async def bury(self, runners: Collection[str]) -> None:
        """These runners are gone: their leases end now."""
        await self._engine.commands([("zadd", self._keys.runners, {runner: 0.0}) for runner in runners])

    # --- forgetting ---

    async def forget(self) -> int:
        """Forget ended tasks whose time is over, and the first ended of those over the bound; how many."""
        due, over = await self._engine.run("due", [self._keys.ended], [self._limits.max_ended_tasks])
        count = 0
        for members, timed in ((due, 1), (over, 0)):
            for member in members:
                channel, _, task_id = member.decode().partition(" ")
                gone = await self._engine.run("forget", self._keys.channel(channel, task_id), [task_id, timed])
                calls: list[tuple[Any, ...]] = [("zrem", self._keys.ended, [member])]
                if gone:
                    calls.append(("delete", [self._keys.where(task_id)]))
                await self._engine.commands(calls)
                count += int(gone)
        return count
