"""One kill -9 of a server at a named step of its store, and what its client must see of it, whatever the step."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio

import mcpc
from killed_server import LAST

SERVER = Path(__file__).with_name("killed_server.py")


class Killing:
    """A server that dies once, and is started again.

    Args:
        path: The store's file, and its options.
        step: At which step; see `mcpc.testing.FaultyStore`.
        n: At the how manieth time.
    """

    def __init__(self, path: str, step: str, n: int) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.uri = f"tcp://127.0.0.1:{sock.getsockname()[1]}"
        self._path = path
        self._first = (step, str(n))
        self.died = False

    async def serve(self) -> None:
        """Run the server, and once more when it has died; until cancelled."""
        arguments = [self.uri, self._path, *self._first]
        while True:
            process = subprocess.Popen([sys.executable, str(SERVER), *arguments])  # noqa: ASYNC220 - that takes no time
            try:
                await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
                self.died = True
            finally:
                process.kill()
                process.wait()
            arguments = [self.uri, self._path, "never", "1"]

    async def run(self, policy: str) -> None:
        """Run one task of that policy, and check all that came of it."""
        seen: list[mcpc.MCPCMessage] = []
        outcome: Any = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.serve)
            await self._until_served()
            async with mcpc.Client(self.uri, reconnect_timeout=None) as client:
                client.add_event_listener(seen.append)
                outcome = await self._outcome(client, policy)
            tasks.cancel_scope.cancel()
        self._check(policy, outcome, seen)

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
        assert self.died, "the step was never reached"
        assert outcome == "done" or (policy == "fail" and outcome == "interrupted")
        assert not [message for message in seen if message.event == "gap"], "something that was shown is lost"
        ends = [message.task_id for message in seen if message.terminal]
        assert len(ends) == len(set(ends)) <= 1, "a task has one end"
        numbers = [message.result for message in seen if isinstance(message.result, int)]
        if policy == "restart":
            starts = [index for index, number in enumerate(numbers) if number == 0]
            runs = [numbers[a:b] for a, b in zip(starts, [*starts[1:], len(numbers)], strict=True)]
            assert all(run == list(range(len(run))) for run in runs)
        else:
            assert numbers == list(range(len(numbers))), "each is shown once, in order"
        assert outcome != "done" or numbers[-1] == LAST - 1
