"""Events over a limit: an error stands in the place of an answer, and what is within the limit passes as it came."""

import json
import logging
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc_transports.http.event_bound import FIELDS, BoundedEvents

LIMIT = 100


def passed(*chunks: bytes) -> bytes:
    events = BoundedEvents(cast("Any", None), LIMIT)
    return b"".join(map(events.filter, chunks))


def event(data: bytes, ending: bytes = b"\r\n") -> bytes:
    return b"event: message" + ending + b"data: " + data + 2 * ending


def answer(size: int, request_id: int = 7) -> bytes:
    """An answer of so many bytes."""
    head, tail = b'{"jsonrpc":"2.0","id":%d,"result":"' % request_id, b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("cut", [1, 20, 10_000])
def test_data_at_the_limit_passes_and_one_byte_more_is_an_error_to_its_request(ending: bytes, cut: int) -> None:
    whole = event(answer(LIMIT), ending) + event(answer(LIMIT + 1, 8), ending) + event(answer(50, 9), ending)
    found = passed(*(whole[at : at + cut] for at in range(0, len(whole), cut)))
    before, after = event(answer(LIMIT), ending), event(answer(50, 9), ending)
    assert found.startswith(before)
    assert found.endswith(after)
    instead = json.loads(found.removeprefix(before).removesuffix(after).partition(b"data: ")[2])
    assert instead["id"] == 8
    assert "over the limit of 100 bytes" in instead["error"]["message"]


def test_the_id_behind_a_large_result_is_found() -> None:
    data = b'{"result":"' + b"x" * 100_000 + b'","jsonrpc":"2.0","id":"last"}'
    assert b'"id":"last"' in passed(event(data))


def test_what_is_no_answer_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    request = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * LIMIT + b'"}}'
    with caplog.at_level(logging.WARNING, "mcpc"):
        assert passed(event(request), event(request), event(b"{}")) == event(b"{}")
    assert caplog.text.count("left out an event") == 1


def test_an_event_without_an_end_is_held_with_bounded_memory() -> None:
    events = BoundedEvents(cast("Any", None), LIMIT)
    for _ in range(1000):
        assert events.filter(b"data: " + b"x" * 1000) == b""
        assert len(events._held) <= LIMIT + FIELDS + 1006  # pyright: ignore[reportPrivateUsage]


@given(st.lists(st.sampled_from([answer(99), answer(101), answer(3000), b"x\ndata: y", b""]), max_size=5), st.data())
def test_what_passes_does_not_depend_on_the_cuts(data: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(map(event, data))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert passed(*chunks) == passed(whole)
