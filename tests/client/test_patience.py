"""Silence ends a call, work does not; a bound in all ends it whatever comes, and the server is told."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

import mcpc
from mcpc.client.handle import TaskHandle
from mcpc.client.patience import Patience
from mcpc.client.watching import Watch
from mcpc.flow import Flow
from mcpc.queue import DEFAULT_CAPACITY, TaskQueue
from support import TEMPLATES, serving

pytestmark = pytest.mark.anyio

SCHEMES = [scheme for scheme in TEMPLATES if scheme not in ("stdio", "wss", "https", "sse+https")]
MODES: list[Literal["legacy", "auto"]] = ["legacy", "auto"]
SHORT, LONG = 0.3, 60.0


class Served:
    """A server whose tools say when they were ended."""

    def __init__(self) -> None:
        self.server = MCPServer[Any]("patience", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(self.server, stop_grace=0.0)
        self.began = False
        self.ended = anyio.Event()

        @callbacks.tool()
        async def silent_task(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            await self._for_ever()

        @callbacks.tool()
        async def busy_task(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
            self.began = True
            try:
                while True:
                    await task.update("busy")
                    await anyio.sleep(0.01)
            finally:
                self.ended.set()

        @callbacks.tool()
        async def asking_task(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
            return await task.ask("Well?")

        @self.server.tool()
        async def silent() -> None:  # pyright: ignore[reportUnusedFunction]
            await self._for_ever()

        @self.server.tool()
        async def busy(ctx: Context[Any, Any]) -> None:  # pyright: ignore[reportUnusedFunction]
            self.began = True
            try:
                for step in range(100_000):
                    await ctx.report_progress(step)
                    await anyio.sleep(0.01)
            finally:
                self.ended.set()

    async def told(self, client: mcpc.Client) -> None:
        """Wait until the server has heard that the call was ended, where the call had begun (not on a slow machine)."""
        assert (await client.list_tools()).tools
        if self.began:
            await self.ended.wait()

    async def _for_ever(self) -> None:
        self.began = True
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.set()


async def run_task(client: mcpc.Client, tool: str, **bounds: Any) -> Any:
    """Start it, and wait for its end."""
    return await (await client.start_task(tool, **bounds)).result()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_silent_call_is_ended_here_and_at_the_server(scheme: str, mode: Any, tmp_path: Path) -> None:
    served = Served()
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, served.server) as at, mcpc.Client(at.uri, mode=mode) as client:
            with pytest.raises(mcpc.TimedOut, match=r"nothing was heard of it for 0\.3 s") as caught:
                await client.call_tool("silent", timeout=SHORT, max_timeout=LONG)
            assert (caught.value.limit, caught.value.seconds) == ("timeout", SHORT)
            await served.told(client)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_silent_task_is_stopped_and_its_handle_ends(scheme: str, mode: Any, tmp_path: Path) -> None:
    served = Served()
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, served.server) as at, mcpc.Client(at.uri, mode=mode) as client:
            with pytest.raises(mcpc.TimedOut) as caught:
                await run_task(client, "silent_task", timeout=SHORT)
            assert caught.value.limit == "timeout"
            await served.told(client)
            assert not client.tasks


@pytest.mark.parametrize("tool", ["busy", "busy_task"])
@pytest.mark.parametrize("mode", MODES)
async def test_what_works_on_is_ended_by_the_bound_in_all_only(tool: str, mode: Any) -> None:
    served, bounds = Served(), dict[str, Any](timeout=LONG, max_timeout=0.3)
    with anyio.fail_after(60):
        async with mcpc.Client(served.server, mode=mode) as client:
            with pytest.raises(mcpc.TimedOut, match=r"it took more than 0\.3 s in all") as caught:
                await (client.call_tool if tool == "busy" else partial(run_task, client))(tool, **bounds)
            assert caught.value.limit == "max_timeout"
            await served.told(client)


async def test_a_started_ordinary_call_is_ended_too() -> None:
    served = Served()
    with anyio.fail_after(60):
        async with mcpc.Client(served.server) as client:
            with pytest.raises(mcpc.TimedOut):
                await run_task(client, "silent", timeout=SHORT)
            await served.told(client)


class Counted(Patience):
    """Says how often it was over."""

    def __init__(self) -> None:
        super().__init__(0.01, None)
        self.rounds = 0
        self.several = anyio.Event()

    @contextmanager
    def watching(self) -> Generator[None]:
        self.rounds += 1
        if self.rounds == 4:
            self.several.set()
        with super().watching():
            yield


@pytest.mark.parametrize("why", ["asked", "does not read"])
async def test_silence_that_is_ours_ends_nothing(why: str) -> None:
    flow, patience = Flow(), Counted()
    queue = TaskQueue(DEFAULT_CAPACITY, "coalesce", flow)
    handle = TaskHandle("t", "tool", "s", queue)
    if why == "asked":
        handle.status = "waiting"
    else:
        flow.full(queue)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(Watch(handle, patience, flow, lambda _: None).run)
            await patience.several.wait()
            assert not handle.ended
            handle.feed(mcpc.MCPCMessage(event="complete", task_id="t", tool_name="tool", session_id="s", result=1))
        assert await handle.result() == 1


async def test_a_task_that_ends_in_time_is_left_alone() -> None:
    with anyio.fail_after(60):
        async with mcpc.Client(Served().server) as client:
            client.on_prompt(lambda prompt: "yes")
            task = await client.start_task("asking_task", timeout=LONG, max_timeout=LONG)
            assert await task.result() == "yes"


async def test_each_sign_of_life_renews_the_patience() -> None:
    patience = Patience(LONG, None)
    with patience.watching():
        before = anyio.current_time() + LONG
        patience.renew()
        assert anyio.current_effective_deadline() >= before
    with anyio.fail_after(60), pytest.raises(mcpc.TimedOut):
        await Patience(0.01, None).during(anyio.sleep_forever())


async def test_progress_renews_a_call_and_is_still_told() -> None:
    patience, told = Patience(LONG, None), list[float]()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    hearing = patience.hearing(on_progress)
    assert hearing is not None
    with patience.watching():
        before = anyio.current_time() + LONG
        await hearing(1.0, None, None)
        assert anyio.current_effective_deadline() >= before
    assert told == [1.0]
    assert Patience(None, 1.0).hearing(on_progress) is on_progress


@pytest.mark.parametrize("bad", [0, -1, True, float("nan"), "5"])
async def test_a_bound_is_a_number_of_seconds_above_nothing(bad: Any) -> None:
    for name in ("timeout", "max_timeout"):
        with pytest.raises(ValueError, match=f"{name} is a number of seconds above 0"):
            Patience(**{"timeout": None, "max_timeout": None, name: bad})


@pytest.mark.parametrize("bad", [0, -1, True, float("nan"), "5"])
async def test_a_bad_bound_or_heartbeat_is_refused_before_anything_is_begun(bad: Any) -> None:
    with pytest.raises(ValueError, match="heartbeat is a number of seconds above 0"):
        mcpc.Client("memory://nobody", heartbeat=bad)
    async with mcpc.Client(Served().server) as client:
        for call in (client.start_task, client.call_tool):
            with pytest.raises(ValueError, match=r"^timeout is a number of seconds above 0"):
                await call("silent", timeout=bad)
        assert not client.tasks
