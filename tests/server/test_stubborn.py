"""Work that swallows its cancellation harms nobody: it is told of once, and costs nothing from then on."""

import asyncio
import logging
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.server import stubborn

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Swallower:
    """Swallows each cancellation until it is released."""

    def __init__(self) -> None:
        self.running = anyio.Event()
        self.released = asyncio.Event()
        self.cancellations = 0

    async def __call__(self) -> None:
        self.running.set()
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.cancellations += 1

    async def quiet(self) -> bool:
        """Whether nobody cancels it in many turns of the loop."""
        before = self.cancellations
        for _ in range(100):
            await asyncio.sleep(0)
        return self.cancellations == before


class Told(logging.Handler):
    """What was logged of the kind."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.told = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "swallows" in record.getMessage():
            self.lines.append(record.getMessage())
            self.told.set()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(stubborn, "INTERVAL", 0.01)
    handler = Told()
    logging.getLogger("mcpc").addHandler(handler)
    yield handler
    logging.getLogger("mcpc").removeHandler(handler)


@pytest.mark.parametrize("background", [True, False])
async def test_it_is_left_alone_after_a_while(background: bool, told: Told) -> None:
    server = MCPServer[Any](f"stubborn {background}", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.01)
    work = Swallower()

    async def hopeless() -> None:
        await work()

    if background:
        callbacks.tool(name=f"hopeless-{background}")(hopeless)
    else:
        server.tool(name=f"hopeless-{background}")(hopeless)
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            try:
                await _cancel(client, f"hopeless-{background}", work, background=background)
                await told.told.wait()
                assert work.cancellations > 0
                assert await work.quiet()
                assert len((await client.list_tools()).tools) == 1  # and the server goes on
            finally:
                work.released.set()
    assert len(told.lines) == 1


async def _cancel(client: mcpc.Client, tool: str, work: Swallower, *, background: bool) -> None:
    if background:
        task = await client.start_task(tool)
        await work.running.wait()
        await task.stop()
        with pytest.raises(mcpc.TaskStopped):
            await task.result()
    else:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, tool)
            await work.running.wait()
            calls.cancel_scope.cancel()
