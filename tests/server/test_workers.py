"""What may be a worker: any callable, on every kind of server; what may not is refused where it is registered."""

import concurrent.futures
import functools
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from fastmcp import FastMCP
from mcp.server import MCPServer, Server
from pydantic import Field

import mcpc

pytestmark = pytest.mark.anyio

KINDS: dict[str, Callable[[str], Any]] = {"MCPServer": MCPServer[Any], "Server": Server[Any], "FastMCP": FastMCP[Any]}


@pytest.fixture(params=list(KINDS))
def server(request: pytest.FixtureRequest, anyio_backend: str) -> Any:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return KINDS[request.param]("workers")


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain wrapper, as many decorators are: it does not say that what it returns must be awaited."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Adder:
    """Adds one."""

    async def __call__(self, x: int, task: mcpc.Task) -> int:
        await task.update("adding")
        return x + 1

    async def method(self, x: int, task: mcpc.Task) -> int:
        await task.update("adding")
        return x + 1

    @classmethod
    async def of_class(cls, x: int, task: mcpc.Task) -> int:
        await task.update("adding")
        return x + 1

    @staticmethod
    async def of_none(x: int, task: mcpc.Task) -> int:
        await task.update("adding")
        return x + 1


class SyncAdder:
    def __call__(self, x: int, task: mcpc.SyncTask) -> int:
        task.update("adding")
        return x + 1


async def add(step: int, x: int, task: mcpc.Task) -> int:
    await task.update("adding")
    return x + step


async def optional(x: int, task: mcpc.Task | None = None) -> int:
    assert task is not None
    await task.update("adding")
    return x + 1


async def annotated(x: int, job: Annotated[mcpc.Task, "whatever"]) -> int:
    await job.update("adding")
    return x + 1


def sync_optional(x: int, job: "Annotated[mcpc.SyncTask | None, 1]" = None) -> int:
    assert job is not None
    job.update("adding")
    return x + 1


async def by_place(x: int, /, task: mcpc.Task) -> int:
    await task.update("adding")
    return x + 1


async def variadic(x: int, task: mcpc.Task, *rest: int, **more: int) -> int:
    await task.update("adding")
    return x + 1 + sum(rest) + sum(more.values())


@traced
async def wrapped(x: int, task: mcpc.Task) -> int:
    await task.update("adding")
    return x + 1


@traced
def wrapped_sync(x: int, task: mcpc.SyncTask) -> int:
    task.update("adding")
    return x + 1


def generator(x: int) -> Generator[str, None, int]:
    yield "adding"
    return x + 1


def untyped_generator(x: int):  # type: ignore[no-untyped-def]  # pyright: ignore
    yield "adding"
    return x + 1


def unannotated(x: int, task):  # type: ignore[no-untyped-def]  # pyright: ignore
    task.update("adding")  # pyright: ignore
    return x + 1


CALLABLES: dict[str, Callable[..., Any]] = {
    "partial": functools.partial(add, 1),
    "partial by name": functools.partial(add, step=1),
    "partial of a partial": functools.partial(functools.partial(add), 1),
    "object": Adder(),
    "partial of an object": functools.partial(Adder()),
    "sync object": SyncAdder(),
    "method": Adder().method,
    "class method": Adder.of_class,
    "static method": Adder.of_none,
    "wrapped": wrapped,
    "wrapped twice": traced(wrapped),
    "wrapped partial": functools.partial(traced(add), 1),
    "wrapped sync": wrapped_sync,
    "generator": generator,
    "untyped generator": untyped_generator,
    "optional task": optional,
    "annotated task": annotated,
    "optional annotated task in a thread": sync_optional,
    "positional only": by_place,
    "variadic": variadic,
    "unannotated task": unannotated,
}


@pytest.mark.parametrize("kind", list(CALLABLES))
async def test_any_callable_is_a_worker(server: Any, kind: str) -> None:
    mcpc.MCPCHelper(server).tool("adds")(CALLABLES[kind])
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            (tool,) = (await client.list_tools()).tools
            assert set(tool.input_schema["properties"]) - {"step"} == {"x"}
            task = await client.start_task("adds", {"x": 1})
            assert [m.result async for m in task][1:] == ["adding", 2]


async def test_a_worker_has_the_name_and_the_text_of_what_it_is(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)
    callbacks.tool()(functools.partial(add, 1))
    callbacks.tool()(Adder())
    callbacks.tool("named", description="")(Adder().method)
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            listed = {tool.name: tool.description for tool in (await client.list_tools()).tools}
    assert listed["Adder"] == "Adds one."
    assert {"add", "Adder", "named"} == set(listed)
    assert not listed["named"]


