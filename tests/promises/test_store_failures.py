"""What goes wrong with a store under a running server: the stated error, nothing done twice, and it goes on."""

import gc
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.store import Store
from mcpc.store_uri import open_store
from redis_kit import RedisServer, redis_server
from store_trouble import lock_held, small_disk

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0
LEASE = 2.0
"""Seconds of a lease that is to be lost: until there is a reason, a busy machine keeps it."""


class App:
    """A server whose tools wait for words, and count how often they were begun."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.server = MCPServer[Any]("troubled", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(self.server, store=store, shutdown_grace=0.5, **options)
        self.runs = Counter[str]()
        self.given_up = anyio.Event()
        self.again_given_up = anyio.Event()
        self.go = anyio.Event()
        self.durable = anyio.Event()

        @callbacks.tool()
        async def once(task: mcpc.Task, size: int = 1) -> str:  # pyright: ignore[reportUnusedFunction]
            self.runs["once"] += 1
            try:
                await task.update("first")
                await self.go.wait()
                for number in range(3):
                    await task.update("x" * size + str(number))
                    await task.checkpoint(number)
                self.durable.set()
            finally:
                self.given_up.set()
            return "done"

        @callbacks.tool(on_interrupt="restart")
        async def again(task: mcpc.Task, padding: str = "") -> str:  # pyright: ignore[reportUnusedFunction]
            self.runs["again"] += 1
            await task.update("first")
            if self.runs["again"] == 1:
                try:
                    await anyio.sleep_forever()
                finally:
                    self.again_given_up.set()
            return "done"

    async def all_given_up(self) -> None:
        """Wait until neither tool's first task runs any more."""
        await self.given_up.wait()
        await self.again_given_up.wait()


class Seen:
    """What a client is shown, and what becomes of its connection."""

    def __init__(self) -> None:
        self.messages: list[mcpc.MCPCMessage] = []
        self.states: list[str] = []

    def of(self, task: mcpc.TaskHandle) -> list[Any]:
        """The updates of one task."""
        return [m.result for m in self.messages if m.task_id == task.task_id and m.event == "update"]

    def check(self) -> None:
        """Each task has one end, nothing is missing, and the connection was never lost."""
        ends = Counter(m.task_id for m in self.messages if m.terminal)
        assert set(ends.values()) <= {1}
        assert not [m for m in self.messages if m.event == "gap"]
        assert self.states == ["connected"]


@asynccontextmanager
async def connected(app: App) -> AsyncGenerator[tuple[mcpc.Client, Seen]]:
    seen = Seen()
    with anyio.fail_after(280):
        async with mcpc.listen(app.server, "tcp://127.0.0.1:0") as at:
            async with mcpc.Client(at.uri, on_connection=seen.states.append) as client:
                client.add_event_listener(seen.messages.append)
                yield client, seen
                seen.check()


async def begun(client: mcpc.Client, tool: str, **arguments: Any) -> mcpc.TaskHandle:
    """A task whose first update is here."""
    task = await client.start_task(tool, arguments)
    async for message in task:
        if message.result == "first":
            return task
    raise AssertionError("it has ended")


async def refused(client: mcpc.Client, tool: str, words: str, **arguments: Any) -> None:
    """A start is answered at once with an error of the tool."""
    with pytest.raises(mcpc.TaskFailed, match=words):
        await (await client.start_task(tool, arguments)).result()


# --- another program's lock ---


async def test_a_foreign_lock_delays_what_runs_and_refuses_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    app = App(f"sqlite:{path}?busy_timeout=0.05", lease=60.0)
    async with connected(app) as (client, seen):
        task = await begun(client, "once")
        async with lock_held(path):
            app.go.set()
            await refused(client, "once", "locked by another program")
            assert seen.of(task) == ["first"], "nothing is shown that is not kept"
            assert not app.durable.is_set()
            assert app.runs == {"once": 1}
        assert await task.result() == "done"
        assert seen.of(task) == ["first", "x0", "x1", "x2"]
        assert await (await client.start_task("once")).result() == "done"
        assert app.runs == {"once": 2}


