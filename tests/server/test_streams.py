"""What a listener is sent: an announcement first, batches in order, gaps named, and the end when all has gone."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mcpc.mailbox import Batch
from mcpc.messages import MCPCMessage
from mcpc.server.journal import Journal
from mcpc.server.limits import Limits
from mcpc.server.streams import BATCH_BYTES, BATCH_MESSAGES, OVERHEAD, DirectStream, ListenStream
from mcpc.wire.callbacks import decode_messages, encode_message
from mcpc.wire.rpc import decode_frame

pytestmark = pytest.mark.anyio


def journal(**limits: int) -> Journal:
    log = Journal("key", None, Limits(**limits), lambda: 0.0)
    log.describe_tasks = lambda: [{"taskId": "t"}]
    return log


def listening(log: Journal, after: int = 0, epoch: str | None = None) -> ListenStream:
    stream = ListenStream(log, 7, after, epoch)
    log.listen(stream)
    return stream


def post(log: Journal, count: int, data: bytes = b"1") -> None:
    for _ in range(count):
        log.post(data)


def batches(stream: ListenStream) -> list[tuple[int, int]]:
    """The numbers of all that is there, as batches; announcements are left out."""
    found: list[tuple[int, int]] = []
    while (item := stream.next()) is not None:
        if isinstance(item, Batch):
            found.append((item.first, item.last))
    return found


async def test_the_first_thing_is_an_announcement_which_says_what_the_log_holds() -> None:
    log = journal()
    post(log, 3)
    stream = listening(log)
    assert stream.next() == {"epoch": log.epoch, "oldest": 1, "head": 3}
    assert batches(stream) == [(1, 3)]
    assert not stream.awake


async def test_a_stream_that_has_nothing_to_send_is_asked_no_more_until_it_is_woken() -> None:
    log = journal()
    stream = listening(log)
    stream.next()
    assert stream.next() is None
    assert not stream.awake
    post(log, 1)
    assert stream.awake


async def test_who_listens_after_a_number_gets_what_follows_it() -> None:
    log = journal()
    post(log, 5)
    assert batches(listening(log, after=3, epoch=log.epoch)) == [(4, 5)]


@pytest.mark.parametrize(("after", "epoch"), [(2, "another"), (99, None)])
async def test_who_knows_another_log_begins_anew_and_is_told_of_the_tasks(after: int, epoch: str | None) -> None:
    log = journal()
    post(log, 5)
    stream = listening(log, after=after, epoch=epoch)
    announcement: Any = stream.next()
    assert announcement["tasks"] == [{"taskId": "t"}]
    assert batches(stream) == [(1, 5)]


async def test_a_batch_has_a_bound_in_messages() -> None:
    log = journal()
    post(log, BATCH_MESSAGES + 1)
    stream = listening(log)
    assert batches(stream) == [(1, BATCH_MESSAGES), (BATCH_MESSAGES + 1, BATCH_MESSAGES + 1)]


async def test_a_batch_has_a_bound_in_bytes_unless_one_message_is_larger() -> None:
    log = journal()
    half = b"x" * (BATCH_BYTES // 2)
    post(log, 3, half)
    log.post(half * 3)
    post(log, 1)
    assert batches(listening(log)) == [(1, 2), (3, 3), (4, 4), (5, 5)]


async def test_what_is_missing_is_announced_once_with_the_tasks() -> None:
    log = journal(max_messages=2)
    stream = listening(log)
    stream.next()
    post(log, 5)
    gap: Any = stream.next()
    assert (gap["oldest"], gap["head"], gap["tasks"]) == (4, 5, [{"taskId": "t"}])
    assert batches(stream) == [(4, 5)]


async def test_what_a_listener_was_sent_counts_as_sent_and_what_it_says_it_has_is_given_up() -> None:
    log = journal(max_messages=1, max_ended_tasks=5)
    log.post(b"1", expires_at=9.0)
    post(log, 1)
    assert log.mailbox.kept == 1
    stream = listening(log)
    assert batches(stream) == [(1, 1), (2, 2)]
    assert log.sent == 2
    assert log.mailbox.kept == 1, "sent is not received"
    listening(log, after=2, epoch=log.epoch)
    assert log.mailbox.kept == 0


async def test_a_listener_that_reads_again_is_not_stalled_any_more() -> None:
    log = journal()
    stream = listening(log)
    stream.next()
    stream.stall()
    assert stream.stalled
    post(log, 1)
    assert batches(stream) == [(1, 1)]
    assert not stream.stalled


async def test_what_a_listener_is_sent_makes_room_for_who_waits() -> None:
    log = journal(max_messages=2)
    stream = listening(log)
    stream.next()
    post(log, 2)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(log.post_with_pressure, b"3")
            while not log.pressure.waiting:
                await anyio.lowlevel.checkpoint()
            stream.next()
    assert batches(stream) == [(3, 3)]


async def test_a_stream_that_finishes_ends_after_the_last_message_and_not_before() -> None:
    log = journal()
    stream = listening(log)
    post(log, 2)
    stream.finish()
    assert not stream.ended.is_set()
    assert batches(stream) == [(1, 2)]
    assert stream.ended.is_set()
    post(log, 1)
    assert stream.next() is None


async def test_what_one_listener_was_sent_stays_sent_while_another_is_sent_it_again() -> None:
    log = journal()
    post(log, BATCH_MESSAGES + 1)
    batches(listening(log))
    assert log.sent == BATCH_MESSAGES + 1
    again = listening(log)
    again.next()  # the announcement
    assert again.next() is not None
    assert (again.cursor, log.sent) == (BATCH_MESSAGES, BATCH_MESSAGES + 1)


async def test_a_message_that_a_listener_cannot_take_is_announced_as_a_gap_of_one() -> None:
    log = journal()
    log.post(b"x" * (OVERHEAD + 1))
    log.post(b"small")
    stream = ListenStream(log, 7, 0, None, max_message_size=2 * OVERHEAD)
    log.listen(stream)
    assert stream.next() == {"epoch": log.epoch, "oldest": 1, "head": 2}
    gap: Any = stream.next()
    assert (gap["oldest"], gap["tasks"]) == (2, [{"taskId": "t"}])
    assert batches(stream) == [(2, 2)]


async def test_a_stream_that_was_replaced_gives_nothing_more() -> None:
    log = journal()
    first = listening(log)
    listening(log)
    post(log, 1)
    assert first.next() is None


async def test_a_connection_that_closes_leaves_the_journal() -> None:
    log = journal()
    stream = listening(log)
    stream.connection_closed()
    assert log.idle


def message(number: int) -> bytes:
    return encode_message(MCPCMessage(event="update", session_id="s", task_id="t", tool_name="n", result=number))


async def test_a_frame_holds_a_batch_that_can_be_read_again() -> None:
    log = journal()
    for number in (1, 2):
        log.post(message(number))
    stream = listening(log)
    announcement, batch = stream.take()[0], stream.take()[0]
    assert decode_frame(announcement)["params"]["head"] == 2
    params = decode_frame(batch)["params"]
    assert params["first"] == 1
    assert [one.result for one in decode_messages(params["messages"]) if one] == [1, 2]
    assert stream.take() == []


async def test_the_originals_form_has_no_announcement_and_a_frame_for_each_message() -> None:
    log = journal(max_messages=2)
    post(log, 1, message(0))
    stream = DirectStream(log)  # it begins with what is sent from now on
    log.listen(stream)
    assert stream.take() == []
    for number in (1, 2, 3):  # the first is pushed out, and this form cannot say so
        log.post(message(number))
    frames = stream.take()
    assert len(frames) == 2
    assert b"2" in frames[0]
    assert b"3" in frames[1]


@pytest.mark.parametrize(("count", "form"), [(1, "messages"), (2, "runs")])
async def test_heads_are_written_once_where_messages_share_them(count: int, form: str) -> None:
    log = journal()
    stream = ListenStream(log, 7, 0, None, heads=True)
    log.listen(stream)
    stream.take()
    update = MCPCMessage(event="update", session_id="s", task_id="t", tool_name="n", result=1)
    post(log, count, encode_message(update))
    (frame,) = stream.take()
    decoded: Any = decode_frame(frame)
    assert set(decoded["params"]) == {"_meta", "first", form}
