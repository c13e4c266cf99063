"""One writer's line to the store: what waits is one entry, one is in flight, nothing lands twice."""

import anyio
import pytest

from mcpc.server.line import BATCH_BYTES, BATCH_MESSAGES, Line, Pool
from mcpc.stored import Appended, Entry, Fenced

pytestmark = pytest.mark.anyio

LANDED = Appended(first=1, cursor=0, listening=True)


class Writing:
    """A line, who noted that it has something, and what landed."""

    def __init__(self) -> None:
        self.noted = 0
        self.landed: list[tuple[int, list[bytes], bool]] = []
        self.lost = 0
        self.pool = Pool()
        self.line = Line("c", self.pool, self._note, self._land, lambda: 41)
        self.line.on_lost = self._lose

    def _land(self, first: int, messages: list[bytes], is_last: bool) -> None:
        self.landed.append((first, messages, is_last))

    def _note(self, line: Line) -> None:
        assert line is self.line
        self.noted += 1

    def _lose(self) -> None:
        self.lost += 1

    def take(self) -> Entry:
        entry = self.line.take()
        assert entry is not None
        return entry


async def test_what_waits_is_taken_together_and_told_when_it_has_landed() -> None:
    writing = Writing()
    assert writing.line.take() is None
    writing.line.put(b"one")
    writing.line.put(b"two")
    entry = writing.take()
    assert (entry.messages, entry.seq, entry.known, entry.end) == ([b"one", b"two"], 1, 41, None)
    assert (writing.pool.count, writing.pool.size) == (2, 6)
    writing.line.settle(LANDED)
    assert writing.landed == [(1, [b"one", b"two"], False)]
    assert (writing.pool.count, writing.pool.size, writing.line.is_dirty) == (0, 0, False)


async def test_one_entry_is_in_flight_and_what_comes_meanwhile_is_the_next() -> None:
    writing = Writing()
    writing.line.put(b"one")
    first = writing.take()
    writing.line.put(b"two")
    assert writing.line.take() is None
    noted = writing.noted
    writing.line.settle(LANDED)
    assert writing.noted == noted + 1
    assert (first.seq, writing.take().seq) == (1, 2)


@pytest.mark.parametrize(
    ("size", "count"), [(1, BATCH_MESSAGES), (BATCH_BYTES // 4, 4), (BATCH_BYTES, 1), (2 * BATCH_BYTES, 1)]
)
async def test_an_entry_is_bounded_in_count_and_in_bytes_and_has_one_message_at_least(size: int, count: int) -> None:
    writing = Writing()
    for _ in range(count + 1):
        writing.line.put(b"x" * size)
    assert len(writing.take().messages) == count
    writing.line.settle(LANDED)
    assert len(writing.take().messages) == 1


async def test_the_end_stands_in_the_last_entry_only() -> None:
    writing = Writing()
    for _ in range(BATCH_MESSAGES):
        writing.line.put(b"x")
    writing.line.end(b"over", "complete")
    assert writing.take().end is None
    writing.line.settle(LANDED)
    last = writing.take()
    assert (last.end, last.messages) == ("complete", [b"over"])
    writing.line.settle(LANDED)
    assert [is_last for _, _, is_last in writing.landed] == [False, True]


async def test_the_state_goes_with_the_entry_that_changed_it() -> None:
    writing, told = Writing(), list[str]()
    writing.line.follow(lambda: b"state", lambda: told.append("landed"))
    writing.line.put(b"one")
    assert writing.take().state == b"state"
    writing.line.settle(LANDED)
    assert told == ["landed"]
    assert writing.line.take() is None
    writing.line.change()
    assert (writing.take().messages, told) == ([], ["landed"])


async def test_a_signal_that_was_taken_is_told_once() -> None:
    writing = Writing()
    writing.line.taken = 3
    assert writing.line.is_dirty
    assert writing.take().taken == 3
    writing.line.settle(LANDED)
    assert not writing.line.is_dirty


async def test_a_line_that_the_store_refuses_is_lost_once_and_lets_its_waiters_go() -> None:
    writing = Writing()
    writing.line.put(b"one")
    writing.take()
    writing.line.put(b"two")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(writing.line.flushed)
            await anyio.wait_all_tasks_blocked()
            writing.line.settle(Fenced())
    writing.line.lose()
    assert (writing.lost, writing.landed, writing.line.take()) == (1, [], None)
    assert (writing.pool.count, writing.pool.size) == (0, 0)


async def test_a_checkpoint_waits_until_all_that_was_said_before_has_landed() -> None:
    writing, over = Writing(), list[str]()

    async def keep() -> None:
        await writing.line.checkpoint(b"here")
        over.append("kept")

    for _ in range(BATCH_MESSAGES + 1):
        writing.line.put(b"x")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(keep)
            await anyio.wait_all_tasks_blocked()
            assert writing.take().checkpoint is None
            writing.line.settle(LANDED)
            await anyio.wait_all_tasks_blocked()
            assert over == []
            assert writing.take().checkpoint == b"here"
            writing.line.settle(LANDED)
    assert over == ["kept"]
