"""The writer to the store: what all lines have goes out together, again until it has landed, and nothing ends it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from mcpc.errors import StoreUnavailable
from mcpc.server import log as room
from mcpc.server.line import Line, Pool
from mcpc.server.log import Log
from mcpc.stored import Appended, Entry, Receipt

pytestmark = pytest.mark.anyio


class Store:
    """A store that appends, or fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.batches: list[list[Entry]] = []
        self.gate: anyio.Event | None = None
        self._failures = list(failures)

    async def append(self, batch: Sequence[Entry]) -> list[Receipt]:
        self.batches.append(list(batch))
        if self.gate is not None:
            await self.gate.wait()
        if self._failures:
            raise self._failures.pop(0)
        return [Appended(first=1, cursor=0, listening=True) for _ in batch]


class Writers:
    """Lines over one log."""

    def __init__(self, store: Any) -> None:
        self.log = Log(lambda: store)
        self.landed: list[tuple[str, list[bytes]]] = []

    def line(self, name: str, *, fails: bool = False) -> Line:
        def landed(first: int, messages: list[bytes], is_last: bool) -> None:
            if fails:
                raise RuntimeError("a bad listener")
            self.landed.append((name, messages))

        return Line(name, Pool(), self.log.note, landed, lambda: 0)


@asynccontextmanager
async def writing(log: Log) -> AsyncGenerator[None]:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(log.run)
            yield
            group.cancel_scope.cancel()


async def test_what_several_lines_have_goes_out_in_one_append() -> None:
    store = Store()
    writers = Writers(store)
    for name in "ab":
        writers.line(name).put(name.encode())
    async with writing(writers.log):
        await writers.log.flushed()
    assert [[entry.channel for entry in batch] for batch in store.batches] == [["a", "b"]]
    assert writers.landed == [("a", [b"a"]), ("b", [b"b"])]


async def test_one_append_is_in_flight_and_what_comes_meanwhile_is_the_next() -> None:
    store = Store()
    store.gate = anyio.Event()
    writers = Writers(store)
    line = writers.line("a")
    line.put(b"1")
    async with writing(writers.log):
        await anyio.wait_all_tasks_blocked()
        line.put(b"2")
        line.put(b"3")
        await anyio.wait_all_tasks_blocked()
        assert len(store.batches) == 1
        store.gate.set()
        await writers.log.flushed()
    assert [batch[0].messages for batch in store.batches] == [[b"1"], [b"2", b"3"]]


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), RuntimeError("a bug of the store")])
async def test_what_has_not_landed_is_tried_again_as_it_was(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "FIRST_PAUSE", 0.0)
    store = Store(failure, failure)
    writers = Writers(store)
    writers.line("a").put(b"1")
    async with writing(writers.log):
        await writers.log.flushed()
    first, second, third = store.batches
    assert first == second == third
    assert writers.landed == [("a", [b"1"])]
    assert "the store took nothing" in caplog.text


async def test_who_cannot_be_told_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    writers = Writers(Store())
    writers.line("bad", fails=True).put(b"1")
    writers.line("good").put(b"2")
    async with writing(writers.log):
        while not writers.landed:
            await anyio.lowlevel.checkpoint()
    assert writers.landed == [("good", [b"2"])]
    assert "could not be told" in caplog.text


async def test_an_append_holds_so_many_entries_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BATCH_ENTRIES", 2)
    store = Store()
    writers = Writers(store)
    for name in "abc":
        writers.line(name).put(b"x")
    async with writing(writers.log):
        await writers.log.flushed()
    assert [len(batch) for batch in store.batches] == [2, 1]
