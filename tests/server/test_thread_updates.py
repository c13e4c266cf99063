"""Updates from threads: encoded there, posted in the event loop in order, held back while the client is behind."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp.server import MCPServer
from pydantic_core import from_json

import mcpc
from mcpc.clock import SYSTEM_CLOCK
from mcpc.errors import MessageError, TaskStopped
from mcpc.messages import prompt_of
from mcpc.server.execution import Execution
from mcpc.server.journal import YIELD_EVERY, Journal
from mcpc.server.limits import Limits
from mcpc.server.outlets import JournalOutlet
from mcpc.server.reader import Reader
from mcpc.server.thread_updates import MAX_WAITING, MAX_WAITING_BYTES, ThreadUpdates
from mcpc.tasks import TaskRegistry

pytestmark = pytest.mark.anyio


@dataclass
class Followed:
    """A task whose client listens and reads when it is told to."""

    running: Execution
    journal: Journal
    updates: ThreadUpdates
    reader: Reader

    def put_all(self, values: Iterable[Any]) -> None:
        """Send them, from a thread."""
        for value in values:
            self.updates.put(value)

    def sent(self) -> list[Any]:
        """The results and events that are in the log."""
        batch = self.journal.mailbox.read(0, max_messages=100_000, max_bytes=1 << 30)
        found = [] if batch is None else [from_json(message) for message in batch.messages]
        return [m["result"] if m["event"] == "update" else m["event"] for m in found]

    def read(self) -> None:
        """The client has read all that is in the log."""
        self.reader.cursor = self.journal.mailbox.head
        self.journal.pressure.made_room()


def followed(max_messages: int = 10_000) -> Followed:
    limits = Limits(max_messages=max_messages, stall_timeout=600.0)
    registry = TaskRegistry(SYSTEM_CLOCK)
    state = registry.start(owner="key", tool_name="tool", session_id="s")
    journal, reader = Journal("key", None, limits, lambda: 42.0), Reader(0)
    journal.listen(reader)
    running = Execution(state, registry, JournalOutlet(journal, lambda: 99.0), limits, lambda _: None)
    return Followed(running, journal, ThreadUpdates(running), reader)


def in_a_thread(main: Callable[[], None]) -> None:
    """Run it in a thread while the event loop stands still."""
    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def test_more_than_the_loop_lets_pass_in_one_turn_comes_in_order() -> None:
    task = followed()
    count = 3 * YIELD_EVERY + 7

    def worker() -> None:
        for number in range(count):
            task.updates.put(number)
        task.updates.flush()

    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(worker)
    assert task.sent() == list(range(count)), "flush returns when all are posted"


async def test_a_thread_waits_while_the_client_is_a_whole_log_behind_and_no_message_is_pushed_out() -> None:
    task = followed(max_messages=4)
    count, got = MAX_WAITING + 50, list[Any]()
    most: list[int] = []
    done = threading.Event()

    def worker() -> None:
        for number in range(count):
            task.updates.put(number)
            most.append(task.journal.mailbox.head)
        done.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, worker)
            await until(lambda: len(task.journal.pressure.waiting) == 1)
            assert task.sent() == [0, 1, 2, 3]
            while len(got) < count:
                while task.journal.mailbox.head == len(got):
                    await anyio.lowlevel.checkpoint()
                batch = task.journal.mailbox.read(len(got), max_messages=100, max_bytes=1 << 20)
                assert batch is not None
                assert batch.first == len(got) + 1
                got += [from_json(message)["result"] for message in batch.messages]
                task.read()
    assert done.is_set()
    assert got == list(range(count))
    # Behind the last one that was posted as many waited as may, and the one that was refused.
    assert all(number <= head + MAX_WAITING + 1 for number, head in enumerate(most))


async def test_at_most_so_many_updates_wait_for_a_loop_that_stands_still() -> None:
    task = followed()
    put: list[int] = []
    full = threading.Event()

    def worker() -> None:
        for number in range(MAX_WAITING + 1):
            if number == MAX_WAITING:
                full.set()
            task.updates.put(number)
            put.append(number)

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    assert full.wait(60)  # the loop stands still
    assert put == list(range(MAX_WAITING))
    with anyio.fail_after(60):
        await until(lambda: len(put) == MAX_WAITING + 1)
        await until(lambda: len(task.sent()) == MAX_WAITING + 1)


async def test_large_updates_wait_by_their_bytes() -> None:
    task = followed()
    put: list[int] = []
    full = threading.Event()

    def worker() -> None:
        task.updates.put("x" * MAX_WAITING_BYTES)  # alone, though it is over the bound
        full.set()
        task.updates.put("second")
        put.append(len(task.sent()))

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    assert full.wait(60)  # the loop stands still
    assert put == []
    with anyio.fail_after(60):
        await until(lambda: len(task.sent()) == 2)
        await until(lambda: bool(put))
    assert put[0] >= 1, "the second was put when the first was posted"


async def test_what_is_said_of_the_task_elsewhere_comes_after_what_a_thread_has_sent() -> None:
    task = followed()
    in_a_thread(lambda: task.put_all(range(3)))
    assert task.running.send_nowait("update", "after")
    in_a_thread(lambda: task.updates.put("more"))
    await task.running.update("awaited")
    in_a_thread(lambda: task.updates.put("last"))
    assert task.running.send_nowait("complete", None)
    assert task.sent() == [0, 1, 2, "after", "more", "awaited", "last", "complete"]


async def test_an_end_comes_after_the_updates_that_wait_for_room_and_nothing_comes_after_it() -> None:
    task = followed(max_messages=4)
    with anyio.fail_after(60):
        in_a_thread(lambda: task.put_all(range(7)))
        await until(lambda: len(task.journal.pressure.waiting) == 1)
        assert task.running.send_nowait("complete", None)
        assert task.sent() == [4, 5, 6, "complete"]
        await until(lambda: not task.journal.pressure.waiting)
        task.read()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert task.sent() == [4, 5, 6, "complete"]
        with pytest.raises(TaskStopped):
            await anyio.to_thread.run_sync(task.updates.put, "too late")


async def test_a_thread_that_waits_for_room_learns_that_the_task_was_stopped() -> None:
    task = followed(max_messages=4)
    raised: list[BaseException] = []

    def worker() -> None:
        try:
            while True:
                task.updates.put(1)
        except TaskStopped as exc:
            raised.append(exc)
        task.updates.flush()  # nobody waits for what is given up

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, worker)
            await until(lambda: len(task.journal.pressure.waiting) == 1)
            task.running.cancel()
            task.updates.close()
    assert len(raised) == 1
    assert not task.journal.pressure.waiting
    assert task.sent()[-1] == "failed"


async def test_a_value_is_what_it_was_when_it_was_sent_and_a_bad_one_is_refused_in_the_thread() -> None:
    task = followed()

    def worker() -> None:
        value = {"step": 1}
        task.updates.put(value)
        value["step"] = 2
        with pytest.raises(MessageError):
            task.updates.put(float("nan"))

    in_a_thread(worker)
    task.updates.post()
    assert task.sent() == [{"step": 1}]


@pytest.mark.parametrize("kind", ["function", "generator"])
async def test_a_worker_in_a_thread_sends_asks_and_ends_in_the_order_of_its_lines(kind: str) -> None:
    server = MCPServer[Any]("threads", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    def function(task: mcpc.SyncTask) -> str:  # pyright: ignore[reportUnusedFunction]
        for number in range(1000):
            task.update(number)
        answer = task.ask("go on?")
        task.update(answer)
        return "end"

    @callbacks.tool()
    def generator(task: mcpc.SyncTask):  # pyright: ignore[reportUnusedFunction]
        for number in range(0, 1000, 2):
            yield number
            task.update(number + 1)
        yield task.ask("go on?")
        return "end"

    seen: list[Any] = []

    def listener(message: mcpc.MCPCMessage) -> None:
        seen.append("asked" if prompt_of(message) is not None else message.result)

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            client.add_event_listener(listener)
            client.on_prompt(lambda prompt: "yes")
            task = await client.start_task(kind)
            assert await task.result() == "end"
    assert seen[-1003:] == [*range(1000), "asked", "yes", "end"]


async def test_a_worker_in_a_thread_that_raises_fails_after_all_that_it_has_sent() -> None:
    server = MCPServer[Any]("threads", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    def breaks(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        for number in range(100):
            task.update(number)
        raise ValueError("no such row")

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("breaks")
            with pytest.raises(mcpc.TaskFailed, match="no such row"):
                await task.result()
            assert [m.result async for m in task if m.event == "update"] == list(range(100))
