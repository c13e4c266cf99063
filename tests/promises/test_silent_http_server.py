"""A server over HTTP that falls silent at some step of a connection: opening one ends, and in time."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import mcpc
from http_kit import scripted_server

pytestmark = pytest.mark.anyio

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
ENDPOINT = EVENTS + b"event: endpoint\ndata: /messages\n\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
REACHED = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def saying(first: bytes, then: bytes) -> Callable[[bytes], bytes]:
    """What a server says to the first request of a client, which carries no message, and to each message."""

    def answer(data: bytes) -> bytes:
        if data.startswith((b"OPTIONS", b"GET")):
            return first
        return then if b'"method"' in data else b""

    return answer


SILENCES = {
    "nothing over http": ("http", saying(b"", b"")),
    "half a head over http": ("http", saying(b"HTTP/1.1 204 No", b"")),
    "nothing to a message over http": ("http", saying(REACHED, b"")),
    "a head and half a body over http": ("http", saying(REACHED, HALF)),
    "a head and no event over http": ("http", saying(REACHED, EVENTS)),
    "nothing over sse": ("sse+http", saying(b"", b"")),
    "a head and no event over sse": ("sse+http", saying(EVENTS, b"")),
    "nothing to a message over sse": ("sse+http", saying(ENDPOINT, b"")),
    "a head and half a body over sse": ("sse+http", saying(ENDPOINT, HALF)),
    "no event to a message over sse": (
        "sse+http",
        saying(ENDPOINT, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
    ),
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("silence", SILENCES)
async def test_a_server_that_falls_silent_while_we_connect_is_given_up(silence: str, mode: Any) -> None:
    scheme, answer = SILENCES[silence]
    with scripted_server(answer) as port, anyio.fail_after(60):
        with pytest.raises(mcpc.ConnectFailed, match="answer"):
            async with mcpc.Client(f"{scheme}://127.0.0.1:{port}/", mode=mode, open_timeout=0.3):
                pytest.fail("it connected")
