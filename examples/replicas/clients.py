"""The clients of the example: what each starts, and whether it was shown what it should have been."""

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio

import mcpc

REPEATED = 10
"""What the short tasks count to."""


@dataclass(frozen=True)
class Work:
    """What each client asks for."""

    n: int
    """What the long task counts to."""
    pause: float
    """Seconds between two numbers."""
    wait: float
    """Seconds that the task waits that does not outlive its process."""


@dataclass
class Seen:
    """What one client was shown."""

    messages: list[mcpc.MCPCMessage] = field(default_factory=list[mcpc.MCPCMessage])
    counting: str = ""
    waiting: str = ""
    repeating: list[str] = field(default_factory=list[str])
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    """What each task has ended with, by its id."""

    @property
    def tasks(self) -> list[str]:
        """All that it has started."""
        return [self.counting, self.waiting, *self.repeating]

    @property
    def numbers(self) -> int:
        """How many numbers it was shown."""
        return sum(message.event == "update" and isinstance(message.result, int) for message in self.messages)

    def attempts(self, task_id: str) -> list[list[Any]]:
        """The updates of a task, as often as it began."""
        found: list[list[Any]] = [[]]
        for message in self.messages:
            if message.task_id == task_id and message.event == "update":
                found[-1].append(message.result)
            elif message.event == "restarted" and message.result["task_id"] == task_id:
                found.append([])
        return found

    def wrong(self, work: Work) -> list[str]:
        """What should not have been."""
        found: list[str] = []
        numbers = [number for attempt in self.attempts(self.counting) for number in attempt]
        if numbers != list(range(work.n)) or self.results.get(self.counting) != work.n:
            found.append(f"{len(numbers)} numbers {numbers[:3]}…{numbers[-3:]} are not 0 to {work.n - 1}")
        for task_id in self.repeating:
            *broken, last = self.attempts(task_id)
            whole = list(range(REPEATED))
            if last != whole or any(attempt != whole[: len(attempt)] for attempt in broken):
                found.append(f"a repeated count was {[*broken, last]}")
            if self.results.get(task_id) != REPEATED:
                found.append(f"a repeated count ended as {self.results.get(task_id)!r}")
        if self.results.get(self.waiting) not in ("waited", "interrupted"):
            found.append(f"the waiting ended as {self.results.get(self.waiting)!r}")
        ends = Counter(message.task_id for message in self.messages if message.terminal)
        if ends != dict.fromkeys(self.tasks, 1):
            found.append(f"ends: {sorted(ends.values())} of {len(self.tasks)} tasks")
        if any(message.event == "gap" for message in self.messages):
            found.append("a gap")
        return found


async def follow(uri: str, work: Work, seen: Seen) -> None:
    """One client: a long count, short ones one after the other meanwhile, and a wait; keeps all that it is shown."""
    async with AsyncExitStack() as stack:
        client = await connected(stack, uri, seen)
        counting = await started(client, "count", {"n": work.n, "pause": work.pause}, "count")
        waiting = await started(client, "wait", {"seconds": work.wait}, "wait")
        seen.counting, seen.waiting = counting.task_id, waiting.task_id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ended, waiting, seen)
            tasks.start_soon(ended, counting, seen)
            while not seen.repeating or counting.task_id not in seen.results:
                arguments = {"n": REPEATED, "pause": work.pause}
                repeating = await started(client, "repeat", arguments, f"repeat {len(seen.repeating)}")
                seen.repeating.append(repeating.task_id)
                await ended(repeating, seen)


async def connected(stack: AsyncExitStack, uri: str, seen: Seen) -> mcpc.Client:
    """A client, once a server is there to answer it."""
    while True:
        client = mcpc.Client(uri, reconnect_timeout=None)
        client.add_event_listener(seen.messages.append)
        try:
            return await stack.enter_async_context(client)
        except mcpc.ConnectFailed:
            await anyio.sleep(0.5)


async def started(client: mcpc.Client, tool: str, arguments: dict[str, Any], key: str) -> mcpc.TaskHandle:
    """Start a task once, however often the connection is lost meanwhile, or the server is about to stop."""
    while True:
        try:
            return await client.start_task(tool, arguments, key=key)
        except mcpc.ConnectionLost:
            await anyio.sleep(0.1)


async def ended(task: mcpc.TaskHandle, seen: Seen) -> None:
    """Note what a task ends with."""
    try:
        seen.results[task.task_id] = await task.result()
    except (mcpc.TaskInterrupted, mcpc.TaskStopped):
        seen.results[task.task_id] = "interrupted"
