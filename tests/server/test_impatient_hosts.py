"""A host whose model calls tools and waits five seconds for each: it runs a tool of half a minute to its end.

The seconds are made small here, and the tool goes on when it has been looked at: it outlasts every single call.
"""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
"""Seconds that the host waits for one call, in place of five: a busy machine is not what is tried."""
AFTER = 0.05
"""Seconds after which the server answers, in place of four."""
LOOKS = 6
"""How often the tool wants to be looked at: six times five seconds."""


class Job:
    """The tool of half a minute, and what it has seen of its host."""

    def __init__(self) -> None:
        self.looked = anyio.Event()
        self.outlasted = 0
        """Calls that were answered while the tool worked on."""

    def server(self) -> MCPServer[Any]:
        server = MCPServer[Any]("slow", log_level="WARNING")
        callbacks = mcpc.MCPCHelper(server, plain="handle", after=AFTER)

        @callbacks.tool()
        async def migrate(table: str, task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
            """Move a table."""
            for part in range(LOOKS):
                await task.update({"status": f"part {part + 1} of {LOOKS}"})
                await self.looked.wait()
                self.looked = anyio.Event()
            keep = await task.ask("Keep the old table?", choices=["yes", "no"])
            return {"table": table, "old table kept": keep}

        return server

    def answered(self) -> None:
        """The host has an answer, and the tool still works."""
        self.outlasted += 1
        self.looked.set()


class Host:
    """Calls the tools that its model wants, and gives up on each after its patience."""

    def __init__(self, client: mcp.Client, job: Job) -> None:
        self.client = client
        self.job = job
        self.transcript: list[str] = []

    async def run(self, model: AsyncGenerator[tuple[str, dict[str, Any]], dict[str, Any]]) -> None:
        """Let a model go on until it calls no tool."""
        wanted = await anext(model)
        while True:
            name, arguments = wanted
            self.transcript.append(name)
            with anyio.fail_after(PATIENCE):
                result = await self.client.call_tool(name, arguments)
            assert not result.is_error
            told = result.structured_content
            assert told is not None
            if told["status"] == "running":
                self.job.answered()
            try:
                wanted = await model.asend(told)
            except StopAsyncIteration:
                return


async def model(ends: list[Any]) -> AsyncGenerator[tuple[str, dict[str, Any]], dict[str, Any]]:
    """A model that reads what it is told of a task, and does what the text of the first answer says."""
    told = yield "migrate", {"table": "users"}
    while told["status"] not in ("complete", "failed"):
        task_id = told["task_id"]
        if told.get("questions"):
            told = yield "task_answer", {"task_id": task_id, "answer": "no"}
        else:
            told = yield "task_news", {"task_id": task_id, "since": told["since"]}
    ends.append(told["result"])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_of_five_seconds_runs_a_tool_of_thirty_to_its_end(mode: Any) -> None:
    job, ends = Job(), list[Any]()
    with anyio.fail_after(60):
        async with mcpc.listen(job.server(), "memory://slow") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
                assert names == {"migrate", "task_news", "task_answer", "task_send", "task_stop"}
                host = Host(client, job)
                await host.run(model(ends))
    assert ends == [{"table": "users", "old table kept": "no"}]
    assert job.outlasted >= LOOKS
    assert host.transcript[0] == "migrate"
    assert set(host.transcript[1:]) <= {"task_news", "task_answer"}
