"""What waits for room is bounded, and keeps its order."""

from mcpc.client.under_way import Row, UnderWay


def test_rows_come_in_order_and_what_is_left_of_one_comes_first() -> None:
    waiting = UnderWay(limit=5)
    assert waiting.put(Row(1, [None, None]))
    assert waiting.put(Row(3, [None]))
    first = waiting.take()
    waiting.put_back(Row(2, first.messages[1:]))
    assert len(waiting) == 2
    assert [waiting.take().first, waiting.take().first, len(waiting)] == [2, 3, 0]


def test_the_bound_counts_messages_and_announcements() -> None:
    waiting = UnderWay(limit=3)
    assert waiting.put(Row(1, [None]))
    assert waiting.put(Row(0, (), 0, {"oldest": 1}))
    assert not waiting.put(Row(2, [None, None]))
    assert waiting.put(Row(2, [None]))
    assert not waiting.put(Row(0, (), 0, {}))
    assert len(waiting) == 3


def test_rows_wait_up_to_their_last_byte_and_one_over_the_bound_waits_alone() -> None:
    waiting = UnderWay(max_bytes=100)
    assert waiting.put(Row(1, (None, None), 30))
    assert waiting.put(Row(3, (None,), 40))
    assert waiting.size == 100
    assert not waiting.put(Row(4, (None,), 1))
    waiting.put_back(waiting.take())
    assert waiting.size == 100
    waiting.take()
    waiting.take()
    assert waiting.size == 0
    assert waiting.put(Row(4, (None,), 1000))
    assert not waiting.put(Row(5, (None,), 1))
