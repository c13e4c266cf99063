"""A journal of the store whose client listens at another process: senders wait for it, and not for ever."""

from typing import Any

import anyio
import pytest

from mcpc.server.limits import Limits
from mcpc.server.stored_journal import StoredJournal
from mcpc.stored import Appended, ChannelState

pytestmark = pytest.mark.anyio


def journal(**limits: Any) -> StoredJournal:
    """A journal whose whole log of two has landed, none of it sent."""
    made = StoredJournal("channel", None, Limits(max_messages=2, **limits), lambda: 0.0, lambda line: None)
    made.landed(1, [b"{}", b"{}"], False)
    return made


async def test_before_the_store_has_told_somebody_may_listen_elsewhere() -> None:
    one = StoredJournal("channel", None, Limits(max_messages=2), lambda: 0.0, lambda line: None)
    one.begin(ChannelState("epoch", oldest=1, head=0, cursor=0))
    assert one.offer(b"{}")
    assert one.offer(b"{}")
    assert not one.offer(b"{}")


async def test_nobody_waits_where_nobody_listens() -> None:
    one = journal()
    one.told(Appended(1, 0, listening=False))
    assert one.has_room(2)


async def test_a_sender_waits_until_the_one_who_listens_elsewhere_was_sent_enough() -> None:
    one, went_on = journal(stall_timeout=60.0), anyio.Event()
    one.told(Appended(1, 0, listening=True))
    assert not one.has_room(2)

    async def send() -> None:
        await one.room(2)
        went_on.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            while (entry := one.line.take()) is None:  # noqa: ASYNC110 - a line tells the log, and here is none
                await anyio.sleep(0.001)  # it asks the store how far the listener is
            assert entry.messages == []
            assert not went_on.is_set()
            one.line.settle(Appended(3, 1, listening=True))
            await went_on.wait()


async def test_a_sender_goes_on_when_nobody_listens_any_more() -> None:
    one = journal(stall_timeout=60.0)
    one.told(Appended(1, 0, listening=True))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.room, 2)
            while one.line.take() is None:  # noqa: ASYNC110 - a line tells the log, and here is none
                await anyio.sleep(0.001)
            one.line.settle(Appended(3, 0, listening=False))


async def test_one_who_listens_elsewhere_and_is_sent_nothing_holds_a_sender_for_no_longer_than_the_patience() -> None:
    one = journal(stall_timeout=0.05)
    one.told(Appended(1, 0, listening=True))
    with anyio.fail_after(60):
        await one.room(2)
    assert one.has_room(2)
    one.told(Appended(1, 1, listening=True))  # it was sent something: from now on it counts again
    one.landed(3, [b"{}"], False)
    assert not one.has_room(2)


async def test_a_bell_that_brings_the_next_messages_needs_no_reading() -> None:
    one = journal()
    assert one.hear(4, [b"3", b"4"])
    assert one.mailbox.head == 4
    assert one.hear(5, [b"4", b"5"])  # of which one is here
    assert one.hear(3, [])
    assert one.hear(5, [b"5"])
    read = one.mailbox.read(3, max_messages=9, max_bytes=99)
    assert read is not None
    assert read.messages == [b"4", b"5"]


async def test_a_bell_that_leaves_something_out_is_read_for() -> None:
    one = journal()
    assert not one.hear(4, [b"4"])
    assert not one.hear(3, [])
    assert not one.hear(0, [])
    assert one.mailbox.head == 2


async def test_a_task_s_last_message_that_a_bell_brings_stays_when_its_neighbours_go() -> None:
    one = journal()
    end = b'{"event":"complete"}'
    assert one.hear(6, [end, b"4", b"5", b"6"])
    read = one.mailbox.read(2, max_messages=9, max_bytes=99)
    assert read is not None
    assert (read.first, read.messages) == (3, [end])
