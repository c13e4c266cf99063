"""kill -9 of a server at a named step of its store, and what its client must see of it, whatever the step."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import anyio

import mcpc
from killed_server import LAST
from ports_kit import free_port

__all__ = ["LIVES", "POLICIES", "Killing", "Servers", "lives_of", "servers"]

POLICIES = ("fail", "restart", "resume")

Life = tuple[str, int]
"""At which step a server dies (see `mcpc.testing.FaultyStore`), and at the how manieth time."""

LIVES = {
    "enter": 1,
    "before append": 10,
    "after append": 10,
    "receipt": 10,
    "checkpoint": 12,
    "before signal": 1,
    "signal": 1,
    "end": 1,
    "claim": 1,
    "reap": 1,
}
"""The steps, and at the how manieth time at the most a server dies there: one task comes to each so often."""

_OF_THE_SECOND = ("claim", "reap")
"""Steps of the server that comes after one that died."""


def lives_of(step: str, n: int) -> list[Life]:
    """The servers of one case that die: the second one, where the step is one of its own."""
    return [("after append", n), (step, 1)] if step in _OF_THE_SECOND else [(step, n)]


class Servers:
    """Starts servers; see `killed_server`."""

    def __init__(self, commands: IO[str], pids: IO[str]) -> None:
        self._commands = commands
        self._pids = pids

    @asynccontextmanager
    async def serving(self, uri: str, path: str, life: Life) -> AsyncGenerator[int]:
        """A server; a descriptor that is readable once it is dead. At the end it is killed."""
        self._commands.write(json.dumps([uri, path, *life]) + "\n")
        self._commands.flush()
        pid = int(await anyio.to_thread.run_sync(self._pids.readline))
        death = os.pidfd_open(pid)
        try:
            yield death
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(death, signal.SIGKILL)
            os.close(death)


@contextmanager
def servers() -> Generator[Servers]:
    """What starts servers."""
    script = Path(__file__).with_name("killed_server.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Servers(process.stdin, process.stdout)


class Killing:
    """A server that dies, and is started again.

    Args:
        servers: What starts them.
        path: The store's file, and its options.
        lives: How each of them dies; the one after them lives.
    """

    def __init__(self, servers: Servers, path: str, lives: Sequence[Life]) -> None:
        self._servers = servers
        self.uri = f"tcp://127.0.0.1:{free_port()}"
        self._path = path
        self._lives = list(lives)
        self.died = 0
        self.asked: list[str] = []

    async def serve(self) -> None:
        """Run one server after the other; until cancelled."""
        for life in [*self._lives, ("never", 1)]:
            async with self._servers.serving(self.uri, self._path, life) as death:
                await anyio.wait_readable(death)
                self.died += 1

    async def run(self, policy: str) -> None:
        """Run one task of that policy, and check all that came of it."""
        seen: list[mcpc.MCPCMessage] = []
        outcome: Any = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.serve)
            await self._until_served()
            async with mcpc.Client(self.uri, reconnect_timeout=None) as client:
                client.add_event_listener(seen.append)
                client.on_prompt(self._answer)
                outcome = await self._outcome(client, policy)
            tasks.cancel_scope.cancel()
        self._check(policy, outcome, seen)

    def _answer(self, prompt: mcpc.Prompt) -> str:
        self.asked.append(prompt.id)
        return "yes"

    async def _until_served(self) -> None:
        while True:
            try:
                async with mcpc.Client(self.uri, reconnect=False):
                    return
            except mcpc.ConnectFailed:
                await anyio.sleep(0.05)

    async def _outcome(self, client: mcpc.Client, policy: str) -> Any:
        while True:
            try:
                task = await client.start_task(policy, key="the one")
                return await task.result()
            except mcpc.ConnectionLost:
                await anyio.sleep(0.05)  # the same key: it is started once
            except mcpc.TaskInterrupted:
                return "interrupted"

    def _check(self, policy: str, outcome: Any, seen: list[mcpc.MCPCMessage]) -> None:
        assert self.died == len(self._lives), "a step was never reached"
        assert outcome == "done" or (policy == "fail" and outcome == "interrupted")
        assert not [message for message in seen if message.event == "gap"], "something that was shown is lost"
        ends = [message.task_id for message in seen if message.terminal]
        assert len(ends) == len(set(ends)) <= 1, "a task has one end"
        assert len(self.asked) <= 1, "a question with a key is asked once"
        numbers = [message.result for message in seen if isinstance(message.result, int)]
        if policy == "restart":
            starts = [index for index, number in enumerate(numbers) if number == 0]
            runs = [numbers[a:b] for a, b in zip(starts, [*starts[1:], len(numbers)], strict=True)]
            assert all(run == list(range(len(run))) for run in runs)
        else:
            assert numbers == list(range(len(numbers))), "each is shown once, in order"
        assert outcome != "done" or (numbers[-1] == LAST - 1 and self.asked)
