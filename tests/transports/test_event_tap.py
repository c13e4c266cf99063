"""Callbacks leave an event stream however its bytes are cut; everything else passes as it came."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc_transports.http.event_tap import EventTap

CALLBACK = b'{"jsonrpc":"2.0","method":"notifications/mcpc/messages","params":{"first":%d}}'


class Body(httpx2.AsyncByteStream):
    """A body of given chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for chunk in self.chunks:
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def event(data: bytes, ending: bytes = b"\r\n") -> bytes:
    return b"event: message" + ending + b"data: " + data + ending * 2


OTHERS = [
    event(b'{"jsonrpc":"2.0","id":1,"result":{}}'),
    event(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'),
    event(CALLBACK % 7, b"\n") + b"\r\n\r\n",  # another server's spelling
    b": ping\r\n\r\n",
    b"id: 5\r\n" + event(CALLBACK % 8),  # one that can be asked for again: the SDK keeps its id
    b"\r\n\r\n",
    event(b""),
    event(b"x" * 3000),
]

EVENTS = st.lists(st.sampled_from(OTHERS) | st.integers(0, 9).map(lambda n: event(CALLBACK % n)), max_size=12)


@given(events=EVENTS, cuts=st.lists(st.integers(0, 4000), max_size=10))
def test_what_is_taken_and_what_passes_do_not_depend_on_the_cuts(events: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(events)
    places = sorted({min(cut, len(whole)) for cut in cuts})
    chunks = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    taken: list[bytes] = []
    tap = EventTap(Body(), lambda frame: taken.append(frame) is None, 10_000)
    passed = b"".join(tap.filter(chunk) for chunk in chunks)
    assert passed == b"".join(each for each in events if each in OTHERS)
    assert taken == [each[len(b"event: message\r\ndata: ") : -4] for each in events if each not in OTHERS]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_the_tap_leaves_passes_as_it_came(size: int) -> None:
    whole = event(CALLBACK % 1) + OTHERS[0] + event(CALLBACK % 2)
    tap = EventTap(Body(), lambda frame: False, 10_000)
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert b"".join(map(tap.filter, chunks)) == whole


def test_an_event_over_the_limit_is_not_held_back() -> None:
    taken: list[bytes] = []
    long = event((CALLBACK % 1)[:-2] + b" " * 1000 + b"}}")
    tap = EventTap(Body(), lambda frame: taken.append(frame) is None, 500)
    chunks = [long[start : start + 100] for start in range(0, len(long), 100)]
    passed = [tap.filter(chunk) for chunk in chunks]
    assert b"".join(passed) == long
    assert passed[:5] == [b""] * 5, "held back up to the limit"
    assert tap.filter(event(CALLBACK % 2)) == b""
    assert taken == [CALLBACK % 2], "the next one is looked at again"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_at_the_limit_is_taken_and_one_past_it_passes(size: int) -> None:
    taken: list[bytes] = []
    whole = event(CALLBACK % 1) + event(CALLBACK % 12)
    tap = EventTap(Body(), lambda frame: taken.append(frame) is None, len(CALLBACK % 1))
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert b"".join(map(tap.filter, chunks)) == event(CALLBACK % 12)
    assert taken == [CALLBACK % 1]


@pytest.mark.anyio
async def test_what_was_held_back_when_the_stream_ended_passes() -> None:
    body = Body(event(CALLBACK % 1), event(CALLBACK % 2)[:50])
    tap = EventTap(body, lambda frame: True, 10_000)
    assert [chunk async for chunk in tap] == [event(CALLBACK % 2)[:50]]
    await tap.aclose()
    assert body.closed