async def test_an_argument_is_given_by_its_alias(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def aliased(  # pyright: ignore[reportUnusedFunction]
        x: Annotated[int, Field(alias="external-x", ge=1)], y: int = Field(default=5, alias="Y")
    ) -> list[int]:
        return [x, y]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            (tool,) = (await client.list_tools()).tools
            assert set(tool.input_schema["properties"]) == {"external-x", "Y"}
            task = await client.start_task("aliased", {"external-x": 4})
            assert await task.result() == [4, 5]
            bad = await client.call_tool("aliased", {"external-x": 0})
            assert bad.is_error


async def test_each_value_of_an_async_generator_is_an_update(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.0)
    closed = anyio.Event()

    @callbacks.tool()
    async def counts(n: int, task: mcpc.Task) -> AsyncIterator[dict[str, int]]:  # pyright: ignore[reportUnusedFunction]
        try:
            for i in range(n):
                yield {"progress": i}
            await task.update("counted")
            if n > 2:
                await anyio.sleep_forever()
        finally:
            closed.set()

    @callbacks.tool()
    async def breaks(n: int) -> AsyncIterator[int]:  # pyright: ignore[reportUnusedFunction]
        yield n
        raise ValueError("no more")

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("counts", {"n": 2})
            assert [m.result async for m in task][1:] == [{"progress": 0}, {"progress": 1}, "counted", None]
            closed = anyio.Event()
            task = await client.start_task("counts", {"n": 3})
            async for message in task:
                if message.result == "counted":
                    await task.stop()
            assert task.ended
            await closed.wait()
            task = await client.start_task("breaks", {"n": 1})
            with pytest.raises(mcpc.TaskFailed, match="ValueError: no more"):
                await task.result()


async def test_a_generator_in_a_thread_is_closed_when_its_task_has_ended(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.0)
    go, closed = threading.Event(), threading.Event()

    @callbacks.tool()
    def endless() -> Iterator[str]:  # pyright: ignore[reportUnusedFunction]
        try:
            while True:
                yield "again"
                go.wait(60)
        finally:
            closed.set()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("endless")
            async for message in task:
                if message.result == "again":
                    await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
            go.set()
            assert await anyio.to_thread.run_sync(closed.wait, 60)


async def test_what_cannot_be_a_tool_is_refused_where_it_is_registered_and_the_others_are_listed(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)

    async def unserializable(x: socket.socket) -> None: ...

    async def unknown(x: "Unknown") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore

    def wrong(task: mcpc.Task) -> None: ...

    async def wrong_async(task: mcpc.SyncTask | None) -> None: ...

    async def two(a: mcpc.Task, b: mcpc.Task) -> None: ...

    async def hidden(_x: int) -> None: ...

    cases: list[tuple[Any, str]] = [
        (unserializable, "unserializable cannot be a tool"),
        (unknown, "unknown: an annotation cannot be read: name 'Unknown' is not defined"),
        (wrong, "wrong: a sync worker takes mcpc.SyncTask, not mcpc.Task"),
        (wrong_async, "wrong_async: an async worker takes mcpc.Task, not mcpc.SyncTask"),
        (two, "two: one parameter can be handed the task, not a and b"),
        (lambda x: x, "a lambda has no name"),  # pyright: ignore
        ("text", "a worker must be callable, not a str"),
    ]
    if not isinstance(server, FastMCP):
        cases.append((hidden, "hidden cannot be a tool"))
    for worker, message in cases:
        with pytest.raises(mcpc.MCPCError, match=message):
            callbacks.tool()(worker)
    with pytest.raises(TypeError):
        callbacks.tool(colour="red")(add)  # pyright: ignore[reportCallIssue]
    callbacks.tool("good")(functools.partial(add, 1))
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["good"]


async def test_a_sync_task_works_from_every_thread_that_the_worker_starts(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    def pool(n: int, task: mcpc.SyncTask) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        def one(number: int) -> Any:
            task.check_stopped()
            task.update(number)
            return task.ask("double?", schema={"type": "integer"}) if number == 0 else 2 * number

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            return list(threads.map(one, range(n)))

    @callbacks.tool()
    def listens(task: mcpc.SyncTask) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        got: list[Any] = []

        def take() -> None:
            got.extend(task.inputs())

        thread = threading.Thread(target=take)
        thread.start()
        task.stopping()
        thread.join()
        return got

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            client.on_prompt(lambda prompt: 100)
            task = await client.start_task("pool", {"n": 8})
            assert await task.result() == [100, 2, 4, 6, 8, 10, 12, 14]
            updates = [m.result async for m in task if m.event == "update" and isinstance(m.result, int)]
            assert sorted(updates) == list(range(8))
            task = await client.start_task("listens")
            await task.send("a")
            await task.send("b")
            await task.stop()
            with pytest.raises(mcpc.TaskStopped) as stopped:
                await task.result()
            assert stopped.value.result["result"] == ["a", "b"]


async def test_a_pool_thread_of_a_task_that_was_stopped_learns_it(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.0)
    ended, learned = threading.Event(), threading.Event()

    @callbacks.tool()
    def stuck(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        def one() -> None:
            task.update("runs")
            ended.wait(60)
            for call in (task.update, task.check_stopped, lambda: task.ask("?")):
                with pytest.raises(mcpc.TaskStopped):
                    call()
            learned.set()

        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            threads.submit(one).result()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("stuck")
            async for message in task:
                if message.result == "runs":
                    await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
            ended.set()
            assert await anyio.to_thread.run_sync(learned.wait, 60)


async def test_a_sync_task_in_the_event_loop_is_a_clear_error() -> None:
    server = MCPServer[Any]("workers", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)
    kept: list[mcpc.SyncTask] = []

    @callbacks.tool()
    def keeps(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        kept.append(task)
        list(task.inputs())

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("keeps")
            while not kept:
                await anyio.lowlevel.checkpoint()
            with pytest.raises(mcpc.MCPCError, match="cannot be used in the event loop"):
                kept[0].update(1)
            await task.stop()
