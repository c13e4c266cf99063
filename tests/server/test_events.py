"""The logs behind MCP Events: cursors, gaps, bounds. What a client sees of them is in `test_event_methods`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.clock import SYSTEM_CLOCK, Clock
from mcpc.messages import MCPCMessage
from mcpc.server.events import EventLog, Events, OfferedEvent, begin
from mcpc.server.limits import Limits


def log_of(clock: Clock = SYSTEM_CLOCK, **limits: Any) -> EventLog:
    return EventLog("x", OfferedEvent("X"), Limits(**limits), clock, "0123abcd")


def values(log: EventLog, after: int, count: int = 100) -> list[Any]:
    return [event["data"]["value"] for event in log.read(after, count).events]


def test_who_begins_without_a_cursor_begins_now() -> None:
    log = log_of()
    log.add(1)
    after, missed = begin(log, None)
    assert (after, missed) == (1, False)
    log.add(2)
    assert values(log, after) == [2]


@pytest.mark.parametrize("many", [5, 6])
def test_a_full_log_skips_the_oldest_in_count_and_says_so(many: int) -> None:
    log = log_of(max_messages=5)
    for number in range(many):
        log.add(number)
    after, missed = begin(log, "0123abcd:0")
    assert missed is (many > 5)
    assert values(log, after) == list(range(many))[-5:]


@pytest.mark.parametrize("spare", [0, -1])
def test_a_full_log_skips_the_oldest_in_bytes_and_says_so(spare: int) -> None:
    probe = log_of()
    probe.add("a")
    size = probe._log.size  # pyright: ignore[reportPrivateUsage]
    log = log_of(max_bytes=3 * size + spare)
    for value in "abc":
        log.add(value)
    after, missed = begin(log, "0123abcd:0")
    assert missed is (spare < 0)
    assert values(log, after) == list("abc" if spare == 0 else "bc")


def test_a_cursor_of_another_epoch_reads_what_came_since_the_restart_and_is_told_of_a_gap() -> None:
    log = log_of()
    log.add("new")
    after, missed = begin(log, "ffffffff:77")
    assert missed
    assert values(log, after) == ["new"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "0123abcd", "0123abcd:", "0123abcd:-1", "0123abcd:01", "0123ABCD:1", "0123abcd:1 ", "0123abcd:2"],
)
def test_a_cursor_that_was_never_given_is_refused(cursor: str) -> None:
    log = log_of()
    log.add(1)
    with pytest.raises(ValueError, match="none that was given here"):
        begin(log, cursor)


def test_what_is_too_old_is_skipped_and_that_is_told() -> None:
    now = 1000.0
    log = log_of(Clock(wall=lambda: now, steady=lambda: now))
    log.add("old")
    now = 2000.0
    log.add("new")
    page = log.read(0, 10, 1500.0)
    assert [event["data"]["value"] for event in page.events] == ["new"]
    assert page.skipped
    assert not log.read(1, 10, 1500.0).skipped


@pytest.mark.parametrize(
    ("result", "data"), [({"a": 1}, {"a": 1}), (None, {}), (5, {"value": 5}), ([1], {"value": [1]})]
)
def test_the_data_of_an_event_is_an_object(result: Any, data: dict[str, Any]) -> None:
    log = log_of()
    log.add(result)
    assert log.read(0, 1).events[0]["data"] == data


def test_only_what_is_offered_and_for_everybody_is_taken() -> None:
    events = Events(Limits(), SYSTEM_CLOCK)
    events.offer("x", OfferedEvent("X"))
    for event, session in (("x", "*"), ("x", "chat-1"), ("y", "*")):
        events.take(MCPCMessage(type="server_event", event=event, session_id=session, result=session))
    assert values(events.logs["x"], 0) == ["*"]
    with pytest.raises(ValueError, match="offered already"):
        events.offer("x", OfferedEvent("X"))


@given(
    steps=st.lists(st.one_of(st.just(0), st.integers(1, 7)), max_size=60),
    bound=st.integers(1, 8),
)
def test_whoever_reads_has_each_event_once_in_order_or_is_told_of_a_gap(steps: list[int], bound: int) -> None:
    """A step of 0 adds an event, another reads so many."""
    log, added, heard, after = log_of(max_messages=bound), 0, 0, 0
    for step in [*steps, *[7] * 9]:
        if step == 0:
            added += 1
            log.add(added)
            continue
        page = log.read(after, step)
        numbers = [event["data"]["value"] for event in page.events]
        assert numbers == list(range(page.after - len(numbers) + 1, page.after + 1))
        assert page.skipped is (bool(numbers) and numbers[0] > heard + 1)
        assert page.has_more is (page.after < added)
        heard = after = page.after
    assert heard == added
