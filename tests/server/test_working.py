"""Tools whose tasks run in a worker: a server and a worker on one store, in one process."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer
from mcp_types import ElicitResult

import mcpc
from redis_kit import redis_server
from sep2663_kit import by_hand

pytestmark = [
    pytest.mark.anyio,
    # The Redis client leaves streams of its own open where a call is cancelled.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def make_server(store: Any, **limits: Any) -> MCPServer[Any]:
    """A server; all that are made for one store have the same tools."""
    server = MCPServer[Any]("shop", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store, **limits)

    @callbacks.tool(run="worker")
    async def count(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        for number in range(n):
            await task.update(number)
        return {"rows": n}

    @callbacks.tool(run="worker")
    async def gather(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        got = [await task.ask("Which?", choices=["a", "b"])]
        async for value in task.inputs():
            if value == "done":
                break
            got.append(value)
        return got

    @callbacks.tool(run="worker")
    async def pick(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update({"progress": 1, "total": 2, "message": "half"})
        return f"picked {await task.ask('Which?', choices=['a', 'b'])}"

    @callbacks.tool(run="worker")
    async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.update("waits")
        await task.stopping()

    @callbacks.tool(run="worker", on_interrupt="resume")
    async def climb(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
        if task.resumed is None:
            await task.update("up")
            await task.checkpoint(7)
            await task.stopping()
        return {"resumed": task.resumed}

    @callbacks.tool(run="worker")
    def in_thread(n: int, task: mcpc.SyncTask) -> int:  # pyright: ignore[reportUnusedFunction]
        for number in range(n):
            task.update(number)
        return n + task.ask("How many more?")

    @callbacks.tool(run="worker")
    async def fail() -> None:  # pyright: ignore[reportUnusedFunction]
        raise ValueError("no such shelf")

    @callbacks.tool()
    async def stay(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()

    @callbacks.tool()
    async def here(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        return "here"

    return server


@contextmanager
def store_of(kind: str, folder: Path) -> Generator[str]:
    if kind == "sqlite":
        yield f"sqlite:{folder}/tasks.db"
    else:
        with redis_server("valkey", folder) as server:
            yield server.uri


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    with store_of(request.param, tmp_path) as uri:
        yield uri


@asynccontextmanager
async def working(server: Any, **options: Any) -> AsyncGenerator[None]:
    """A worker, for as long as the context lasts."""
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await mcpc.work(server, on_ready=lambda working: ready.set(), **options)

        tasks.start_soon(run)
        await ready.wait()
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def served(store: str, **limits: Any) -> AsyncGenerator[str]:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(store, **limits), "tcp://127.0.0.1:0") as listener:
            yield listener.uri


async def test_a_worker_runs_what_a_server_was_called_for(store: str) -> None:
    async with served(store) as uri, mcpc.Client(uri) as client:
        seen: list[Any] = []
        client.add_event_listener(lambda message: seen.append((message.event, message.result)))
        task = await client.start_task("count", {"n": 300})
        assert (await task.state())["status"] == "running"  # nobody works yet
        async with working(make_server(store)):
            assert await task.result() == {"rows": 300}
        assert [event for event, _ in seen] == ["created", *["update"] * 300, "complete"]
        assert [result for event, result in seen if event == "update"] == [*range(300)]
        here = await client.start_task("here")
        assert await here.result() == "here"


async def test_a_worker_s_task_is_asked_answered_and_sent_to_like_any_other(store: str) -> None:
    async with served(store) as uri, working(make_server(store)), mcpc.Client(uri) as client:
        client.on_prompt(lambda prompt: "b")
        task = await client.start_task("gather")
        await task.send({"more": 1})
        await task.send("done")
        assert await task.result() == ["b", {"more": 1}]
        with pytest.raises(mcpc.TaskEnded):
            await task.send("late")
        threaded = await client.start_task("in_thread", {"n": 3})
        with pytest.raises(mcpc.TaskFailed, match="TypeError"):
            await threaded.result()  # 3 + "b"


async def test_a_worker_s_task_is_stopped(store: str) -> None:
    async with served(store) as uri, mcpc.Client(uri) as client:
        queued = await client.start_task("wait")
        await queued.stop()  # nobody works, so nobody else could end it
        with pytest.raises(mcpc.TaskStopped):
            await queued.result()
        async with working(make_server(store)):
            running = await client.start_task("wait")
            async for message in running:
                if message.result == "waits":
                    break
            await running.stop()
            with pytest.raises(mcpc.TaskStopped):
                await running.result()


async def test_a_failure_of_a_worker_s_task_is_told(store: str) -> None:
    async with served(store) as uri, working(make_server(store)):
        async with mcpc.Client(uri) as client:
            task = await client.start_task("fail")
            with pytest.raises(mcpc.TaskFailed, match="no such shelf") as caught:
                await task.result()
            assert caught.value.result == {"error": "ValueError", "message": "no such shelf"}
        async with mcp.Client(mcpc.connect(uri)) as plain:
            answer = await plain.call_tool("fail", {})
            assert answer.is_error
            assert answer.content[0].text == "ValueError: no such shelf"  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_plain_caller_waits_for_a_worker_s_result(store: str, mode: Any) -> None:
    told_of: list[Any] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        told_of.append((progress, total, message))

    async def asked(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"answer": "a"})

    async with served(store) as uri, working(make_server(store)):
        async with mcp.Client(mcpc.connect(uri), elicitation_callback=asked, mode=mode) as plain:
            answer = await plain.call_tool("count", {"n": 2})
            assert answer.structured_content == {"rows": 2}
            answer = await plain.call_tool("pick", {}, progress_callback=told)
            assert answer.structured_content == {"result": "picked a"}
            assert told_of == [(1, 2, "half")]


async def test_a_key_starts_a_worker_s_task_once(store: str) -> None:
    async with served(store) as uri, mcpc.Client(uri) as client:
        one = await client.start_task("count", {"n": 3}, key="order-42")
        again = await client.start_task("count", {"n": 3}, key="order-42")
        assert one.task_id == again.task_id
        with pytest.raises(mcpc.KeyRefused):
            await client.start_task("count", {"n": 4}, key="order-42")
        async with working(make_server(store)):
            assert await one.result() == {"rows": 3}


async def test_a_worker_runs_so_many_at_once_and_then_the_next(store: str) -> None:
    async with served(store) as uri, mcpc.Client(uri) as client:
        tasks = [await client.start_task("wait") for _ in range(5)]
        began = [0]
        one_more = anyio.Event()

        def heard(message: mcpc.MCPCMessage) -> None:
            nonlocal one_more
            if message.result == "waits":
                began[0] += 1
                one_more.set()
                one_more = anyio.Event()

        client.add_event_listener(heard)
        async with working(make_server(store), concurrency=2):
            for ended in range(5):
                while began[0] < min(ended + 2, 5):
                    await one_more.wait()
                states = [(await task.state())["status"] for task in tasks]
                assert began[0] == min(ended + 2, 5), states
                await tasks[ended].stop()
                with pytest.raises(mcpc.TaskStopped):
                    await tasks[ended].result()


async def test_a_worker_that_stops_hands_on_what_may_run_again(store: str) -> None:
    async with served(store) as uri, mcpc.Client(uri) as client:
        events: list[Any] = []
        client.add_event_listener(lambda message: events.append((message.event, message.result)))
        async with working(make_server(store, shutdown_grace=10.0)):
            climbing = await client.start_task("climb")
            async for message in climbing:
                if message.result == "up":
                    break
            waiting = await client.start_task("wait")
            async for message in waiting:
                if message.result == "waits":
                    break
            while ("update", "up") not in events:
                await anyio.lowlevel.checkpoint()
        with pytest.raises(mcpc.TaskStopped):
            await waiting.result()
        async with working(make_server(store)):
            assert await climbing.result() == {"resumed": 7}
        assert ("restarted", {"task_id": climbing.task_id, "attempt": 2}) in events


@pytest.mark.parametrize("tool", ["wait", "stay"])
async def test_a_client_s_tasks_are_bounded_at_all_servers_together(store: str, tool: str) -> None:
    async with served(store, max_tasks_per_client=3) as one, served(store, max_tasks_per_client=3) as two:
        async with mcpc.Client(one) as here:
            tasks = [await here.start_task(tool) for _ in range(2)]
            async with mcpc.Client(two, channel=here.channel) as there:
                tasks.append(await there.start_task(tool))
                refused = await there.start_task(tool)
                with pytest.raises(mcpc.TooManyTasks, match="at all servers of this store together") as caught:
                    await refused.result()
                assert (caught.value.limit, caught.value.value) == ("max_tasks_per_client", 3)
                await tasks[-1].stop()
                with pytest.raises(mcpc.TaskStopped):
                    await tasks[-1].result()
                await (await there.start_task(tool)).stop()
            async with mcpc.Client(two) as another:
                await (await another.start_task(tool)).stop()


async def test_tasks_that_wait_for_a_worker_are_bounded_at_all_servers_together(store: str) -> None:
    async with served(store, max_queued=2) as one, served(store, max_queued=2) as two:
        async with mcpc.Client(one) as here, mcpc.Client(two) as there:
            tasks = [await client.start_task("count", {"n": 1}) for client in (here, there)]
            for client in (here, there):
                refused = await client.start_task("count", {"n": 1})
                with pytest.raises(mcpc.TooManyTasks, match="wait for a worker") as caught:
                    await refused.result()
                assert (caught.value.limit, caught.value.value) == ("max_queued", 2)
            async with working(make_server(store, max_queued=2)):
                assert [await task.result() for task in tasks] == [{"rows": 1}] * 2
                assert await (await there.start_task("count", {"n": 1})).result() == {"rows": 1}


async def test_a_worker_s_task_of_the_extension_is_got_answered_cancelled_and_pushed_at_either_server(
    store: str,
) -> None:
    async with served(store) as one, served(store) as two, working(make_server(store)):
        async with by_hand(one) as here, by_hand(two) as there:
            gathering = (await here.call("gather"))["taskId"]
            waiting = (await there.call("wait"))["taskId"]
            stream = await there.listen(gathering, waiting)
            state = await there.until(gathering, "input_required")
            assert (await here.ask("tasks/get", {"taskId": gathering}))["status"] == "input_required"
            (key,) = state["inputRequests"]
            response = {"action": "accept", "content": {"answer": "b"}}
            await there.ask("tasks/update", {"taskId": gathering, "inputResponses": {key: response}})
            await here.until(gathering, "working")
            await here.ask("tasks/cancel", {"taskId": waiting})
            await there.until(waiting, "cancelled")
            await there.ask("tasks/cancel", {"taskId": gathering})
            await here.until(gathering, "cancelled")
            pushed: dict[str, list[str]] = {gathering: [], waiting: []}
            while [states[-1:] for states in pushed.values()] != [["cancelled"], ["cancelled"]]:
                message = await stream.next()
                if message["method"] == "notifications/tasks":
                    pushed[message["params"]["taskId"]].append(message["params"]["status"])
            assert [states.count("cancelled") for states in pushed.values()] == [1, 1]


async def test_a_worker_s_result_is_got_and_pushed_at_a_server_that_was_not_called(store: str) -> None:
    async with served(store) as one, served(store) as two:
        async with by_hand(one) as here, by_hand(two) as there:
            counting = (await here.call("count", {"n": 3}))["taskId"]
            failing = (await here.call("fail"))["taskId"]
            stream = await there.listen(counting, failing)
            async with working(make_server(store)):  # only now, so that both were listened to before they ended
                state = await there.until(counting, "completed")
                assert state["result"]["structuredContent"] == {"rows": 3}
                failed = await there.until(failing, "completed")  # the call is answered, with an error of the tool
                assert failed["result"]["isError"] is True
                ended: dict[str, str] = {}
                while len(ended) < 2:
                    message = await stream.next()
                    if message["method"] == "notifications/tasks" and message["params"]["status"] != "working":
                        ended[message["params"]["taskId"]] = message["params"]["status"]
        assert ended == {counting: "completed", failing: "completed"}


async def test_the_lifespan_of_the_server_is_entered_in_the_worker(tmp_path: Path) -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def lifespan(server: Any) -> AsyncGenerator[None]:
        entered.append("in")
        yield
        entered.append("out")

    server = MCPServer[Any]("shop", lifespan=lifespan)
    callbacks = mcpc.MCPCHelper(server, store=f"sqlite:{tmp_path}/tasks.db")

    @callbacks.tool(run="worker")
    async def away() -> None:  # pyright: ignore[reportUnusedFunction]
        ...

    async with working(server):
        assert entered == ["in"]
    assert entered == ["in", "out"]


async def test_what_has_no_work_says_so(tmp_path: Path) -> None:
    bare = MCPServer[Any]("bare")
    callbacks = mcpc.MCPCHelper(bare)
    with pytest.raises(mcpc.MCPCError, match="no store"):
        await mcpc.work(bare)
    with pytest.raises(mcpc.MCPCError, match="needs a store that processes share"):

        @callbacks.tool(run="worker")
        async def away() -> None:  # pyright: ignore[reportUnusedFunction]
            ...

    idle = MCPServer[Any]("idle")
    mcpc.MCPCHelper(idle, store=f"sqlite:{tmp_path}/tasks.db")
    with pytest.raises(mcpc.MCPCError, match="nothing for a worker to do"):
        await mcpc.work(idle)
    with pytest.raises(mcpc.MCPCError, match="concurrency"):
        await mcpc.work(make_server(f"sqlite:{tmp_path}/tasks.db"), concurrency=0)
    with pytest.raises(mcpc.MCPCError, match="run is one of here, worker"):

        @callbacks.tool(run="away")  # type: ignore[arg-type]
        async def nowhere() -> None:  # pyright: ignore[reportUnusedFunction]
            ...


async def test_a_store_of_one_process_is_refused(tmp_path: Path) -> None:
    server = make_server("memory:one-process")
    with pytest.raises(mcpc.StoreRefused, match="that processes share"):
        async with mcpc.listen(server, "tcp://127.0.0.1:0"):
            pass


async def test_what_is_of_a_call_is_refused_in_a_worker_s_tool(tmp_path: Path) -> None:
    server = MCPServer[Any]("shop")
    callbacks = mcpc.MCPCHelper(server, store=f"sqlite:{tmp_path}/tasks.db")
    with pytest.raises(mcpc.MCPCError, match="ctx is of a call"):

        @callbacks.tool(run="worker")
        async def tell(ctx: mcp.server.mcpserver.Context) -> None:  # type: ignore[name-defined]  # pyright: ignore
            ...