async def test_a_lock_that_outlasts_the_lease_ends_each_task_once(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    app = App(f"sqlite:{path}?busy_timeout=0.02", lease=LEASE)
    async with connected(app) as (client, seen):
        task, other = await begun(client, "once"), await begun(client, "again")
        async with lock_held(path):
            await app.all_given_up()
        with pytest.raises(mcpc.TaskInterrupted):
            await task.result()
        assert await other.result() == "done"
        assert app.runs == {"once": 1, "again": 2}
        assert seen.of(task) == ["first"]
        app.go.set()
        assert await (await client.start_task("once")).result() == "done"


# --- a full disk ---


async def test_a_full_disk_holds_workers_back_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        app = App(f"sqlite:{disk.folder}/tasks.db", lease=60.0)
        async with connected(app) as (client, seen):
            task = await begun(client, "once", size=50_000)
            disk.fill()
            app.go.set()
            await refused(client, "again", "has no room", padding="y" * 200_000)
            assert not app.durable.is_set()
            disk.free()
            assert await task.result() == "done"
            assert [update[-1] for update in seen.of(task)[1:]] == ["0", "1", "2"]
            assert app.runs == {"once": 1}
            assert await (await client.start_task("once")).result() == "done"


async def test_a_file_at_its_bound_refuses_what_has_no_room_and_takes_the_rest(tmp_path: Path) -> None:
    app = App(f"sqlite:{tmp_path}/tasks.db?max_size=600000", lease=60.0)
    async with connected(app) as (client, seen):
        task = await begun(client, "once", size=50_000)
        await refused(client, "again", "has no room", padding="y" * 500_000)
        app.go.set()
        assert await task.result() == "done"
        assert len(seen.of(task)) == 4
        assert app.runs == {"once": 1}


# --- a Redis without memory ---


@contextmanager
def redis_alone(folder: Path) -> Generator[RedisServer]:
    """A Redis, and whatever its client leaves behind, which is collected before the next test."""
    with redis_server("valkey", folder) as redis:
        yield redis
    gc.collect()


# The Redis client leaves streams of its own open where a call is cancelled.
client_leaves_streams_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@client_leaves_streams_open
async def test_a_redis_without_memory_holds_workers_back_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with redis_alone(tmp_path) as redis:
        app = App(redis.uri, lease=600.0)
        async with connected(app) as (client, seen):
            task = await begun(client, "once", size=50_000)
            redis.say("CONFIG SET maxmemory 1")
            app.go.set()
            await refused(client, "again", "no memory left")
            assert seen.of(task) == ["first"], "nothing is shown that is not kept"
            assert not app.durable.is_set()
            redis.say("CONFIG SET maxmemory 0")
            assert await task.result() == "done"
            assert [update[-1] for update in seen.of(task)[1:]] == ["0", "1", "2"]
            assert app.runs == {"once": 1}
            assert await (await client.start_task("once")).result() == "done"


@client_leaves_streams_open
async def test_a_redis_that_has_no_memory_for_longer_than_the_lease_ends_each_task_once(tmp_path: Path) -> None:
    with redis_alone(tmp_path) as redis:
        app = App(redis.uri, lease=LEASE)
        async with connected(app) as (client, seen):
            task, other = await begun(client, "once"), await begun(client, "again")
            redis.say("CONFIG SET maxmemory 1")
            await app.all_given_up()
            redis.say("CONFIG SET maxmemory 0")
            with pytest.raises(mcpc.TaskInterrupted):
                await task.result()
            assert await other.result() == "done"
            assert app.runs == {"once": 1, "again": 2}
            assert seen.of(task) == ["first"]
            app.go.set()
            assert await (await client.start_task("once")).result() == "done"


# --- a file that goes away ---


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_removed_refuses_all_and_the_server_can_be_ended(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "tasks.db"
    app = App(f"sqlite:{path}", lease=LEASE)
    async with connected(app) as (client, seen):
        task = await begun(client, "once")
        path.unlink()
        if replaced:
            path.touch(0o600)
        await refused(client, "once", "was removed or replaced; restart what uses it")
        await app.given_up.wait()  # nobody could take its place, and nothing of it can be kept
        assert app.runs == {"once": 1}
        assert not task.ended
        seen.states[:] = ["connected"]
    again = App(f"sqlite:{path}")
    again.go.set()
    async with connected(again) as (client, _):
        assert await (await client.start_task("once")).result() == "done"


# --- a clock that jumps ---


async def test_a_clock_that_jumps_a_day_ends_no_task_begins_none_again_and_forgets_nothing(tmp_path: Path) -> None:
    opened: list[Store] = []

    @asynccontextmanager
    async def noted() -> AsyncGenerator[Store]:
        async with open_store(f"sqlite:{tmp_path}/tasks.db") as store:
            opened.append(store)
            yield store

    app = App(noted)
    async with connected(app) as (client, seen):
        task, ended = await begun(client, "once"), await begun(client, "again")
        await ended.stop()
        with pytest.raises(mcpc.TaskStopped):
            await ended.result()
        right = time.time()
        for ahead in (-DAY, DAY):
            with patch("time.time", lambda ahead=ahead: right + ahead):
                assert await opened[0].reap() == []
                await opened[0].sweep()
                assert await opened[0].task(ended.task_id) is not None
                assert (await task.state())["status"] == "running"
        app.go.set()
        assert await task.result() == "done"
        assert seen.of(task) == ["first", "x0", "x1", "x2"]
        assert app.runs == {"once": 1, "again": 1}
