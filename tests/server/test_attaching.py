"""A task that its worker hands off, and who attaches to it: here over another handle of the store."""

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
from redis_kit import redis_server

pytestmark = [
    pytest.mark.anyio,
    # The Redis client leaves streams of its own open where a call is cancelled.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/tasks.db"
    else:
        with redis_server("valkey", tmp_path) as server:
            yield server.uri


client_uri = [""]
"""Where the last server is."""


@asynccontextmanager
async def served(store: Any, **limits: Any) -> AsyncGenerator[mcpc.Client]:
    server = MCPServer[Any]("shop", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store, **limits)

    @callbacks.tool()
    async def render(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.update("handed off")
        await task.hand_off()

    @callbacks.tool(on_interrupt="resume")
    def in_thread(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        task.hand_off()

    @callbacks.tool()
    async def keep(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()

    with anyio.fail_after(60):
        async with mcpc.listen(server, "tcp://127.0.0.1:0") as listener, mcpc.Client(listener.uri) as client:
            client_uri[0] = listener.uri
            yield client


async def test_an_attached_task_is_updated_asked_sent_to_and_ended(store: str) -> None:
    async with served(store) as client:
        client.on_prompt(lambda prompt: "b")
        seen: list[Any] = []
        client.add_event_listener(lambda message: seen.append((message.event, message.result)))
        task = await client.start_task("render")
        async with mcpc.attach(store, task.task_id) as attached:
            assert (attached.task_id, attached.tool_name) == (task.task_id, "render")
            await attached.update(1)
            assert await attached.ask("Which?", choices=["a", "b"]) == "b"
            await task.send({"more": 1})
            async for value in attached.inputs():
                assert value == {"more": 1}
                break
            await attached.complete({"rows": 1})
            with pytest.raises(mcpc.TaskEnded):
                await attached.complete("again")
        assert await task.result() == {"rows": 1}
        assert seen[:3] == [("created", seen[0][1]), ("update", "handed off"), ("update", 1)]
        assert [event for event, _ in seen if event not in ("created", "update")] == ["complete"]


async def test_a_task_is_attached_to_again_where_nobody_ended_it(store: str) -> None:
    async with served(store) as client:
        task = await client.start_task("in_thread")
        async with mcpc.attach(store, task.task_id) as first:
            await first.update("first")
            await first.checkpoint({"at": 1})
            with pytest.raises(mcpc.TaskHeld, match="another process has the task"):
                async with mcpc.attach(store, task.task_id, timeout=0):
                    pass

        async def break_down() -> None:
            async with mcpc.attach(store, task.task_id) as second:
                assert second.resumed == {"at": 1}
                raise ValueError("no paper")

        with pytest.raises(ValueError, match="no paper"):
            await break_down()
        with pytest.raises(mcpc.TaskFailed, match="no paper") as caught:
            await task.result()
        assert caught.value.result == {"error": "ValueError", "message": "no paper"}


class CutStore:
    """A handle that cancels who takes a task with it, once the task is taken and before that is known."""

    def __init__(self, inner: Any, taker: anyio.CancelScope) -> None:
        self._inner = inner
        self._taker = taker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def take(self, runner: str, task_id: str) -> Any:
        taken = await self._inner.take(runner, task_id)
        if taken is not None:
            self._taker.cancel()
            await anyio.lowlevel.checkpoint()
        return taken


async def test_who_is_cancelled_as_they_take_a_task_leave_it_to_the_next(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/tasks.db"
    async with served(store) as client:
        task = await client.start_task("render")

        @asynccontextmanager
        async def cut() -> AsyncGenerator[Any]:
            async with mcpc.open_store(store) as inner:
                yield CutStore(inner, taker)

        with anyio.CancelScope() as taker:
            async with mcpc.attach(cut, task.task_id):
                await anyio.sleep_forever()
        async with mcpc.attach(store, task.task_id) as attached:
            await attached.complete("after all")
        assert await task.result() == "after all"


async def test_a_stop_reaches_who_is_attached_and_ends_what_nobody_has(store: str) -> None:
    async with served(store) as client:
        task = await client.start_task("render")
        async with mcpc.attach(store, task.task_id) as attached:
            await task.stop()
            await attached.stopping()
            await attached.complete("half")
        with pytest.raises(mcpc.TaskStopped) as caught:
            await task.result()
        assert caught.value.result["result"] == "half"
        lonely = await client.start_task("render")
        async for message in lonely:
            if message.result == "handed off":
                break
        await lonely.stop()
        with pytest.raises(mcpc.TaskStopped):
            await lonely.result()


async def test_who_does_not_stop_is_cancelled(store: str) -> None:
    async with served(store) as client:
        task = await client.start_task("render")

        async def go_on() -> None:
            async with mcpc.attach(store, task.task_id, stop_grace=0.1):
                await task.stop()
                await anyio.sleep_forever()

        with pytest.raises(mcpc.TaskStopped):
            await go_on()
        with pytest.raises(mcpc.TaskStopped):
            await task.result()


async def test_what_cannot_be_attached_to_says_why(store: str) -> None:
    async with served(store) as client:
        with pytest.raises(mcpc.UnknownTask):
            async with mcpc.attach(store, "no-such-task"):
                pass
        task = await client.start_task("keep")
        with pytest.raises(mcpc.TaskHeld, match="has not handed it off"):
            async with mcpc.attach(store, task.task_id, timeout=0.1):
                pass
        await task.stop()
        with pytest.raises(mcpc.TaskStopped):
            await task.result()
        with pytest.raises(mcpc.TaskEnded):
            async with mcpc.attach(store, task.task_id):
                pass
        with pytest.raises(TypeError, match="max_tasksss"):
            async with mcpc.attach(store, task.task_id, max_tasksss=1):  # type: ignore[call-arg]  # pyright: ignore
                pass


async def test_a_store_of_one_process_has_nobody_to_hand_off_to() -> None:
    with pytest.raises(mcpc.StoreRefused, match="lives in one process"):
        async with mcpc.attach("memory:here", "a-task"):
            pass
    async with served("memory:handed") as client:
        task = await client.start_task("render")
        with pytest.raises(mcpc.TaskFailed, match="StoreRefused"):
            await task.result()
    async with served(None) as client:
        task = await client.start_task("render")
        with pytest.raises(mcpc.TaskFailed, match="cannot be handed off"):
            await task.result()


async def test_a_plain_caller_waits_for_who_has_attached_where_a_worker_handed_it_off(store: str) -> None:
    server = MCPServer[Any]("press", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store)
    handed: list[str] = []
    known = anyio.Event()

    @callbacks.tool(run="worker")
    async def render(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        handed.append(task.task_id)
        known.set()
        await task.hand_off()

    with anyio.fail_after(60):
        async with mcpc.listen(server, "tcp://127.0.0.1:0") as listener, anyio.create_task_group() as tasks:

            async def work() -> None:
                await mcpc.work(server)

            async def call() -> None:
                async with mcp.Client(mcpc.connect(listener.uri)) as plain:
                    answer = await plain.call_tool("render", {})
                assert answer.structured_content == {"result": "rendered"}
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            tasks.start_soon(call)
            await known.wait()
            async with mcpc.attach(store, handed[0]) as attached:
                await attached.complete("rendered")


async def test_a_plain_caller_s_task_cannot_be_handed_off(tmp_path: Path) -> None:
    async with served(f"sqlite:{tmp_path}/tasks.db"), mcp.Client(mcpc.connect(client_uri[0])) as plain:
        answer = await plain.call_tool("render", {})
        assert answer.is_error
        assert "cannot be handed off" in answer.content[0].text  # type: ignore[union-attr]
