"""A client's log on the server: one listener at a time, posts that wake it, and senders that yield."""

import anyio
import anyio.lowlevel
import pytest

from mcpc.server.journal import MAX_SESSIONS, YIELD_EVERY, Journal
from mcpc.server.limits import Limits
from mcpc.server.reader import Reader

pytestmark = pytest.mark.anyio


def journal(**limits: int) -> Journal:
    return Journal("key", None, Limits(**limits), lambda: 42.0)


async def test_a_second_listener_takes_the_place_of_the_first() -> None:
    log = journal()
    first, second = Reader(0), Reader(0)
    log.listen(first)
    log.listen(second)
    assert first.ended.is_set()
    assert not second.ended.is_set()
    log.leave(first)  # its connection goes only now
    assert log.reader is second


async def test_a_journal_is_idle_when_nobody_listens_and_nothing_runs_and_knows_since_when() -> None:
    log, reader = journal(), Reader(0)
    log.listen(reader)
    assert not log.idle
    log.leave(reader)
    assert log.idle
    assert log.touched == 42.0
    log.running = 1
    assert not log.idle


async def test_a_post_wakes_the_listener_once_until_it_has_taken_all() -> None:
    log, reader, woken = journal(), Reader(0), list[bool]()
    reader.bind(lambda: woken.append(True))
    log.listen(reader)
    reader.sent(more=False)
    log.post(b"1")
    log.post(b"2")
    assert len(woken) == 1
    reader.sent(more=False)
    assert log.offer(b"3")
    assert len(woken) == 2


async def test_an_offer_is_refused_where_it_would_push_out_what_the_listener_is_still_to_be_sent() -> None:
    log, reader = journal(max_messages=2), Reader(0)
    log.listen(reader)
    assert [log.offer(b"1"), log.offer(b"2"), log.offer(b"3")] == [True, True, False]
    assert log.mailbox.head == 2
    reader.cursor = 1
    assert log.offer(b"3")


async def test_an_offer_is_refused_by_size_too() -> None:
    log, reader = journal(max_bytes=10), Reader(0)
    log.listen(reader)
    assert log.offer(b"12345")
    assert not log.offer(b"1234567")
    reader.cursor = 1
    assert log.offer(b"1234567")


async def test_a_large_offer_is_refused_where_it_would_push_out_more_than_what_was_sent() -> None:
    log, reader = journal(max_bytes=10), Reader(0)
    log.listen(reader)
    assert log.offer(b"12345")
    assert log.offer(b"12345")
    reader.cursor = 1
    assert not log.offer(b"1234567"), "the first has been sent, the second has not"
    assert log.offer(b"12345")


async def test_a_sender_that_waits_goes_on_when_the_listener_leaves_or_another_comes() -> None:
    for then in ("leaves", "is replaced"):
        log, reader = journal(max_messages=1), Reader(0)
        log.listen(reader)
        log.post(b"1")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(log.post_with_pressure, b"2")
                while not log.pressure.waiting:
                    await anyio.lowlevel.checkpoint()
                if then == "leaves":
                    log.leave(reader)
                else:
                    log.listen(Reader(1))
        assert log.mailbox.head == 2


async def test_where_nobody_listens_an_offer_is_always_taken_and_the_oldest_goes() -> None:
    log = journal(max_messages=2)
    assert all(log.offer(b"1") for _ in range(5))
    assert (log.mailbox.oldest, log.mailbox.head) == (4, 5)


async def test_a_busy_sender_lets_others_have_a_turn_once_in_so_many_messages() -> None:
    log, turns = journal(), list[int]()

    async def other() -> None:
        turns.append(log.mailbox.head)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(YIELD_EVERY - 1):
            assert log.offer(b"1")
        assert not log.offer(b"1"), "now it has to wait, if only for a turn"
        assert turns == []
        await log.post_with_pressure(b"1")
        await anyio.lowlevel.checkpoint()  # trio takes whose turn it is at random
        assert turns == [YIELD_EVERY]
        assert log.offer(b"1"), "and the count begins anew"


async def test_the_sessions_of_a_journal_are_bounded_and_the_oldest_goes() -> None:
    log = journal()
    for number in range(MAX_SESSIONS + 1):
        log.name_session(str(number))
    assert len(log.sessions) == MAX_SESSIONS
    assert "0" not in log.sessions
    assert str(MAX_SESSIONS) in log.sessions


async def test_two_journals_of_one_key_are_told_apart_by_their_epoch() -> None:
    assert journal().epoch != journal().epoch
