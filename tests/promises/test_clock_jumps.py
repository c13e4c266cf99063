"""Expiry runs on a clock that nobody sets: a jump of the wall clock expires nothing and keeps nothing alive."""

import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0
DEADLINE = 60
CHANNEL = "a-channel-that-is-taken-up-again"
ROOT = Path(__file__).parent.parent.parent


class Wall:
    """The wall clock of this process, which can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._right = time.time

    def __call__(self) -> float:
        return self._right() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Generator[Wall]:
    wall = Wall()
    before = SYSTEM_CLOCK.wall
    monkeypatch.setattr(time, "time", wall)
    object.__setattr__(SYSTEM_CLOCK, "wall", wall)
    yield wall
    object.__setattr__(SYSTEM_CLOCK, "wall", before)


class App:
    """A server whose tasks wait, ask or end."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("jumps", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.go = anyio.Event()

        @self.callbacks.tool()
        async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            await task.update("waiting")
            await self.go.wait()
            return "waited"

        @self.callbacks.tool()
        async def ask(task: mcpc.Task, seconds: float) -> Any:  # pyright: ignore[reportUnusedFunction]
            return await task.ask("which?", timeout=seconds)

        @self.callbacks.tool()
        async def end(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            return "ended"

    def look(self) -> None:
        """Do at once what the server does every quarter of a minute."""
        self.callbacks.binding.workshop.sweep()


async def test_a_jump_expires_nothing(wall: Wall) -> None:
    app = App(task_ttl=3600.0, channel_ttl=3600.0, abandon_after=3600.0, stop_grace=3600.0)
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(app.server, "memory://jumps") as listener:
            async with mcpc.Client(listener.uri, channel=CHANNEL) as client:
                started = {
                    "wait": await client.start_task("wait", timeout=3600.0, max_timeout=3600.0),
                    "ask": await client.start_task("ask", {"seconds": 3600.0}),
                    "end": await client.start_task("end"),
                }
                ids = {name: task.task_id for name, task in started.items()}
                async for message in started["ask"]:
                    if message.event == "update":
                        break
                assert await started["end"].result() == "ended"
                for wall.ahead in (-DAY, DAY):
                    app.look()
                    assert (await started["wait"].state())["status"] == "running"
            for wall.ahead in (-DAY, DAY):  # and while nobody is there
                app.look()
            again = mcpc.Client(listener.uri, channel=CHANNEL)
            again.on_prompt(lambda prompt: "this one")
            async with again as client:
                tasks = {name: client.task(task_id) for name, task_id in ids.items()}
                assert (await tasks["end"].state())["status"] == "complete"
                assert await tasks["ask"].result() == "this one"
                app.go.set()
                assert await tasks["wait"].result() == "waited"


async def _until_unknown(task: mcpc.TaskHandle) -> None:
    while True:
        await task.state()


@pytest.mark.parametrize("ahead", [-DAY, DAY], ids=["back", "ahead"])
async def test_a_jump_keeps_no_ended_task_and_no_question(wall: Wall, ahead: float) -> None:
    app = App(task_ttl=0.05)
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(app.server) as client:
            asking = await client.start_task("ask", {"seconds": 0.05})
            ended = await client.start_task("end")
            wall.ahead = ahead
            with pytest.raises(mcpc.TaskFailed, match="TimeoutError"):
                await asking.result()
            with pytest.raises(mcpc.UnknownTask):
                await _until_unknown(ended)


@pytest.mark.parametrize("ahead", [-DAY, DAY], ids=["back", "ahead"])
async def test_a_jump_keeps_no_channel(wall: Wall, ahead: float) -> None:
    app = App(channel_ttl=0.05)
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(app.server, "memory://jumps") as listener:
            async with mcpc.Client(listener.uri) as client:
                await client.list_tools()
            wall.ahead = ahead
            while app.callbacks.stats.channels:
                app.look()
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("ahead", [-DAY, DAY], ids=["back", "ahead"])
async def test_a_jump_keeps_no_task_that_its_client_has_left(wall: Wall, ahead: float) -> None:
    app = App(abandon_after=0.05)
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(app.server, "memory://jumps") as listener:
            async with mcpc.Client(listener.uri) as client:
                await client.start_task("wait")
            wall.ahead = ahead
            while app.callbacks.stats.tasks:
                app.look()
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("ahead", [-DAY, DAY], ids=["back", "ahead"])
async def test_a_jump_prolongs_no_wait_of_a_client(wall: Wall, ahead: float) -> None:
    app = App()
    with anyio.fail_after(DEADLINE):
        async with mcpc.Client(app.server) as client:
            task = await client.start_task("wait")
            wall.ahead = ahead
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.05):
                    await task.result()
            app.go.set()
            assert await task.result() == "waited"


READS_THE_WALL = re.compile(r"\btime\.time\b(?!\()|\btime\.time\(\)|datetime\.now\(|(?i:clock)\.wall\b|utcnow")

SHOWN: dict[str, str] = {
    "mcpc/clock.py": "the seam",
    "mcpc/tasks.py": "createdAt and updatedAt",
    "mcpc/server/intake.py": "createdAt and updatedAt of a task that was taken from a store",
    "mcpc/server/events.py": "timestamp of an event, as the draft of MCP Events has it",
    "mcpc/server/event_methods.py": "the age of an event that is still told is counted from its timestamp",
    "mcpc/server/begun.py": "start_time, as mcpc 0.2 shows it",
    "mcpc/cli/kept_tools.py": "files of a minute ago, whose age is in the file system's time; none from the future",
    "mcpc/cli/watching.py": "the time of day in front of a line",
    "mcpc/cli/remembered.py": "files of earlier days, whose age is in the file system's time",
    "mcpc/cli/resuming.py": "files of earlier days, whose age is in the file system's time",
    "mcpc/testing/store_log_checks.py": "jumps",
    "mcpc/gateway/status.py": "a token says its end in this time",
    "transports/mcpc_transports/tokens.py": "a token says its end in this time",
    "stores/mcpc_stores/memory/tasks.py": "times that are shown",
    "stores/mcpc_stores/sqlite/clock.py": "once a boot, where the file's own clock begins",
}
"""Who reads the wall clock, and what for: nothing of it is waited for, and nothing expires by it."""


def test_who_reads_the_wall_clock_is_listed_with_the_reason() -> None:
    files = [path for room in ("mcpc", "transports", "stores") for path in (ROOT / room).rglob("*.py")]
    assert files
    found = {str(path.relative_to(ROOT)) for path in files if READS_THE_WALL.search(path.read_text(encoding="utf-8"))}
    assert found == SHOWN.keys()
