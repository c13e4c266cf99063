"""`abandon_after` for tasks that no worker has taken yet: they end, and are not run, once their clients are gone."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import mcp
import pytest
from mcp.server import MCPServer

import mcpc
from hand_clock import HandClock, hand_clock
from mcpc.server import visits
from mcpc.server.stored_states import state_of
from replicas_kit import is_listened_to, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Generator[HandClock]:
    monkeypatch.setattr(visits, "LONGEST_INTERVAL", 0.02)
    with hand_clock() as clock:
        yield clock


class Shop:
    """A server whose tasks wait for a worker."""

    def __init__(self, folder: Path, store: Any = None) -> None:
        self.server = MCPServer[Any]("shop", log_level="WARNING")
        store = store or f"sqlite:{folder}/tasks.db"
        self.callbacks = mcpc.MCPCHelper(self.server, store=store, abandon_after=100.0)
        self.ran: list[str] = []
        self.uri = ""

        @self.callbacks.tool(run="worker")
        async def note(name: str) -> str:  # pyright: ignore[reportUnusedFunction]
            self.ran.append(name)
            return name

    @property
    def workshop(self) -> Any:
        return self.callbacks.binding.workshop


async def test_a_task_whose_client_is_gone_ends_before_a_worker_takes_it(tmp_path: Path, clock: HandClock) -> None:
    shop, works = Shop(tmp_path), Shop(tmp_path)
    with anyio.fail_after(60):
        async with mcpc.listen(shop.server, "tcp://127.0.0.1:0") as listener:
            async with mcpc.Client(listener.uri) as leaving:
                left = (await leaving.start_task("note", {"name": "left"})).task_id
            async with mcpc.Client(listener.uri) as there:
                there.add_event_listener(lambda message: None)
                await until(lambda: is_listened_to(shop))  # type: ignore[arg-type]
                kept = await there.start_task("note", {"name": "kept"})
                while not (await shop.workshop.store().task(left)).ended:
                    clock.now += 10.0
                    await anyio.sleep(0.02)

                again = mcpc.Client(listener.uri, channel=leaving.channel)
                task = again.task(left)
                async with again:
                    with pytest.raises(mcpc.TaskStopped) as stopped:
                        await task.result()
                assert stopped.value.result["abandoned"] is True

                async with anyio.create_task_group() as group:
                    group.start_soon(mcpc.work, works.server)
                    assert await kept.result() == "kept"
                    group.cancel_scope.cancel()
    assert works.ran == ["kept"]


async def test_a_plain_caller_that_waits_is_there_for_a_task_that_waits_too(tmp_path: Path, clock: HandClock) -> None:
    shop, works = Shop(tmp_path), Shop(tmp_path)
    answers: list[Any] = []
    with anyio.fail_after(60):
        async with mcpc.listen(shop.server, "tcp://127.0.0.1:0") as listener:
            async with mcp.Client(mcpc.connect(listener.uri)) as client, anyio.create_task_group() as group:

                async def call() -> None:
                    answers.append(await client.call_tool("note", {"name": "asked for"}))
                    group.cancel_scope.cancel()

                group.start_soon(call)
                await until(lambda: shop.workshop.presence._held)  # the place of a listener, in the store
                group.start_soon(mcpc.work, works.server)
            assert not answers[0].is_error
    assert works.ran == ["asked for"]


class CutStore:
    """A handle that cancels who takes a task with it, once the task is taken and before that is known."""

    def __init__(self, inner: Any, taker: anyio.CancelScope) -> None:
        self._inner = inner
        self._taker = taker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def take(self, runner: str, task_id: str) -> Any:
        taken = await self._inner.take(runner, task_id)
        self._taker.cancel()
        await anyio.lowlevel.checkpoint()
        return taken


async def test_a_task_that_waits_is_stopped_though_the_request_to_stop_it_is_cancelled(tmp_path: Path) -> None:
    taker = anyio.CancelScope()

    @asynccontextmanager
    async def cut() -> AsyncGenerator[Any]:
        async with mcpc.open_store(f"sqlite:{tmp_path}/tasks.db") as inner:
            yield CutStore(inner, taker)

    shop = Shop(tmp_path, cut)
    with anyio.fail_after(60):
        async with mcpc.listen(shop.server, "tcp://127.0.0.1:0") as listener, mcpc.Client(listener.uri) as client:
            task = await client.start_task("note", {"name": "stopped"})
            stored = await shop.workshop.store().task(task.task_id)
            with taker:
                await shop.workshop.stop_stored(state_of(stored))
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
