"""What the client has taken and nobody has yet: in order, within its bounds, and the oldest goes first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.client.held import Held
from mcpc.messages import MCPCMessage


def message(number: int) -> MCPCMessage:
    return MCPCMessage(event="update", session_id="s", task_id="t", tool_name="n", result=number)


@settings(database=None)
@given(st.integers(1, 4), st.integers(1, 30), st.lists(st.integers(0, 40), max_size=30))
def test_it_keeps_the_newest_within_both_bounds_and_counts_the_others(
    max_messages: int, max_bytes: int, sizes: list[int]
) -> None:
    held = Held(max_messages, max_bytes)
    gone = sum(held.add(message(number), size) for number, size in enumerate(sizes))
    kept = list(held)
    assert [one.result for one, _ in kept] == list(range(gone, len(sizes)))
    assert held.size == sum(size for _, size in kept) == sum(sizes[gone:])
    assert len(held) <= max_messages
    assert held.size <= max_bytes or len(held) == 1


@pytest.mark.parametrize(("size", "has_room"), [(4, True), (5, False)])
def test_there_is_room_up_to_the_last_byte(size: int, has_room: bool) -> None:
    held = Held(10, 10)
    held.add(message(1), 6)
    assert held.has_room(size) is has_room


def test_what_is_put_back_is_the_oldest_again() -> None:
    held = Held()
    held.add(message(1), 3)
    held.add(message(2), 4)
    held.put_back(*held.get())
    assert [one.result for one, _ in held] == [1, 2]
    assert held.size == 7
