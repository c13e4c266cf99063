"""The log of a channel: numbers, bounds, what is kept beyond them, and what it costs."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcpc import mailbox as module
from mcpc.mailbox import Batch, Mailbox

EVERYTHING: dict[str, Any] = {"max_messages": 1000, "max_bytes": 1_000_000}


def read_all(mailbox: Mailbox, after: int = 0, **limits: int) -> list[tuple[int, bytes]]:
    """All that a reader that begins after `after` gets, with its numbers."""
    found: list[tuple[int, bytes]] = []
    while (batch := mailbox.read(after, **{**EVERYTHING, **limits})) is not None:
        assert batch.messages
        assert batch.first > after, "numbers rise"
        found.extend(enumerate(batch.messages, batch.first))
        after = batch.last
    return found


def numbers(mailbox: Mailbox, after: int = 0) -> list[int]:
    return [number for number, _ in read_all(mailbox, after)]


class MailboxMachine(RuleBasedStateMachine):
    """A mailbox beside the plain list of all that was ever put into it."""

    @initialize(count=st.integers(1, 5), size=st.integers(1, 30), kept=st.integers(1, 3))
    def start(self, count: int, size: int, kept: int) -> None:
        self.box = Mailbox(max_messages=count, max_bytes=size, max_kept=kept)
        self.all: list[bytes] = []
        self.ends: dict[int, float] = {}
        self.now = 0.0
        self.expired: set[int] = set()
        self.sent = 0
        self.acknowledged = 0
        self.dropped_as_read = 0

    @rule()
    def clear(self) -> None:
        self.box.clear()
        self.expired |= set(self.ends)

    @rule(size=st.integers(0, 12), time_to_live=st.none() | st.integers(1, 5))
    def append(self, size: int, time_to_live: int | None) -> None:
        number = len(self.all) + 1
        data = f"{number}:".encode().ljust(size, b"x")
        ends = None if time_to_live is None else self.now + time_to_live
        oldest, foretold = self.box.oldest, [self.box.pushes_out(len(data), after) for after in range(number)]
        assert self.box.append(data, expires_at=ends, sent=self.sent) == number
        gone = range(oldest, self.box.oldest)
        assert foretold == [any(n > after for n in gone) for after in range(number)]
        self.all.append(data)
        if ends is not None:
            self.ends[number] = ends

    @precondition(lambda self: self.sent < len(self.all))
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.sent = data.draw(st.integers(self.sent + 1, len(self.all)))

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.sent))
        before = self.box.kept
        self.box.acknowledge(number)
        self.dropped_as_read += before - self.box.kept
        self.acknowledged = max(self.acknowledged, number)
        aside = [n for n in numbers(self.box) if n < self.box.oldest]
        assert all(n > number for n in aside), "what the listener has is not set aside"

    @rule(seconds=st.integers(0, 4))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.box.expire(self.now)
        self.expired |= {n for n, ends in self.ends.items() if ends <= self.now}
        aside = [n for n in numbers(self.box) if n < self.box.oldest]
        assert not self.expired & set(aside)

    @rule(data=st.data(), count=st.integers(1, 4), size=st.integers(1, 20))
    def read(self, data: st.DataObject, count: int, size: int) -> None:
        after = data.draw(st.integers(0, len(self.all) + 2))
        batch = self.box.read(after, max_messages=count, max_bytes=size)
        rest = [n for n in numbers(self.box) if n > after]
        if batch is None:
            assert rest == []
            return
        assert batch.first == rest[0], "nothing readable is skipped"
        assert len(batch.messages) <= count
        assert sum(map(len, batch.messages)) <= size or len(batch.messages) == 1
        assert batch.messages == self.all[batch.first - 1 : batch.last]

    @invariant()
    def holds_what_it_says(self) -> None:
        found = read_all(self.box)
        assert [data for _, data in found] == [self.all[n - 1] for n, _ in found]
        assert self.box.head == len(self.all)
        in_log = [n for n, _ in found if n >= self.box.oldest]
        assert in_log == list(range(self.box.oldest, self.box.head + 1)), "whole from the oldest to the head"
        assert len(in_log) == len(self.box)
        assert len(found) - len(in_log) == self.box.kept

    @invariant()
    def keeps_its_bounds(self) -> None:
        assert len(self.box) <= self.box.max_messages
        assert self.box.size == sum(len(data) for n, data in read_all(self.box) if n >= self.box.oldest)
        assert self.box.size <= self.box.max_bytes or len(self.box) == 1
        assert self.box.crowded(0) == (self.box.kept >= self.box.max_kept)

    @invariant()
    def never_loses_a_terminal_message_that_nobody_has_seen(self) -> None:
        owed = {n for n in self.ends if n > max(self.sent, self.acknowledged) and n not in self.expired}
        assert owed <= set(numbers(self.box))

    @invariant()
    def sets_nothing_aside_but_terminal_messages(self) -> None:
        assert {n for n in numbers(self.box) if n < self.box.oldest} <= set(self.ends)

    @invariant()
    def counts_what_it_lets_go_of(self) -> None:
        assert self.box.evicted == len(self.all) - len(numbers(self.box)) - self.dropped_as_read


TestMailboxAgainstAModel = MailboxMachine.TestCase
TestMailboxAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)


# --- numbers and bounds -----------------------------------------------------------------------------------------


def test_an_empty_log_has_nothing_to_read() -> None:
    box = Mailbox()
    assert (box.head, box.oldest, len(box), box.size, box.kept) == (0, 1, 0, 0, 0)
    assert box.read(0, **EVERYTHING) is None
    assert not box.pushes_out(10**9, 0), "even the largest message pushes nothing out of an empty log"


def test_numbers_start_at_one_and_go_on_when_messages_were_let_go_of() -> None:
    box = Mailbox(max_messages=1)
    assert [box.append(b"x") for _ in range(3)] == [1, 2, 3]
    assert (box.oldest, box.head, box.evicted) == (3, 3, 2)
    assert numbers(box) == [3]


def test_the_bound_on_messages_holds_at_it_and_one_past_it() -> None:
    box = Mailbox(max_messages=3)
    for _ in range(3):
        assert not box.pushes_out(1, 0)
        box.append(b"x")
    assert (len(box), box.evicted) == (3, 0)
    assert box.pushes_out(1, 0)
    box.append(b"x")
    assert (len(box), box.evicted, box.oldest) == (3, 1, 2)


def test_the_bound_on_bytes_holds_at_it_and_one_past_it() -> None:
    box = Mailbox(max_bytes=10)
    box.append(b"12345")
    assert not box.pushes_out(5, 0)
    assert box.pushes_out(6, 0)
    box.append(b"67890")
    assert (len(box), box.size, box.evicted) == (2, 10, 0)
    box.append(b"x")
    assert (len(box), box.size, box.evicted) == (2, 6, 1)


def test_a_message_larger_than_the_log_is_held_alone() -> None:
    box = Mailbox(max_bytes=10)
    box.append(b"small")
    box.append(b"x" * 50)
    assert (numbers(box), box.size) == ([2], 50)
    box.append(b"next")
    assert (numbers(box), box.size) == ([3], 4)


def test_an_empty_message_counts_as_a_message() -> None:
    box = Mailbox(max_messages=2, max_bytes=1)
    for _ in range(3):
        box.append(b"")
    assert (numbers(box), box.size) == ([2, 3], 0)


@pytest.mark.parametrize("name", ["max_messages", "max_bytes", "max_kept"])
@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_below_one_is_refused(name: str, bound: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox(**{name: bound})


# --- reading ----------------------------------------------------------------------------------------------------


def filled(count: int, **bounds: int) -> Mailbox:
    box = Mailbox(**bounds)
    for number in range(1, count + 1):
        box.append(b"%05d" % number)
    return box


def test_a_batch_knows_its_last_number() -> None:
    assert Batch(7, [b"a", b"b", b"c"]).last == 9


def test_a_reader_goes_on_after_any_number() -> None:
    box = filled(5)
    assert numbers(box, after=0) == [1, 2, 3, 4, 5]
    assert numbers(box, after=3) == [4, 5]
    assert numbers(box, after=5) == []
    assert numbers(box, after=99) == []


def test_a_batch_is_bounded_by_count_and_by_bytes() -> None:
    box = filled(5)
    assert box.read(0, max_messages=2, max_bytes=1000) == Batch(1, [b"00001", b"00002"])
    assert box.read(0, max_messages=9, max_bytes=15) == Batch(1, [b"00001", b"00002", b"00003"])
    assert box.read(0, max_messages=9, max_bytes=14) == Batch(1, [b"00001", b"00002"])
    assert box.read(0, max_messages=9, max_bytes=1) == Batch(1, [b"00001"]), "one at least"


def test_a_reader_that_is_too_far_behind_gets_what_is_left() -> None:
    box = filled(10, max_messages=3)
    batch = box.read(2, **EVERYTHING)
    assert batch is not None
    assert (batch.first, batch.last) == (8, 10)


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2047, 2048, 2049, 5000])
def test_what_was_let_go_of_is_cut_off_without_moving_a_number(count: int) -> None:
    box = filled(count + 3, max_messages=3)
    assert read_all(box) == [(n, b"%05d" % n) for n in range(count + 1, count + 4)]


# --- terminal messages ------------------------------------------------------------------------------------------


def test_a_terminal_message_outlives_the_log_and_is_read_in_its_place() -> None:
    box = Mailbox(max_messages=2)
    for number in range(1, 8):
        box.append(b"%d" % number, expires_at=100.0 if number in (2, 4) else None)
    assert read_all(box) == [(2, b"2"), (4, b"4"), (6, b"6"), (7, b"7")]
    assert numbers(box, after=2) == [4, 6, 7]
    assert numbers(box, after=4) == [6, 7]
    assert (box.kept, box.evicted, box.oldest) == (2, 3, 6)


def test_a_terminal_message_is_let_go_of_when_its_time_is_over_and_not_before() -> None:
    box = Mailbox(max_messages=1)
    box.append(b"last", expires_at=10.0)
    box.append(b"next")
    box.expire(9.99)
    assert numbers(box) == [1, 2]
    box.expire(10.0)
    assert (numbers(box), box.evicted, box.kept) == ([2], 1, 0)


def test_time_takes_nothing_out_of_the_log_itself() -> None:
    box = Mailbox()
    box.append(b"last", expires_at=10.0)
    box.expire(11.0)
    assert (numbers(box), box.evicted) == ([1], 0)


def test_what_the_listener_has_is_not_set_aside_any_longer() -> None:
    box = Mailbox(max_messages=1)
    for _ in range(4):
        box.append(b"last", expires_at=10.0)
    assert numbers(box) == [1, 2, 3, 4]
    box.acknowledge(2)
    assert (numbers(box), box.evicted) == ([3, 4], 0), "what was read is not counted as lost"


def test_unsent_terminal_messages_are_kept_over_the_bound_and_the_box_says_it_is_crowded() -> None:
    box = Mailbox(max_messages=1, max_kept=2)
    crowded: list[bool] = []
    for _ in range(5):
        box.append(b"last", expires_at=10.0)
        crowded.append(box.crowded(0))
    assert crowded == [False, False, True, True, True]
    assert numbers(box) == [1, 2, 3, 4, 5], "nothing that nobody has seen is lost"


def test_sent_terminal_messages_make_room_at_the_bound() -> None:
    box = Mailbox(max_messages=1, max_kept=2)
    for _ in range(6):
        box.append(b"last", expires_at=10.0, sent=box.head)
    assert (numbers(box), box.kept, box.evicted) == ([4, 5, 6], 2, 3)


def test_the_bound_holds_again_once_the_excess_was_sent() -> None:
    box = Mailbox(max_messages=1, max_kept=2)
    for _ in range(6):
        box.append(b"last", expires_at=10.0)
    assert box.kept == 5
    box.append(b"last", expires_at=10.0, sent=6)
    assert box.kept == 2


# --- cost -------------------------------------------------------------------------------------------------------


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of the mailbox run: a cost that no other program on the machine can disturb."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_the_cost_of_letting_go_does_not_grow_with_the_log() -> None:
    def cost(held: int) -> int:
        box = filled(held, max_messages=held)
        return lines_run(lambda: [box.append(b"next") for _ in range(300)])

    assert cost(4000) <= cost(100) * 1.5


def test_the_cost_of_setting_aside_does_not_grow_with_what_is_set_aside() -> None:
    def cost(kept: int) -> int:
        box = Mailbox(max_messages=1, max_kept=kept)
        for _ in range(kept + 10):
            box.append(b"last", expires_at=1.0, sent=box.head)
        return lines_run(lambda: [box.append(b"last", expires_at=1.0, sent=box.head) for _ in range(300)])

    assert cost(4000) <= cost(10) * 1.5


def test_the_cost_of_reading_on_does_not_grow_with_the_log() -> None:
    def cost(held: int) -> int:
        box = filled(held)
        return lines_run(lambda: [box.read(n, max_messages=10, max_bytes=1000) for n in range(held - 90, held, 10)])

    assert cost(4000) <= cost(100) * 1.5


def test_the_cost_of_reading_what_is_set_aside_does_not_grow_with_it() -> None:
    def cost_of_each(kept: int) -> float:
        box = Mailbox(max_messages=1)
        for _ in range(kept + 1):
            box.append(b"last", expires_at=1.0)
        return lines_run(lambda: read_all(box)) / kept

    assert cost_of_each(800) <= cost_of_each(100) * 2


@given(
    sizes=st.lists(st.integers(1, 9), max_size=12),
    count=st.integers(1, 8),
    size=st.integers(0, 40),
    after=st.integers(0, 14),
)
def test_what_crowds_out_something_unread_is_told_as_if_it_were_done(
    sizes: list[int], count: int, size: int, after: int
) -> None:
    box = Mailbox(max_messages=6, max_bytes=30)
    for one in sizes:
        box.append(b"x" * one)
    there = [(n, sizes[n - 1]) for n in range(box.oldest, box.head + 1)]
    gone: list[int] = []
    while there and (len(there) + count > 6 or sum(one for _, one in there) + size > 30):
        gone.append(there.pop(0)[0])
    is_more_than_a_log = len(there) + count > 6
    assert box.crowds_out(count, size, after) == (any(n > after for n in gone) or is_more_than_a_log)
