"""The server of `mcpc demo`: one background tool that reports each step, asks, and lets itself be redirected."""

from typing import Any

import anyio
from mcp.server import MCPServer

import mcpc

__all__ = ["CHOICES", "QUESTION", "server"]

TICK = 0.02
"""Seconds between two looks at the clock; what is due by then goes out together."""

QUESTION = "report.pdf exists twice: index which?"
CHOICES = ["newest", "both"]

server: MCPServer[Any] = MCPServer("demo", log_level="ERROR")
callbacks: mcpc.MCPCHelper = mcpc.MCPCHelper(server)


@callbacks.tool()
async def index_files(files: int, seconds: float, confirm: bool, task: mcpc.Task) -> dict[str, Any]:
    """Index so many files in so many seconds, with an update for each."""
    job = _Job(files, seconds, confirm, task)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.obey)
        await job.work()
        tasks.cancel_scope.cancel()
    return {"indexed": job.done, **job.outcome}


class _Job:
    """One run of the tool."""

    def __init__(self, files: int, seconds: float, confirm: bool, task: mcpc.Task) -> None:
        self.files = files
        self.done = 0
        self.outcome: dict[str, Any] = {}
        self._pace = files / seconds
        self._confirm = confirm
        self._task = task

    async def obey(self) -> None:
        """Do what the client says on the way: `{"focus": …}` halves what is left."""
        async for change in self._task.inputs():
            self.files -= (self.files - self.done) // 2
            self.outcome["focus"] = change["focus"]

    async def work(self) -> None:
        """Index; every file is an update."""
        start = anyio.current_time()
        while self.done < self.files:
            await anyio.sleep(TICK)
            due = min(self.files, int((anyio.current_time() - start) * self._pace))
            while self.done < due:
                await self._index_one()
            if self._confirm and self.done >= self.files * 0.4:
                self._confirm = False
                asked = anyio.current_time()
                self.outcome["kept"] = await self._task.ask(QUESTION, choices=CHOICES)
                start += anyio.current_time() - asked

    async def _index_one(self) -> None:
        self.done += 1
        focus = f", {self.outcome['focus']}" if "focus" in self.outcome else ""
        await self._task.update(
            {
                "n": self.done,
                "status": f"file {self.done}/{self.files}{focus}",
                "progress": 100 * self.done / self.files,
            }
        )
