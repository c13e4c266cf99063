"""`ToldEvents`: whoever begins again at its cursor has each event once, in order, wherever it stopped taking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.client import told_events
from mcpc.client.told_events import ToldEvents
from mcpc.wire.events import Happened


def happened(number: int, **data: object) -> Happened:
    return Happened(f"e{number}", "mail", "2026-02-19T15:30:00Z", {"n": number, **data})


# What a server does: a number tells that many events, each with its position; True moves on without one; False tells
# three whose position is only known after the last.
STEPS = st.lists(st.one_of(st.integers(1, 3), st.booleans()), max_size=12)


@given(STEPS, st.integers(0, 12), st.data())
def test_wherever_a_reader_stops_the_cursor_stands_before_all_that_it_has_not_taken(
    steps: list[int | bool], stops_after: int, data: st.DataObject
) -> None:
    told, number, taken = ToldEvents("0"), 0, 0
    for step in steps:
        count = step if type(step) is int else 0 if step else 3
        for _ in range(count):
            number += 1
            told.add(happened(number))
            if step:
                told.moved(str(number))
        told.moved(str(number))
        while taken < stops_after and data.draw(st.booleans()) and (event := told.take()) is not None:
            taken += 1
            assert event.data["n"] == taken
    assert told.after == str(number)
    assert len(told) == number - taken
    assert told.cursor is not None
    assert int(told.cursor) <= taken
    while told.take() is not None:
        pass
    assert told.cursor == str(number)


def test_what_was_told_before_is_left_out_and_a_gap_is_told_with_the_next() -> None:
    told = ToldEvents(None)
    told.add(happened(1))
    told.skipped()
    told.add(happened(1))
    told.add(happened(5))
    found = [told.take(), told.take(), told.take()]
    assert [event and (event.id, event.missed) for event in found] == [("e1", False), ("e5", True), None]


def test_it_is_full_at_its_bound_in_count_or_bytes_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_events, "DEFAULT_CAPACITY", 2)
    told = ToldEvents(None)
    told.add(happened(1))
    assert not told.is_full
    told.add(happened(2))
    assert told.is_full
    told.take()
    assert not told.is_full
    monkeypatch.setattr(told_events, "DEFAULT_CAPACITY_BYTES", 100)
    for length, full in ((82, False), (83, True)):  # {"n":1,"text":"…"}: 17 bytes, and the text
        told = ToldEvents(None)
        told.add(happened(1, text="x" * length))
        assert (len(told), told.is_full) == (1, full)
