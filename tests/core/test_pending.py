"""Open requests are counted by what they take: their text, what is made of it, and what each costs as such."""

import json
import sys
from typing import Any, cast

import pytest

from mcpc.errors import FrameError
from mcpc.pending import DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_REQUESTS, REQUEST_OVERHEAD, PendingRequests, weight

TEXTS = {
    "text": json.dumps("x" * 100_000),
    "objects": json.dumps([{"a": 1}] * 2000),
    "empty": json.dumps([[]] * 2000 + [{}] * 2000),
    "numbers": json.dumps(list(range(1000, 9000))),
    "words": json.dumps([f"w{number}" for number in range(8000)]),
}


def size_of(value: Any) -> int:
    """Bytes of a decoded value, with all that it holds."""
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = list(cast("dict[str, Any]", value).values())
    elif isinstance(value, list):
        inside = cast("list[Any]", value)
    return sys.getsizeof(cast("object", value)) + sum(size_of(each) for each in inside)


@pytest.mark.parametrize("name", TEXTS)
def test_a_request_is_counted_by_what_it_takes_decoded(name: str) -> None:
    text = TEXTS[name]
    counted = weight(text.encode()) - REQUEST_OVERHEAD
    assert 0.8 * size_of(json.loads(text)) <= counted <= 4 * size_of(json.loads(text))


def test_as_many_small_requests_as_may_be_open_have_room_by_their_bytes() -> None:
    pending = PendingRequests()
    message: Any = {"jsonrpc": "2.0", "method": "ping"}
    for number in range(DEFAULT_MAX_REQUESTS):
        pending.see({**message, "id": number}, json.dumps({**message, "id": number}).encode())
    assert pending.size <= DEFAULT_MAX_REQUEST_BYTES
    with pytest.raises(FrameError, match="max_requests"):
        pending.see({**message, "id": "one past"}, b"{}")


def test_what_is_answered_or_cancelled_counts_no_more() -> None:
    pending = PendingRequests()
    for number in (1, 2):
        pending.see({"jsonrpc": "2.0", "id": number, "method": "ping"}, b"{}")
    assert pending.size == 2 * weight(b"{}")
    pending.answered(1)
    pending.see({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}, b"{}")
    assert (len(pending), pending.size) == (0, 0)
